"""Drawn crystals: a conventional cell with the atoms on its faces, edges and corners completed, bonds and cell edges.

image = draw_crystal(unit)                     # (520, 560, 4) uint8
write_gallery(Path("crystals.png"), units)     # several, with formula and space group
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.report.ray_caster import Cylinder, Sphere, paint
from symmcd.report.typesetting import formula_mathtext, symbol_mathtext
from symmcd.storage import atomic_path

ON_BOUNDARY = 0.05  # Å: atoms this close to a face of the cell are drawn on the opposite face too
SPHERE = 0.46  # drawn radius, in covalent radii
BOND_REACH = 1.15  # atoms nearer than this many sums of covalent radii are joined
BOND_RADIUS = 0.085  # Å
EDGE_COLOURS = ((0.80, 0.27, 0.24), (0.24, 0.60, 0.32), (0.25, 0.42, 0.80))  # a, b, c from the origin
PLAIN_EDGE = (0.52, 0.55, 0.59)
TURN, TILT = np.radians(24.0), np.radians(13.0)  # rotation of the view, about the vertical and about the horizontal
LONG_CELL = 2.6  # cells with c longer than this many times a and b lie on their side

# Bonds between two metals are left out: in an intermetallic everything would be joined with everything.
NON_METALS = frozenset({1, 2, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 32, 33, 34, 35, 36, 51, 52, 53, 54, 85, 86})


def with_boundary_images(
    lattice: np.ndarray, position: np.ndarray, element: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of the closed cell: those on a face, an edge or a corner also appear on the opposite ones.

    Args:
        lattice: (3, 3) rows, Å.
        position: (N, 3) fractional, in any cell.
        element: (N,)

    Returns:
        Fractional positions (M, 3) within [0, 1] up to the tolerance, and elements (M,), M ≥ N.
    """
    tolerance = ON_BOUNDARY / np.linalg.norm(lattice, axis=1)
    position = position - np.floor(position)
    images, owners = [], []
    for shift in itertools.product((-1, 0, 1), repeat=3):
        moved = position + shift
        inside = ((moved > -tolerance) & (moved < 1 + tolerance)).all(axis=1)
        images.append(moved[inside])
        owners.append(element[inside])
    return np.concatenate(images), np.concatenate(owners)


def bonds(cartesian: np.ndarray, element: np.ndarray) -> np.ndarray:
    """(K, 2) pairs of atoms nearer than 1.15 sums of their covalent radii, at least one of them a non-metal.

    Args:
        cartesian: (N, 3) Å, as drawn: no periodic images are added.
        element: (N,)
    """
    from ase.data import covalent_radii

    first, second = np.triu_indices(len(cartesian), 1)
    distance = np.linalg.norm(cartesian[first] - cartesian[second], axis=1)
    radius = covalent_radii[element]
    non_metal = np.isin(element, list(NON_METALS))
    joined = (
        (distance < BOND_REACH * (radius[first] + radius[second]))
        & (distance > 0.3)
        & (non_metal[first] | non_metal[second])
    )
    return np.column_stack([first, second])[joined]


def draw_crystal(unit: AsymmetricUnit, width: int = 560, height: int = 520) -> np.ndarray:
    """One conventional cell, c upwards, a towards the viewer, b to the right; a long cell lies down, c to the right.

    Atoms are spheres in Jmol's colours, of 0.46 covalent radii; cell edges a, b, c at the origin are red, green, blue.

    Returns:
        (height, width, 4) uint8, RGBA on a transparent background.

    Raises:
        InputError: a lattice or positions that are not finite.
    """
    from ase.data import covalent_radii
    from ase.data.colors import jmol_colors

    if not (np.isfinite(unit.lattice).all() and np.isfinite(unit.position).all()):
        raise InputError(f"{unit.template}: lattice or positions are not finite; the crystal cannot be drawn")
    crystal = replicate_flat(AsymmetricUnits.from_units([unit]))
    lattice = crystal.lattice[0]
    position, element = with_boundary_images(lattice, crystal.position, crystal.element)
    rotation = _view(lattice)
    cartesian = position @ lattice @ rotation.T
    spheres = [
        Sphere(centre, SPHERE * float(covalent_radii[z]), tuple(jmol_colors[z]))
        for centre, z in zip(cartesian, element.tolist(), strict=True)
    ]
    cylinders = []
    for i, j in bonds(cartesian, element):
        middle = (cartesian[i] + cartesian[j]) / 2
        cylinders += [Cylinder(cartesian[end], middle, BOND_RADIUS, tuple(jmol_colors[element[end]])) for end in (i, j)]
    edges, joints = _cell_edges(lattice @ rotation.T)
    return paint(spheres + joints, cylinders + edges, width, height)


def _view(lattice: np.ndarray) -> np.ndarray:
    """(3, 3) rotation from crystal to screen: rows are right, up, towards the viewer."""
    up = lattice[2] / np.linalg.norm(lattice[2])
    out = lattice[0] - (lattice[0] @ up) * up
    out /= np.linalg.norm(out)
    straight = np.stack([np.cross(up, out), up, out])
    turn = np.array([[np.cos(TURN), 0, -np.sin(TURN)], [0, 1, 0], [np.sin(TURN), 0, np.cos(TURN)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(TILT), -np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]])
    length = np.linalg.norm(lattice, axis=1)
    lie_down = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]) if length[2] > LONG_CELL * length[:2].max() else np.eye(3)
    return lie_down @ tilt @ turn @ straight


def _cell_edges(lattice: np.ndarray) -> tuple[list[Cylinder], list[Sphere]]:
    """The twelve edges, and the joints at the eight corners; lattice rows on the screen."""
    radius = 0.0045 * float(
        np.linalg.norm(lattice.sum(axis=0))
    )  # as wide in the image of a large cell as in a small one's
    edges = []
    for axis in range(3):
        others = [i for i in range(3) if i != axis]
        for corner in itertools.product((0, 1), repeat=2):
            start = corner[0] * lattice[others[0]] + corner[1] * lattice[others[1]]
            colour = PLAIN_EDGE if any(corner) else EDGE_COLOURS[axis]
            edges.append(Cylinder(start, start + lattice[axis], radius, colour))
    joints = [Sphere(np.array(corner) @ lattice, radius, PLAIN_EDGE) for corner in itertools.product((0, 1), repeat=3)]
    return edges, joints


def element_colours(elements: Sequence[int]) -> dict[str, str]:
    """Symbol → colour as ``#rrggbb``, in the order given: the key to a drawing."""
    from ase.data import chemical_symbols
    from ase.data.colors import jmol_colors

    return {chemical_symbols[z]: "#" + "".join(f"{round(255 * c):02x}" for c in jmol_colors[z]) for z in elements}


def write_gallery(
    path: Path, units: Sequence[AsymmetricUnit], columns: int = 3, images: Sequence[np.ndarray] | None = None
) -> None:
    """Several crystals on white, each with its formula, space group and the colours of its elements, as ``path`` (png).

    `images` are those of `draw_crystal`, where they are drawn already.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(units) // columns)
    figure = Figure(figsize=(3.1 * columns, 3.55 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    images = [draw_crystal(unit) for unit in units] if images is None else images
    drawn = zip(units, images, strict=True)
    for axes, pair in itertools.zip_longest(figure.subplots(rows, columns, squeeze=False).flat, drawn):
        axes.set_axis_off()
        if pair is not None:
            unit, image = pair
            axes.imshow(image, interpolation="antialiased")
            title = f"{formula_mathtext(unit.formula)}   {symbol_mathtext(unit.space_group)}"
            axes.set_title(title, fontsize=16, color="#202428")
            _name_elements(axes, unit)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, facecolor="white")


def _name_elements(axes: Any, unit: AsymmetricUnit) -> None:
    """Write the colour of each element below a drawing."""
    from matplotlib.lines import Line2D

    colours = element_colours(list(dict.fromkeys(unit.element.tolist())))
    dots = [
        Line2D([], [], marker="o", linestyle="", markersize=10, markerfacecolor=colour, markeredgecolor="#6b7280")
        for colour in colours.values()
    ]
    axes.legend(
        dots, list(colours), loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=len(colours), frameon=False,
        fontsize=14, handletextpad=0.1, columnspacing=1.0, borderpad=0,
    )  # fmt: skip
