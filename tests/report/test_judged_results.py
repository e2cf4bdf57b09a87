"""Results in which several potentials judge: what the report, the terminal and the comparison say of them."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symmcd.errors import InputError
from symmcd.report import judges_section, run_figures, style
from symmcd.report.load import Results, load, read_sun
from symmcd.report.terminal import blocks, terminal_summary
from symmcd.report.verdicts import main_row
from symmcd.settings import ReportSettings
from symmcd.stability.doubts import DISAGREE
from symmcd.stability.judge_words import judge_name, listed, naming, over, side_by_side
from symmcd.stages import compare, report
from tests.report.conftest import DFT, JUDGES, make_judged_results, make_results

BOTH = (DFT, "own")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two judges, three draws, as on MP-20."""
    results: Path = tmp_path_factory.mktemp("judged") / "results"
    make_judged_results(results)
    source = results / "raw/source.json"
    source.write_text(source.read_text().replace("prototypes", "mp20"))
    return results


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return load(folder, 0)


@pytest.fixture(scope="module")
def html(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page(folder, tmp_path_factory.mktemp("page"))


def page(folder: Path, output: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "save", lambda figure, _, name: style.svg_text(figure, name))  # png take longest
        report.run(folder, output, ReportSettings(viewer_crystals=0, drawn_crystals=1), seed=0)
    return (output / "index.html").read_text(encoding="utf-8")


def copy(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to / "results"))


def change(path: Path, how: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    how(table).to_csv(path, index=False)


# --- agreement -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("threshold", [0.0, 0.1])
def test_stable_by_both_is_what_sun_csv_counts_of_all_judges(results: Results, kind: str, threshold: float) -> None:
    (pair,) = (pair for pair in judges_section.pairs(results) if pair.kind == kind)
    number = pair.energies.shape[1]
    both, only_first, only_second, neither = (round(share * number / 100) for share in pair.shares(threshold))
    rows = results.sun[(results.sun["draw"] == "all") & (results.sun["threshold"] == threshold)]
    stable = {
        judge: round(float(part["relaxed_stable"].iloc[0]) * pair.total / 100)
        for judge, part in rows[[name in BOTH and name == kind for name in judges_section.kinds_of(rows)]].groupby(
            "judge"
        )
    }
    assert both == stable["all"]
    assert both + only_second == stable["sevennet-0"], "every crystal that the second knows is known to the first"
    assert 0 <= stable["chgnet"] - (both + only_first) <= pair.total - number
    assert both + only_first + only_second + neither == number < pair.total


def test_judges_are_apart_as_often_as_crystals_have_the_doubt(results: Results) -> None:
    for pair in judges_section.pairs(results):
        of = results.sun_per_crystal
        rows = of[(of["judge"] == "all") & (of["hull"] == pair.kind)]
        known = rows["judges_spread"].notna()  # a crystal that a judge has no energy of is doubtful for that
        doubtful = rows["doubts"].fillna("").str.contains("judges_disagree") & known
        assert round(pair.apart * pair.energies.shape[1] / 100) == doubtful.sum() > 0


energies = st.lists(st.tuples(st.floats(-0.3, 0.6), st.floats(-0.3, 0.6)), max_size=30)


@given(values=energies, threshold=st.sampled_from([0.0, 0.1]))
def test_shares_are_of_all_and_change_sides_with_the_judges(
    values: list[tuple[float, float]], threshold: float
) -> None:
    given_energies = np.array(values).reshape(-1, 2).T
    pair = judges_section.Pair(("a", "b"), "own", given_energies, {threshold: given_energies <= threshold}, 40)
    turned = dataclasses.replace(pair, energies=given_energies[::-1], stable={threshold: pair.stable[threshold][::-1]})
    both, first, second, neither = pair.shares(threshold)
    assert turned.shares(threshold) == pytest.approx((both, second, first, neither), nan_ok=True)
    assert turned.apart == pytest.approx(pair.apart, nan_ok=True)
    if values:
        assert both + first + second + neither == pytest.approx(100)
        assert both == pytest.approx(100 * np.mean([max(pair) <= threshold for pair in values]))
        assert pair.apart == pytest.approx(100 * np.mean([abs(a - b) > DISAGREE for a, b in values]))


def test_the_figure_has_a_point_a_crystal_and_the_shares_in_their_corners() -> None:
    values = np.array([[-0.01, 0.05, 0.2, 0.05, 9.0], [-0.02, 0.3, 0.05, 0.06, 9.0]])
    axes = run_figures.judges_compared(values, ("$A", "B$"), {0.0: (1, 2, 3, 94), 0.1: (40, 20, 21, 19)}, 0.05).axes[0]
    points = next(line for line in axes.lines if len(line.get_xdata()) == 5)
    assert np.array_equal(points.get_xydata().T, values)
    corner = {text.get_text().split("\n")[0]: (text.get_position(), text.get_text()) for text in axes.texts}
    (x, y), said = corner["stable only by $A"]
    assert (x < 0.5 < y, said.split("\n")[1:]) == (True, ["≤ 0: 2.0 %", "≤ 0.1: 20.0 %"])
    (x, y), said = corner["stable only by B$"]
    assert (y < 0.5 < x, said.split("\n")[1:]) == (True, ["≤ 0: 3.0 %", "≤ 0.1: 21.0 %"])
    assert axes.get_title() == "20 % of crystals lie off an axis"
    assert sorted(line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1) == [0.0, 0.1]


def test_many_points_are_an_image_of_the_same_text_every_time() -> None:
    values = np.random.default_rng(1).gamma(1.5, 0.1, (2, run_figures.MANY + 1)) - 0.05

    def text() -> str:
        return style.svg_text(run_figures.judges_compared(values, ("a", "b"), {0.0: (1, 2, 3, 94)}, 0.05), "many")

    assert text() == text()
    assert style.inline(text(), "many", "points").count('xlink:href="data:image/png;base64,') == 1


def test_two_judges_that_share_no_crystal_still_draw() -> None:
    nothing = judges_section.Pair(("a", "b"), "own", np.zeros((2, 0)), {0.0: np.zeros((2, 0), bool)}, 5)
    figure = run_figures.judges_compared(nothing.energies, nothing.judges, {0.0: nothing.shares(0.0)}, 0.05)
    assert "nan" not in style.svg_text(figure, "none")


# --- words and order -------------------------------------------------------------------------------------------------


def test_words() -> None:
    assert [over(*pair) for pair in (("chgnet", "chgnet"), ("sevennet-0", DFT), ("all", "own"), ("springs", "x"))] == [
        "CHGNet over its own hull", f"SevenNet-0 over {DFT}", "all judges over their own hulls", "springs over x",
    ]  # fmt: skip
    assert [listed(list("abc")[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    row = {"judge": "chgnet", "hull": "chgnet"}
    assert naming(["chgnet", "chgnet"])(row) == "chgnet"
    assert naming(["chgnet", "sevennet-0"])(row) == "CHGNet over its own hull"


def test_rows_to_compare_stand_one_below_the_other(results: Results) -> None:
    rows = side_by_side(results.sun)
    judges = ["chgnet", "sevennet-0", "all"]
    own = [("chgnet", "chgnet"), ("sevennet-0", "sevennet-0"), ("all", "own")]
    pairs = [*[(judge, DFT) for judge in judges] * 2, *own * 2]
    assert list(zip(rows["judge"], rows["hull"], strict=True)) == pairs
    assert rows["threshold"].tolist() == [*[0.0] * 3, *[0.1] * 3] * 2
    assert set(rows["draw"]) == {"all"}


def test_the_row_beside_the_published_is_the_first_judges(results: Results) -> None:
    main = main_row(results.sun)
    assert (main["judge"], main["hull"], main["threshold"], main["draw"]) == ("chgnet", DFT, 0, "all")
    published = results.sun.assign(hull=results.sun["hull"].replace(DFT, "matbench-discovery"))
    first_over_own = published[(published["judge"] != "chgnet") | (published["hull"] == "chgnet")]
    assert main_row(first_over_own)["judge"] == "chgnet", "another judge's over the published hull is no match"


# --- terminal --------------------------------------------------------------------------------------------------------


def test_the_terminal_has_the_judges_of_a_rate_together_and_few_draws(folder: Path, results: Results) -> None:
    text = terminal_summary(folder)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 140
    assert "nan" not in text
    for heading in (f"hull {DFT}, 0 eV/atom [paper], all 3 draws", "own hulls, 0.1 eV/atom [metastable], all 3 draws"):
        block = lines[lines.index(heading) + 1 :][:9]
        found = [line.split("  ")[1] for line in block if re.match(r"  S\.U\.N\. \(", line)]
        assert [name.rpartition(", ")[2] for name in found] == ["CHGNet", "SevenNet-0", "all judges"]
        assert sum("stable as generated" in line for line in block) == 1, "only of the judge that saw them"
    draws = [block for block in blocks(results.sun) if block["draw"].iloc[0] != "all"]
    assert len(draws) == 2 * 2 * 3
    assert all(block["judge"].tolist() == ["chgnet", "all"] for block in draws)
    of_all = results.sun[(results.sun["judge"] == "all") & (results.sun["draw"] == "all")].iloc[0]
    value = (
        re.escape(f"{of_all['sun']:.1f} %") + " +" + re.escape(f"{of_all['sun_low']:.1f} to {of_all['sun_high']:.1f}")
    )
    spread = re.escape(f"{of_all['sun_sd']:.1f}")
    assert re.search(rf"S\.U\.N\. \(sd of draws {spread}\), all judges +{value} +60$", text, re.MULTILINE)


# --- page ------------------------------------------------------------------------------------------------------------


def test_the_page_begins_stability_with_each_judge_and_all(html: str, results: Results) -> None:
    section = html.partition('<section id="stability">')[2].partition("</section>")[0]
    places = [section.index(words) for words in ("By each judge and by all", "Where two judges agree", "<figure")]
    assert places == sorted(places)
    table = section.partition("<table")[2].partition("</table>")[0]
    rows = [re.sub(r"<[^>]+>", "|", row) for row in re.findall(r"<tr>(.*?)</tr>", table)[1:]]
    assert [[cell for cell in row.split("|") if cell][:3] for row in rows] == [
        [name, hull, "60"] for hull in (DFT, "own hull") for name in ("CHGNet", "SevenNet-0", "all judges")
    ]
    for row in side_by_side(results.sun).to_dict("records"):
        for rate in ("relaxed_stable", "sun"):
            low, high, spread = (row[f"{rate}{end}"] for end in ("_low", "_high", "_sd"))
            assert f"{row[rate]:.1f} %<small>{low:.1f} to {high:.1f}; sd {spread:.1f}</small>" in table
    assert "CHGNet and SevenNet-0 judge the same crystals, which CHGNet has relaxed." in html
    assert "nan" not in set(re.sub(r"<[^>]+>", " ", section).split())


def test_the_page_has_two_figures_of_two_judges_and_one_of_each_over_each_hull(html: str) -> None:
    assert [f'id="judges_{i}-figure_1"' in html for i in (1, 2, 3)] == [True, True, False]
    assert [f'id="hull_distance{i}-figure_1"' in html for i in ("", "_2", "_3", "_4", "_5")] == [*[True] * 4, False]
    assert html.count("as generated (median") == 2, "further judges saw the relaxed crystals alone"


def test_the_page_says_in_every_place_who_judged(html: str) -> None:
    assert "CHGNet over table mp.csv, threshold 0 eV/atom, all 3 draws." in html
    assert "All judges over table mp.csv, threshold 0 eV/atom, all 3 draws." in html
    assert re.search(r"<dt>Judges</dt>\s*<dd>CHGNet and SevenNet-0</dd>", html)
    assert "hull “table mp.csv”, that each judge has of its own" in html
    assert "SevenNet-0 of July 2024 (Park et al. 2024)" in html.partition('id="limits"')[2]
    assert "this run, 0.1 eV/atom, all judges over their own hulls, all 3 draws, n = 60" in html


def test_candidates_have_a_column_of_each_judge(html: str, results: Results) -> None:
    shown = [re.findall(rf'"{judge_name(judge)}, eV/atom" class="number">([^<]+)<', html) for judge in JUDGES]
    for judge, energies in zip(JUDGES, shown, strict=True):
        values = results.candidates[f"e_above_hull_{judge}"]
        assert [energy.replace("−", "-") for energy in energies] == [
            f"{value:.3f}" if np.isfinite(value) else "–" for value in values
        ]
    said = re.findall(r'"S.U.N. by all">(yes|no)<', html)
    assert said == ["yes" if value else "no" for value in results.candidates["sun_by_all"]]


def test_three_judges_are_compared_two_by_two(tmp_path: Path) -> None:
    three = (*JUDGES, "sevennet-l3i5")
    make_judged_results(tmp_path / "results", draws=0, judges=three)
    results = load(tmp_path / "results", 0)
    found = [(pair.judges, pair.kind) for pair in judges_section.pairs(results)]
    assert found == [(pair, kind) for pair in itertools.combinations(three, 2) for kind in BOTH]
    table = judges_section.agreement_table(results)
    assert len(table.rows) == 3 * 2 * 2
    assert "only by the second" in table.head
    assert len(judges_section.rates_table(results).rows) == 4 * 2


# --- tables of one run -----------------------------------------------------------------------------------------------


def lost(judge: str, hull: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table[(table["judge"] != judge) | (table["hull"] != hull)]


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("sun.csv", lost("all", "own"), r"lacks the row of judge 'all' over the hull 'own' at 0 eV/atom"),
        ("sun.csv", lost("sevennet-0", DFT), r"lacks the row of judge 'sevennet-0' over the hull 'table mp.csv'"),
        ("sun_per_crystal.csv", lost("sevennet-0", DFT), r"lacks the judge 'sevennet-0' over the hull 'table mp.csv'"),
        ("hull.csv", lambda t: t.drop(index=7), r"hull.csv, judge sevennet-0, hull sevennet-0: crystal 00001 of"),
        ("sun_per_crystal.csv", lambda t: t.drop(columns="relaxed_stable_at_0.1"), "lacks the column relaxed_stable"),
        ("candidates.csv", lambda t: t.drop(columns="e_above_hull_sevennet-0"), "lacks the column e_above_hull_seven"),
        ("candidates.csv", lambda t: t.assign(e_above_hull_chgnet="x"), r"row 1: e_above_hull_chgnet 'x' is not"),
        ("candidates.csv", lambda t: t.assign(hull="sevennet-0"), "over the hull 'sevennet-0' is not in hull.csv"),
        ("hull.csv", lambda t: t.assign(judge=["", *t["judge"][1:]]), r"hull.csv, row 1: no judge; run `symmcd hull`"),
    ],
)  # fmt: skip
def test_tables_of_different_judges_are_refused(
    folder: Path, tmp_path: Path, name: str, how: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    results = copy(folder, tmp_path)
    change(results / name, how)
    with pytest.raises(InputError, match=message) as error:
        load(results, 0)
    assert "\n" not in str(error.value)


# --- a single judge, and folders of an earlier version ----------------------------------------------------------------


@pytest.mark.parametrize("potential", ["chgnet", "sevennet-0"])
def test_a_folder_of_an_earlier_version_is_read_as_one_with_its_single_judge(potential: str, tmp_path: Path) -> None:
    new = tmp_path / "results"
    make_judged_results(new, judges=(potential,))
    if potential != "chgnet":
        change(new / "relaxed/relaxed.csv", lambda table: table.assign(potential=potential))
    old = copy(new, tmp_path / "old")
    for name in ("hull.csv", "sun.csv", "sun_per_crystal.csv"):
        change(old / name, lambda table: table.drop(columns="judge"))
    before, after = load(old, 0), load(new, 0)
    for name in ("hull", "sun", "sun_per_crystal"):
        one, other = getattr(before, name), getattr(after, name)
        assert one["judge"].tolist() == other["judge"].tolist() == [potential] * len(one)
    assert terminal_summary(old) == terminal_summary(new)
    for folder in (old, new):
        compare.run([folder], folder / "side.html")
    assert (old / "side.md").read_text() == (new / "side.md").read_text()
    assert f"results, 0 eV/atom, {DFT}, draw 2, n = 20" in (old / "side.md").read_text()
    headings = [line for line in terminal_summary(old).splitlines() if "eV/atom [" in line]
    assert headings[:3] == [
        f"hull {DFT}, 0 eV/atom [paper], all 3 draws", f"hull {DFT}, 0.1 eV/atom [metastable], all 3 draws",
        f"hull {potential}, 0 eV/atom [paper], all 3 draws",
    ]  # fmt: skip


def test_the_page_of_an_earlier_version_is_that_of_its_single_judge(tmp_path: Path) -> None:
    old = tmp_path / "old"
    make_results(old)
    html = page(old, tmp_path / "a")
    for name in ("hull.csv", "sun.csv", "sun_per_crystal.csv"):
        change(old / name, lambda table: table.assign(judge="chgnet"))
    assert _undated(page(old, tmp_path / "b")) == _undated(html)
    assert "judge" not in html.partition('<section id="stability">')[2].partition("of the hull “")[0].lower()


def _undated(html: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", html)


# --- comparison ------------------------------------------------------------------------------------------------------


def test_a_comparison_names_judge_and_hull_where_judges_differ(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "single"
    make_results(other)
    written = tmp_path / "side.html"
    compare.run([folder, other], written, ["two", "one"])
    text, side = written.with_suffix(".md").read_text(), read_sun(folder / "sun.csv")
    names = re.findall(r"^\| ((?:two|one), 0 eV/atom, .*?) \|", text, re.MULTILINE)
    assert names == [
        *(f"two, 0 eV/atom, {name} over {DFT}, all 3 draws, n = 60" for name in ("CHGNet", "SevenNet-0", "all judges")),
        "two, 0 eV/atom, CHGNet over its own hull, all 3 draws, n = 60",
        "two, 0 eV/atom, SevenNet-0 over its own hull, all 3 draws, n = 60",
        "two, 0 eV/atom, all judges over their own hulls, all 3 draws, n = 60",
        "one, 0 eV/atom, CHGNet over its own hull, n = 60",
    ]
    row = side[(side["judge"] == "all") & (side["hull"] == DFT)].iloc[0]
    cell = f"{row['sun']:.1f} [{row['sun_low']:.1f}, {row['sun_high']:.1f}; sd {row['sun_sd']:.1f}] |"
    assert re.search(rf"all judges over {re.escape(DFT)}.* \| – \| .* \| {re.escape(cell)}$", text, re.MULTILINE)
    assert "nan" not in text
    assert "60 judged for stability by CHGNet and SevenNet-0, data mp20" in written.read_text(encoding="utf-8")


def test_one_judge_each_and_not_the_same_is_named(tmp_path: Path) -> None:
    make_results(tmp_path / "a")
    make_results(tmp_path / "b")
    for name in ("hull.csv", "sun.csv", "sun_per_crystal.csv", "candidates.csv"):
        change(tmp_path / "b" / name, lambda table: table.assign(hull=DFT))
    change(tmp_path / "b/relaxed/relaxed.csv", lambda table: table.assign(potential="sevennet-0"))
    compare.run([tmp_path / "a", tmp_path / "b"], tmp_path / "side.html")
    text = (tmp_path / "side.md").read_text()
    assert "| a, 0 eV/atom, CHGNet over its own hull, n = 60 |" in text
    assert f"| b, 0 eV/atom, SevenNet-0 over {DFT}, n = 60 |" in text
