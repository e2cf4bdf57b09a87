"""Every recipe of docs/extending.md, as a package of its own that symmcd knows by its entry points alone."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ase.io
import pandas as pd
import pytest

import symmcd
from symmcd.storage import read_units
from tests.recipes import Recipe, install, recipes

LONGEST = 30  # lines of code


def distinct(folder: Path) -> None:
    for unit in read_units(folder / "distinct/units.npz"):
        assert len(set(unit.element.tolist())) == len(unit.element)


def volumes(folder: Path) -> None:
    table = pd.read_csv(folder / "scores/per_crystal.csv")
    summary = pd.read_csv(folder / "scores/summary.csv").set_index("metric")
    assert summary["value"]["mean_atom_volume"] == pytest.approx(table["atom_volume"].mean(), rel=1e-4)
    assert "mean atomic volume" in (folder / "comparison.html").read_text(encoding="utf-8")


def looked(folder: Path) -> None:
    rows = [ast.literal_eval(line) for line in (folder / "screened.txt").read_text().splitlines()]
    assert [row["heaviest"] for row in rows] == [22, 22]
    assert {row["dimensionality"] for row in rows} <= {0, 1, 2, 3}


def relaxed(folder: Path) -> None:
    from ase.calculators.emt import EMT

    table = pd.read_csv(folder / "relaxed.csv").set_index("id")  # 00000 is 0 here, and in the frames
    assert len(table) == 4
    for atoms in ase.io.read(folder / "relaxed.extxyz", ":"):
        energy = table.loc[atoms.info["id"], "energy_relaxed"]
        atoms.calc = EMT()
        assert atoms.get_potential_energy() / len(atoms) == pytest.approx(energy, abs=1e-4)


def echoed(folder: Path) -> None:
    found, known = read_units(folder / "crystals/units.npz"), read_units(folder / "train.npz")
    assert found.space_group.tolist() == known.space_group[:5].tolist()


def alloys(folder: Path) -> None:
    units = read_units(folder / "train.npz")
    assert set(units.space_group.tolist()) == {221, 225}
    assert set(units.element.tolist()) == {13, 28, 29, 46, 47, 78, 79}


CHECKS: dict[str, Callable[[Path], None]] = {
    "distinct_elements": distinct,
    "atom_volume": volumes,
    "heaviest": looked,
    "emt_potential": relaxed,
    "echo_model": echoed,
    "alloys": alloys,
}


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_a_recipe_works_as_it_stands(recipe: Recipe, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install([recipe], site)
    path = os.pathsep.join([str(site), str(Path(symmcd.__file__).parents[1])])
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", recipe.commands], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path, "PATH": programs},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    CHECKS[recipe.name](tmp_path)


def test_there_is_a_short_recipe_for_every_registry() -> None:
    found = {group for recipe in recipes() for group in recipe.entries}
    assert found == {
        f"symmcd.{name}" for name in ("constraints", "metrics", "models", "potentials", "screens", "sources")
    }
    assert set(CHECKS) == {recipe.name for recipe in recipes()}
    for recipe in recipes():
        lines = [line for line in recipe.code.splitlines()[1:] if line.strip()]
        assert len(lines) <= LONGEST, f"{recipe.title}: {len(lines)} lines"
