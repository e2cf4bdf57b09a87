"""Crystals that are judged by themselves are found, and crystals that are judged by others are let be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symmcd.stability.hull import ConvexHull, HullEntry
from symmcd.stability.own_entries import Judged, own_entries

FORMULAS = ("Li2O", "LiFePO4", "Fe2O3", "Li3PO4", "FePO4", "LiFe5O8")
ENERGY = dict(zip(FORMULAS, (-4.7, -6.9, -6.6, -6.8, -7.1, -6.5), strict=True))
ELEMENTS = [HullEntry(e, -2.0, "energy", "elemental prototype") for e in ("Li", "Fe", "P", "O", "Na", "Cl")]


def entries(origin: str, noise: float = 0.0, names: str = "{:05d}") -> list[HullEntry]:
    return [HullEntry(f, ENERGY[f] + noise, "energy", origin, names.format(i)) for i, f in enumerate(FORMULAS)]


def judged(relaxed: float = -0.3) -> list[Judged]:
    return [Judged(f"{i:05d}", f, (ENERGY[f], ENERGY[f] + relaxed)) for i, f in enumerate(FORMULAS)]


@pytest.mark.parametrize(
    "reference",
    [
        entries("units", 2e-6),  # as they were generated
        entries("units", 5e-4),  # the same ids, another precision
        entries("relaxed", -0.3),  # as they came out of relaxation
        entries("cifs", 3e-6, names="{:05d}_LFPO_62"),  # reduced from their CIFs: other ids
        entries("units")[:3],  # half of them
    ],
)
def test_a_hull_of_the_candidates_is_found(reference: list[HullEntry]) -> None:
    found = own_entries(judged(), [*ELEMENTS, *reference])
    assert found.alone
    assert set(found.entry) == {f"{i:05d}" for i in range(len(reference))}


def test_candidates_that_were_drawn_from_their_own_reference_are_found() -> None:
    """Ten of twenty are relaxed; all twenty are the hull."""
    assert own_entries(judged()[:2], [*ELEMENTS, *entries("units")]).alone


def test_a_hull_of_others_is_let_be() -> None:
    theirs = entries("train", 0.02, names="mp-{}")
    assert own_entries(judged(), [*ELEMENTS, *theirs]).entry == {}
    assert not own_entries(judged(), [*ELEMENTS, *theirs]).alone
    assert not own_entries(judged(), ELEMENTS).alone
    mixed = own_entries(judged(), [*ELEMENTS, *theirs, *entries("units")])
    assert not mixed.alone
    assert len(mixed.entry) == 6
    # of the test set, whose other crystals are not judged: named, as each is an entry, and judged all the same
    test = [*entries("test"), HullEntry("Li2O", -4.6, "energy", "train", "mp-1")]
    assert not own_entries(judged()[:2], [*ELEMENTS, *test]).alone


def test_entries_of_other_systems_do_not_make_a_hull_independent() -> None:
    other = HullEntry("NaCl", -3.4, "energy", "train", "mp-22862")
    assert own_entries(judged(), [*ELEMENTS, *entries("units"), other]).alone


def test_a_material_found_again_is_no_own_reference() -> None:
    """One of six has the energy of a known crystal by chance."""
    found = own_entries(judged(), [*ELEMENTS, HullEntry("Fe2O3", ENERGY["Fe2O3"], "energy", "train", "mp-1")])
    assert found.entry == {}


def test_formation_energies_and_elements_are_no_candidates() -> None:
    table = [HullEntry(f, ENERGY[f], "formation_energy", "table", f"{i:05d}") for i, f in enumerate(FORMULAS)]
    assert own_entries(judged(), table).entry == {}
    assert own_entries([Judged("00000", "Li", (-2.0,))], ELEMENTS).entry == {}
    assert own_entries([Judged("00000", "Li2O", ())], entries("units")).entry == {}


@given(st.lists(st.sampled_from(["NaCl", "Na2Cl", "Na", "LiCl", "NaLiCl2", "Cl2", "NaO"]), max_size=12))
def test_entries_of_a_system_are_counted(formulas: list[str]) -> None:
    """By sets of elements, a second way."""
    hull = ConvexHull([*ELEMENTS, *(HullEntry(f, -3.0, "energy", "x") for f in formulas)])
    of_salt = sum(f in ("NaCl", "Na2Cl") for f in formulas)
    assert hull.entries_in("Na3Cl") == of_salt
    assert hull.entries_in("NaLi2Cl") == of_salt + sum(f in ("LiCl", "NaLiCl2") for f in formulas)
    assert hull.entries_in("Na") == 1 + formulas.count("Na")
    assert np.isfinite(hull.at("NaCl").energy_per_atom)
