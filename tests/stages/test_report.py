"""The stage: a page that stands alone, with the numbers of the tables, and an error for what is missing."""

from __future__ import annotations

import dataclasses
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from tests.report.conftest import make_results

from symmcd.errors import InputError
from symmcd.extensions import MODELS
from symmcd.report.load import Results, load
from symmcd.report.terminal import terminal_summary
from symmcd.report.viewer import library
from symmcd.settings import RelaxSettings, ReportSettings
from symmcd.stages import report

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Collects what a browser would load, ids, text; and complains about tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.loaded, self.anchors, self.texts = [], [], [], [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self.note(dict(attributes))

    def handle_startendtag(self, _, attributes):
        self.note(dict(attributes))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def note(self, attributes):
        if "id" in attributes:
            self.ids.append(attributes["id"])
        for name in ("src", "href", "data", "poster", "srcset", "action"):
            if name in attributes:
                (self.anchors if attributes[name].startswith("#") else self.loaded).append(attributes[name])

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = make_results(tmp_path_factory.mktemp("run") / "results")
    report.run(folder, folder / "report", ReportSettings(), seed=0)
    return folder


@pytest.fixture(scope="module")
def html(results):
    return (results / "report/index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_the_page_is_well_formed_and_stands_alone(html, page):
    assert html.startswith("<!DOCTYPE html>")
    assert page.loaded, "crystals are embedded"
    assert [url for url in page.loaded if not url.startswith("data:")] == ["viewer.html"]  # a link, of a page beside it
    html = html.replace(library(), "")  # which has addresses in its comments
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/(2000/svg|1999/xlink))", html)
    assert len(page.ids) == len(set(page.ids))
    assert {anchor[1:] for anchor in page.anchors} <= set(page.ids)
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html
    assert "nan" not in {word for text in page.texts for word in text.split()}


def test_figures_lie_beside_the_page_too(results):
    names = {path.name for path in (results / "report/figures").iterdir()}
    plots = ("losses", "space_groups", "crystal_systems", "templates", "template_ranks", "atoms", "density", "elements",
             "elements_per_crystal", "validity", "hull_distance", "sun")  # fmt: skip
    assert names == {f"{name}.{kind}" for name in plots for kind in ("svg", "png")} | {"crystals.png"} | {
        f"crystal_{i}.png" for i in range(1, 7)
    }


def test_numbers_on_the_page_are_those_of_the_tables(results, page):
    text = " ".join(" ".join(page.texts).split())
    for _, row in pd.read_csv(results / "metrics/summary.csv").iterrows():
        if row["metric"] in ("space_group_jsd", "group_kept") and row["protocol"] == "strict":
            shown = f"strict {row['value']:.4f}" if row["value"] < 1 else f"symmetry exact {row['value']:.1f} %"
        elif row["protocol"] == "paper_floor":
            shown = f"paper_floor {row['value']:.4f} {row['low']:.4f} to {row['high']:.4f} {row['n']} so"
        elif "prototype" in row["metric"]:
            shown = f"{row['value']:.1f} % {row['low']:.1f} to {row['high']:.1f}, n = {row['n']}"
        elif any(word in row["metric"] for word in ("valid", "coverage", "templates_in_train")):
            shown = f"{row['value']:.1f} % (95 % interval {row['low']:.1f} to {row['high']:.1f}, n = {row['n']}"
        elif row["value"] < 1:
            shown = f"{row['value']:.4f} (95 % interval {row['low']:.4f} to {row['high']:.4f}, n = {row['n']}"
        else:
            shown = f"{row['value']:.0f} (n = {row['n']}"
        assert shown in text, row["metric"]
    for _, row in pd.read_csv(results / "sun.csv").iterrows():
        for name in ("initially_stable", "relaxed_stable", "stable_unique", "stable_novel", "sun"):
            assert f"{row[name]:.1f} % {row[f'{name}_low']:.1f} to {row[f'{name}_high']:.1f}" in text
    statuses = pd.read_csv(results / "relaxed/relaxed.csv")["status"].value_counts()
    for status, count in statuses.items():
        assert f"{status} {count} {100 * count / 60:.1f} %" in text


def test_published_values_are_there_and_marked(html):
    glance = html[html.index('<section id="glance">') : html.index('<section id="paper">')]
    shown = re.findall(r"<span class='published'>([\d.,]+(?: %)?)</span>", glance)
    assert shown == [
        "94.32 %",
        "85.85 %",
        "99.64 %",
        "98.87 %",
        "0.0899",
        "0.0901",
        "0.3990",
        "2,794",
        "40.8 %",
        "1,654",
        "5.0 %",
        "9.4 %",
        "7.0 %",
    ]


def test_sun_crystals_are_listed_lowest_first_and_doubtful_ones_last(results, html):
    table = pd.read_csv(results / "sun_per_crystal.csv", dtype={"id": str}, keep_default_na=False)
    found = table[table["sun_at_0.1"].astype(str) == "True"]
    found = found.assign(energy=found["e_above_hull_relaxed"].astype(float)).sort_values(["doubts", "energy"])
    assert sorted(found["energy"]) != found["energy"].tolist()
    assert energies_of(html) == [f"{energy:.3f}" for energy in found["energy"]]
    assert f"{len(found)} crystals are stable, unique and novel" in html
    assert f"then the {(found['doubts'] != '').sum()} with doubts" in html
    assert "at most 0.1 eV/atom above the hull of CHGNet’s own energies" in html


def energies_of(html):
    """Energies in the table of candidates."""
    shown = re.findall(r'"eV/atom" class="number">([^<]+)<', html.partition('id="candidates"')[2])
    return [energy.replace("−", "-") for energy in shown]


def test_the_ranking_is_that_of_the_candidates(results, tmp_path):
    """Crystals that `symmcd candidates` left out, as they match others of another draw, are not on the page either."""
    folder = tmp_path / "results"
    shutil.copytree(results, folder, ignore=shutil.ignore_patterns("report"))
    path = folder / "candidates.csv"
    table = pd.read_csv(path, dtype={"id": str}, keep_default_na=False)
    table.iloc[[3, 1]].to_csv(path, index=False)
    report.run(folder, folder / "report", ReportSettings(viewer_crystals=0, drawn_crystals=1), seed=0)
    html = (folder / "report/index.html").read_text(encoding="utf-8")
    assert energies_of(html) == [f"{table['e_above_hull'][i]:.3f}" for i in (3, 1)]
    assert "2 crystals are stable, unique and novel" in html
    table.iloc[:0].to_csv(path, index=False)
    report.run(folder, folder / "report", ReportSettings(viewer_crystals=0, drawn_crystals=1), seed=0)
    assert 'id="candidates"' not in (folder / "report/index.html").read_text(encoding="utf-8")


def test_the_page_says_how_far_it_compares(page):
    text = " ".join(page.texts)
    assert "60 crystals were generated here, 10,000 there" in text
    assert "“chgnet”" in text
    assert "120 of “prototypes”" in text


def test_the_same_seed_draws_the_same_crystals(results, tmp_path):
    report.run(results, tmp_path / "again", ReportSettings(), seed=0)
    for name in ("crystal_3.png", "space_groups.svg"):
        assert (tmp_path / "again/figures" / name).read_bytes() == (results / "report/figures" / name).read_bytes()


def test_the_terminal_compares_prototypes_with_nothing(results):
    text = terminal_summary(results)
    assert re.search(r"structurally valid \[paper\] +91\.2 % +82\.1 to 97\.6 +60$", text, re.MULTILINE)
    assert "94.32" not in text
    assert "nothing published to compare with" in text


def test_the_terminal_gets_the_same_numbers(tmp_path):
    results = make_results(tmp_path / "results")
    source = results / "raw/source.json"
    source.write_text(source.read_text().replace("prototypes", "mp20"))
    text = terminal_summary(results)
    assert re.search(r"structurally valid \[paper\] +91\.2 % +82\.1 to 97\.6 +60 +94\.32 % +no difference shown", text)
    assert re.search(r"S\.U\.N\. +7\.9 % +4\.7 to 11\.8 +60 +7\.0 %", text)
    assert max(map(len, text.splitlines())) <= 120


def stability(folder: Path, **changes: object) -> Path:
    """A run on MP-20, with other columns in sun.csv, and hulls and thresholds of the other tables as there."""
    results = make_results(folder)
    source = results / "raw/source.json"
    source.write_text(source.read_text().replace("prototypes", "mp20"))
    sun = pd.read_csv(results / "sun.csv").assign(**changes)
    sun.to_csv(results / "sun.csv", index=False)
    for name in ("hull.csv", "sun_per_crystal.csv", "candidates.csv"):
        table = pd.read_csv(results / name, dtype={"id": str}, keep_default_na=False).assign(hull=sun["hull"][0])
        flags = {
            f"sun_at_{threshold:g}": table["sun_at_0.1"] for threshold in sun["threshold"] if "sun_at_0.1" in table
        }
        table.drop(columns=[n for n in table if n.startswith("sun_at_")]).assign(**flags).to_csv(
            results / name, index=False
        )
    return results


def rates_at_a_glance(results: Path, output: Path) -> list[tuple[str, str]]:
    """Published value and what is said beside it, of the last three rows of the first table."""
    report.run(results, output, ReportSettings(viewer_crystals=0, drawn_crystals=1), seed=0)
    html = (output / "index.html").read_text()
    glance = html.partition('id="glance"')[2].partition("</table>")[0]
    return re.findall(r"<span class='published'>([^<]*)</span><small>(.*?)</small>", glance)[-3:]


def test_stability_is_judged_over_the_published_hull_only(tmp_path):
    other = stability(tmp_path / "other")
    assert "better" not in (said := terminal_summary(other).partition("hull chgnet")[2].partition("d_…:")[0])
    assert "worse" not in said
    assert re.search(r"S\.U\.N\. +7\.9 % +4\.7 to 11\.8 +60 +7\.0 % +other hull\n", said)
    assert rates_at_a_glance(other, tmp_path / "a") == [
        ("5.0 %", "other hull"), ("9.4 %", "other hull"), ("7.0 %", "other hull")
    ]  # fmt: skip
    same = stability(tmp_path / "same", hull="matbench-discovery")
    assert re.search(r"S\.U\.N\. +7\.9 % +4\.7 to 11\.8 +60 +7\.0 % +no difference shown\n", terminal_summary(same))
    assert rates_at_a_glance(same, tmp_path / "b")[0] == ("5.0 %", "worse")


def test_published_rates_stand_beside_threshold_0_wherever_it_is(tmp_path):
    results = stability(tmp_path / "results", threshold=[0.1, 0.0], hull="matbench-discovery")
    first, second = terminal_summary(results).split("hull matbench-discovery")[1:3]
    assert "7.0 %" not in first
    assert "7.0 %" in second
    none = stability(tmp_path / "none", threshold=[0.05, 0.1], hull="matbench-discovery")
    assert "7.0 %" not in terminal_summary(none).partition("hull matbench-discovery")[2].partition("published:")[0]
    assert rates_at_a_glance(none, tmp_path / "page") == [("–", "")] * 3


def test_draws_and_their_spread_are_shown(tmp_path):
    """Three draws: rows of their own in the report and on the terminal; the pooled row is still the one compared."""
    results = make_results(tmp_path / "results")
    table = pd.read_csv(results / "sun.csv")
    spread = {f"{name}_sd": 0.75 for name in ("initially_stable", "relaxed_stable", "stable_unique", "stable_novel")}
    pooled = table.assign(draw="all", draws=3, sun_sd=1.44, **spread)
    draws = [table.assign(draw=str(number), n=20, sun=5.5 + number) for number in (1, 2, 3)]
    pd.concat([pooled, *draws]).to_csv(results / "sun.csv", index=False)
    text = terminal_summary(results)
    assert re.search(r"\[paper\], all 3 draws\n", text)
    assert re.search(r"S\.U\.N\. \(sd of draws 1\.4\) +7\.9 % +4\.7 to 11\.8 +60$", text, re.MULTILINE)
    assert re.search(r"\[paper\], draw 2\n.*\n.*\n +S\.U\.N\. +7\.5 % +4\.7 to 11\.8 +20$", text, re.MULTILINE)
    report.run(results, tmp_path / "page", ReportSettings(viewer_crystals=0), seed=0)
    html = (tmp_path / "page/index.html").read_text()
    assert "paper, all 3 draws" in html
    assert "metastable, draw 3" in html
    assert "4.7 to 11.8; sd 1.4" in html
    assert "threshold 0 eV/atom, all 3 draws" in html


def test_valid_and_undoubted_crystals_stand_beside_sun(tmp_path):
    results = make_results(tmp_path / "results")
    table = pd.read_csv(results / "sun.csv")
    for name, value in (("sun_valid", 6.54), ("sun_undoubted", 5.43)):
        table = table.assign(**{name: value, f"{name}_low": value - 1, f"{name}_high": value + 1})
    table.to_csv(results / "sun.csv", index=False)
    text = terminal_summary(results)
    assert re.search(r"S\.U\.N\. and valid +6\.5 % +5\.5 to 7\.5 +60\n +S\.U\.N\. without doubts +5\.4 %", text)
    report.run(results, tmp_path / "page", ReportSettings(viewer_crystals=0), seed=0)
    html = (tmp_path / "page/index.html").read_text()
    assert "S.U.N. and valid" in html
    assert "6.5 %<small>5.5 to 7.5" in html


STAGES = {
    "raw/source.json": "download",
    "asymmetric_units/train.npz": "reduce",
    "asymmetric_units/test.npz": "reduce",
    "training/seed0/losses.csv": "train",
    "training/seed0/denoiser.safetensors": "train",
    "crystals/units.npz": "replicate",
    "metrics/per_crystal.csv": "summarise",
    "metrics/summary.csv": "summarise",
    "relaxed/relaxed.csv": "relax",
    "hull.csv": "hull",
    "sun.csv": "sun",
    "sun_per_crystal.csv": "sun",
    "candidates.csv": "candidates",
    "candidates.zip": "candidates",
}


@pytest.mark.parametrize("name", STAGES)
def test_what_is_missing_is_named_with_its_stage(results, tmp_path, name):
    folder = tmp_path / "results"
    shutil.copytree(results, folder, ignore=shutil.ignore_patterns("report"))
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"{re.escape(name)}: missing; run `symmcd {STAGES[name]}`"):
        report.run(folder, folder / "report", ReportSettings(), seed=0)
    assert not (folder / "report").exists(), "no smaller page in its place"


@pytest.mark.parametrize("name", [name for name in STAGES if not name.endswith(".npz")])
def test_what_is_broken_is_named_with_its_stage(results, tmp_path, name):
    folder = tmp_path / "results"
    shutil.copytree(results, folder, ignore=shutil.ignore_patterns("report"))
    (folder / name).write_bytes(b"\xff\xfe rubbish")
    with pytest.raises(InputError, match=rf"{re.escape(name)}: .*`symmcd {STAGES[name]}` again"):
        load(folder, seed=0)


def test_a_run_with_given_weights_says_that_nothing_was_trained(tmp_path):
    results = make_results(tmp_path / "results")
    losses = results / "training/seed0/losses.csv"
    losses.write_text(losses.read_text().splitlines()[0] + "\n")
    report.run(results, tmp_path / "report", ReportSettings(), seed=0)
    text = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert "Nothing was trained in this run" in text
    assert "none in this run: its weights were given" in text


def test_losses_are_those_that_there_are_in_the_words_of_the_model(results, tmp_path, page, monkeypatch):
    text = " ".join(" ".join(page.texts).split())
    assert "(wyckoff: Wyckoff positions, nats per crystal; element: elements, nats per crystal; lattice:" in text
    folder = tmp_path / "results"
    shutil.copytree(results, folder, ignore=shutil.ignore_patterns("report"))
    path = folder / "training/seed0/losses.csv"
    pd.read_csv(path)[["epoch", "seconds", "train_element", "val_element"]].to_csv(path, index=False)
    report.run(folder, folder / "report", ReportSettings(viewer_crystals=0, drawn_crystals=1), seed=0)
    text = (folder / "report/index.html").read_text(encoding="utf-8")
    assert "(element: elements, nats per crystal). Last validation losses: element" in text
    path.write_text("epoch,seconds\n")
    monkeypatch.setattr(Results, "kind", dataclasses.replace(MODELS["staged"], name="dice", parts=()))
    report.run(folder, folder / "report", ReportSettings(viewer_crystals=0, drawn_crystals=1), seed=0)
    text = (folder / "report/index.html").read_text(encoding="utf-8")
    assert "Nothing was trained in this run: a model of kind “dice” has nothing to train." in text


def test_the_page_names_the_potential(tmp_path, html):
    assert "relaxed with CHGNet" in html
    results = make_results(tmp_path / "results")
    changes = {"relaxed/relaxed.csv": {"potential": "springs"}}
    changes |= {f"{name}.csv": {"hull": "springs"} for name in ("hull", "sun", "sun_per_crystal", "candidates")}
    for name, columns in changes.items():
        table = pd.read_csv(results / name, dtype=str, keep_default_na=False).assign(**columns)
        table.to_csv(results / name, index=False)
    report.run(results, tmp_path / "page", ReportSettings(viewer_crystals=0, drawn_crystals=1), seed=0)
    text = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert re.findall(r".{19}CHGNet", text) == ["Materials Project (CHGNet"], "of the published numbers alone"
    for words in (
        "relaxed with springs", "hull “springs”</b> by springs", "relaxations</b> (springs",
        "relaxed by springs", "those of the potential springs",
    ):  # fmt: skip
        assert words in text


def test_the_page_says_whose_commit_it_is_and_how_it_was_relaxed(results, tmp_path, html):
    assert "<dt>Weights made at commit</dt><dd>abc1234</dd>" in re.sub(r"\s*\n\s*", "", html)
    assert "Relaxation" not in html.partition("</section>")[0]
    relax = RelaxSettings(method="symmetry", steps=300, fmax=0.05)
    report.run(results, tmp_path, ReportSettings(viewer_crystals=0, drawn_crystals=1), seed=0, relax=relax)
    assert "symmetry, at most 300 steps, until forces are below 0.05 eV/Å" in (tmp_path / "index.html").read_text()


def test_nothing_of_an_earlier_run_is_left(tmp_path):
    """A Table 5 though there are no predictors any more, and crystals to turn that are no longer those of the run."""
    results = make_results(tmp_path / "results")
    (results / "predictor").mkdir()
    (results / "predictor/table5.csv").write_text("variant,mae,n,train_crystals,note\nmultigraph,0.1,5,5,trained\n")
    (results / "report").mkdir()
    (results / "report/viewer.html").write_text("old")
    report.run(results, results / "report", ReportSettings(viewer_crystals=0), seed=0, table_5=False)
    assert "Table 5" not in (results / "report/index.html").read_text()
    assert not (results / "report/viewer.html").exists()
    assert (results / "predictor/table5.csv").exists(), "a report removes nothing of other stages"


def test_another_seed_has_no_losses(results):
    with pytest.raises(InputError, match=r"seed7.*symmcd train"):
        load(results, seed=7)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load(tmp_path / "nothing", seed=0)


def test_a_missing_metric_is_named(results):
    with pytest.raises(InputError, match="lacks the metric 'coverage'"):
        load(results, seed=0).metric("coverage")


def test_sodium_nitride_is_a_formula(results):
    assert set(load(results, seed=0).relaxed["formula"]) == {"NaN"}


def test_a_trained_predictor_has_its_rows(results, tmp_path):
    """d_E at a glance and in Table 2, and Table 5 as its file has it; without them the page says what is missing."""
    assert "no predictor of formation energies" in (results / "report/index.html").read_text(encoding="utf-8")
    folder = tmp_path / "results"
    shutil.copytree(results, folder, ignore=shutil.ignore_patterns("report"))
    summary = pd.read_csv(folder / "metrics/summary.csv")
    row = {
        "metric": "formation_energy_wasserstein",
        "protocol": "paper",
        "value": 0.1,
        "low": 0.08,
        "high": 0.1101,
        "n": 9,
    }
    pd.concat([summary, pd.DataFrame([row])]).to_csv(folder / "metrics/summary.csv", index=False)
    (folder / "predictor").mkdir()
    table = {"variant": ["multigraph"], "mae": [0.03125], "n": [900]}
    pd.DataFrame(table).to_csv(folder / "predictor/table5.csv", index=False)
    report.run(folder, folder / "report", ReportSettings(viewer_crystals=0), seed=0)
    html = (folder / "report/index.html").read_text(encoding="utf-8")
    assert "no predictor of formation energies" not in html
    assert "<span class='published'>0.1166</span><small>better</small>" in html
    assert "0.1000<small>0.0800, 0.1101</small>" in html
    assert ">0.03125</td>" in html
    assert "viewer.html" not in html
    assert not (folder / "report/viewer.html").exists()
