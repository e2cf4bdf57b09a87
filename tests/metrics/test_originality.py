"""Uniqueness, novelty, and novelty after element substitution, on crystals whose answers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from symmcd import reduce, replicate
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.metrics.matching import first_matches, matching
from symmcd.metrics.originality import Originality, add_originality, originality
from symmcd.metrics.reference_set import ReferenceSet, anonymous_formula
from tests.crystallography.prototypes import PROTOTYPES, prototype

TRAIN = ("NaCl", "CsCl", "SrTiO3", "TiO2 rutile")


def units(names: tuple[str, ...]) -> AsymmetricUnits:
    return AsymmetricUnits.from_units([reduce(prototype(name)) for name in names], list(names))


def swapped(name: str, elements: dict[str, str]) -> Structure:
    structure = prototype(name).copy()
    structure.replace_species(elements)
    return structure


def compare(crystals: dict[str, Structure | None], sample: int = 100) -> tuple[Originality, pd.DataFrame]:
    groups = [0 if c is None or not c.is_ordered else c.get_space_group_info()[1] for c in crystals.values()]
    found = originality(list(crystals), list(crystals.values()), groups, ReferenceSet(units(TRAIN)), sample, 0)
    table = pd.DataFrame({"id": list(crystals)})
    add_originality(table, found)
    return found, table.set_index("id")


def test_known_substituted_new_and_repeated() -> None:
    found, table = compare(
        {
            "known": prototype("NaCl").get_primitive_structure(),
            "substituted": swapped("NaCl", {"Na": "K", "Cl": "Br"}),
            "new": prototype("Al2O3"),
            "again": prototype("Al2O3").get_primitive_structure(),
        }
    )
    assert table["known_as"].tolist() == ["NaCl", "", "", ""]
    assert table["prototype"].tolist() == ["NaCl", "NaCl", "new", "new"]
    assert table["duplicate_of"].tolist() == ["", "", "", "new"]
    assert found.novel.tolist() == [False, True, True, True]
    assert found.unique.tolist() == [True, True, True, False]
    assert found.new_prototype.tolist() == [False, False, True, True]
    assert table["amd_distance"]["known"] == pytest.approx(0, abs=1e-3)
    assert table["amd_distance"]["new"] > 0.05


def test_elements_may_change_places() -> None:
    """The anti-perovskite of SrTiO3 is a substitution in it; rutile's elements exchanged are not a new prototype."""
    known = ReferenceSet(units(TRAIN))
    anti = swapped("SrTiO3", {"Sr": "N", "Ti": "Sn", "O": "Mn"})
    assert known.match_prototype(anti, 221) == "SrTiO3"
    assert known.match_prototype(anti, 123) is None  # of another group
    assert known.match_prototype(swapped("TiO2 rutile", {"Ti": "F", "O": "Mg"}), 136) == "TiO2 rutile"
    # same group, same formula AB, other arrangement
    assert known.match_prototype(prototype("CsCl"), 225) is None


@pytest.mark.parametrize("name", sorted(PROTOTYPES))
def test_the_prefilter_loses_no_match(name: str) -> None:
    """Against pymatgen's anonymous fit over the whole reference set, without keys, order or cells made beforehand."""
    reference = units(tuple(sorted(PROTOTYPES)))
    crystal = prototype(name)
    group = reduce(crystal).space_group
    expected = any(
        other.space_group == group and StructureMatcher().fit_anonymous(crystal, replicate(other))
        for other in reference
    )
    assert expected
    assert ReferenceSet(reference).match_prototype(crystal, group) is not None
    without = reference.take([i for i, label in enumerate(reference.label) if label != name])
    others = [
        str(label)
        for label, other in zip(without.label, without, strict=True)
        if other.space_group == group and StructureMatcher().fit_anonymous(crystal, replicate(other))
    ]
    found = ReferenceSet(without).match_prototype(crystal, group)
    assert (found in others) if others else found is None


def test_what_cannot_be_compared_is_neither_unique_nor_novel() -> None:
    crystals = {
        "none": None,
        "half": Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]]),
        "flat": Structure(Lattice(np.diag([4, 4, 1e-9])), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        "good": prototype("ZnO"),
    }
    found = originality(list(crystals), list(crystals.values()), [0, 0, 0, 186], ReferenceSet(units(TRAIN)), 100, 0)
    table = pd.DataFrame({"id": list(crystals)})
    add_originality(table, found)
    assert table["comparison"].tolist() == ["unreadable", "disordered", "bad_cell", "ok"]
    assert found.novel.tolist() == found.unique.tolist() == found.new_prototype.tolist() == [False, False, False, True]
    assert np.isnan(table["amd_distance"][:3]).all()


def test_only_the_sample_is_looked_up() -> None:
    crystals = {str(i): prototype(name) for i, name in enumerate(("NaCl", "ZnO", "Al2O3", "CsCl"))}
    found, table = compare(crystals, sample=2)
    assert found.sampled.sum() == 2
    assert (table["prototype"] != "").sum() == 2
    assert not found.new_prototype[~found.sampled].any()


def test_anonymous_formulas() -> None:
    assert anonymous_formula(np.array([0, 4, 0, 12, 4])) == (1, 1, 3)
    assert anonymous_formula(np.array([7])) == (1,)


def test_uniqueness_agrees_with_the_matcher_on_given_cells() -> None:
    """Cells reduced once give the answers that the matcher gives when it reduces them itself."""
    crystals = [prototype(n) for n in ("NaCl", "ZnO", "TiNiSi")]
    crystals += [c.get_primitive_structure() for c in crystals]
    crystals[3].translate_sites([0], [0.02, 0, 0])
    matcher = StructureMatcher()
    expected = [not any(matcher.fit(crystals[j], c) for j in range(i)) for i, c in enumerate(crystals)]
    found = first_matches(range(len(crystals)), matching(crystals))
    assert [match is None for match in found.values()] == expected


def test_other_processes_give_the_same_answers(monkeypatch) -> None:
    """Odd crystals among them: a flat cell, one that no matcher takes, and one that fails within the comparison."""
    names = [*TRAIN, "Al2O3", "MgAl2O4", "ZnO"]
    crystals: list[Structure | None] = [prototype(name) for name in names]
    crystals += [swapped("NaCl", {"Na": "K", "Cl": "Br"}), prototype("Al2O3").get_primitive_structure(), None]
    crystals.append(Structure(Lattice.from_parameters(4, 4, 4, 90, 90, 0.001), ["Na"], [[0, 0, 0]]))
    groups = [0 if c is None or abs(c.volume) < 1 else c.get_space_group_info()[1] for c in crystals]
    labels = [str(i) for i in range(len(crystals))]
    advanced: list[int] = []
    one = originality(labels, crystals, groups, ReferenceSet(units(TRAIN)), 100, 0)
    monkeypatch.setattr("symmcd.metrics.matching.A_PROCESS", 3)
    two = originality(labels, crystals, groups, ReferenceSet(units(TRAIN)), 100, 0, advanced.append, workers=2)
    for field in ("outcome", "duplicate_of", "known_as", "sampled", "prototype_of"):
        assert getattr(one, field).tolist() == getattr(two, field).tolist(), field
    np.testing.assert_array_equal(one.distance, two.distance)
    assert one.diversity == two.diversity
    assert sum(advanced) == len(crystals)
    assert one.known_as.tolist()[: len(TRAIN)] == list(TRAIN)
