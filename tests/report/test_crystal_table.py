"""The table of candidates: every row and value, the CIFs as they were given, and search and sort in a browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import lxml.html
import numpy as np
import pytest
from pymatgen.core import Structure

from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.report.crystal_table import Column, columns_for, crystal_table
from symmcd.report.page import write_page
from symmcd.stability.doubts import WORDS
from symmcd.structures.write import cifs
from tests.report.conftest import make_units

if TYPE_CHECKING:
    from pathlib import Path

NUMBER = 60


@pytest.fixture(scope="module")
def crystals() -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows as csv gives them, text alone; each seventh crystal failed and has no CIF and no values."""
    units = make_units(NUMBER, 5)
    names = [f"{i:05d}" for i in range(NUMBER)]
    texts = dict(zip(names, (text for _, text in cifs(replicate_flat(units), units, names)), strict=True))
    rows = [
        {
            "id": name, "formula": unit.formula, "space_group": str(unit.space_group),
            "space_group_relaxed": str(unit.space_group), "e_above_hull_chgnet": f"{0.01 * i - 0.1:.4f}",
            "e_above_hull_sevennet-0": f"{0.1 - 0.01 * i:.4f}", "sun_by_all": str(i % 2 == 0),
            "doubts": "moved;radioactive" if i % 3 == 0 else "",
        }
        for i, (name, unit) in enumerate(zip(names, units, strict=True))
    ]  # fmt: skip
    for row in rows[6::7]:
        del texts[row["id"]]
        row.update(dict.fromkeys(("space_group_relaxed", "e_above_hull_chgnet", "e_above_hull_sevennet-0"), ""))
    return rows, texts


def tree(rows: Any, texts: Any, **how: Any) -> Any:
    return lxml.html.fromstring(str(crystal_table(rows, texts, **how).block))


def test_each_row_is_there_with_its_values(crystals: Any) -> None:
    rows, texts = crystals
    lines = tree(rows, texts).findall(".//tbody/tr")
    assert len(lines) == len(rows)
    for place, (row, line) in enumerate(zip(rows, lines, strict=True), 1):
        shown = [cell.text_content() for cell in line.findall("td")]
        assert shown[0] == str(place)
        assert shown[1].startswith(f"{row['formula']}{row['id']}")
        assert (f"({row['space_group_relaxed']})" in shown[2]) == bool(row["space_group_relaxed"])
        for judge, text in zip(("chgnet", "sevennet-0"), shown[3:5], strict=True):
            value = row[f"e_above_hull_{judge}"]
            assert text.replace("−", "-") == (f"{float(value):.3f}" if value else "–")
        assert shown[5] == ("yes" if row["sun_by_all"] == "True" else "no")
        assert bool(shown[7]) == bool(row["doubts"])
    meanings = tree(rows, texts).findall(".//details//dd")
    assert [meaning.text for meaning in meanings] == [WORDS["moved"], WORDS["radioactive"]]


def test_cifs_can_be_downloaded_as_they_were_given(crystals: Any) -> None:
    rows, texts = crystals
    links = tree(rows, texts).xpath(".//tbody//a")
    assert [link.get("download") for link in links] == [f"{name}.cif" for name in texts]
    for link, text in zip(links, texts.values(), strict=True):
        head, _, data = link.get("href").partition(",")
        assert head == "data:chemical/x-cif;base64"
        assert base64.b64decode(data).decode() == text


def test_the_window_has_the_atoms_of_the_cif_and_the_distance_is_pymatgens(crystals: Any) -> None:
    rows, texts = crystals
    page = tree(rows, texts)
    data = json.loads(page.find(".//script").text)
    assert [cell is None for cell in data] == [row["id"] not in texts for row in rows]
    for row, cell, line in zip(rows, data, page.findall(".//tbody/tr"), strict=True):
        shown = line.findall("td")[6].text_content()
        if cell is None:
            assert shown == "–"
            continue
        structure = Structure.from_str(texts[row["id"]], fmt="cif")
        elements, *position = zip(*cell["atoms"], strict=True)
        drawn = Structure(cell["lattice"], elements, np.transpose(position))
        assert drawn.composition == structure.composition
        assert np.isclose(drawn.density, structure.density, rtol=1e-3)
        away = structure.get_all_neighbors(6)
        assert float(shown) == pytest.approx(min(n.nn_distance for near in away for n in near), abs=0.0051)


def test_only_the_first_crystals_are_in_the_page_and_all_can_be_linked(crystals: Any) -> None:
    rows, texts = crystals
    few = tree(rows, texts, embedded=5)
    assert len(few.xpath(".//tbody//a")) == 5
    assert sum(cell is not None for cell in json.loads(few.find(".//script").text)) == 5
    assert len(few.xpath(".//tbody/tr")) == NUMBER
    links = {name: f"cif/{name} 100%.cif" for name in texts}
    linked = tree(rows, texts, embedded=5, links=links)
    assert [link.get("href") for link in linked.xpath(".//tbody//a")] == [
        f"cif/{name}%20100%25.cif" for name in texts
    ]  # fmt: skip


def test_a_cif_that_cannot_be_read_is_said_in_its_row(crystals: Any) -> None:
    rows, texts = crystals
    page = tree(rows[:3], texts | {rows[1]["id"]: "data_x\n"})
    said = [line.text_content() for line in page.findall(".//tbody/tr")]
    assert ["cannot be read" in text for text in said] == [False, True, False]
    assert "no_atoms" in said[1]
    assert [cell is None for cell in json.loads(page.find(".//script").text)] == [False, True, False]


def test_columns_are_those_that_the_rows_have() -> None:
    keys = [column.key for column in columns_for(["id", "formula", "space_group", "e_above_hull"])]
    assert keys == ["space_group", "e_above_hull", "shortest_distance", "doubts"]
    row = {"id": "a", "formula": "NaCl", "status": "failed: no_volume", "n": float("nan")}
    page = tree([row], {}, columns=[Column("status", "what became of it"), Column("n", "n", "number")])
    assert [cell.text_content() for cell in page.findall(".//tbody/tr/td")[2:]] == ["failed: no_volume", "–"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a"}], "row 1 of the crystals: no formula"),
        ([{"id": "a", "formula": "C"}, {"id": "", "formula": "C"}], "row 2 of the crystals: no id"),
        ([{"id": "a", "formula": "C"}, {"id": "a", "formula": "C"}], "rows 1 and 2 of the crystals: both have the id"),
        ([{"id": "a", "formula": "C", "e_above_hull": "low"}], "column e_above_hull of the crystals: 'low' is no"),
    ],
)
def test_rows_that_mean_nothing_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        crystal_table(rows, {})


ASKED = {  # what is typed and chosen → ids that are to be shown, in order
    "": lambda rows: [row["id"] for row in rows],
    "search.value = 'O Fe'": lambda rows: [
        row["id"] for row in rows if {"O", "Fe"} <= set(re.findall("[A-Z][a-z]?", row["formula"]))
    ],
    "search.value = 'p6_3/mmc'": lambda rows: [row["id"] for row in rows if row["space_group_relaxed"] == "194"],
    "search.value = '00012'": lambda rows: [rows[12]["id"]],
    "undoubted.checked = true": lambda rows: [row["id"] for row in rows if not row["doubts"]],
    "sort.value = '2'": lambda rows: [
        row["id"]
        for row in sorted(rows, key=lambda row: float(row["e_above_hull_sevennet-0"] or "inf"))  # unknown: last
    ],
    "sort.value = '2'; reverse.checked = true": lambda rows: [
        row["id"] for row in sorted(rows, key=lambda row: -float(row["e_above_hull_sevennet-0"] or "-inf"))
    ],
}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_searches_and_sorts(crystals: Any, tmp_path: Path) -> None:
    rows, texts = crystals
    write_page(tmp_path / "index.html", "Candidates", "", [crystal_table(rows, texts)], "")
    script = """<script>
    const form = document.querySelector("form.finder");
    const {search, sort, reverse, undoubted} = form.elements;
    const asked = ASKED.map((change) => {
      form.reset();
      new Function("search", "sort", "reverse", "undoubted", change)(search, sort, reverse, undoubted);
      form.dispatchEvent(new Event("input"));
      document.querySelector("button.more").click();
      return [...document.querySelectorAll("tbody .id")].map((id) => id.textContent);
    });
    document.body.dataset.found = JSON.stringify(asked);
    </script></body>""".replace("ASKED", json.dumps(list(ASKED)))
    page = tmp_path / "index.html"
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader",
               "--enable-unsafe-swiftshader", "--disable-background-networking", "--virtual-time-budget=5000",
               f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom"]  # fmt: skip
    try:
        done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=90, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        pytest.skip(f"chromium does not run here: {error}")
    shown = lxml.html.fromstring(done.stdout)
    assert json.loads(shown.find(".//body").get("data-found")) == [wanted(rows) for wanted in ASKED.values()]
    assert shown.get_element_by_id("crystal-table").get("data-shown") == rows[0]["id"]
    assert "<canvas" in done.stdout
