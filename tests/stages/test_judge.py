"""The stage `judge`: energies of relaxed crystals by another potential, from files to files."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from ase.io import write
from pymatgen.core import Lattice, Structure
from tests.crystallography.prototypes import prototype
from tests.potentials.toy import ENTRY, Morse

from symmcd import reduce
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.potentials.potential import Request
from symmcd.settings import HullSettings, JudgeSettings, RelaxSettings, SunSettings
from symmcd.stages import candidates, hull, judge, reference, relax, sun
from symmcd.storage import write_units
from symmcd.structures.frames import frames_by_id

NAMES = ("NaCl", "CsCl", "TiO2 rutile", "SrTiO3")


ELEMENTS = ("Na", "Cl", "Cs", "Ti", "O", "Sr")


class Softer(Morse):
    """Half as strong bonds, and nothing to say of titanium."""

    def evaluate(self, requests, *, forces=True):
        answers = super().evaluate(requests, forces=forces)
        for request in requests:
            if 22 in request.element and len(request.element) > 1:
                raise RuntimeError("titanium\nagain")
        return [
            answer if isinstance(answer, Exception) else dataclasses.replace(
                answer, energy=answer.energy / 2, forces=answer.forces / 2, virial=answer.virial / 2
            )
            for answer in answers
        ]  # fmt: skip


@pytest.fixture
def potentials() -> Iterator[tuple[str, str]]:
    POTENTIALS.add("morse", ENTRY)
    POTENTIALS.add("softer", dataclasses.replace(ENTRY, loader=lambda _: Softer(), sentence="Softer pairs"))
    yield "morse", "softer"
    POTENTIALS.remove("morse")
    POTENTIALS.remove("softer")


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture
def relaxed(tmp_path: Path, potentials: tuple[str, str]) -> tuple[Path, Path]:
    """Four crystals relaxed by the first potential, one of which it cannot take."""
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES], [f"{i:05d}" for i in range(4)])
    write_units(tmp_path / "units.npz", units)
    files = tmp_path / "relaxed.csv", tmp_path / "relaxed.extxyz"
    relax.run(tmp_path / "units.npz", *files, 0, 1, RelaxSettings(potential="morse", steps=20), 0, "cpu")
    return files


def run(
    relaxed: tuple[Path, Path], output: Path, shard: int = 0, shards: int = 1, *, again: bool = False
) -> dict[str, dict[str, str]]:
    judge.run(
        [relaxed[0]], [relaxed[1]], "softer", output, shard, shards, JudgeSettings(relax=again),
        RelaxSettings(steps=50), "cpu",
    )  # fmt: skip
    return rows(output)


def test_energies_are_those_of_the_relaxed_structures(relaxed: tuple[Path, Path], tmp_path: Path) -> None:
    found, first, frames = run(relaxed, tmp_path / "j.csv"), rows(relaxed[0]), frames_by_id([relaxed[1]])
    for name in ("00000", "00001"):
        frame = frames[name]
        (point,) = Morse().evaluate([Request(frame.cell.array, frame.get_scaled_positions(), frame.numbers)])
        assert float(found[name]["energy_relaxed"]) == pytest.approx(point.energy / 2, abs=1e-6)
        assert found[name]["energy_given"] == found[name]["energy_relaxed"]
        assert found[name]["status"] == first[name]["status"]
        assert (found[name]["energy_initial"], found[name]["potential"]) == ("", "softer")
        assert found[name]["rms_displacement"] == first[name]["rms_displacement"]


class Lower(Morse):
    """The same on a scale whose zero lies 40 eV per atom lower, as energies of another functional have it."""

    zeros = dict.fromkeys(Morse.elements, -40.0)

    def evaluate(self, requests, *, forces=True):
        points = super().evaluate(requests, forces=forces)
        return [dataclasses.replace(point, energy=point.energy - 40) for point in points]


@pytest.mark.parametrize("again", [False, True])
def test_energies_may_count_from_another_zero(relaxed: tuple[Path, Path], tmp_path: Path, *, again: bool) -> None:
    POTENTIALS.add("lower", dataclasses.replace(ENTRY, loader=lambda _: Lower()))
    try:
        arguments = ("lower", tmp_path / "j.csv", 0, 1, JudgeSettings(relax=again), RelaxSettings(steps=50), "cpu")
        judge.run([relaxed[0]], [relaxed[1]], *arguments)
    finally:
        POTENTIALS.remove("lower")
    first = rows(relaxed[0])
    for name, row in rows(tmp_path / "j.csv").items():
        assert row["status"] in ("converged", "step_limit")
        assert float(row["energy_given"]) + 40 == pytest.approx(float(first[name]["energy_relaxed"]), abs=1e-5)


def test_a_crystal_that_the_judge_cannot_take_is_a_status_and_stops_no_other(
    relaxed: tuple[Path, Path], tmp_path: Path
) -> None:
    found = run(relaxed, tmp_path / "j.csv")
    assert len(found) == 4
    for name in ("00002", "00003"):
        assert (found[name]["status"], found[name]["energy_relaxed"]) == ("failed:RuntimeError", "")
        assert found[name]["detail"] == "titanium again"


def test_a_judge_that_fails_alike_with_every_crystal_stops(relaxed: tuple[Path, Path], tmp_path: Path) -> None:
    class Broken(Morse):
        def evaluate(self, requests, *, forces=True):
            raise RuntimeError(f"no such kernel, {forces} {len(requests) > 0}")

    POTENTIALS.add("broken", dataclasses.replace(ENTRY, loader=lambda _: Broken()))
    try:
        with pytest.raises(RuntimeError, match="no such kernel"):
            judge.run(
                [relaxed[0]], [relaxed[1]], "broken", tmp_path / "j.csv", 0, 1, JudgeSettings(), RelaxSettings(), "cpu"
            )
    finally:
        POTENTIALS.remove("broken")
    assert not (tmp_path / "j.csv").exists()


def test_crystals_without_a_relaxed_structure_keep_their_status(relaxed: tuple[Path, Path], tmp_path: Path) -> None:
    table = pd.read_csv(relaxed[0], dtype=str, keep_default_na=False)
    table.loc[1, ["status", "energy_relaxed"]] = "exploded", ""
    table.to_csv(relaxed[0], index=False)
    assert run(relaxed, tmp_path / "j.csv")["00001"]["status"] == "exploded"
    table.loc[1, "energy_relaxed"] = "-1.0"
    table.to_csv(relaxed[0], index=False)
    relaxed[1].write_text("")
    with pytest.raises(InputError, match="crystal 00000 has no relaxed structure here"):
        run(relaxed, tmp_path / "k.csv")


def test_shards_together_are_the_whole(relaxed: tuple[Path, Path], tmp_path: Path) -> None:
    whole = run(relaxed, tmp_path / "j.csv")
    parts = run(relaxed, tmp_path / "a.csv", 0, 3) | run(relaxed, tmp_path / "b.csv", 1, 3)
    assert parts | run(relaxed, tmp_path / "c.csv", 2, 3) == whole


def test_relaxed_again_the_energy_falls(relaxed: tuple[Path, Path], tmp_path: Path) -> None:
    stretched = frames_by_id([relaxed[1]])
    for frame in stretched.values():
        frame.set_cell(1.05 * frame.cell.array, scale_atoms=True)
    write(relaxed[1], list(stretched.values()), format="extxyz")
    found = run(relaxed, tmp_path / "j.csv", again=True)
    for name in ("00000", "00001"):
        assert float(found[name]["energy_relaxed"]) < float(found[name]["energy_given"]) - 1e-3
        assert found[name]["status"] in ("converged", "step_limit")


def test_the_potential_that_relaxed_is_no_further_judge(relaxed: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 1: morse relaxed these crystals"):
        judge.run(
            [relaxed[0]], [relaxed[1]], "morse", tmp_path / "j.csv", 0, 1, JudgeSettings(), RelaxSettings(), "cpu"
        )
    with pytest.raises(InputError, match="--potential mores: choose one of"):
        judge.run(
            [relaxed[0]], [relaxed[1]], "mores", tmp_path / "j.csv", 0, 1, JudgeSettings(), RelaxSettings(), "cpu"
        )


@pytest.fixture
def judged(relaxed: tuple[Path, Path], tmp_path: Path) -> Path:
    """hull.csv of both judges, each over its own hull."""
    run(relaxed, tmp_path / "j.csv")
    known = [Structure(Lattice.cubic(5), [name], [[0, 0, 0]]) for name in ELEMENTS]
    units = [reduce(structure) for structure in (*known, prototype("CsCl"))]
    write_units(tmp_path / "train.npz", AsymmetricUnits.from_units(units, [*ELEMENTS, "00001"]))
    for name in ("morse", "softer"):
        reference.run([tmp_path / "train.npz"], tmp_path / f"{name}.csv", HullSettings(source=name), "cpu")
    hulls = [tmp_path / "morse.csv", tmp_path / "softer.csv"]
    hull.run([relaxed[0], tmp_path / "j.csv"], hulls, tmp_path / "hull.csv")
    return tmp_path / "hull.csv"


def test_each_judge_is_held_against_its_own_hull(judged: Path) -> None:
    table = pd.read_csv(judged, dtype={"id": str})
    assert set(zip(table["judge"], table["hull"], strict=True)) == {("morse", "morse"), ("softer", "softer")}
    by_judge = {judge: part.set_index("id")["e_above_hull_relaxed"] for judge, part in table.groupby("judge")}
    both = by_judge["morse"].loc[["00000", "00001"]]
    assert by_judge["softer"].loc[both.index].to_numpy() == pytest.approx(both.to_numpy() / 2, abs=2e-6)
    assert by_judge["softer"].loc[["00002", "00003"]].isna().all()


def test_the_order_of_tables_does_not_make_a_judge_the_first(judged: Path, relaxed: tuple[Path, Path]) -> None:
    folder = judged.parent
    hulls = [folder / "morse.csv", folder / "softer.csv"]
    hull.run([folder / "j.csv", relaxed[0]], hulls, folder / "other.csv")
    assert (folder / "other.csv").read_bytes() == judged.read_bytes()


def test_every_judge_knows_which_crystals_are_entries_of_the_hull(judged: Path) -> None:
    """A further judge has no energy of the crystal as it was generated, which is that of the entry."""
    table = pd.read_csv(judged, dtype={"id": str})
    own = table[table["id"] == "00001"]
    assert own["own_reference"].tolist() == ["train:00001"] * 2
    assert own["reference_entries"].tolist() == [0, 0]
    assert table.loc[table["id"] != "00001", "own_reference"].isna().all()


def test_a_judge_that_lacks_a_crystal_or_a_hull_is_refused(judged: Path, relaxed: tuple[Path, Path]) -> None:
    folder = judged.parent
    with pytest.raises(InputError, match=r"the judge softer has no hull .*hull\.source=softer"):
        hull.run([relaxed[0], folder / "j.csv"], [folder / "morse.csv"], folder / "o.csv")
    with pytest.raises(InputError, match=r"the hull 'morse' is already in "):
        hull.run([relaxed[0]], [folder / "morse.csv"] * 2, folder / "o.csv")
    text = (folder / "j.csv").read_text().splitlines(keepends=True)
    (folder / "j.csv").write_text("".join(text[:-1]).replace(",4,", ",3,"))
    with pytest.raises(InputError, match="crystal 00003 of the rows of morse is missing"):
        hull.run(
            [relaxed[0], folder / "j.csv"], [folder / f"{name}.csv" for name in ("morse", "softer")], folder / "o.csv"
        )


def test_what_all_judges_say_reaches_the_candidates(judged: Path, relaxed: tuple[Path, Path]) -> None:
    folder = judged.parent
    table = pd.read_csv(judged, dtype={"id": str})
    energy = {("morse", "00000"): -0.02, ("softer", "00000"): 0.06, ("morse", "00001"): -0.01, ("softer", "00001"): 0.0}
    for (name, crystal), value in energy.items():
        table.loc[(table["judge"] == name) & (table["id"] == crystal), "e_above_hull_relaxed"] = value
    table.loc[table["id"].isin(["00002", "00003"]), "e_above_hull_relaxed"] = [0.05, 0.5] + [float("nan")] * 2
    table.to_csv(judged, index=False)
    write_units(folder / "other.npz", AsymmetricUnits.from_units([reduce(prototype("Cu3Au"))], ["mp-2258"]))
    sun.run(
        judged, folder / "units.npz", [relaxed[1]], folder / "other.npz", folder / "sun.csv",
        folder / "per_crystal.csv", SunSettings(),
    )  # fmt: skip
    rates = pd.read_csv(folder / "sun.csv").set_index(["judge", "hull", "threshold"])
    assert list(dict.fromkeys(rates.index.droplevel(2))) == [("morse", "morse"), ("softer", "softer"), ("all", "own")]
    assert rates["sun"].to_dict() == {
        ("morse", "morse", 0.0): 50, ("morse", "morse", 0.1): 75,
        ("softer", "softer", 0.0): 25, ("softer", "softer", 0.1): 50, ("all", "own", 0.0): 25, ("all", "own", 0.1): 50,
    }  # fmt: skip
    assert rates["initially_stable"].isna().to_list() == [False, False, True, True, True, True]
    assert rates["n_with_energy"].to_list() == [4, 4, 2, 2, 2, 2]
    assert pd.read_csv(folder / "per_crystal.csv")["initially_stable_at_0"].isna().sum() == 8, "of softer and of all"
    candidates.run(folder / "per_crystal.csv", [relaxed[1]], folder / "c.csv", folder / "c.zip")
    found = rows(folder / "c.csv")
    assert list(found) == ["00001", "00000", "00002"], "by the least favourable judge, unknown last"
    assert "judges_disagree" in found["00002"]["doubts"].split(";"), "the other has no energy of it"
    assert float(found["00001"]["energy_per_atom"]) == pytest.approx(table["energy_relaxed"][1], abs=1e-6)
    assert "judges_disagree" in found["00000"]["doubts"].split(";")
    assert "judges_disagree" not in found["00001"]["doubts"]
    assert found["00000"]["e_above_hull_morse"] == found["00000"]["e_above_hull"] == "-0.02"
    assert found["00000"]["e_above_hull_softer"] == "0.06"
    assert {name: row["sun_by_all"] for name, row in found.items()} == {
        "00000": "True", "00001": "True", "00002": "False",
    }  # fmt: skip
