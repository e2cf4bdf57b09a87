"""CHGNet 0.3.0: its weights, what it can be asked, and the cell it is asked about."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure

from symmcd.structures import symmetry_search
from symmcd.structures.convert import elements_of_structure, to_structure

VERSION = "0.3.0"
# MPtrj, its training set, has 89 elements (Deng et al. 2023): the first 94 without Po, At, Rn, Fr and Ra, whose
# embeddings were never trained although the network gives a number for them.
KNOWN_ELEMENTS = frozenset(range(1, 95)) - {84, 85, 86, 87, 88}
FLAT = 1e-3  # Å³, a cell below it has no three directions to compute with
ATOM_CUTOFF = 6.0  # Å, neighbours in CHGNet's atom graph
ANGLE_CUTOFF = 3.0  # Å, bonds that make angles
# Forces with their graph cost about 0.1 MB an angle (measured: 62,250 angles, 6.2 GB), so this is about 3 GB.
# Dense elements have 130 to 350 angles an atom.
MAX_ANGLES = 30_000
MAX_PERIODIC_IMAGES = 200_000  # atoms within the cutoff of the cell; a sound cell of 20 atoms has about 1,000


class UnusableCrystalError(Exception):
    """CHGNet cannot be asked about this crystal; the message is the reason in a word, as in ``failed:<reason>``."""


def load_chgnet(device: str) -> Any:
    """CHGNet with the weights that its package ships.

    The file is read without unpickling objects (`weights_only`), unlike ``CHGNet.load``, and nothing is downloaded.
    CHGNet announces itself on standard output; that, and only that, is dropped.
    """
    import chgnet
    import scipy.linalg  # noqa: F401
    import threadpoolctl
    import torch
    from chgnet.model import CHGNet

    # torch and BLAS take OMP_NUM_THREADS, which Snakemake sets to the threads of a rule.  Without it one thread:
    # crystals of some 20 atoms gain nothing from a second, and lose where the cores are busy; shards use the cores
    # better.  SciPy's own BLAS takes threads even for FIRE's 6 x 6 matrices (milliseconds in place of 0.06), and must
    # be loaded to be told.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
        threadpoolctl.threadpool_limits(1, user_api="blas")
    # Every process would start its log with this remark of torch on a line of CHGNet's, which is right as it is.
    warnings.filterwarnings("ignore", "Converting a tensor with requires_grad=True to a scalar", UserWarning)
    weights = Path(chgnet.__file__).parent / "pretrained" / VERSION / f"chgnet_{VERSION}_e29f68s314m37.pth.tar"
    state = torch.load(weights, map_location="cpu", weights_only=True)["model"]
    with contextlib.redirect_stdout(io.StringIO()):
        model = CHGNet.from_dict(state, mlp_out_bias=False, version=VERSION)
    model.graph_converter.set_isolated_atom_response("error")
    return model.to(device).eval()


def is_finite(structure: Structure) -> bool:
    """Whether cell and positions are numbers."""
    return bool(np.isfinite(structure.lattice.matrix).all() and np.isfinite(structure.frac_coords).all())


def check_crystal(structure: Structure) -> None:
    """Refuse what CHGNet gives nonsense for, or would fill the memory with.

    Overlapping atoms pass: their energy is high and relaxation may part them.

    Raises:
        UnusableCrystalError: non-finite numbers, a flat cell, an element outside the training set, an atom without a
            neighbour within 6 Å, or so many neighbours that the graph would not fit.
    """
    if not is_finite(structure):
        raise UnusableCrystalError("not_finite")
    lattice = structure.lattice.matrix
    volume = abs(np.linalg.det(lattice))
    if volume < FLAT:
        raise UnusableCrystalError("flat_cell")
    unknown = {site.specie.symbol for site in structure if site.specie.Z not in KNOWN_ELEMENTS}
    if unknown:
        raise UnusableCrystalError("unknown_element:" + "+".join(sorted(unknown)))
    # The search lists every periodic image within the cutoff of the cell: bound their number before it runs.
    heights = volume / np.linalg.norm(np.cross(lattice[[1, 2, 0]], lattice[[2, 0, 1]]), axis=1)  # between faces, Å
    if len(structure) * np.prod(2 * np.ceil(ATOM_CUTOFF / heights) + 1) > MAX_PERIODIC_IMAGES:
        raise UnusableCrystalError("too_many_neighbours")
    centre, _, _, distance = structure.get_neighbor_list(ATOM_CUTOFF, numerical_tol=1e-8)
    if len(np.unique(centre)) < len(structure):
        raise UnusableCrystalError("isolated_atoms")
    bonds = np.bincount(centre[distance < ANGLE_CUTOFF], minlength=len(structure))
    if (bonds * (bonds - 1)).sum() > MAX_ANGLES:
        raise UnusableCrystalError("too_many_neighbours")


def primitive_cell(structure: Structure, symprec: float = 1e-3) -> Structure:
    """A reduced primitive cell, geometry untouched; the cell as it is where spglib finds none (overlapping atoms).

    Args:
        structure: any cell.
        symprec: tolerance in Å, tight, as nothing may be idealised here.
    """
    return to_structure(symmetry_search.primitive_cell(elements_of_structure(structure), symprec))


def space_group_number(structure: Structure, symprec: float) -> int | None:
    """Space group that spglib finds within `symprec` Å; None where it finds none (overlapping atoms)."""
    return symmetry_search.space_group_number(elements_of_structure(structure), symprec)


def shortest_distance(structure: Structure) -> float:
    """Shortest distance between two atoms, own images included, in Å."""
    vectors = structure.lattice.get_lll_reduced_lattice().matrix
    shortest = float(np.linalg.norm(vectors, axis=1).min())
    if len(structure) > 1:
        pairs = structure.distance_matrix[np.triu_indices(len(structure), 1)]
        shortest = min(shortest, float(pairs.min()))
    return shortest
