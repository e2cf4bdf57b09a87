"""The page of a list: what it says of each crystal, and that a browser shows all of it without scrolling sideways."""

from __future__ import annotations

import json
import shutil
import subprocess

import lxml.html
import pytest

from symmcd.discovery import page
from symmcd.discovery.files import write_relaxed
from symmcd.discovery.judgements import Hulls
from symmcd.discovery.known import KnownMaterials
from symmcd.discovery.table import ranked
from symmcd.extensions import SCREENS
from symmcd.screens.filters import read_filters
from symmcd.structures.units import reduce
from tests.crystallography.prototypes import prototype
from tests.discovery.crystals import crystal
from tests.discovery.test_table import hulls, total

JUDGES = ("chgnet", "sevennet-0")
SAID = {
    "dimensionality": 3, "shortest_distance": 1.012, "largest_void": 1.234, "channel": 0.567, "volume_change": -3.21,
    "oxidation_states": "Ti4+ O2-", "radioactive": "", "scarce": "", "synthesis": "",
    "known_elsewhere": "cod-9000331 cod-9000332 cod-9000333 … mp+0.012",
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Rows of a small list, and its page."""
    folder = tmp_path_factory.mktemp("list")

    def of(energy: float, other: float | None = None) -> dict[str, float | None]:
        return {"chgnet": total("TiO2", energy), "sevennet-0": total("TiO2", other or energy)}

    given = [
        crystal("00000", "TiO2 anatase", of(-4.0), screens=SAID),
        crystal("00001", "TiO2 rutile", of(-3.9, -3.5), screens=SAID | {"channel": 1.5}),
        crystal("00002", "TiO2 rutile", of(-2.0), screens=SAID),
        crystal("00003", "NaCl", dict.fromkeys(JUDGES), screens={}),
        {"id": "00004", "draft": 9, "formula": "NaCl", "space_group": 225},
    ]
    over: Hulls = hulls(JUDGES)
    rows = ranked(given, {}, over, KnownMaterials.of(), 0.1, read_filters("channel>=1", SAID))
    units = {row["id"]: reduce(prototype("TiO2 rutile")) for row in rows if row["id"] < "00003"}
    links, texts = write_relaxed(folder, units)
    summary = {
        "command": "symmcd discover --chemical-system O-Ti", "version": "symmcd 0", "choice": "took 5 of 5 drafts",
        "shipped_hull": True, "hulls": over.name, "known": "45,229 materials of MP-20", "threshold": 0.1,
        "verdicts": {row["verdict"]: 1 for row in rows}, "found_again": None, "keep": ["channel>=1"],
    }  # fmt: skip
    page.write(folder / "index.html", rows, texts, links, summary)
    return rows, folder / "index.html"


def test_a_crystal_has_its_verdict_with_the_reason_and_its_screens_with_their_units(written):
    rows, path = written
    tree = lxml.html.fromstring(path.read_text(encoding="utf-8"))
    lines = {
        line.find(".//span[@class='id']").text: line for line in tree.findall(".//div[@id='crystal-table']//tbody/tr")
    }
    assert list(lines) == [row["id"] for row in rows]
    verdict = {name: line.find(".//td[@data-label='verdict']") for name, line in lines.items()}
    assert verdict["00000"].text == "screened out"
    assert [small.text for small in verdict["00000"]] == [
        "channel>=1: 0.567", "known elsewhere: cod-9000331 cod-9000332 cod-9000333 … mp+0.012",
    ]  # fmt: skip
    held = json.loads(tree.find(".//script[@class='crystals']").text)
    said = dict(next(c for c, row in zip(held, rows, strict=True) if row["id"] == "00000")["details"])
    for name, value in SAID.items():
        screen = SCREENS[name]
        heading = f"{screen.label}, {screen.unit}" if screen.unit else screen.label
        if name == "known_elsewhere" or value == "":
            assert heading not in said
        else:
            shown = str(value) if screen.text or name == "dimensionality" else f"{value:.2f}".replace("-", "−")
            assert said[heading] == shown
    assert said["judges differ by, eV/atom"] == "0.000"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_nothing_runs_out_of_the_window(written, tmp_path):
    _, path = written
    script = """<script>window.onload = () => setTimeout(() => {
      const table = document.querySelector(".found > .table"), whole = document.documentElement;
      parent.postMessage([innerWidth, whole.scrollWidth, table.clientWidth, table.scrollWidth,
        document.querySelector("details.numbers").open, document.querySelectorAll(".numbers dt").length], "*");
    }, 500);</script></body>"""
    (tmp_path / "inner.html").write_text(path.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    frames = "".join(
        f'<iframe src="inner.html" width="{width}" height="900" style="border:0"></iframe>' for width in (1400, 400)
    )
    listen = (
        "const all = []; onmessage = (e) => { all.push(e.data); document.body.dataset.all = JSON.stringify(all); };"
    )
    (tmp_path / "outer.html").write_text(f"<body>{frames}<script>{listen}</script></body>", encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader",
               "--enable-unsafe-swiftshader", "--disable-background-networking", "--virtual-time-budget=8000",
               f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom"]  # fmt: skip
    try:
        where = (tmp_path / "outer.html").as_uri()
        done = subprocess.run([*command, where], capture_output=True, text=True, timeout=90, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        pytest.skip(f"chromium does not run here: {error}")
    seen = sorted(json.loads(lxml.html.fromstring(done.stdout).find(".//body").get("data-all")))
    assert [width for width, *_ in seen] == [400, 1400]
    for width, whole, room, needed, opened, numbers in seen:
        assert whole <= width
        assert needed <= room
        assert opened is (width == 1400)
        assert numbers > 10
