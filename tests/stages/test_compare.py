"""Several folders on one page: their numbers, the published ones, and an error for what cannot be compared."""

from __future__ import annotations

import re
import shutil

import pandas as pd
import pytest
from tests.report.conftest import make_results

from symmcd.cli import main
from symmcd.errors import InputError
from symmcd.stages import compare


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A whole run, and a folder as `symmcd evaluate` leaves it."""
    folder = tmp_path_factory.mktemp("runs")
    make_results(folder / "whole")
    (folder / "scored").mkdir()
    table = pd.read_csv(folder / "whole/metrics/summary.csv")
    table.loc[table["metric"] == "structural_validity", "value"] = 71.25
    table[table["metric"] != "validity"].to_csv(folder / "scored/summary.csv", index=False)
    return folder


def test_page_and_tables_have_every_run(runs, tmp_path, capsys):
    output = tmp_path / "side.html"
    assert main(["compare", str(runs / "whole"), str(runs / "scored"), "--output", str(output)]) == 0
    html, text = output.read_text(encoding="utf-8"), output.with_suffix(".md").read_text(encoding="utf-8")
    assert "| whole, paper's protocol | 91.23 [82.11, 97.62] |" in text
    assert "| scored, paper's protocol | 71.25 [82.11, 97.62] |" in text
    assert "| SymmCD (10 SGs) | 97.31 | 87.10 |" in text
    assert "scored: no sun.csv, run `symmcd sun`." in text
    assert "stability not judged" in html
    assert re.search(r'valid both ways.*?<td data-label="scored" class="number">–</td>', html, re.DOTALL)
    assert not re.search(r"https?://(?!www\.w3\.org)|<script", html)
    assert "\\begin{tabular}" in output.with_suffix(".tex").read_text()
    assert capsys.readouterr().out.count("(2 runs)") == 3


def test_what_cannot_be_compared_is_said(runs, tmp_path):
    whole = runs / "whole"
    with pytest.raises(InputError, match="one name each"):
        compare.run([whole, whole], tmp_path / "a.html")
    with pytest.raises(InputError, match="one name each"):
        compare.run([whole], tmp_path / "a.html", ["a", "b"])
    with pytest.raises(InputError, match=r"an \.html file"):
        compare.run([whole], tmp_path / "a.csv")
    with pytest.raises(InputError, match="no such folder"):
        compare.run([tmp_path / "nothing"], tmp_path / "a.html")
    shutil.copytree(whole, tmp_path / "whole")
    (tmp_path / "whole/metrics/summary.csv").unlink()
    with pytest.raises(InputError, match=r"summary\.csv: missing; run `symmcd summarise`"):
        compare.run([tmp_path / "whole"], tmp_path / "a.html")
    assert not list(tmp_path.glob("a.*"))
