"""Several judges of the same crystals: laws of what all of them say together."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symmcd.stability.doubts import DISAGREE, doubts
from symmcd.stability.judges import ALL, OWN, families, family, with_all_judges, with_doubts_of_all
from symmcd.stability.sun import stable

TABLE = "table mp.csv"
HULLS = {"chgnet": (TABLE, "chgnet"), "sevennet-0": (TABLE, "sevennet-0"), "r2scan": ("r2scan",)}


def table(energies: np.ndarray) -> pd.DataFrame:
    """Crystals (n) by energies (judges and hulls, n), as hull.csv has them; nan: no energy."""
    rows = []
    pairs = [(judge, hull) for judge, hulls in HULLS.items() for hull in hulls]
    for (judge, hull), values in zip(pairs, energies, strict=True):
        for number, value in enumerate(values):
            rows.append(
                {
                    "id": f"{number:05d}", "judge": judge, "hull": hull, "formula": "NaCl", "elements": 2,
                    "status": "converged" if np.isfinite(value) else f"failed:{judge}",
                    "e_above_hull_initial": value + 1, "e_above_hull_relaxed": value, "doubts": "",
                    "reference_entries": len(judge), "own_reference": np.nan,
                }
            )  # fmt: skip
    return pd.DataFrame(rows).sort_values("id", kind="stable", ignore_index=True)


energy = st.one_of(st.floats(-1, 1), st.just(np.nan))
some = st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(energy, min_size=n, max_size=n), min_size=5, max_size=5))


@settings(deadline=None, max_examples=50)
@given(values=some, threshold=st.sampled_from([0.0, 0.1]))
def test_stable_by_all_is_stable_by_each(values: list[list[float]], threshold: float) -> None:
    given_rows = table(np.array(values))
    whole = with_all_judges(given_rows)
    together = whole[whole["judge"] == ALL]
    assert set(together["hull"]) == {OWN}, "the table of DFT energies is no hull of r2scan's"
    own = whole[(whole["hull"] == whole["judge"])]
    for name, rows in own.groupby("id"):
        each = stable(rows["e_above_hull_relaxed"].to_numpy(), np.full(len(rows), 2), threshold, 2)
        (all_of_them,) = together[together["id"] == name].to_dict("records")
        assert (all_of_them["e_above_hull_relaxed"] <= threshold) == each.all()
        pairs = itertools.combinations(rows["e_above_hull_relaxed"], 2)
        apart = [abs(a - b) for a, b in pairs]
        none = not np.isfinite(rows["e_above_hull_relaxed"]).any()
        expected = max(apart) if np.isfinite(apart).all() else np.nan if none else np.inf
        assert rows["judges_spread"].to_list() == pytest.approx([expected] * 3, nan_ok=True, abs=1e-6)
        assert all_of_them["judges_spread"] == pytest.approx(expected, nan_ok=True, abs=1e-6)
        lost = rows[rows["e_above_hull_relaxed"].isna()]
        assert all_of_them["status"] == ("converged" if lost.empty else f"failed:{lost['judge'].iloc[0]}")
    pd.testing.assert_frame_equal(whole.iloc[: len(given_rows)].drop(columns="judges_spread"), given_rows)


def test_families_are_those_that_every_judge_has() -> None:
    energies = np.arange(10.0).reshape(5, 2)
    two = table(energies)
    two = two[two["judge"] != "r2scan"]
    found = {name: {judge: rows["hull"].iloc[0] for judge, rows in of.items()} for name, of in families(two)}
    assert found == {
        TABLE: {"chgnet": TABLE, "sevennet-0": TABLE},
        OWN: {"chgnet": "chgnet", "sevennet-0": "sevennet-0"},
    }
    assert family(ALL, OWN) == OWN
    whole = with_all_judges(two)
    of_table = whole[(whole["judge"] == ALL) & (whole["hull"] == TABLE)]
    assert of_table["e_above_hull_relaxed"].tolist() == [4, 5]
    assert of_table["e_above_hull_initial"].tolist() == [5, 6]
    two["own_reference"] = ["train:mp-1" if judge == "sevennet-0" else np.nan for judge in two["judge"]]
    whole = with_all_judges(two)
    assert (whole.loc[whole["judge"] == ALL, "own_reference"] == "train:mp-1").all()
    assert of_table["reference_entries"].tolist() == [len("chgnet")] * 2


def test_one_judge_alone_has_nothing_beside_it() -> None:
    one = table(np.zeros((5, 3)))
    one = one[one["judge"] == "chgnet"]
    assert with_all_judges(one) is one


def test_all_judges_have_the_doubts_of_each() -> None:
    whole = with_all_judges(table(np.zeros((5, 1))))
    whole["doubts"] = np.select(
        [whole["hull"] == "chgnet", whole["hull"] == "sevennet-0", whole["hull"] == TABLE],
        ["moved", "far_below_hull;moved", "radioactive"],
        "",
    )
    said = with_doubts_of_all(whole).set_index(["judge", "hull"])["doubts"]
    assert said[ALL, OWN] == "far_below_hull;moved"
    assert said["chgnet", TABLE] == "radioactive"


@pytest.mark.parametrize(
    ("spread", "expected"), [(DISAGREE, ()), (DISAGREE + 1e-6, ("judges_disagree",)), (np.nan, ())]
)
def test_judges_disagree_above_fifty_millielectronvolts(spread: float, expected: tuple[str, ...]) -> None:
    assert doubts("NaCl", 0.0, "1.000 NaCl", 0.0, 5, "", spread) == expected
