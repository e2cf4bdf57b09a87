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
    assert "whole, chgnet: another hull than the published, not to be compared." in text
    assert re.search(r'valid both ways.*?<td data-label="scored" class="number">–</td>', html, re.DOTALL)
    assert not re.search(r"https?://(?!www\.w3\.org)|<script", html)
    assert "\\begin{tabular}" in output.with_suffix(".tex").read_text()
    assert capsys.readouterr().out.count("(2 runs)") == 3


def test_table_5_has_the_predictors_of_each_run(runs, tmp_path):
    """Errors with intervals where they are, the reason where they are not, and the published line above them."""
    trained, output = tmp_path / "trained", tmp_path / "side.html"
    shutil.copytree(runs / "whole", trained)
    (trained / "predictor").mkdir()
    variants = ["multigraph", "multigraph_site_symmetry", "asymmetric_unit", "asymmetric_unit_site_symmetry"]
    none = float("nan")
    table = pd.DataFrame(
        {
            "variant": variants,
            "mae": [0.03431, none, 0.11309, none],
            "low": [0.0335, none, 0.1099, none],
            "high": [0.0351, none, 0.1164, none],
            "n": [9046, none, 9046, none],
            "train_crystals": [26343, none, 26343, none],
            "note": ["trained", "not among predictor.variants", "trained", "not among predictor.variants"],
        }
    )
    table.to_csv(trained / "predictor/table5.csv", index=False)
    compare.run([trained, runs / "scored"], output)
    text, tex = output.with_suffix(".md").read_text(encoding="utf-8"), output.with_suffix(".tex").read_text()
    assert "| DimeNet++ (paper) | 0.0214 | 0.0212 | 0.0711 | 0.0490 |" in text
    assert "| trained | 0.0343 [0.0335, 0.0351] | – | 0.1131 [0.1099, 0.1164] | – |" in text
    assert "| scored | – | – | – | – |" in text
    assert "trained: trained on 26,343 crystals, tested on 9,046." in text
    assert "trained, Multigraph, with S; Asymm. Unit, with S: – as not among predictor.variants." in text
    assert "scored: no predictor/table5.csv, run `symmcd predictor`." in text
    assert "DimeNet++ (paper) & 0.0214 & 0.0212 & 0.0711 & 0.0490" in tex
    html = output.read_text(encoding="utf-8")
    assert "Table 5, formation energies predicted by DimeNet++." in html
    assert "0.0343<small>0.0335, 0.0351</small>" in html
    assert "scored: no predictor/table5.csv, run <code>symmcd predictor</code>." in html
    table.drop(columns="low").to_csv(trained / "predictor/table5.csv", index=False)
    with pytest.raises(InputError, match=r"table5\.csv: lacks the column low; run `symmcd predictor` again"):
        compare.run([trained], output)


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
