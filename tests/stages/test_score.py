"""Stages score and summarise, from files to files: nothing lost, resumed after a kill, broken crystals counted."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest
from tests.crystallography.prototypes import PROTOTYPES, prototype

from symmcd import reduce
from symmcd.cli import main
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.metrics import crystal_scores
from symmcd.settings import ScoreSettings
from symmcd.stages import export, fingerprint, score, summarise
from symmcd.storage import read_units, write_units
from symmcd.structures.write import read_extxyz, write_extxyz

NAMES = ("NaCl", "CsCl", "SrTiO3", "TiO2 rutile", "ZnO")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five prototypes, and two atoms 0.03 Å apart (as extxyz, with the units beside it)."""
    close = AsymmetricUnit(
        1, np.eye(3) * 4, np.array([11, 17]), ("a", "a"), np.array([[0.1, 0.2, 0.3], [0.107, 0.2, 0.3]])
    )
    units = AsymmetricUnits.from_units([*(reduce(prototype(name)) for name in NAMES), close])
    write_units(tmp_path / "units.npz", units)
    write_extxyz(tmp_path / "crystals.extxyz", replicate_flat(units), units)
    write_units(tmp_path / "known.npz", units.take([0, 1, 2]))
    return tmp_path


def run_shards(folder: Path, shards: int) -> list[Path]:
    paths = [folder / f"shard{i}.csv" for i in range(shards)]
    for i, path in enumerate(paths):
        score.run(folder / "crystals.extxyz", path, i, shards, ScoreSettings())
    return paths


def run_summary(folder: Path, shards: list[Path]) -> tuple[pd.DataFrame, dict[tuple[str, str], pd.Series]]:
    known = folder / "known.npz"
    for name in ("units", "known"):
        fingerprint.run(folder / f"{name}.npz", folder / f"fp/{name}.npz", None, ScoreSettings(), workers=1)
    found = folder / "fp/units.npz", folder / "fp/known.npz"
    summarise.run(shards, folder / "units.npz", known, known, *found, folder / "metrics", ScoreSettings(), seed=0)
    table = pd.read_csv(folder / "metrics/per_crystal.csv", dtype={"id": str}, keep_default_na=False)
    assert pd.read_parquet(folder / "metrics/per_crystal.parquet")["id"].tolist() == table["id"].tolist()
    summary = pd.read_csv(folder / "metrics/summary.csv", keep_default_na=False, na_values=[""])
    return table, {(row["metric"], row["protocol"]): row for _, row in summary.iterrows()}


def test_shards_together_are_the_whole(folder: Path) -> None:
    parts = pd.concat([pd.read_csv(p, dtype=str) for p in run_shards(folder, 3)]).sort_values("id", ignore_index=True)
    (whole,) = run_shards(folder, 1)
    pd.testing.assert_frame_equal(parts, pd.read_csv(whole, dtype=str))
    assert parts["space_group_found"][:5].tolist() == [str(PROTOTYPES[name][0]) for name in NAMES]


def test_the_summary_by_hand(folder: Path) -> None:
    table, rows = run_summary(folder, run_shards(folder, 2))
    assert len(table) == 6
    assert table["space_group"].tolist()[:2] == [225, 221]
    assert (table["structure"][5], str(table["valid"][5])) == ("too_close", "False")
    structural = rows["structural_validity", "paper"]
    assert (structural["value"], structural["n"]) == (pytest.approx(100 * 5 / 6, abs=1e-3), 6)
    assert structural["low"] < structural["value"] < structural["high"]
    assert rows["group_kept", "strict"]["value"] == 100
    assert rows["templates_unique", "paper"]["value"] == 6
    assert rows["templates_in_train", "paper"]["value"] == 50
    assert rows["templates_new", "paper"]["value"] == 3
    assert rows["space_group_jsd", "paper"]["n"] == 5  # valid crystals only
    # three of the six are the reference crystals themselves; the two close atoms have a fingerprint all the same
    assert rows["coverage_recall", "strict"]["value"] == 100
    assert rows["coverage_recall", "paper"]["n"] == 3
    assert rows["coverage_precision", "strict"]["value"] >= 50
    assert table["covered_strict"][:3].astype(str).tolist() == ["True"] * 3
    assert table["structure_distance"][:3].astype(float).max() < 1e-6
    assert rows["templates_canonical_unique", "strict"]["value"] == 6
    assert rows["agreement_exact", "strict"]["value"] == pytest.approx(100 * 5 / 6, abs=1e-3)
    assert {"density_wasserstein", "element_count_wasserstein", "space_group_jsd"} <= {metric for metric, _ in rows}


def test_a_summary_of_chosen_crystals_says_so_and_nothing_else_is_other(folder: Path) -> None:
    shards = run_shards(folder, 1)
    _, before = run_summary(folder, shards)
    plain = {name: (folder / f"metrics/{name}").read_bytes() for name in ("summary.csv", "per_crystal.csv")}
    choice = BestOf(20, "12" * 32, "chgnet", "table mp.csv")
    write_units(folder / "units.npz", dataclasses.replace(read_units(folder / "units.npz"), best_of=choice))
    _, rows = run_summary(folder, shards)
    ends = [b",oversample", *[b",20"] * (len(plain["per_crystal.csv"].splitlines()) - 1)]
    expected = [line + end for line, end in zip(plain["per_crystal.csv"].splitlines(), ends, strict=True)]
    assert (folder / "metrics/per_crystal.csv").read_bytes().splitlines() == expected
    more = b",20," + b"12" * 32 + b",chgnet,table mp.csv"
    head, *lines = (folder / "metrics/summary.csv").read_bytes().splitlines()
    old_head, *old = plain["summary.csv"].splitlines()
    assert head == old_head + b",oversample,stability_model,labels_judge,labels_hull"
    assert lines == [line + more for line in old]
    assert rows.keys() == before.keys()
    for number in (1, 2):
        text = (folder / f"metrics/table{number}.md").read_text(encoding="utf-8")
        assert "| this set, best of 20" in text
        assert "labels by CHGNet over the hull “table mp.csv”" in text
        assert "CDVAE" not in text


def test_the_summary_depends_on_nothing_but_its_input(folder: Path) -> None:
    run_summary(folder, run_shards(folder, 2))
    first = (folder / "metrics/summary.csv").read_bytes()
    run_summary(folder, run_shards(folder, 3))
    assert (folder / "metrics/summary.csv").read_bytes() == first


def test_a_killed_shard_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = run_shards(folder, 1)
    expected = whole.read_text()
    whole.unlink()
    scored: list[str] = []
    real = crystal_scores.score

    def counted(structure, *rest):
        if len(scored) == 3:
            raise KeyboardInterrupt
        scored.append(structure.formula)
        return real(structure, *rest)

    monkeypatch.setattr(crystal_scores, "score", counted)
    with pytest.raises(KeyboardInterrupt):
        run_shards(folder, 1)
    assert not whole.exists()
    lines = (folder / "shard0.csv.partial").read_text().splitlines()
    assert len(lines) == 1 + 3
    scored.clear()
    run_shards(folder, 1)
    assert len(scored) == 3  # the other three
    assert whole.read_text() == expected
    assert not (folder / "shard0.csv.partial").exists()


def test_results_of_other_settings_are_not_gone_on_from(folder: Path) -> None:
    (whole,) = run_shards(folder, 1)
    journal = folder / "shard0.csv.partial"
    journal.write_text(json.dumps({"work": "other"}) + "\n" + json.dumps({"id": "00000", "status": "stale"}) + "\n")
    run_shards(folder, 1)
    assert "stale" not in whole.read_text()


def test_an_unscored_crystal_is_invalid_and_spoils_no_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = crystal_scores.score
    broken = lambda s, *rest: real(s, *rest) if len(s.composition) != 3 else _failed(rest[0])  # noqa: E731
    monkeypatch.setattr(crystal_scores, "score", broken)
    table, rows = run_summary(folder, run_shards(folder, 2))
    assert table["status"][2] == "failed:ZeroDivisionError"
    assert (str(table["space_group"][2]), table["space_group_found"][2], table["density"][2]) == ("221", "", "")
    assert table["space_group_found"].tolist()[:2] == ["225", "221"]
    assert rows["structural_validity", "paper"]["value"] == pytest.approx(100 * 4 / 6, abs=1e-3)
    assert rows["group_kept", "strict"]["value"] == pytest.approx(100 * 5 / 6, abs=1e-3)
    assert rows["density_wasserstein", "strict"]["n"] == 5


def _failed(group):
    from symmcd.metrics.crystal_scores import unscored

    return unscored("failed:ZeroDivisionError", group, "SrTiO3", "division by zero")


def test_a_flat_cell_is_a_row(folder: Path) -> None:
    """It has no fractional coordinates; the others are scored all the same."""
    crystals = folder / "crystals.extxyz"
    frames = read_extxyz(crystals)
    frames[1].cell[2] = frames[1].cell[1]
    frames[2].cell[0] = np.nan
    ase.io.write(crystals, frames, format="extxyz")
    text = crystals.read_text()
    for number in range(6):  # ASE writes id=00001 as a number
        text = text.replace(f" id={number} ", f' id="{number:05d}" ')
    crystals.write_text(text)
    (path,) = run_shards(folder, 1)
    table = pd.read_csv(path, dtype=str)
    assert table["status"].tolist()[:4] == ["ok", "bad_cell", "bad_cell", "ok"]
    assert table["formula"][1] == "CsCl"
    assert table["valid"].tolist()[1:3] == ["False", "False"]


def test_a_cell_of_one_atom_is_summarised(folder: Path) -> None:
    """There are no two different atoms, so no distance between them; the images of the one are near or not."""
    alone = AsymmetricUnit(221, np.eye(3) * 3.35, np.array([84]), ("a",), np.zeros((1, 3)))
    units = AsymmetricUnits.from_units([*(reduce(prototype(name)) for name in NAMES), alone])
    write_units(folder / "units.npz", units)
    write_extxyz(folder / "crystals.extxyz", replicate_flat(units), units)
    table, rows = run_summary(folder, run_shards(folder, 1))
    assert table["closest"].tolist()[5] == ""
    assert float(table["closest_with_images"][5]) == pytest.approx(3.35)
    assert table["structure"][5] == "valid"
    assert rows["structural_validity", "paper"]["value"] == 100


def test_shards_of_another_run_are_refused(folder: Path) -> None:
    paths = run_shards(folder, 3)
    with pytest.raises(InputError, match=r"crystal 00002 of .*units\.npz is missing \(2 of 6 are\)"):
        run_summary(folder, paths[:2])
    with pytest.raises(InputError, match=r"shard9\.csv"):
        run_summary(folder, [*paths, folder / "shard9.csv"])


def test_fingerprints_of_other_crystals_are_refused(folder: Path) -> None:
    run_summary(folder, shards := run_shards(folder, 1))
    known, wrong = folder / "known.npz", folder / "fp/known.npz"
    with pytest.raises(InputError, match="3 fingerprints, not of the 6 crystals"):
        summarise.run(
            shards, folder / "units.npz", known, known, wrong, wrong, folder / "metrics", ScoreSettings(), seed=0
        )
    gone = folder / "gone.npz"
    with pytest.raises(InputError, match=r"gone.npz: no such file"):
        summarise.run(shards, folder / "units.npz", known, known, gone, wrong, folder / "m", ScoreSettings(), seed=0)


def test_fingerprints_go_on_where_they_were(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = folder / "fp/units.npz"
    fingerprint.run(folder / "units.npz", output, None, ScoreSettings(), workers=2)
    assert "6 crystals: ok 6" in capsys.readouterr().out
    first = np.load(output)["structure"]
    output.unlink()
    fingerprint.run(folder / "units.npz", output, None, ScoreSettings(fingerprint_seconds=1e-9), workers=2)
    assert (np.load(output)["structure"] == first).all()  # from the cache: no time was needed


def test_export_for_genbench(folder: Path) -> None:
    units = AsymmetricUnits.from_units([reduce(prototype("NaCl"))] * 2503)
    write_units(folder / "many.npz", units)
    export.run(folder / "many.npz", folder / "genbench", "genbench", seed=1)
    names = sorted(path.name for path in (folder / "genbench/cif").iterdir())
    assert len(names) == len((folder / "genbench/structures.txt").read_text().splitlines()) == 2500
    assert len({name[:5] for name in names}) == 2500
    with pytest.raises(InputError, match="takes exactly 2500"):
        export.run(folder / "units.npz", folder / "few", "genbench", seed=1)


def test_export_of_chosen_crystals_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export.run(folder / "units.npz", folder / "out", "mattergen", seed=0)
    assert "drafts" not in capsys.readouterr().out
    units = dataclasses.replace(read_units(folder / "units.npz"), best_of=BestOf(20, "", "chgnet", "own"))
    write_units(folder / "units.npz", units)
    export.run(folder / "units.npz", folder / "out", "mattergen", seed=0)
    assert "state with every figure of these crystals: the best of 20 drafts per crystal by" in capsys.readouterr().out


def test_export_for_mattergen(folder: Path) -> None:
    export.run(folder / "units.npz", folder / "out", "mattergen", seed=0)
    assert len(read_extxyz(folder / "out/generated_crystals.extxyz")) == 6


def test_crystals_without_a_space_group_are_scored_without(folder: Path) -> None:
    """As they come from another program; where only some have one, the first without is named."""
    text = (folder / "crystals.extxyz").read_text()
    mine = folder / "mine.extxyz"
    mine.write_text(re.sub(r" space_group=\d+", "", text))
    score.run(mine, folder / "mine.csv", 0, 1, ScoreSettings())
    found = pd.read_csv(folder / "mine.csv", dtype={"id": str})
    assert found["space_group"].isna().all()
    assert found["agreement"].isna().all()
    assert found["space_group_found"][:5].tolist() == [PROTOTYPES[name][0] for name in NAMES]
    mine.write_text(text.replace(" space_group=221", "", 1))
    with pytest.raises(InputError, match=r"mine\.extxyz: frame 00001 has no space_group; .*, as other frames have"):
        score.run(mine, folder / "other.csv", 1, 2, ScoreSettings())


@pytest.mark.parametrize("given", ["0", "231", "T", "2.5"])
def test_a_space_group_that_is_none_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], given: str) -> None:
    mine = folder / "mine.extxyz"
    mine.write_text((folder / "crystals.extxyz").read_text().replace("space_group=225", f"space_group={given}"))
    assert main(["score", str(mine), "--output", str(folder / "mine.csv")]) == 2
    assert re.fullmatch(r"symmcd score: .*mine\.extxyz: frame 00000 has space_group=.*\n", capsys.readouterr().err)
    assert not (folder / "mine.csv").exists()


@pytest.mark.parametrize(("shard", "row"), [(0, 0), (1, 1), (2, 1)])
def test_a_shard_cut_between_rows_is_refused_with_the_first_missing_crystal(folder: Path, shard: int, row: int) -> None:
    paths = run_shards(folder, 3)
    lines = paths[shard].read_text().splitlines(keepends=True)
    paths[shard].write_text("".join([*lines[: row + 1], *lines[row + 2 :]]))
    with pytest.raises(InputError, match=rf"crystal {shard + 3 * row:05d} of .*units\.npz is missing \(1 of 6 are\)"):
        run_summary(folder, paths)


def test_a_changed_field_of_a_shard_is_named(folder: Path) -> None:
    (path,) = run_shards(folder, 1)
    whole = pd.read_csv(path, dtype=str)
    for column, value in (("density", "2.1.2"), ("valid", "Tru"), ("space_group_found", "x"), ("atoms", "inf")):
        table = whole.copy()
        table.loc[2, column] = value
        table.to_csv(path, index=False)
        with pytest.raises(InputError, match=rf"shard0\.csv, row 3: {column} '{value}' is not"):
            summarise.read_shards([path], read_units(folder / "units.npz"), folder / "units.npz")
