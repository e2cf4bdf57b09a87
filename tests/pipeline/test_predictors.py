"""The whole chain with its predictors of formation energies, in one go from three csv files with rows of MP-20."""

from __future__ import annotations

import csv
import gzip
import itertools
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROWS = {"train": 120, "val": 40, "test": 40}
VARIANTS = ("multigraph", "asymmetric_unit_site_symmetry")
CONFIG = """\
results: results
shards: {sample: 1, score: 1, relax: 1}
data: {source: rows, limit: 0}
training: {epochs: 2, wyckoff_epochs: 2}
score: {prototype_sample: 2}
relax: {number: 2, steps: 2}
report: {viewer_crystals: 2, drawn_crystals: 2}
predictor:
  {variants: [multigraph, asymmetric_unit_site_symmetry], width: 16, blocks: 1, interaction_width: 8, output_width: 16,
   spherical: 3, cutoff: 4, neighbours: 6, epochs: 2, batch_size: 16}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory, copy_workflow):
    """What one call of Snakemake makes of the rows."""
    if not os.environ.get("SYMMCD_MP20"):
        pytest.skip("SYMMCD_MP20 names no folder with MP-20")
    workflow = copy_workflow(tmp_path_factory.mktemp("predictors"), stand_in=False)
    (workflow.folder / "rows").mkdir()
    for split, number in ROWS.items():
        source = Path(os.environ["SYMMCD_MP20"]) / f"{split}.csv.gz"
        with gzip.open(source, "rt", newline="", encoding="utf-8") as file:
            rows = list(itertools.islice(csv.DictReader(file), number))
        with (workflow.folder / f"rows/{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    (workflow.folder / "mp20.yaml").write_text(CONFIG)
    done = workflow.run("--cores", "2", "--configfile", "config/test.yaml", "mp20.yaml", timeout=600)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return workflow.folder / "results"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_table_5_has_the_variants_that_were_trained(results):
    rows = {row["variant"]: row for row in table(results / "predictor/table5.csv")}
    assert len(rows) == 4
    for variant, row in rows.items():
        if variant in VARIANTS:
            assert 0 < float(row["low"]) < float(row["mae"]) < float(row["high"])
            assert int(float(row["n"])) <= ROWS["test"]
        else:
            assert row["mae"] == ""
            assert row["note"] == "not among predictor.variants"
    assert "0.0214 & 0.0212 & 0.0711 & 0.0490" in (results / "predictor/table5.tex").read_text()


def test_d_e_is_in_the_tables_with_its_predictors_error(results):
    found = {(row["metric"], row["protocol"]): row for row in table(results / "metrics/summary.csv")}
    error, mae = found["formation_energy_error", "paper"], table(results / "predictor/table5.csv")[0]["mae"]
    assert float(error["value"]) == pytest.approx(float(mae), rel=1e-4)
    for protocol in ("paper", "strict"):
        assert float(found["formation_energy_wasserstein", protocol]["value"]) >= 0
    (line,) = [
        row for row in (results / "metrics/table2.md").read_text().splitlines() if row.startswith("| this set, strict")
    ]
    d_e = float(found["formation_energy_wasserstein", "strict"]["value"])
    assert line.split("|")[7].split()[0] == f"{d_e:.4f}"


def test_both_are_on_the_page(results):
    html = (results / "report/index.html").read_text(encoding="utf-8")
    rows = {row["variant"]: row for row in table(results / "predictor/table5.csv")}
    assert "Table 5, formation energies predicted by DimeNet++" in html
    for variant in VARIANTS:
        assert f">{float(rows[variant]['mae']):.4g}</td>" in html
    assert "no predictor of formation energies" not in html
    (found,) = [
        row
        for row in table(results / "metrics/summary.csv")
        if (row["metric"], row["protocol"]) == ("formation_energy_wasserstein", "strict")
    ]
    assert f"{float(found['value']):.4f}<small>" in html
