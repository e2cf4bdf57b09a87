"""S.U.N.: rates by hand, and the stage from files to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.io import write

from symmcd import reduce
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.metrics.intervals import wilson
from symmcd.settings import SunSettings
from symmcd.stability.sun import stable, sun_rows
from symmcd.stages import sun
from symmcd.storage import write_units
from symmcd.structures.write import write_extxyz
from tests.crystallography.prototypes import prototype


def test_unknown_energies_and_elements_are_never_stable() -> None:
    energies = np.array([-0.1, 0.0, 0.05, np.nan, -1.0])
    elements = np.array([2, 3, 2, 2, 1])
    assert stable(energies, elements, 0.0, 2).tolist() == [True, True, False, False, False]
    assert stable(energies, elements, 0.1, 2).tolist() == [True, True, True, False, False]


def test_rates_by_hand() -> None:
    table = pd.DataFrame(
        {
            "hull": "chgnet",
            "elements": [2, 2, 2, 3, 2],
            "e_above_hull_initial": [0.2, -0.01, 0.3, 0.05, np.nan],
            "e_above_hull_relaxed": [-0.01, -0.02, -0.03, 0.05, np.nan],
            "novel": [True, True, False, True, False],
            "unique_at_0": [True, False, True, False, False],
            "unique_at_0.1": [True, False, True, True, False],
        }
    )
    strict, loose = sun_rows(table, (0.0, 0.1), 2)
    assert (strict["n"], strict["n_with_energy"]) == (5, 4)
    assert strict["initially_stable"] == 20
    assert strict["relaxed_stable"] == 60
    assert strict["sun"] == 20  # the first alone is stable, unique and novel
    assert loose["sun"] == 40
    low, high = wilson(1, 5)
    assert (strict["sun_low"], strict["sun_high"]) == pytest.approx((100 * low, 100 * high), abs=1e-3)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Four relaxed crystals: rock salt twice, rutile (in the training set), caesium chloride whose relaxation failed."""
    names = ["NaCl", "NaCl", "TiO2 rutile", "CsCl"]
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in names])
    crystals = replicate_flat(units)
    write_extxyz(tmp_path / "crystals.extxyz", crystals, units)
    frames = []
    for i in range(3):
        atoms = slice(crystals.start[i], crystals.start[i + 1])
        frame = Atoms(crystals.element[atoms], cell=crystals.lattice[i], scaled_positions=crystals.position[atoms], pbc=True)
        frame.info = {"id": str(units.label[i]), "status": "converged"}
        frames.append(frame)
    write(tmp_path / "relaxed.extxyz", frames, format="extxyz")
    write_units(tmp_path / "train.npz", AsymmetricUnits.from_units([reduce(prototype("TiO2 rutile"))]))
    pd.DataFrame(
        {
            "id": units.label,
            "hull": "chgnet",
            "status": ["converged"] * 3 + ["failed:isolated_atoms"],
            "formula": ["NaCl", "NaCl", "TiO2", "CsCl"],
            "e_above_hull_initial": [0.01, 0.01, 0.01, np.nan],
            "e_above_hull_relaxed": [-0.1, -0.1, -0.1, np.nan],
        }
    ).to_csv(tmp_path / "hull.csv", index=False)
    return {name: tmp_path / f"{name}" for name in ("hull.csv", "crystals.extxyz", "relaxed.extxyz", "train.npz")}


def run(files: dict[str, Path], folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    sun.run(
        files["hull.csv"], files["crystals.extxyz"], [files["relaxed.extxyz"]], files["train.npz"],
        folder / "sun.csv", folder / "sun_per_crystal.csv", SunSettings(),
    )  # fmt: skip
    return pd.read_csv(folder / "sun.csv"), pd.read_csv(folder / "sun_per_crystal.csv", dtype={"id": str})


def test_the_stage_counts_duplicates_once_and_known_crystals_never(files: dict[str, Path], tmp_path: Path) -> None:
    table, crystals = run(files, tmp_path)
    assert table["threshold"].tolist() == [0.0, 0.1]
    first = table.iloc[0]
    assert (first["n"], first["relaxed_stable"], first["sun"]) == (4, 75, 25)
    assert crystals["sun_at_0"].tolist() == [True, False, False, False]
    assert crystals["novel"].tolist() == [True, True, False, False]


def test_files_of_different_runs_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    table = pd.read_csv(files["hull.csv"], dtype={"id": str})
    table["id"] = ["00000", "00001", "00002", "00077"]
    table.to_csv(files["hull.csv"], index=False)
    with pytest.raises(InputError, match="00077"):
        run(files, tmp_path)
