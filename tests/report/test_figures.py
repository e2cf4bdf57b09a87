"""Figures: valid SVG and PNG, and what is drawn is what is counted."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from ase.data import atomic_masses, chemical_symbols
from PIL import Image
from pymatgen.core import Element

from symmcd.crystallography import content
from symmcd.report import content_figures, run_figures, style, symmetry_figures
from tests.report.conftest import make_units

GENERATED, TRAINING = make_units(40, 1), make_units(90, 2)
GROUPS = GENERATED.space_group, TRAINING.space_group
TEMPLATES = np.array(["225_a_b", "225_a_b", "1_a", "62_c_c"]), np.array(["225_a_b", "62_c_c", "62_c_c"])
HULL = np.random.default_rng(0).gamma(2, 0.2, (2, 50)) - 0.05
LOSSES = {"epoch": np.arange(1, 9)} | {
    f"{part}_{name}": np.where(np.arange(8) % 2, 1.0, np.nan) if part == "val" else np.linspace(3, 1, 8)
    for part in ("train", "val")
    for name in ("lattice", "position", "total")
}
RATES = [run_figures.Rate("valid", 91.0, 88.0, 93.5, 94.32), run_figures.Rate("both", 70.0, 66.0, 74.0)]

FIGURES = {
    "space_groups": lambda: symmetry_figures.space_groups(*GROUPS),
    "crystal_systems": lambda: symmetry_figures.crystal_systems(*GROUPS),
    "template_ranks": lambda: symmetry_figures.template_ranks(*TEMPLATES),
    "templates": lambda: symmetry_figures.template_novelty(*TEMPLATES),
    "atoms": lambda: content_figures.atoms_per_cell(GENERATED.number_of_atoms, TRAINING.number_of_atoms),
    "elements_per_crystal": lambda: content_figures.elements_per_crystal(
        *map(content.number_of_elements, (GENERATED, TRAINING))
    ),
    "density": lambda: content_figures.densities(*map(content.densities, (GENERATED, TRAINING))),
    "elements": lambda: content_figures.periodic_table(*map(content_figures.element_shares, (GENERATED, TRAINING))),
    "losses": lambda: run_figures.losses(LOSSES),
    "rates": lambda: run_figures.rates(RATES, "%"),
    "hull": lambda: run_figures.hull_distances(*HULL, (0.0, 0.1), 55),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_valid_svg_and_png(name, tmp_path):
    svg = style.save(FIGURES[name](), tmp_path, name)
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert svg == style.svg_text(FIGURES[name](), name), "the same figure is the same text"
    with Image.open(tmp_path / f"{name}.png") as image:
        image.load()
        assert image.width >= 800
        assert len(image.convert("L").getcolors()) > 10, "not an empty picture"
    inline = style.inline(svg, name, "a < b")
    root = ET.fromstring(inline.replace("<svg ", '<svg xmlns:xlink="x" ', 1))
    assert root.get("aria-label") == "a < b"
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(i.startswith(f"{name}-") for i in ids)
    assert style.INK not in inline, "text has the page's colour"


def test_shares_of_space_groups_add_up():
    share = symmetry_figures.shares(np.array([1, 1, 225, 230]))
    assert share.sum() == pytest.approx(100)
    assert share[[0, 224, 229]].tolist() == [50, 25, 25]


def test_crystal_systems_cover_each_group_once():
    covered = [n for first, last in symmetry_figures.CRYSTAL_SYSTEMS.values() for n in range(first, last + 1)]
    assert covered == list(range(1, 231))


def test_bars_of_space_groups_have_the_height_of_the_shares():
    axes = symmetry_figures.space_groups(*GROUPS).axes[0]
    heights = (
        np.array([bar.get_height() for bar in axes.containers[0]]),
        np.array([bar.get_height() for bar in axes.containers[1]]),
    )
    assert np.allclose(heights[0], symmetry_figures.shares(GROUPS[0]))
    assert np.allclose(heights[1], -symmetry_figures.shares(GROUPS[1]))


def test_templates_are_parted_into_known_and_new():
    bars = symmetry_figures.template_novelty(*TEMPLATES).axes[0].patches
    # unique: 225_a_b and 62_c_c known, 1_a new; crystals: three known, one new
    assert [bar.get_width() for bar in bars] == pytest.approx([200 / 3, 100 / 3, 75, 25])


def test_every_element_has_the_place_that_chemists_give_it():
    places = {z: content_figures.place_in_table(z) for z in range(1, 104)}
    assert len(set(places.values())) == 103
    for number, (column, row) in places.items():
        element = Element(chemical_symbols[number])
        if row < 8:
            assert (column, row) == (element.group, element.row)
        else:
            assert element.is_lanthanoid or element.is_actinoid


def test_element_shares_count_crystals_not_atoms():
    share = content_figures.element_shares(GENERATED)
    sodium = [11 in GENERATED[i].element for i in range(len(GENERATED))]
    assert share[11] == pytest.approx(100 * np.mean(sodium))
    assert len(share) == 119
    assert len(atomic_masses) >= 119


def test_failed_relaxations_stay_in_the_denominator():
    relaxed = np.where(np.arange(50) < 10, np.nan, 0.05)
    axes = run_figures.hull_distances(relaxed, relaxed, (0.1,), 50).axes[0]
    assert axes.patches[1].get_data().values.sum() == pytest.approx(80)


def test_no_energy_at_all_still_draws():
    nothing = np.full(5, np.nan)
    style.svg_text(run_figures.hull_distances(nothing, nothing, (0.0,), 5), "hull")


def test_no_bar_crosses_the_symbol_of_another():
    """62 is taller than 64 beside it, 139 stands alone: two symbols above, and as many below."""
    groups = np.repeat([62, 64, 139], [9, 5, 4])
    figure = symmetry_figures.space_groups(groups, groups)
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written.count("Pnma") == written.count("I4/mmm") == 2
    assert "Cmce" not in written
