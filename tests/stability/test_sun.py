"""S.U.N.: rates by hand, and the stage from files to files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.io import write
from tests.crystallography.prototypes import prototype

from symmcd import reduce
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.metrics.intervals import wilson
from symmcd.settings import SunSettings
from symmcd.stability.doubts import doubts
from symmcd.stability.rate_names import RATES
from symmcd.stability.sun import judge, rates, stable
from symmcd.stages import sun
from symmcd.storage import write_units
from symmcd.structures.write import write_extxyz


def test_unknown_energies_and_elements_are_never_stable() -> None:
    energies = np.array([-0.1, 0.0, 0.05, np.nan, -1.0])
    elements = np.array([2, 3, 2, 2, 1])
    assert stable(energies, elements, 0.0, 2).tolist() == [True, True, False, False, False]
    assert stable(energies, elements, 0.1, 2).tolist() == [True, True, True, False, False]


def judged(threshold: float, known_as: dict[str, str | None], matches: dict[str, str]) -> tuple[pd.DataFrame, dict]:
    """Six crystals; `matches` says which later crystal matches which earlier one."""
    part = pd.DataFrame(
        {
            "id": list("abcdef"),
            "judge": "chgnet",
            "hull": "chgnet",
            "status": [*["converged"] * 4, "exploded", "step_limit"],
            "elements": [2, 2, 2, 3, 2, 1],
            "e_above_hull_initial": [0.2, -0.01, 0.3, 0.05, np.nan, -1],
            "e_above_hull_relaxed": [-0.01, -0.02, -0.03, 0.05, np.nan, -1],
        }
    )

    def first_matches(names: Sequence[str]) -> dict[str, str | None]:
        return {name: matches[name] if matches.get(name) in names else None for name in names}

    flags = judge(part, threshold, 2, known_as, {"d": "ValueError"}, first_matches)
    return flags, rates(part, flags, threshold, wilson)


def test_rates_by_hand() -> None:
    flags, row = judged(0.0, {"a": None, "b": None, "c": "mp-1"}, {"b": "a"})
    assert (row["n"], row["n_with_energy"]) == (6, 5)
    counts = {name: round(row[name] * 6 / 100, 3) for name in RATES}
    assert counts == {"initially_stable": 1, "relaxed_stable": 3, "stable_unique": 2, "stable_novel": 2, "sun": 1}
    low, high = wilson(1, 6)
    assert (row["sun_low"], row["sun_high"]) == pytest.approx((100 * low, 100 * high), abs=1e-3)
    assert flags["outcome"].tolist() == [
        "sun", "duplicate_of:a", "in_train:mp-1", "above_hull", "no_energy:exploded", "element",
    ]  # fmt: skip


def test_crystals_that_cannot_be_compared_are_neither_unique_nor_novel() -> None:
    flags, row = judged(0.1, {"a": None, "b": None, "c": "mp-1"}, {})
    assert flags["outcome"][3] == "not_compared:ValueError"
    assert flags["relaxed_stable"][3]
    assert not flags.loc[3, ["stable_unique", "stable_novel", "sun"]].any()
    assert row["protocol"] == "metastable"


def test_a_crystal_is_not_lost_to_a_duplicate_that_is_not_novel() -> None:
    """As in FlowMM: novelty first, then duplicates among what is left."""
    flags, _ = judged(0.0, {"a": "mp-1", "b": None, "c": None}, {"b": "a"})
    assert flags["outcome"][:3].tolist() == ["in_train:mp-1", "sun", "sun"]
    assert flags["stable_unique"][:3].tolist() == [True, False, True]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Rock salt twice, rutile (which the training set has), and caesium chloride, whose relaxation failed."""
    names = ["NaCl", "NaCl", "TiO2 rutile", "CsCl"]
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in names])
    crystals = replicate_flat(units)
    write_units(tmp_path / "units.npz", units)
    write_extxyz(tmp_path / "crystals.extxyz", crystals, units)
    frames = []
    for i in range(3):
        atoms = slice(crystals.start[i], crystals.start[i + 1])
        frame = Atoms(
            crystals.element[atoms], cell=crystals.lattice[i], scaled_positions=crystals.position[atoms], pbc=True
        )
        frame.info = {"id": str(units.label[i]), "status": "converged"}
        frames.append(frame)
    write(tmp_path / "relaxed.extxyz", frames, format="extxyz")
    write_units(tmp_path / "train.npz", AsymmetricUnits.from_units([reduce(prototype("TiO2 rutile"))], ["rutile"]))
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
    return {name: tmp_path / f"{name}" for name in ("hull.csv", "units.npz", "relaxed.extxyz", "train.npz")}


def run(files: dict[str, Path], folder: Path, scores: Sequence[Path] = ()) -> tuple[pd.DataFrame, pd.DataFrame]:
    sun.run(
        files["hull.csv"], files["units.npz"], [files["relaxed.extxyz"]], files["train.npz"],
        folder / "sun.csv", folder / "sun_per_crystal.csv", SunSettings(), scores=scores,
    )  # fmt: skip
    return pd.read_csv(folder / "sun.csv"), pd.read_csv(folder / "sun_per_crystal.csv", dtype={"id": str})


def test_the_stage_counts_duplicates_once_and_known_crystals_never(files: dict[str, Path], tmp_path: Path) -> None:
    table, crystals = run(files, tmp_path)
    assert table["threshold"].tolist() == [0.0, 0.1]
    first = table.iloc[0]
    assert (first["n"], first["relaxed_stable"], first["sun"]) == (4, 75, 25)
    assert crystals["sun_at_0"].tolist() == [True, False, False, False]
    assert crystals["novel"].fillna("not compared").tolist() == [True, True, False, "not compared"]
    assert crystals["outcome_at_0"].tolist() == [
        "sun", "duplicate_of:00000", "in_train:rutile", "no_energy:failed:isolated_atoms",
    ]  # fmt: skip


def test_crystals_of_anybody_are_counted_in_their_text(files: dict[str, Path], tmp_path: Path) -> None:
    expected = run(files, tmp_path)
    files["units.npz"] = files["units.npz"].with_name("crystals.extxyz")
    for table, other in zip(run(files, tmp_path), expected, strict=True):
        pd.testing.assert_frame_equal(table, other)


def test_each_hull_has_rows_of_its_own(files: dict[str, Path], tmp_path: Path) -> None:
    one = pd.read_csv(files["hull.csv"], dtype={"id": str})
    other = one.assign(hull="mp", e_above_hull_relaxed=[0.05, -0.1, 0.2, np.nan])
    pd.concat([one, other]).to_csv(files["hull.csv"], index=False)
    table, crystals = run(files, tmp_path)
    assert table[["hull", "threshold", "sun"]].to_numpy().tolist() == [
        ["chgnet", 0.0, 25], ["chgnet", 0.1, 25], ["mp", 0.0, 25], ["mp", 0.1, 25],
    ]  # fmt: skip
    mp = crystals[crystals["hull"] == "mp"]
    assert mp["outcome_at_0"].tolist()[:2] == ["above_hull", "sun"]
    assert mp["outcome_at_0.1"].tolist()[:2] == ["sun", "duplicate_of:00000"]


def test_what_was_held_out_and_found_again_is_counted_apart(files: dict[str, Path], tmp_path: Path) -> None:
    salt = AsymmetricUnits.from_units([reduce(prototype("NaCl"))], ["halite"])
    other = AsymmetricUnits.from_units([reduce(prototype("CsCl"))], ["other"])
    write_units(tmp_path / "test.npz", salt)
    write_units(tmp_path / "val.npz", other)
    for name, expected, label in (("test", 0, "halite"), ("val", 25, "")):
        sun.run(
            files["hull.csv"], files["units.npz"], [files["relaxed.extxyz"]], files["train.npz"],
            tmp_path / "sun.csv", tmp_path / "per.csv", SunSettings(), known=[tmp_path / f"{name}.npz"],
        )  # fmt: skip
        first = pd.read_csv(tmp_path / "sun.csv").iloc[0]
        assert (first["sun"], first["sun_elsewhere_new"]) == (25, expected)
        crystals = pd.read_csv(tmp_path / "per.csv", keep_default_na=False)
        assert crystals["known_elsewhere"].tolist() == [label, label, "", ""]


def test_valid_ones_are_counted_apart(files: dict[str, Path], tmp_path: Path) -> None:
    """Shards of `symmcd score`; a crystal that could not be scored (blank) is not valid."""
    shards = tmp_path / "shard0.csv", tmp_path / "shard1.csv"
    for first, expected in (("True", 25), ("False", 0), ("", 0)):
        shards[0].write_text(f"id,status,valid\n00000,ok,{first}\n00002,ok,False\n")
        shards[1].write_text("id,status,valid\n00001,ok,True\n00003,ok,True\n")
        table, crystals = run(files, tmp_path, scores=shards)
        assert (table["sun"][0], table["sun_valid"][0]) == (25, expected)
        assert table["sun_valid_low"][0] <= expected <= table["sun_valid_high"][0]
        assert crystals["valid"].tolist() == [first == "True", True, False, True]
    assert "sun_valid" not in run(files, tmp_path)[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,valid\n00000,True\n", "scores.csv: crystal 00001 of .*units.npz is missing .3 of 4"),
        (
            "id,valid\n00000,True\n00001,True\n00002,True\n00003,True\n00004,True\n",
            "crystal 00004 is not in .*units.npz",
        ),
        ("id,valid\n00000,True\n00000,True\n", "scores.csv, row 2: crystal 00000 appears twice"),
        ("id,valid\n00000,1\n", "scores.csv, row 1: valid '1' is not True or False"),
        ("id,status\n00000,ok\n", "scores.csv: lacks the column valid"),
    ],
)
def test_scores_of_another_run_are_named(files: dict[str, Path], tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        run(files, tmp_path, scores=[tmp_path / "scores.csv"])


def test_words_of_doubt() -> None:
    assert doubts("NaCl", -0.05, "1.000 NaCl", 0.1) == ()
    assert doubts("NaCl", -0.11, "0.500 Na + 0.500 Cl", 0.51) == ("far_below_hull", "no_known_compound", "moved")
    assert doubts("Na", 0.0, "1.000 Na", 0.0) == (), "an element is its own compound"
    assert doubts("NaTc", 0.0, "0.600 NaTc3 + 0.400 Na", 0.0) == ("radioactive",)
    assert doubts("BiPm", 0.0, "1.000 BiPm", 0.0) == ("radioactive",)
    assert doubts("Bi2U", np.nan, "", np.nan) == ("radioactive",)
    assert doubts("NaCl", 0.0, "1.000 NaCl", 0.0, 1) == ("few_references",)
    assert doubts("NaCl", 0.0, "1.000 NaCl", 0.0, 2) == ()
    assert doubts("NaTiO2", 0.0, "", 0.0, 2, "units:00007") == ("few_references", "own_reference")
    assert doubts("NaTiO2", 0.0, "", 0.0, 3) == doubts("Na", 0.0, "", 0.0, 1) == ()
    assert doubts("NaN", np.nan, "", np.nan) == (), "sodium nitride; what is unknown is no doubt"


def test_those_without_doubts_are_counted_apart(files: dict[str, Path], tmp_path: Path) -> None:
    table, crystals = run(files, tmp_path)
    assert crystals["doubts"].isna().all()
    assert (table["sun"][0], table["sun_undoubted"][0]) == (25, 25)
    hull = pd.read_csv(files["hull.csv"], dtype={"id": str})
    hull["decomposition"] = ["0.500 Na + 0.500 Cl"] * 2 + ["1.000 TiO2"] * 2
    hull["rms_displacement"] = [0.6, 0.1, 0.1, np.nan]
    hull["e_above_hull_relaxed"] = [-0.2, -0.05, -0.05, np.nan]
    hull.to_csv(files["hull.csv"], index=False)
    table, crystals = run(files, tmp_path)
    assert crystals["doubts"].fillna("").tolist() == [
        "far_below_hull;no_known_compound;moved", "no_known_compound", "", "",
    ]  # fmt: skip
    assert (table["sun"][0], table["sun_undoubted"][0]) == (25, 0)


def test_what_relaxation_did_stands_beside_the_rates(files: dict[str, Path], tmp_path: Path) -> None:
    table = pd.read_csv(files["hull.csv"], dtype={"id": str}).assign(
        space_group_initial=[225, 225, 136, np.nan], space_group_relaxed=[225, 221, 136, np.nan],
        rms_displacement=[0.1, 0.3, 0.2, np.nan], volume_change=[0.0, -0.02, 0.01, np.nan],
    )  # fmt: skip
    table.to_csv(files["hull.csv"], index=False)
    first = run(files, tmp_path)[0].iloc[0]
    assert first["symmetry_kept"] == 50  # the failed one has no symmetry to keep, and stays in the denominator
    assert (first["rms_displacement_median"], first["volume_change_median"]) == (0.2, 0.01)


def test_a_run_without_one_stable_crystal_is_a_row_of_zeros(files: dict[str, Path], tmp_path: Path) -> None:
    pd.read_csv(files["hull.csv"], dtype={"id": str}).assign(e_above_hull_relaxed=np.nan).to_csv(files["hull.csv"])
    table, _ = run(files, tmp_path)
    assert (
        table[["n", "n_with_energy", "relaxed_stable", "sun", "sun_low"]].to_numpy().tolist() == [[4, 0, 0, 0, 0]] * 2
    )


def spoiled(column: str, values: list[object]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.assign(**{column: values})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoiled("id", ["00000", "00001", "00002", "00077"]), "00077 is not in .*units.npz"),
        (spoiled("id", ["00000", "00001", "00001", "00003"]), "row 3: crystal 00001 appears twice"),
        (spoiled("e_above_hull_relaxed", [0, "low", 0, 0]), "row 2: e_above_hull_relaxed 'low' is not a number"),
        (spoiled("e_above_hull_relaxed", [0, 0, 0, 0]), "00003 is not in .*relaxed.extxyz"),
        (lambda table: table.drop(columns="hull"), "lacks the column hull"),
        (lambda table: table[:0], "no crystals"),
    ],
)
def test_what_cannot_be_used_is_named(
    files: dict[str, Path], tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    change(pd.read_csv(files["hull.csv"], dtype={"id": str})).to_csv(files["hull.csv"], index=False)
    with pytest.raises(InputError, match=message):
        run(files, tmp_path)
    assert not (tmp_path / "sun.csv").exists()


def test_each_draw_is_judged_by_itself(files: dict[str, Path], tmp_path: Path) -> None:
    """Rock salt in both draws: a duplicate within one draw of four, none within two draws of two."""
    hull = pd.read_csv(files["hull.csv"], dtype={"id": str})
    hull.assign(draw=[1, 2, 2, 1]).to_csv(files["hull.csv"], index=False)
    table, crystals = run(files, tmp_path)
    assert table["draw"].tolist() == ["all", "all", "1", "2", "1", "2"]
    assert table["threshold"].tolist() == [0.0, 0.1, 0.0, 0.0, 0.1, 0.1]
    assert table["n"].tolist() == [4, 4, 2, 2, 2, 2]
    assert table["sun"].tolist() == [50.0] * 6
    assert table["relaxed_stable"][[0, 2, 3]].tolist() == [75.0, 50.0, 100.0]
    low, high = wilson(2, 4)
    pooled = table.iloc[0]
    assert (pooled["sun_low"], pooled["sun_high"]) == pytest.approx((100 * low, 100 * high), abs=1e-3)
    assert (pooled["draws"], pooled["sun_sd"]) == (2, 0)
    assert pooled["relaxed_stable_sd"] == pytest.approx(np.std([50, 100], ddof=1), abs=1e-3)
    assert table["sun_sd"][2:].isna().all()
    assert crystals.set_index("id")["outcome_at_0"].to_dict() == {
        "00000": "sun", "00001": "sun", "00002": "in_train:rutile", "00003": "no_energy:failed:isolated_atoms",
    }  # fmt: skip
    assert crystals["draw"].tolist() == [1, 2, 2, 1]
    hull.assign(draw=[1, 1, np.nan, 2]).to_csv(files["hull.csv"], index=False)
    with pytest.raises(InputError, match="column draw"):
        run(files, tmp_path)


def test_one_draw_has_no_columns_of_draws(files: dict[str, Path], tmp_path: Path) -> None:
    table, crystals = run(files, tmp_path)
    assert not [name for name in (*table, *crystals) if "draw" in name or name.endswith("_sd")]


def cut(path: Path, row: int) -> None:
    """Take one row out of a table, 0 = the first below the header."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[: row + 1], *lines[row + 2 :]]))


@pytest.mark.parametrize("row", range(3))
def test_a_hull_cut_between_rows_is_refused(files: dict[str, Path], tmp_path: Path, row: int) -> None:
    cut(files["hull.csv"], row)
    with pytest.raises(
        InputError, match=rf"hull\.csv: crystal {row:05d} of .*relaxed\.extxyz is missing \(1 of 3 are\)"
    ):
        run(files, tmp_path)


def test_a_hull_that_lost_a_failed_crystal_has_too_few_rows(files: dict[str, Path], tmp_path: Path) -> None:
    """It is in no other file, but the number drawn is in every row."""
    table = pd.read_csv(files["hull.csv"], dtype={"id": str}).assign(drawn=4)
    table.to_csv(files["hull.csv"], index=False)
    assert run(files, tmp_path)[0]["n"][0] == 4
    cut(files["hull.csv"], 3)
    with pytest.raises(InputError, match=r"hull\.csv, judge chgnet, hull chgnet: 3 crystals, but 4 were drawn"):
        run(files, tmp_path)


def test_relaxed_crystals_that_are_lost_are_named(files: dict[str, Path], tmp_path: Path) -> None:
    lines = files["relaxed.extxyz"].read_text().splitlines(keepends=True)
    size = int(lines[0]) + 2  # both rock salts
    files["relaxed.extxyz"].write_text("".join(lines[:size] + lines[2 * size :]))
    with pytest.raises(InputError, match=r"crystal 00001 is not in .*relaxed\.extxyz"):
        run(files, tmp_path)


def test_a_hull_of_another_run_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    table = pd.read_csv(files["hull.csv"], dtype={"id": str})
    table["formula"] = ["NaCl", "KCl", "TiO2", "CsCl"]
    table.to_csv(files["hull.csv"], index=False)
    with pytest.raises(InputError, match=r"crystal 00001 is KCl, and .*NaCl in .*units\.npz"):
        run(files, tmp_path)


@pytest.mark.parametrize(
    ("column", "value"),
    [("formula", "0.500"), ("rms_displacement", "x"), ("decomposition", "0.500 !"), ("e_above_hull_relaxed", "1e"),
     ("reference_entries", "many")],
)  # fmt: skip
def test_a_changed_field_is_refused_in_one_line(
    files: dict[str, Path], tmp_path: Path, column: str, value: str
) -> None:
    table = pd.read_csv(files["hull.csv"], dtype=str)
    table.loc[1, column] = value
    table.to_csv(files["hull.csv"], index=False)
    with pytest.raises(InputError, match=r"hull\.csv.*(row 2|00001)") as error:
        run(files, tmp_path)
    assert "\n" not in str(error.value)


def test_few_references_and_own_ones_are_doubts(files: dict[str, Path], tmp_path: Path) -> None:
    table = pd.read_csv(files["hull.csv"], dtype={"id": str})
    table = table.assign(reference_entries=[1, 2, 2, 0], own_reference=["", "", "units:00002", ""])
    table.to_csv(files["hull.csv"], index=False)
    _, crystals = run(files, tmp_path)
    assert crystals["doubts"].fillna("").tolist() == ["few_references", "", "own_reference", "few_references"]
