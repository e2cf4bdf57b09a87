"""Fingerprints of crystals and sets: orbits against all sites, Magpie against matminer, cache, limits, failures."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matminer.featurizers.composition import ElementProperty
from matminer.featurizers.site import CrystalNNFingerprint
from pymatgen.core import Lattice, Structure

from symmcd import InputError, reduce, replicate
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.content import amounts
from symmcd.crystallography.orbit import replicate_flat
from symmcd.metrics.coordination import FingerprintError
from symmcd.metrics.fingerprint_cache import Cache
from symmcd.metrics.fingerprints import (
    SAME_ORBIT,
    TOLERANCE,
    Fingerprints,
    fingerprint_set,
    fingerprints_of_units,
    representatives,
    structure_fingerprint,
)
from symmcd.metrics.magpie import Scale, composition_fingerprints
from symmcd.storage import write_arrays
from symmcd.structures.cell import Cell, cells_of
from symmcd.structures.convert import elements_of_structure
from symmcd.structures.symmetry_search import with_orbits
from symmcd.workers import Outcome
from tests.crystallography.prototypes import prototype
from tests.metrics.mp20 import mp20_units

NAMES = ("NaCl", "TiO2 rutile", "SrTiO3", "ZnO", "TiNiSi")


def units_of(names: tuple[str, ...]) -> AsymmetricUnits:
    return AsymmetricUnits.from_units([reduce(prototype(name)) for name in names], list(names))


def mean_of_all_sites(structure: Structure) -> np.ndarray:
    featuriser = CrystalNNFingerprint.from_preset("ops")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.mean([featuriser.featurize(structure, i) for i in range(len(structure))], axis=0)


def counts_of(formulas: list[str]) -> np.ndarray:
    cells = [Structure(Lattice.cubic(5), *zip(*atoms(f), strict=True)) for f in formulas]
    return np.array([np.bincount(c.atomic_numbers, minlength=119) for c in cells])


def cell_of(structure: Structure) -> Cell:
    """A crystal of anybody, whose orbits are searched for."""
    return with_orbits(elements_of_structure(structure), SAME_ORBIT)


def atoms(formula: str) -> list[tuple[str, list[float]]]:
    from pymatgen.core import Composition

    names = [str(e) for e, n in Composition(formula).items() for _ in range(int(n))]
    return [(name, [i / len(names), 0, 0]) for i, name in enumerate(names)]


@pytest.mark.parametrize("name", ["Al2O3", "ThCr2Si2", "TiO2 anatase", "ZnO", "MgZn2"])
def test_orbits_stand_for_all_sites(name: str) -> None:
    expected = mean_of_all_sites(prototype(name).get_primitive_structure())
    (cell,) = cells_of(replicate_flat(units_of((name,))))
    assert len(representatives(cell)[0]) < len(cell)
    assert np.abs(structure_fingerprint(cell) - expected).max() < TOLERANCE


def test_orbits_stand_for_all_sites_in_real_crystals() -> None:
    units = mp20_units("test", 12)
    for i, cell in enumerate(cells_of(replicate_flat(units))):
        expected = mean_of_all_sites(replicate(units[i]).get_primitive_structure())
        assert np.abs(structure_fingerprint(cell) - expected).max() < TOLERANCE, units.label[i]


def test_a_crystal_of_anybody_has_the_fingerprint_of_its_unit() -> None:
    """Any cell, orbits found by spglib; the same number whatever the cell."""
    structure = prototype("TiO2 rutile")
    expected = structure_fingerprint(cells_of(replicate_flat(units_of(("TiO2 rutile",))))[0])
    structure.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    cell = cell_of(structure)
    assert len(representatives(cell)[0]) == 2
    assert structure_fingerprint(cell) == pytest.approx(expected, abs=1e-4)
    structure.perturb(0.05)
    assert len(representatives(cell_of(structure))[0]) == len(structure)


def test_magpie_is_matminers() -> None:
    formulas = ["NaCl", "Fe2O3", "KMnO4", "Si", "LiCoO2", "Ne", "CaTiSiO5", "AuCu3", "UO2", "XeF2", "PuGa"]
    featuriser = ElementProperty.from_preset("magpie", impute_nan=False)
    from pymatgen.core import Composition

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [featuriser.featurize(Composition(f)) for f in formulas]
    assert composition_fingerprints(counts_of(formulas)) == pytest.approx(np.array(expected), nan_ok=True, abs=1e-9)


def test_standardisation_is_that_of_the_training_set() -> None:
    training = composition_fingerprints(counts_of(["NaCl", "Fe2O3", "KMnO4", "XeF2"]))
    scaled = Scale.of(training).apply(training)
    assert scaled.mean(axis=0) == pytest.approx(np.zeros(132), abs=1e-9)
    assert set(scaled.std(axis=0).round(6)) <= {0.0, 1.0}
    assert np.isfinite(Scale.of(training).apply(composition_fingerprints(counts_of(["NeAr"])))).all()


def test_a_set_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    units = units_of(NAMES)
    cache = tmp_path / "cache.sqlite"
    seen: list[int] = []
    first = fingerprints_of_units(units, cache, 2, 60, seen.append)
    assert sum(seen) == len(units)
    assert first.outcome.tolist() == ["ok"] * 5
    for row, cell in zip(first.structure, cells_of(replicate_flat(units)), strict=True):
        assert row == pytest.approx(structure_fingerprint(cell))

    def refuse(_function: str, items: list[Cell], *_: object) -> list[object]:
        assert not items, "computed again"
        return []

    monkeypatch.setattr("symmcd.metrics.fingerprints.work", refuse)
    again = fingerprints_of_units(units.take(np.array([3, 1, 1])), cache, 2, 60)
    assert (again.structure == first.structure[[3, 1, 1]]).all()


def test_files_come_back(tmp_path: Path) -> None:
    found = fingerprints_of_units(units_of(NAMES[:2]), None, 1, 60)
    found.write(tmp_path / "f.npz")
    back = Fingerprints.read(tmp_path / "f.npz")
    assert (back.structure == found.structure).all()
    assert back.label.tolist() == list(NAMES[:2])
    (tmp_path / "bad.sqlite").write_text("no database at all" * 100)
    with pytest.raises(InputError, match="delete it"):
        fingerprints_of_units(units_of(NAMES[:1]), tmp_path / "bad.sqlite", 1, 60)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("structure", lambda a: a[:, :60], r"structure has shape \(2, 60\), expected numbers \(B, 61\)"),
        ("composition", lambda a: a[:1], r"composition has shape \(1, 132\)"),
        ("structure", lambda a: a * np.nan, "crystal NaCl has the status ok but no fingerprint"),
        ("composition", lambda a: a + np.inf, "crystal NaCl has the status ok but no fingerprint"),
        ("outcome", lambda a: a == "ok", "outcome is bool"),
        ("label", lambda a: np.arange(len(a)), "label is int64"),
        ("detail", lambda _: None, "lacks detail; it is not a file of `symmcd fingerprint`"),
    ],
)
def test_changed_files_are_refused(tmp_path: Path, name: str, change: Callable[..., Any], said: str) -> None:
    label = np.array(["NaCl", "MgO"])
    whole = {
        "label": label, "structure": np.ones((2, 61)), "composition": np.ones((2, 132)),
        "outcome": np.array(["ok", "ok"]), "detail": np.array(["", ""]),
    }  # fmt: skip
    arrays = whole | {name: change(whole[name])}
    write_arrays(tmp_path / "f.npz", {k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(InputError, match=said) as error:
        Fingerprints.read(tmp_path / "f.npz")
    assert str(error.value).startswith(f"{tmp_path / 'f.npz'}: ")


def test_what_magpie_lacks_of_argon_is_no_missing_fingerprint(tmp_path: Path) -> None:
    """MP-20's test set has argon, which has no electronegativity."""
    argon = AsymmetricUnit(225, np.eye(3) * 5.26, np.array([18]), ("a",), np.zeros((1, 3)))
    units = AsymmetricUnits.from_units([argon, reduce(prototype("NaCl"))])
    found = fingerprints_of_units(units, None, 1, 60)
    assert found.ok.all()
    assert 0 < np.isnan(found.composition[0]).sum() < 12
    found.write(tmp_path / "fp.npz")
    np.testing.assert_array_equal(Fingerprints.read(tmp_path / "fp.npz").composition, found.composition)


def test_jobs_that_share_a_cache_do_not_lock_each_other_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that has kept a result and computes on for long holds no lock on the others' results."""
    monkeypatch.setattr(Cache, "PATIENCE", 0.2, raising=False)
    path = tmp_path / "cache.sqlite"
    with Cache(path) as slow, Cache(path) as other:
        slow.put(b"a", Outcome("ok", np.ones(61)))
        other.put(b"b", Outcome("ok", np.ones(61)))
        other.__exit__()
        with Cache(path) as third:
            assert third.get(b"b") is not None
    with Cache(path) as again:
        assert again.get(b"a") is not None
    assert capsys.readouterr().err == ""


def test_a_cache_that_stays_locked_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Cache, "PATIENCE", 0.1)
    monkeypatch.setattr(Cache, "SECONDS", 0.0)
    path = tmp_path / "cache.sqlite"
    Cache(path).__exit__()
    locked = sqlite3.connect(path)
    locked.execute("BEGIN EXCLUSIVE")
    found = fingerprints_of_units(units_of(NAMES), path, 1, 60)
    locked.close()
    assert found.outcome.tolist() == ["ok"] * 5
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "cache.sqlite: no longer used as a cache (database is locked)" in said[0]


def test_failures_are_outcomes_with_a_reason() -> None:
    """Atoms on top of each other, an element beyond Magpie, a flat cell, NaN; the good one among them is not hurt."""
    good = prototype("NaCl")
    structures = [
        good,
        Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0, 0, 1e-6]]),
        Structure(Lattice.cubic(4), ["Og", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        Structure(Lattice(np.diag([4, 4, 1e-9])), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        Structure(Lattice.cubic(4), ["Na"], [[np.nan, 0, 0]]),
        Structure(Lattice.cubic(0.02), ["H"], [[0, 0, 0]]),
    ]
    counts = np.array([np.bincount(s.atomic_numbers, minlength=119) for s in structures])
    cells = [cell_of(s) for s in structures]
    found = fingerprint_set([str(i) for i in range(6)], cells, counts, None, 2, 60)
    assert found.outcome.tolist() == ["ok", "atoms_coincide", "no_magpie_data", "bad_cell", "bad_cell", "bad_cell"]
    assert all(found.detail[1:])
    assert found.ok.tolist() == [True] + [False] * 5


def test_a_cell_of_500_atoms() -> None:
    rng = np.random.default_rng(0)
    grid = np.array(np.meshgrid(*[np.arange(8)] * 3)).reshape(3, -1).T[:500]
    big = Structure(Lattice.cubic(24), rng.choice(["Na", "Cl"], 500), grid / 8 + rng.normal(0, 0.01, (500, 3)))
    cell = cell_of(big)
    assert len(representatives(cell)[0]) == 500
    assert np.isfinite(structure_fingerprint(cell)).all()


def test_a_time_limit_is_a_miss_that_is_not_remembered(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    big = Structure(Lattice.cubic(30), ["Na"] * 800, rng.uniform(size=(800, 3)))
    counts = np.bincount(big.atomic_numbers, minlength=119)[None]
    cache = tmp_path / "cache.sqlite"
    found = fingerprint_set(["big"], [cell_of(big)], counts, cache, 1, 0.05)
    assert (found.outcome[0], found.ok[0]) == ("timed_out", False)
    assert np.isnan(found.structure).all()
    assert sqlite3.connect(cache).execute("SELECT count(*) FROM fingerprint").fetchone() == (0,)


def test_no_crystals_are_no_fingerprints() -> None:
    found = fingerprint_set([], [], np.zeros((0, 119), int), None, 2, 60)
    assert found.structure.shape == (0, 61)
    assert composition_fingerprints(amounts(units_of(NAMES))).shape == (5, 132)
    with pytest.raises(FingerprintError):
        structure_fingerprint(Cell(np.zeros((3, 3)), np.ones(1, int), np.zeros((1, 3))))
