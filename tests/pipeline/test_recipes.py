"""The whole chain with nothing but what others have added: source, model, potential, metrics of docs/extending.md."""

from __future__ import annotations

import os

import pandas as pd
import pytest
from tests.recipes import install, recipes

from symmcd.extensions import MODELS, POTENTIALS, SOURCES

pytestmark = pytest.mark.slow

CONFIG = """
results: results-recipes
device: cpu
shards: {sample: 2, score: 2, relax: 1}
data: {source: alloys}
model: {kind: echo, kept: 8}
sampling: {number: 10, batch_size: 4}
relax: {number: 10, steps: 50, potential: emt}
hull: {source: emt}
predictor: {variants: []}
"""


def test_the_whole_chain_runs_with_what_others_have_added(tmp_path, copy_workflow, monkeypatch):
    site = tmp_path / "site"
    install(recipes(), site)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))
    (tmp_path / "run").mkdir()
    workflow = copy_workflow(tmp_path / "run", stand_in=False)
    done = workflow.run("--cores", "2", config=CONFIG, timeout=1200)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    results = workflow.folder / "results-recipes"

    crystals = pd.read_csv(results / "metrics/per_crystal.csv")
    assert crystals["group_kept"].all()
    summary = pd.read_csv(results / "metrics/summary.csv").set_index("metric")
    assert summary.loc["mean_atom_volume", "value"] == pytest.approx(crystals["atom_volume"].mean(), rel=1e-4)
    assert summary.loc["novelty", "value"] == 0, "the model repeats its training crystals"
    relaxed = pd.read_csv(results / "relaxed/relaxed.csv")
    assert (relaxed["energy_relaxed"] <= relaxed["energy_initial"] + 1e-6).all()
    hull = pd.read_csv(results / "hull.csv")
    assert hull["hull"].str.contains("emt").all()
    assert hull["e_above_hull_relaxed"].notna().all()
    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert "mean atomic volume" in page

    assert not {"echo", "emt", "alloys"} & {*MODELS.shipped, *POTENTIALS.shipped, *SOURCES.shipped}
