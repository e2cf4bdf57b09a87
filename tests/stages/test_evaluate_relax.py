"""`symmcd evaluate --relax`: Table 3 of anybody's crystals, beside the chain of stages on the same files."""

from __future__ import annotations

import dataclasses
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure
from tests.crystallography.prototypes import prototype
from tests.potentials.toy import ENTRY, Morse
from tests.stages.test_judge import Softer

import symmcd
from symmcd import InputError, cli, reduce, replicate
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.orbit import replicate_flat
from symmcd.extensions import POTENTIALS
from symmcd.metrics import own_crystals
from symmcd.settings import HullSettings, JudgeSettings, RelaxSettings, ScoreSettings, SunSettings
from symmcd.stability import own_evaluation
from symmcd.stages import candidates, compare, evaluate, hull, judge, reference, relax, show, sun
from symmcd.storage import read_units, write_units
from symmcd.structures.given_crystals import OwnCrystals, best_of, entries_of, read_entries
from symmcd.structures.write import write_crystals

NAMES = ("NaCl", "CsCl", "TiO2 rutile", "SrTiO3", "Cu3Au")
ELEMENTS = ("Na", "Cl", "Cs", "Ti", "O", "Sr", "Cu", "Au")
SCORE = ScoreSettings(prototype_sample=0)
CHOICE = BestOf(20, "12" * 32, "morse", "morse")


class Interrupted(Morse):
    """Ctrl-C at one of its calls."""

    left = 0

    def evaluate(self, requests, *, forces=True):
        type(self).left -= 1
        if type(self).left == 0:
            raise KeyboardInterrupt
        return super().evaluate(requests, forces=forces)


@pytest.fixture(autouse=True)
def potentials() -> Iterator[None]:
    added = {
        "morse": ENTRY,
        "softer": dataclasses.replace(ENTRY, loader=lambda _: Softer(), sentence="Softer pairs"),
        "interrupted": dataclasses.replace(ENTRY, loader=lambda _: Interrupted()),
        "absent": dataclasses.replace(ENTRY, package="not_a_package", extra="absent"),
    }
    for name, entry in added.items():
        POTENTIALS.add(name, entry)
    yield
    for name in added:
        POTENTIALS.remove(name)


def settings(potential: str = "morse", **more: object) -> RelaxSettings:
    return RelaxSettings(**{"potential": potential, "steps": 20, **more})


def units_of(*structures: Structure, labels: tuple[str, ...] = ()) -> AsymmetricUnits:
    names = labels or tuple(f"{i:05d}" for i in range(len(structures)))
    return AsymmetricUnits.from_units([reduce(structure) for structure in structures], list(names))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Crystals as units.npz, and known ones: elements and CsCl in the training set, Cu3Au in the test set."""
    elements = [Structure(Lattice.cubic(5), [name], [[0, 0, 0]]) for name in ELEMENTS]
    made = {
        "crystals": units_of(*map(prototype, NAMES)),
        "train": units_of(*elements, prototype("CsCl"), labels=(*ELEMENTS, "mp-22865")),
        "test": units_of(prototype("Cu3Au"), labels=("mp-2258",)),
    }
    paths = {name: tmp_path / f"{name}.npz" for name in made}
    for name, units in made.items():
        write_units(paths[name], units)
    return paths


def evaluated(
    files: dict[str, Path], out: Path, how: RelaxSettings, judges: Sequence[str] = (), *, reference: bool = False
) -> Path:
    evaluate.run(
        files["crystals"], out, files["test"] if reference else None, SCORE, files["train"], workers=1, relax=True,
        judges=judges, relax_settings=how, device="cpu",
    )  # fmt: skip
    return out


def by_stages(files: dict[str, Path], folder: Path, scores: Path, how: RelaxSettings, judges: Sequence[str]) -> Path:
    """What the chain writes of the same crystals."""
    relaxed, crystals = folder / "relaxed/relaxed.csv", folder / "relaxed/relaxed.extxyz"
    relax.run(files["crystals"], relaxed, crystals, 0, 1, how, 0, "cpu")
    known, tables, hulls = [files["train"], files["test"]], [relaxed], []
    for name in judges:
        tables.append(folder / f"judges/{name}.csv")
        judge.run([relaxed], [crystals], name, tables[-1], 0, 1, JudgeSettings(), how, "cpu")
    for name in (how.potential, *judges):
        hulls.append(folder / f"hull/own/{name}.csv")
        reference.run(known, hulls[-1], HullSettings(source=name), "cpu", [relaxed])
    hull.run(tables, hulls, folder / "hull.csv")
    sun.run(
        folder / "hull.csv", files["crystals"], [crystals], files["train"], folder / "sun.csv",
        folder / "sun_per_crystal.csv", SunSettings(), [files["test"]], 1, [scores],
    )  # fmt: skip
    candidates.run(folder / "sun_per_crystal.csv", [crystals], folder / "candidates.csv", folder / "candidates.zip")
    return folder


def assert_same_files(ours: Path, theirs: Path) -> None:
    """Every file of the chain is there with the same content; relaxations took another time."""
    for path in sorted(path for path in theirs.rglob("*") if path.is_file() and path.suffix != ".sqlite"):
        name = path.relative_to(theirs).as_posix()
        if name == "relaxed/relaxed.csv":
            pair = (pd.read_csv(folder / name, dtype=str).drop(columns="seconds") for folder in (ours, theirs))
            pd.testing.assert_frame_equal(*pair)
        else:
            assert (ours / name).read_bytes() == path.read_bytes(), name


@pytest.mark.parametrize(
    ("how", "judges"),
    [
        ({"method": "unconstrained"}, ["softer"]),
        ({"method": "symmetry", "number": 2, "draws": 2}, ["softer"]),
        ({"potential": "chgnet", "steps": 3}, []),
    ],
    ids=["morse and softer", "two draws", "chgnet"],
)
def test_numbers_are_those_of_the_chain(
    files: dict[str, Path], tmp_path: Path, how: dict[str, object], judges: list[str]
) -> None:
    out = evaluated(files, tmp_path / "out", settings(**how), judges, reference=True)
    assert_same_files(out, by_stages(files, tmp_path / "chain", out / "per_crystal.csv", settings(**how), judges))
    rates = pd.read_csv(out / "sun.csv", dtype={"draw": str}).set_index(["judge", "threshold"])
    assert set(rates["n"]) == ({4, 2} if "draws" in how else {5})
    assert set(rates.index.get_level_values("judge")) == {
        how.get("potential", "morse"),
        *judges,
        *["all"] * len(judges),
    }
    assert not (out / "unfinished").exists()
    for table in ("table3.md", "table3.tex"):
        text = (out / table).read_text(encoding="utf-8")
        assert "this set, 0.1 eV/atom" in text
        assert ("all judges over their own hulls" in text) == bool(judges)


def test_rates_of_chosen_crystals_say_so_and_are_those_of_the_chain(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = evaluated(files, tmp_path / "plain", settings(), ["softer"])
    write_units(files["crystals"], dataclasses.replace(read_units(files["crystals"]), best_of=CHOICE))
    # what is known may have been chosen in another way
    write_units(files["test"], dataclasses.replace(read_units(files["test"]), best_of=BestOf(4)))
    capsys.readouterr()
    out = evaluated(files, tmp_path / "out", settings(), ["softer"], reference=True)
    assert "The best of 20 drafts per crystal by a stability model, labels by morse" in capsys.readouterr().out
    assert_same_files(out, by_stages(files, tmp_path / "chain", out / "per_crystal.csv", settings(), ["softer"]))
    before, rates = (pd.read_csv(folder / "sun.csv") for folder in (plain, out))
    assert list(rates.columns[-4:]) == ["oversample", "stability_model", "labels_judge", "labels_hull"]
    assert set(rates["oversample"]) == set(pd.read_csv(out / "summary.csv")["oversample"]) == {20}
    for table in ("per_crystal.csv", "sun_per_crystal.csv", "candidates.csv"):  # a row per crystal
        assert set(pd.read_csv(out / table)["oversample"]) == {20}
        assert "oversample" not in pd.read_csv(plain / table)
    assert not {"oversample", "labels_judge"} & {*before.columns, *pd.read_csv(plain / "summary.csv").columns}
    shared = [name for name in before if not name.startswith("sun_elsewhere_new")]
    pd.testing.assert_frame_equal(before[shared], rates[shared])
    text = (out / "table3.md").read_text(encoding="utf-8")
    assert "| this set, best of 20, 0.1 eV/atom" in text
    assert "morse made the labels" in text
    assert "Rely on softer, which made no labels." in text
    assert "FlowMM" not in text
    assert "FlowMM" in (plain / "table3.md").read_text(encoding="utf-8")
    show.run(out)
    assert "The best of 20 drafts per crystal" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["units.npz", ".", "cif", "cif.zip", "crystals.extxyz"])
def test_files_written_from_chosen_crystals_are_known_as_such(kind: str, tmp_path: Path) -> None:
    """By the units.npz beside them, if they hold one of its crystals to the last letter."""
    units = dataclasses.replace(units_of(*map(prototype, NAMES[:3])), best_of=CHOICE)
    folder = tmp_path / "crystals"
    write_crystals(folder, replicate_flat(units), units, 0 if kind == "cif.zip" else 300)
    assert best_of(folder / kind) == best_of(str(folder / kind)) == CHOICE
    if kind in ("cif", "crystals.extxyz"):
        alone = tmp_path / "alone" / kind
        alone.parent.mkdir()
        (shutil.copytree if kind == "cif" else shutil.copy)(folder / kind, alone)
        assert best_of(alone) is None, "nothing says it"
        other = units_of(prototype("ZnO"), prototype("Cu3Au"))
        write_units(alone.parent / "units.npz", dataclasses.replace(other, best_of=CHOICE))
        assert best_of(alone) is None, "of other crystals"
    write_units(folder / "units.npz", dataclasses.replace(units, best_of=None))
    assert best_of(folder / kind) is None


def test_units_say_how_they_were_chosen_and_lists_cannot() -> None:
    units = dataclasses.replace(units_of(*map(prototype, NAMES[:2])), best_of=CHOICE)
    rows = symmcd.evaluate(units, settings=SCORE, workers=1).summary
    assert set(rows["oversample"]) == {20}
    assert "oversample" not in symmcd.evaluate([units[0]], settings=SCORE, workers=1).summary
    assert best_of([units[0]]) is best_of({"a": units[0]}) is None


def test_rates_say_it_of_the_extxyz_that_was_relaxed_too(files: dict[str, Path], tmp_path: Path) -> None:
    units = dataclasses.replace(read_units(files["crystals"]), best_of=CHOICE)
    write_crystals(tmp_path / "made", replicate_flat(units), units, 300)
    files |= {"crystals": tmp_path / "made/crystals.extxyz"}
    scores = tmp_path / "scores.csv"
    scores.write_text("id,valid\n" + "".join(f"{label},True\n" for label in units.label))
    chain = by_stages(files, tmp_path / "chain", scores, settings(), [])
    assert set(pd.read_csv(chain / "sun.csv")["oversample"]) == {20}


def test_crystals_that_cannot_be_read_stay_in_the_denominators(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of five are crystals; nothing but the numbers comes of it."""
    there = tmp_path / "empty"
    there.mkdir()
    monkeypatch.chdir(there)
    monkeypatch.setattr(tempfile, "tempdir", str(there))
    half = Structure(Lattice.cubic(3), [{"Cs": 0.5, "Na": 0.5}], [[0, 0, 0]])
    flat = Structure(Lattice(np.diag([4, 4, 1e-9])), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    given = {"salt": prototype("NaCl"), "half": half, "flat": flat, "known": prototype("CsCl")}
    given["alloy"] = prototype("Cu3Au")
    result = symmcd.evaluate(
        given, train=str(files["train"]), settings=SCORE, workers=1, device="cpu", judges=["softer"],
        relax={"potential": "morse", "steps": 20}, sun=SunSettings(thresholds=(0.1, 100)),
    )  # fmt: skip
    own = result.sun_per_crystal[result.sun_per_crystal["judge"] == "morse"].set_index("id")
    assert set(own.index) == set(given)
    assert own["status"].to_dict() == {
        "salt": "converged", "half": "failed:disordered", "flat": "failed:bad_cell", "known": "converged",
        "alloy": "converged",
    }  # fmt: skip
    assert own.loc["half", "outcome_at_100"] == "no_energy:failed:disordered"
    assert own.loc["known", "outcome_at_100"] == "in_train:mp-22865"
    rates = result.sun[result.sun["threshold"] == 100].set_index("judge")
    assert rates[["n", "n_with_energy"]].to_numpy().tolist() == [[5, 3]] * 3
    assert rates["sun"].tolist() == [40] * 3, "salt and alloy, of five"
    assert result.energies["e_above_hull_relaxed"].notna().sum() == 2 * 3
    assert set(result.candidates["id"]) == {"salt", "alloy"}
    assert list(there.iterdir()) == []


def test_tables_with_unread_crystals_are_read_by_the_stages(files: dict[str, Path], tmp_path: Path) -> None:
    folder, out = tmp_path / "mine", tmp_path / "out"
    folder.mkdir()
    for name in ("NaCl", "Cu3Au"):
        prototype(name).to(str(folder / f"{name}.cif"))
    (folder / "broken.cif").write_text("data_nothing\n_cell_length_a ?\n")
    evaluated(files | {"crystals": folder}, out, settings(), ["softer"])
    relaxed = out / "relaxed/relaxed.csv"
    table = pd.read_csv(relaxed, dtype=str, keep_default_na=False).set_index("id")
    assert table.loc["broken", ["status", "formula", "energy_initial"]].tolist() == ["failed:no_atoms", "", ""]
    files_of_hulls = [out / f"hull/own/{name}.csv" for name in ("morse", "softer")]
    judge.run(
        [relaxed], [relaxed.with_suffix(".extxyz")], "softer", tmp_path / "j.csv", 0, 1, JudgeSettings(), settings(),
        "cpu",
    )  # fmt: skip
    hull.run([relaxed, tmp_path / "j.csv"], files_of_hulls, tmp_path / "hull.csv")
    assert (tmp_path / "hull.csv").read_bytes() == (out / "hull.csv").read_bytes()
    candidates.run(
        out / "sun_per_crystal.csv", [relaxed.with_suffix(".extxyz")], tmp_path / "c.csv", tmp_path / "c.zip"
    )
    text = relaxed.read_text().replace("failed:no_atoms", "converged")
    relaxed.write_text(text)
    with pytest.raises(InputError, match=r"relaxed\.csv, row 3: id 'broken', status 'converged', formula ''"):
        hull.run([relaxed, tmp_path / "j.csv"], files_of_hulls, tmp_path / "hull.csv")


@pytest.mark.parametrize("at", [1, 4, 8])
def test_an_interrupted_run_goes_on(files: dict[str, Path], tmp_path: Path, at: int) -> None:
    """Nothing but caches and journals is there before the end, and the end is that of a run that nothing stopped."""
    whole, out = evaluated(files, tmp_path / "whole", settings("interrupted", batch_size=1)), tmp_path / "out"
    Interrupted.left = at
    with pytest.raises(KeyboardInterrupt):
        evaluated(files, out, settings("interrupted", batch_size=1))
    assert {path.name for path in out.iterdir()} <= {"unfinished", "fingerprints.sqlite", "energies.sqlite"}
    evaluated(files, out, settings("interrupted", batch_size=1))
    assert_same_files(out, whole)
    assert not (out / "unfinished").exists()


def test_what_was_relaxed_is_not_relaxed_again(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted where the judge begins, which is asked after all relaxations."""
    Interrupted.left = 1
    with pytest.raises(KeyboardInterrupt):
        evaluated(files, tmp_path / "out", settings(), ["interrupted"])
    capsys.readouterr()
    evaluated(files, tmp_path / "out", settings(), ["interrupted"])
    assert "relaxed.csv.partial: 5 results already finished" in capsys.readouterr().out


REFUSED = [
    (["--relax"], "stable and novel crystals can only be found with known crystals; give the training crystals too"),
    (["--train", "train.npz", "--judge", "softer"], r"judges \(--judge\) needs relaxed crystals"),
    (["--train", "train.npz", "--hull", "x.csv"], r"a hull \(--hull\) needs relaxed crystals"),
    (["--train", "train.npz", "--relax", "--hull", "x.csv"], "--hull and --elemental-references need each other"),
    (["--train", "train.npz", "--relax", "--judge", "mores"], "'mores'"),
    (["--train", "train.npz", "--relax", "--judge", "chgnet"], "judge 'chgnet': it relaxes the crystals"),
    (["--train", "train.npz", "--relax", "--judge", "softer", "--judge", "softer"], "softer"),
    (["--train", "train.npz", "--relax", "--judge", "absent"], r"'not_a_package' is not installed; run `pip install"),
    (["--train", "train.npz", "--relax", "--set", "relax.potential=absent"], "'not_a_package' is not installed"),
    (
        ["--train", "train.npz", "--relax", "--hull", "x.csv", "--elemental-references", "x.json"],
        "x.json: cannot read it",
    ),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_would_fail_after_hours_is_refused_at_once(
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_crystals, "evaluate_entries", None)  # nothing is computed
    assert cli.main(["evaluate", "crystals.npz", "--output", "out", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line)
    assert not (tmp_path / "out").exists()


def test_a_table_that_no_judge_can_be_held_against_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"relax\.potential = morse: its energies carry"):
        symmcd.evaluate(
            [prototype("NaCl")], train=units_of(prototype("CsCl")), relax={"potential": "morse"},
            hull=tmp_path / "t.csv", elemental_references=tmp_path / "e.json",
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["cif", "cif.zip", "crystals.extxyz"])
def test_generated_crystals_keep_their_exact_positions(kind: str, tmp_path: Path) -> None:
    """Those whose text is as it was written; one that was edited since is read as it stands."""
    irrational = prototype("TiO2 rutile")
    irrational.translate_sites([2], [1e-13, 1e-13, 0])
    units = units_of(*map(prototype, NAMES[:2]), irrational)
    units.position[:] += 3e-12 * (units.position % 0.25 != 0)  # beyond the ten digits of a CIF
    folder = tmp_path / "crystals"
    write_crystals(folder, replicate_flat(units), units, 0 if kind == "cif.zip" else 300)
    if kind == "crystals.extxyz":
        shutil.rmtree(folder / "cif")
    entries = read_entries(folder / kind, exact=True)
    assert len(entries) == 3
    for index, entry in enumerate(sorted(entries, key=lambda entry: entry.name)):
        assert entry.unit is not None
        assert np.array_equal(entry.unit.position, units[index].position)
        assert entry.unit.letter == units[index].letter
    assert [entry.unit for entry in read_entries(folder / kind)] == [None] * 3
    assert all(entry.unit is not None for entry in read_entries(folder / "units.npz"))
    if kind == "cif.zip":
        return
    edited = folder / kind if kind == "crystals.extxyz" else next((folder / "cif").glob("00001_*"))
    old = "0.0000000000"
    edited.write_text(edited.read_text().replace(f"Cs {old}" if kind == "crystals.extxyz" else old, f"{old}1", 1))
    known = {entry.name: entry.unit is not None for entry in read_entries(folder / kind, exact=True)}
    assert sorted(known.values()) == [False, True, True], known


def test_a_folder_is_shown_and_compared(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = evaluated(files, tmp_path / "out", settings())
    capsys.readouterr()
    show.run(out)
    said = capsys.readouterr().out
    assert "hull morse, 0.1 eV/atom" in said
    assert "structurally valid" in said
    assert "stability was not judged" not in said
    compare.run([out], tmp_path / "side.html")
    assert "| out, 0.1 eV/atom, morse, n = 5 |" in (tmp_path / "side.md").read_text(encoding="utf-8")


def test_no_table_of_an_earlier_run_is_left(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = evaluated(files, tmp_path / "out", settings(), ["softer"])
    words = ["evaluate", str(files["crystals"]), "--output", str(out), "--set", "score.prototype_sample=0"]
    assert cli.main(words) == 2
    assert cli.main([*words, "--overwrite"]) == 0
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {name for name in left if "." in name and not name.endswith(".sqlite")} == {
        "per_crystal.csv", "per_crystal.parquet", "summary.csv", "table1.md", "table1.tex", "table2.md", "table2.tex",
    }  # fmt: skip
    capsys.readouterr()
    show.run(out)
    assert "stability was not judged: `symmcd evaluate --relax` does it" in (said := capsys.readouterr().out)
    assert "hull morse" not in said
    (out / "asymmetric_units").mkdir()
    with pytest.raises(InputError, match="holds results of the chain"):
        evaluated(files, out, settings())


def test_a_crystal_that_timed_out_after_it_was_relaxed_keeps_its_relaxation(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second run, on a busy machine, does not score two crystals in time; one had been relaxed by the first."""
    Interrupted.left = 1
    with pytest.raises(KeyboardInterrupt):
        evaluated(files, tmp_path / "out", settings(number=4), ["interrupted"])
    monkeypatch.setattr(own_evaluation, "unusable", lambda *_: {1: "timed_out", 2: "timed_out"})
    first = evaluated(files, tmp_path / "first", settings(number=4), ["softer"])
    second = evaluated(files, tmp_path / "out", settings(number=4), ["softer"])
    assert "relaxed.csv.partial: 4 results already finished" in capsys.readouterr().out
    statuses = [pd.read_csv(of / "sun_per_crystal.csv", dtype=str).set_index(["judge", "id"]) for of in (first, second)]
    late = statuses[0]["status"] == "failed:timed_out"
    assert set(statuses[0].index[late].get_level_values("id")) <= {"00001", "00002"}
    assert late.any()
    assert set(statuses[0]["formula"][late]) <= {"CsCl", "TiO2"}
    assert not (statuses[1]["status"] == "failed:timed_out").any()


def test_nothing_but_what_cannot_be_read_is_a_table_as_well(files: dict[str, Path]) -> None:
    half = Structure(Lattice.cubic(3), [{"Cs": 0.5, "Na": 0.5}], [[0, 0, 0]])
    result = symmcd.evaluate([half], train=files["train"], settings=SCORE, workers=1, device="cpu", relax=True)
    assert result.sun[["n", "n_with_energy", "sun"]].to_numpy().tolist() == [[1, 0, 0]] * 2
    assert len(result.candidates) == 0


def test_symmetry_is_searched_for_only_where_no_asymmetric_unit_is_known() -> None:
    """CsCl as tetragonal, which it is as well: its own group is kept; of its atoms alone the cubic one is found."""
    positions = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    unit = AsymmetricUnit(123, 4.12 * np.eye(3), np.array([55, 17]), ("a", "d"), positions)
    given = OwnCrystals(entries_of({"exact": unit, "found": replicate(unit)}), {})
    assert given.space_group == [123, None]
    assert [given.symmetric(index, 0.1).space_group for index in range(2)] == [123, 221]
    assert given.symmetric(0, 0.1) is unit
