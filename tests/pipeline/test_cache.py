"""Results that runs share by Snakemake's cache (docs/slurm.md); the stages are stand-ins."""

from __future__ import annotations

from collections import Counter

import pytest

CACHE = ("--cache", "reduce", "fingerprint_test")


@pytest.fixture
def two(tmp_path, copy_workflow, monkeypatch):
    """Two copies of the workflow that share a cache."""
    for name in ("cache", "first", "second"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(tmp_path / "cache"))
    return [copy_workflow(tmp_path / name, stand_in=True) for name in ("first", "second")]


def run(workflow, results, config="{device: cpu}"):
    """What the stand-in was called for until crystals of the test set have their units and fingerprints."""
    before = Counter(workflow.calls())
    units = [f"{results}/asymmetric_units/{split}.npz" for split in ("train", "val", "test")]
    config = config.replace("{", f"{{results: {results}, ", 1)
    done = workflow.run("--cores", "2", *units, f"{results}/fingerprints/test.npz", *CACHE, config=config)
    assert done.returncode == 0, done.stderr
    return Counter(workflow.calls()) - before, [(workflow.folder / path).read_text() for path in units]


def test_two_runs_reduce_the_same_crystals_once(two):
    """Each split is its own, and everything that makes a difference makes it here too."""
    first, second = two
    calls, units = run(first, "results")
    assert calls == {"download": 1, "reduce": 3, "fingerprint": 1}
    assert [text.count(f"/{split}.npz'") for text, split in zip(units, ("train", "val", "test"), strict=True)] == [
        1
    ] * 3
    calls, again = run(second, "results-other", "{device: cpu, seed: 5, shards: {relax: 3}}")
    assert calls == {"download": 1}
    assert again == units
    config = "{results: results-other, device: cpu}"
    assert "reduce" not in second.planned("results-other/training/seed0/denoiser.safetensors", config=config)

    assert run(second, "results-finer", "{reduce: {symprec: 0.001}}")[0] == {
        "download": 1,
        "reduce": 3,
        "fingerprint": 1,
    }
    (second.folder / "mine").mkdir()
    for content in ("a", "b"):
        (second.folder / "mine/a.cif").write_text(f"data_{content}")
        assert run(second, f"results-{content}", "{data: {source: mine}}")[0]["reduce"] == 3, "by content"


def test_a_cache_that_is_not_there_is_said_first(two, monkeypatch):
    first, _ = two
    for folder, message in (("nowhere", "names no folder (nowhere)"), ("", "is not set")):
        monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", folder)
        done = first.run("results/raw/source.json", "--cores", "1", *CACHE)
        assert done.returncode != 0
        assert f"--cache: SNAKEMAKE_OUTPUT_CACHE {message}; make one" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
    assert first.calls() == []
    assert first.run("results/raw/source.json", "--cores", "1").returncode == 0, (
        "without --cache it is nobody's business"
    )
