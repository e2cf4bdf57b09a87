"""Every recipe of docs/extending.md, as a package of its own that symmcd knows by its entry points alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ase.io
import pandas as pd
import pytest

import symmcd
from symmcd.storage import read_units

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
LONGEST = 30  # lines of code


@dataclass(frozen=True)
class Recipe:
    title: str
    name: str  # of its module
    code: str
    entries: str  # toml
    commands: str


def recipes() -> list[Recipe]:
    found = []
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        blocks = dict(re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL))
        name = re.match(r"# (\w+)\.py\n", blocks["python"])[1]
        found.append(Recipe(section.partition("\n")[0], name, blocks["python"], blocks["toml"], blocks["sh"]))
    return found


def distinct(folder: Path) -> None:
    for unit in read_units(folder / "distinct/units.npz"):
        assert len(set(unit.element.tolist())) == len(unit.element)


def volumes(folder: Path) -> None:
    table = pd.read_csv(folder / "scores/per_crystal.csv")
    summary = pd.read_csv(folder / "scores/summary.csv").set_index("metric")
    assert summary["value"]["mean_atom_volume"] == pytest.approx(table["atom_volume"].mean(), rel=1e-4)
    assert "mean atomic volume" in (folder / "comparison.html").read_text(encoding="utf-8")


def relaxed(folder: Path) -> None:
    from ase.calculators.emt import EMT

    table = pd.read_csv(folder / "relaxed.csv", dtype={"id": str}).set_index("id")
    assert len(table) == 4
    for atoms in ase.io.read(folder / "relaxed.extxyz", ":"):
        energy = table["energy_relaxed"][atoms.info["id"]]
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
    "emt_potential": relaxed,
    "echo_model": echoed,
    "alloys": alloys,
}


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_a_recipe_works_as_it_stands(recipe: Recipe, tmp_path: Path) -> None:
    site = tmp_path / "site"
    information = site / f"{recipe.name}-1.0.dist-info"
    information.mkdir(parents=True)
    (site / f"{recipe.name}.py").write_text(recipe.code, encoding="utf-8")
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {recipe.name}\nVersion: 1.0\n")
    groups = tomllib.loads(recipe.entries)["project"]["entry-points"]
    lines = [line for group, entries in groups.items() for line in (f"[{group}]", *map(" = ".join, entries.items()))]
    (information / "entry_points.txt").write_text("\n".join(lines))
    path = os.pathsep.join([str(site), str(Path(symmcd.__file__).parents[1])])
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", recipe.commands], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path, "PATH": programs},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    CHECKS[recipe.name](tmp_path)


def test_there_is_a_short_recipe_for_every_registry() -> None:
    found = {group for recipe in recipes() for group in tomllib.loads(recipe.entries)["project"]["entry-points"]}
    assert found == {f"symmcd.{name}" for name in ("constraints", "metrics", "models", "potentials", "sources")}
    assert set(CHECKS) == {recipe.name for recipe in recipes()}
    for recipe in recipes():
        lines = [line for line in recipe.code.splitlines()[1:] if line.strip()]
        assert len(lines) <= LONGEST, f"{recipe.title}: {len(lines)} lines"
