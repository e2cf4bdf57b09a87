"""Metrics of sets: intervals, distances between distributions, templates, uniqueness and novelty, symmetry kept."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from scipy.stats import binomtest, wasserstein_distance

from symmcd import reduce, replicate
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import templates
from symmcd.crystallography.normaliser import canonical_template
from symmcd.metrics.crystal_scores import columns, score
from symmcd.metrics.found_symmetry import agreement, detect, detected_group, group_distance, keeps_group
from symmcd.metrics.intervals import bootstrap, percent, resolvable, wilson
from symmcd.metrics.matching import composition_key, first_matches, matching, unmatchable
from symmcd.metrics.of_set.distributions import wasserstein
from symmcd.metrics.reference_set import ReferenceSet, composition_keys
from symmcd.metrics.set_summary import CrystalSet, summarise_set
from tests.crystallography.prototypes import PROTOTYPES, prototype

NAMES = ("NaCl", "CsCl", "SrTiO3", "TiO2 rutile", "Al2O3", "ZnO", "MgAl2O4", "TiNiSi")


def units_of(names: tuple[str, ...]) -> AsymmetricUnits:
    return AsymmetricUnits.from_units([reduce(prototype(name)) for name in names], list(names))


@pytest.mark.parametrize(("successes", "total"), [(0, 10), (3, 10), (10, 10), (70, 1000), (1, 3)])
def test_wilson_is_scipys(successes: int, total: int) -> None:
    expected = binomtest(successes, total).proportion_ci(method="wilson")
    assert wilson(successes, total) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_nothing_counted_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert all(math.isnan(v) for v in bootstrap(np.mean, np.zeros(0), 0))


def test_a_share_is_written_with_its_interval() -> None:
    """15 of 40 by scipy: 37.5 %, from 24.2 to 53.0."""
    assert percent(np.arange(40) < 15) == "37.5 [24.2, 53.0]"
    assert percent(np.zeros(0, dtype=bool)) == ""


def test_bootstrap_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = bootstrap(np.mean, values, seed=1, draws=2000)
    half = 1.96 * values.std(ddof=1) / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_group_distance_of_equal_and_disjoint_sets() -> None:
    assert group_distance(np.array([225, 225, 62]), np.array([62, 225, 225, 62, 225, 225])) == pytest.approx(0)
    assert group_distance(np.array([1, 2]), np.array([225])) == pytest.approx(math.sqrt(math.log(2)))


def test_the_last_two_groups_have_bins_of_their_own() -> None:
    """A published evaluator counted 229 and 230 together."""
    assert group_distance(np.array([229]), np.array([230])) == pytest.approx(math.sqrt(math.log(2)))
    assert group_distance(np.array([229]), np.array([230]), merge_last=True) == 0


def test_what_a_sample_can_resolve_by_simulation() -> None:
    """Shares half the difference below and above 30 % are told apart in 80 % of the draws."""
    n, share = 1000, 0.3
    half = resolvable(share, n) / 2
    rng = np.random.default_rng(0)
    a, b = (rng.binomial(n, p, 4000) / n for p in (share - half, share + half))
    mean = (a + b) / 2
    apart = np.abs(a - b) > 1.96 * np.sqrt(2 * mean * (1 - mean) / n)
    assert apart.mean() == pytest.approx(0.8, abs=0.02)
    assert math.isnan(resolvable(0.5, 0))


def test_agreement_of_the_symmetry_found() -> None:
    """The same perovskite asked for as Pm-3m, as its subgroup P4/mmm, as a group that it lacks, and broken."""
    cubic = replicate(reduce(prototype("SrTiO3")))
    assert agreement(detect(cubic, 0.01), 221) == "exact"
    assert agreement(detect(cubic, 0.01), 123) == "supergroup"
    assert agreement(None, 221) == "none"
    broken = cubic.copy()
    broken.translate_sites([0], [0.011, 0.023, 0.031], frac_coords=True)
    assert agreement(detect(broken, 0.01), 221) == "lower"
    assert agreement(detect(broken, 1.0), 221) == "exact"
    doubled = cubic.copy()
    doubled.make_supercell([1, 1, 2])
    assert agreement(detect(doubled, 0.01), 123) == "supergroup"


def test_wasserstein_is_scipys_and_nan_for_nothing() -> None:
    a, b = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.5])
    assert wasserstein(a, b) == pytest.approx(wasserstein_distance(a, b))
    assert math.isnan(wasserstein(np.zeros(0), b))


def test_templates_are_counted_once() -> None:
    """Spinel has two templates, by the choice of origin, and one arrangement."""
    table = scores_of([replicate(reduce(prototype(name))) for name in ("NaCl", "NaCl", "NaCl", "Al2O3")])
    table["template"] = ["227_a_d_e", "227_b_c_e", "227_a_d_e", "167_c_e"]
    table["template_canonical"] = list(map(canonical_template, table["template"]))
    train = ReferenceSet(units_of(("MgAl2O4", "NaCl", "ZnO")))
    assert train.templates[0] in ("227_a_d_e", "227_b_c_e")
    rows = {row["metric"]: row["value"] for row in summarise_set(CrystalSet(table, train=train))}
    assert [rows[f"templates_{kind}"] for kind in ("unique", "in_train", "new")] == [3, pytest.approx(100 / 3), 2]
    canonical = [rows[f"templates_canonical_{kind}"] for kind in ("unique", "in_train", "new")]
    assert canonical == [2, pytest.approx(50), 1]


def test_uniqueness_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    base = [prototype(name) for name in ("NaCl", "TiO2 rutile", "TiO2 anatase", "ZnO")]
    structures = []
    for _ in range(3):
        for structure in base:
            copy = structure.copy()
            copy.perturb(0.03)
            copy.scale_lattice(copy.volume * rng.uniform(0.95, 1.05))
            structures.append(copy)
    found = first_matches(range(len(structures)), matching(structures))
    verdict = [match is None for match in found.values()]
    matcher = StructureMatcher()
    expected: list[bool] = []
    for i, structure in enumerate(structures):
        earlier = [structures[j] for j in range(i) if expected[j]]
        expected.append(not any(matcher.fit(structure, other) for other in earlier))
    assert verdict == expected
    assert sum(verdict) == 4


@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7))))
def test_the_first_of_duplicates_is_kept(pairs: set[tuple[int, int]]) -> None:
    """For any matches, also not transitive ones: kept items match no kept one, dropped ones their first kept match."""

    def same(i: int, j: int) -> bool:
        assert i < j  # the matcher is not symmetric: the earlier one stands first, as in FlowMM
        return (i, j) in pairs

    found = first_matches(range(8), same)
    kept = [i for i, match in found.items() if match is None]
    assert not any(same(i, j) for i, j in itertools.combinations(kept, 2))
    for i, match in found.items():
        assert match == next((j for j in kept if j < i and same(j, i)), None)
    assert found[0] is None


def test_composition_keys_do_not_depend_on_the_cell() -> None:
    units = units_of(NAMES)
    keys = composition_keys(units)
    assert keys == [composition_key(prototype(name).get_primitive_structure()) for name in NAMES]
    assert len(set(keys)) == len(NAMES)


def test_the_training_crystal_is_named() -> None:
    assert ReferenceSet(units_of(NAMES)).match(prototype("TiO2 rutile").get_primitive_structure()) == "TiO2 rutile"


def test_what_the_matcher_raises_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StructureMatcher, "fit", lambda *_: 1 / 0)
    assert unmatchable(prototype("NaCl")) == "ZeroDivisionError"


def test_what_the_matcher_cannot_take_has_a_reason() -> None:
    broken = Structure(Lattice(np.diag([4, 4, 1e-12])), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert unmatchable(broken) == "bad_cell"
    assert not unmatchable(prototype("NaCl"))


def test_novelty_knows_known_crystals_in_any_cell() -> None:
    known_set = ReferenceSet(units_of(NAMES))
    known = prototype("Al2O3").get_primitive_structure()
    known.make_supercell([2, 1, 1])
    assert known_set.match(known) == "Al2O3"
    assert known_set.match(prototype("CoAs3")) is None
    assert known_set.match(prototype("TiO2 anatase")) is None  # the formula is known, the structure is not


@pytest.mark.parametrize("name", NAMES)
def test_replicated_crystals_keep_their_group(name: str) -> None:
    unit = reduce(prototype(name))
    structure = replicate(unit)
    assert keeps_group(structure, unit.space_group)
    assert detected_group(structure, 0.01) == PROTOTYPES[name][0]


def test_rounding_across_the_edge_of_the_cell_breaks_no_group() -> None:
    """Files have ten decimals: an atom at 0 may be written a hair below 1."""
    structure = replicate(reduce(prototype("TiO2 rutile")))
    rounded = Structure(structure.lattice, structure.species, (structure.frac_coords - 1e-9) % 1)
    assert rounded.frac_coords.max() > 0.99
    assert keeps_group(rounded, 136)


def test_a_displaced_atom_breaks_the_group() -> None:
    structure = replicate(reduce(prototype("TiO2 rutile")))
    structure.translate_sites([0], [0.03, 0, 0], frac_coords=True)
    assert not keeps_group(structure, 136)
    assert keeps_group(structure, 1)


def scores_of(structures: list[Structure], group: int | None = None) -> pd.DataFrame:
    table = pd.DataFrame([{"id": f"{i:05d}", **score(s, group, 0.1, 10.0)} for i, s in enumerate(structures)])
    table["template"] = table["template_canonical"] = "225_a_b"
    return table[[*columns(), "template", "template_canonical"]]


def test_failures_stay_in_the_denominator() -> None:
    good = replicate(reduce(prototype("NaCl")))
    overlapping = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.001, 0, 0]])
    table = scores_of([good, overlapping, good, good])
    rows = {(r["metric"], r["protocol"]): r for r in summarise_set(CrystalSet(table))}
    structural = rows["structural_validity", "paper"]
    assert structural["value"] == 75
    assert structural["n"] == 4
    assert (structural["low"], structural["high"]) == pytest.approx([100 * v for v in wilson(3, 4)])
    assert rows["compositional_validity", "paper"]["value"] == 100


@pytest.mark.parametrize(
    ("lattice", "position", "status"),
    [
        (np.full((3, 3), np.nan), 0.5, "bad_cell"),
        (np.diag([5, 5, 1e-9]), 0.5, "bad_cell"),
        (np.eye(3) * 5, np.nan, "bad_cell"),
        (np.diag([0.05, 0.05, 39.0]), 0.5, "no_space_group"),
    ],
)
def test_broken_crystals_are_rows_too(lattice: np.ndarray, position: float, status: str) -> None:
    structure = Structure(Lattice(lattice), ["Na", "Cl"], [[0, 0, 0], [position] * 3])
    row = score(structure, 225, 0.1, 10.0)
    assert set(row) == set(columns()[1:])
    assert row["status"] == status
    assert (row["formula"], row["structurally_valid"], row["valid"], row["group_kept"]) == ("NaCl", False, False, False)


def test_an_error_of_a_library_is_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symmcd.metrics.validity.distances", lambda _: 1 / 0)
    row = score(prototype("NaCl"), None, 0.1, 10.0)
    assert (row["status"], row["detail"], row["valid"]) == ("failed:ZeroDivisionError", "division by zero", False)


def test_the_tight_tolerance_sees_what_the_loose_one_forgives() -> None:
    structure = replicate(reduce(prototype("TiO2 rutile")))
    structure.translate_sites([0], [0.02, 0, 0], frac_coords=False)
    row = score(structure, 136, 0.1, 10.0)
    assert row["space_group_found"] == 136
    assert row["space_group_found_tight"] != 136


def test_a_set_against_itself_has_no_distance() -> None:
    units = units_of(NAMES)
    table = scores_of([replicate(units[i]) for i in range(len(units))])
    table["template"] = templates(units)
    table["template_canonical"] = list(map(canonical_template, table["template"]))
    known = ReferenceSet(units)
    rows = summarise_set(CrystalSet(table, train=known, reference=known))
    values = {(r["metric"], r["protocol"]): r["value"] for r in rows}
    assert values["templates_new", "paper"] == 0
    for metric in ("density_wasserstein", "element_count_wasserstein", "space_group_jsd"):
        assert values[metric, "strict"] == pytest.approx(0, abs=1e-3)


def test_the_prototypes_used_here_are_all_different() -> None:
    """Otherwise the other tests would prove little."""
    matcher = StructureMatcher()
    pairs = itertools.combinations(NAMES, 2)
    assert not any(matcher.fit(prototype(a), prototype(b)) for a, b in pairs)
