"""Ids, formulas, titles and names of anybody's: text on every page, never an element or an attribute."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from importlib.resources import files

import lxml.html
import numpy as np
import pandas as pd
import pytest

from symmcd.report import style
from symmcd.report.load import load
from symmcd.report.viewer import in_script
from symmcd.settings import ReportSettings
from symmcd.stages import compare, report
from symmcd.storage import read_arrays, write_arrays
from tests.report.conftest import make_judged_results, make_results

HOSTILE = (
    "<img src=x onerror=alert()>",
    "</script><script>alert()</script>",
    "\"'><b onmouseover=alert()>",
    "<!--<script>",
    "</td></table><iframe src=javascript:alert()>",
    "</title><svg onload=alert()>&amp;",
    "${alert()} {{ lead }} <style>*{display:none}</style>",
)
JUDGE = "</td>$\\nope{$<svg onload=alert()>\"'"
PLAIN = tuple(f"plain{letter}" for letter in "abcdefg")


class Structure(HTMLParser):
    """Tags in their order, each with the names of its attributes; texts apart."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.values, self.comments, self.texts = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, *sorted(name for name, _ in attributes)))
        self.values += [value or "" for _, value in attributes]

    def handle_comment(self, data):
        self.comments.append(data)

    def handle_data(self, data):
        self.texts.append(data)


def fill(folder, texts):
    """Put the texts wherever a results folder has words that are not ours."""
    path = folder / "crystals/units.npz"
    arrays = read_arrays(path)
    names = [f"{texts[i % len(texts)]}{i:03d}" for i in range(len(arrays["label"]))]
    new = dict(zip(arrays["label"].tolist(), names, strict=True))
    write_arrays(path, arrays | {"label": np.array(names)})
    for name in ("metrics/per_crystal.csv", "relaxed/relaxed.csv", "hull.csv", "sun_per_crystal.csv", "candidates.csv"):
        table = pd.read_csv(folder / name, dtype={"id": str}, keep_default_na=False, na_values=[""])
        table["id"] = table["id"].map(new)
        if "formula" in table:
            table["formula"] = [texts[i % len(texts)] for i in range(len(table))]
        if "hull" in table:
            table["hull"] = texts[1]
        if "status" in table:
            table["status"] = table["status"].replace("step_limit", texts[2])
        table.to_csv(folder / name, index=False)
    sun = pd.read_csv(folder / "sun.csv")
    sun.assign(hull=texts[1]).to_csv(folder / "sun.csv", index=False)
    summary = pd.read_csv(folder / "metrics/summary.csv")
    summary.assign(note=texts[4]).to_csv(folder / "metrics/summary.csv", index=False)
    (folder / "raw/source.json").write_text(json.dumps({"source": texts[0]}))
    return names


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The three pages of a run of hostile words and of the same run with plain ones."""
    base = make_results(tmp_path_factory.mktemp("base") / "results")
    patch = pytest.MonkeyPatch()
    patch.setattr(style, "save", lambda figure, _, name: style.svg_text(figure, name))  # no png: they take longest
    found = {}
    for kind, texts in (("hostile", HOSTILE), ("plain", PLAIN)):
        folder = tmp_path_factory.mktemp(kind) / "results"
        shutil.copytree(base, folder)
        names = fill(folder, texts)
        report.run(folder, folder / "report", ReportSettings(title=texts[5], drawn_crystals=1), seed=0)
        compare.run([folder, base], folder / "side.html", [texts[0], texts[2]])
        found[kind] = {
            page: (folder / page).read_text(encoding="utf-8")
            for page in ("report/index.html", "report/viewer.html", "side.html")
        }
        found[f"{kind} names"] = names
    patch.undo()
    return found


@pytest.mark.parametrize("page", ["report/index.html", "side.html"])
def test_the_name_of_a_judge_is_text(judged_pages, page):
    hostile, plain = (Structure(text[page]) for text in judged_pages)
    assert hostile.tags == plain.tags
    assert not any(value.startswith(("x", "javascript")) for value in hostile.values)
    assert JUDGE in "".join(hostile.texts)


@pytest.fixture(scope="module")
def judged_pages(tmp_path_factory):
    """Report and comparison of a run with a second judge of a hostile name, and of one with a plain name."""
    found = []
    for name in (JUDGE, "plain"):
        folder = tmp_path_factory.mktemp("judged") / "results"
        make_judged_results(folder, number=12)
        for table in ("hull.csv", "sun.csv", "sun_per_crystal.csv", "candidates.csv"):
            content = pd.read_csv(folder / table, dtype=str, keep_default_na=False)
            content = content.replace("sevennet-0", name)
            content.columns = [column.replace("sevennet-0", name) for column in content]
            content.to_csv(folder / table, index=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(style, "save", lambda figure, _, name: style.svg_text(figure, name))
            report.run(folder, folder / "report", ReportSettings(drawn_crystals=1, viewer_crystals=0), seed=0)
        compare.run([folder], folder / "side.html")
        found.append({page: (folder / page).read_text(encoding="utf-8") for page in ("report/index.html", "side.html")})
    return found


@pytest.mark.parametrize("page", ["report/index.html", "report/viewer.html", "side.html"])
def test_no_word_of_others_is_an_element_or_an_attribute(pages, page):
    hostile, plain = (Structure(pages[kind][page]) for kind in ("hostile", "plain"))
    assert hostile.tags == plain.tags
    assert hostile.comments == plain.comments == []
    trees = [lxml.html.fromstring(pages[kind][page].encode()) for kind in ("hostile", "plain")]
    shapes = [[(e.tag, *sorted(e.attrib)) for e in tree.iter() if isinstance(e.tag, str)] for tree in trees]
    assert shapes[0] == shapes[1]
    assert not any(name.startswith("on") for shape in shapes for _, *names in shape for name in names)
    assert not any(value.startswith(("x", "javascript")) for value in hostile.values)


def test_every_word_stands_there_as_text(pages):
    text = "".join(Structure(pages["hostile"]["report/index.html"]).texts)
    for word in (HOSTILE[i] for i in (0, 1, 2, 4, 5)):  # source, hull, status, note and title
        assert word in text
    text = "".join(Structure(pages["hostile"]["side.html"]).texts)
    assert HOSTILE[0] in text
    assert HOSTILE[2] in text


def test_the_viewer_has_the_ids_as_they_are_in_data_that_no_parser_leaves(pages):
    html = pages["hostile"]["report/viewer.html"]
    raw = re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1]
    assert not set("<>&") & set(raw)
    shown = {crystal["id"] for crystal in json.loads(raw)}
    assert len(shown) == 30
    assert shown <= set(pages["hostile names"])
    assert {name[:-3] for name in shown} == set(HOSTILE)


@pytest.mark.parametrize("text", [*HOSTILE, "<", "\u2028", "]]>", "\\u003c", "é"])
def test_data_of_a_script_come_back(text):
    assert json.loads(in_script({"id": [text]})) == {"id": [text]}
    assert not set("<>&") & set(in_script(text))


def test_the_script_makes_html_of_no_id():
    """An id goes into the page by `append` and `dataset`, which take it as text."""
    script = (files("symmcd.report") / "templates" / "viewer.js").read_text(encoding="utf-8")
    made = re.findall(r"(?:innerHTML|outerHTML)\s*\+?=(.*?);\n", script, re.DOTALL)
    assert len(made) == 3
    assert not any(".id" in code for code in made)
    assert not re.search(r"insertAdjacentHTML|document\.write|eval\(", script)


def test_an_earlier_report_is_no_stage_of_the_run(tmp_path):
    folder = make_results(tmp_path / "results")
    before = [stage.name for stage in load(folder, 0).stages]
    (folder / "benchmarks/report").mkdir()
    shutil.copy(next((folder / "benchmarks/train").iterdir()), folder / "benchmarks/report/report.tsv")
    assert [stage.name for stage in load(folder, 0).stages] == before
    assert sorted(before) == ["relax", "train"]
