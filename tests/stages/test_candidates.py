"""Candidates: which crystals, in which order, and CIFs that are the relaxed crystals."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.io import write
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from tests.crystallography.prototypes import prototype

from symmcd.errors import InputError
from symmcd.stability.candidates import COLUMNS
from symmcd.stability.geometry import primitive_cell
from symmcd.stages import candidates

NAMES = ["NaCl", "TiO2 rutile", "CsCl", "NaCl", "CsCl"]
CRYSTALS = {f"{number:05d}": primitive_cell(prototype(name)) for number, name in enumerate(NAMES)}


def frames() -> list[Atoms]:
    """As `symmcd relax` writes them; the last has two equal atoms in one place, for which spglib finds no symmetry."""
    found = []
    for name, crystal in CRYSTALS.items():
        sound = name != "00004"
        position = crystal.frac_coords * sound
        numbers = [site.specie.Z for site in crystal] if sound else [17, 17]
        frame = Atoms(numbers, cell=crystal.lattice.matrix, scaled_positions=position, pbc=True)
        frame.info = {"id": name, "energy_per_atom": -3.5, "space_group": 1, "space_group_relaxed": 225}
        found.append(frame)
    return found


def table() -> pd.DataFrame:
    """As `symmcd sun` writes it; 00003 is S.U.N. at 0.1 eV/atom over the second hull only."""
    first = pd.DataFrame(
        {
            "id": list(CRYSTALS),
            "judge": "chgnet",
            "hull": "z",
            "formula": ["NaCl", "TiO2", "CsCl", "NaCl", "CsCl"],
            "e_above_hull_relaxed": [0.05, -0.3, -0.01, np.nan, 0.01],
            "decomposition": "1.000 X",
            "rms_displacement": 0.25,
            "volume_change": -0.01,
            "valid": [True, True, False, True, True],
            "known_elsewhere": ["mp-1", "", "", "", ""],
            "doubts": ["", "far_below_hull", "", "", ""],
            "sun_at_0": [False, True, True, False, False],
            "sun_at_0.1": [True, True, True, False, True],
        }
    )
    second = first.assign(hull="a", e_above_hull_relaxed=0.0)
    second["sun_at_0.1"] = second["id"] == "00003"
    return pd.concat([first, second]).sort_values("id", kind="stable")


def run(folder: Path, content: pd.DataFrame, relaxed: Sequence[Atoms]) -> tuple[list[dict[str, str]], zipfile.ZipFile]:
    content.to_csv(folder / "sun_per_crystal.csv", index=False)
    path = folder / "relaxed.extxyz"
    path.touch()
    if relaxed:
        write(path, list(relaxed), format="extxyz")
    candidates.run(folder / "sun_per_crystal.csv", [path], folder / "candidates.csv", folder / "candidates.zip")
    with (folder / "candidates.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file)), zipfile.ZipFile(folder / "candidates.zip")


def test_crystals_without_doubts_come_first_then_the_lowest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, archive = run(tmp_path, table(), frames())
    assert [row["id"] for row in rows] == ["00002", "00004", "00000", "00001"]
    assert rows[2] == {
        "id": "00000", "formula": "NaCl", "space_group": "1", "space_group_relaxed": "225", "atoms": "2",
        "e_above_hull": "0.05", "energy_per_atom": "-3.500000", "decomposition": "1.000 X", "hull": "z",
        "rms_displacement": "0.25", "volume_change": "-0.01", "valid": "True", "known_elsewhere": "mp-1", "doubts": "",
        "file": "00000_NaCl_225.cif", "detail": "",
    }  # fmt: skip
    assert rows[3]["doubts"] == "far_below_hull"
    assert archive.namelist() == [row["file"] for row in rows]
    assert "4 crystals, 3 of them without doubts" in capsys.readouterr().out
    for row in rows:
        if row["id"] == "00004":
            continue
        crystal = Structure.from_str(archive.read(row["file"]).decode(), "cif")
        assert StructureMatcher(scale=False).fit(crystal, CRYSTALS[row["id"]])
        assert crystal.get_space_group_info(1e-3)[1] == int(row["file"].split("_")[2].removesuffix(".cif"))
        assert len(crystal) == prototype(NAMES[int(row["id"])]).num_sites, "conventional cell"


def test_what_has_no_symmetry_is_written_as_it_is(tmp_path: Path) -> None:
    rows, archive = run(tmp_path, table(), frames())
    row = next(row for row in rows if row["id"] == "00004")
    assert row["file"] == "00004_Cl2_1.cif"
    assert row["detail"].startswith("not reduced to its symmetry: redundant")
    text = archive.read(row["file"]).decode()
    assert "'P 1'" in text
    assert text.count("0.00000000 0.00000000 0.00000000 1\n") == 2


@pytest.mark.parametrize("relaxed", [[], frames()])
def test_no_candidates_make_an_empty_table_and_archive(tmp_path: Path, relaxed: list[Atoms]) -> None:
    rows, archive = run(tmp_path, table().assign(**{"sun_at_0.1": False}), relaxed)
    assert rows == []
    assert archive.namelist() == []
    assert (tmp_path / "candidates.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_columns_that_a_run_lacks_are_blank(tmp_path: Path) -> None:
    content = table().drop(columns=["valid", "known_elsewhere", "doubts", "decomposition"])
    rows, _ = run(tmp_path, content, frames())
    assert [row["id"] for row in rows] == ["00001", "00002", "00004", "00000"]
    assert {row["valid"] for row in rows} == {""}


def test_a_crystal_of_two_draws_is_there_once(tmp_path: Path) -> None:
    """Each draw is judged by itself: rock salt is S.U.N. in both."""
    content = table().assign(draw=[1, 1, 1, 1, 1, 1, 2, 2, 2, 2])
    content.loc[(content["id"] == "00003") & (content["hull"] == "z"), ["e_above_hull_relaxed", "sun_at_0.1"]] = (
        0.02,
        True,
    )
    assert [row["id"] for row in run(tmp_path, content, frames())[0]] == ["00002", "00004", "00003", "00001"]
    del content["draw"]
    assert [row["id"] for row in run(tmp_path, content, frames())[0]] == ["00002", "00004", "00003", "00000", "00001"]


def test_files_of_another_run_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"crystal 00000 is not in .*relaxed.extxyz; the files come from different runs"
    ):
        run(tmp_path, table(), frames()[1:])
    with pytest.raises(InputError, match="lacks the column sun_at_…"):
        run(tmp_path, table().drop(columns=["sun_at_0", "sun_at_0.1"]), frames())
    with pytest.raises(InputError, match="lacks the column hull"):
        run(tmp_path, table().drop(columns="hull"), frames())
    with pytest.raises(InputError, match=r"crystal 00004 is S\.U\.N\. without an energy above the hull"):
        run(tmp_path, table().assign(e_above_hull_relaxed=[*[0.0] * 8, np.nan, 0.0]), frames())
    with pytest.raises(InputError, match="no such file; run `symmcd sun` first"):
        candidates.run(tmp_path / "none.csv", [], tmp_path / "c.csv", tmp_path / "c.zip")
    assert not (tmp_path / "candidates.csv").exists()


@pytest.mark.parametrize("lost", [0, 3, 4])
def test_a_table_cut_between_rows_is_refused(tmp_path: Path, lost: int) -> None:
    """Also of a row that is no candidate: the table is not the one that was written."""
    whole = table()
    cut = whole[~((whole["id"] == f"{lost:05d}") & (whole["hull"] == "z"))]
    with pytest.raises(InputError, match=rf"crystal {lost:05d} of .*relaxed\.extxyz is missing"):
        run(tmp_path, cut, frames())


def test_a_lost_row_of_a_crystal_without_a_structure_is_counted(tmp_path: Path) -> None:
    run(tmp_path, table().assign(drawn=5), frames())
    with pytest.raises(InputError, match="hull z: 5 crystals, but 6 were drawn"):
        run(tmp_path, table().assign(drawn=6), frames())


@pytest.mark.parametrize(
    ("column", "value"), [("sun_at_0.1", "Tr"), ("e_above_hull_relaxed", "-0.0.1"), ("sun_at_0", "0.3")]
)
def test_a_changed_field_is_named(tmp_path: Path, column: str, value: str) -> None:
    changed = table().astype(str).replace("nan", "")
    changed.iloc[2, changed.columns.get_loc(column)] = value
    with pytest.raises(InputError, match=rf"row 3: {column} '{value}' is not"):
        run(tmp_path, changed, frames())
