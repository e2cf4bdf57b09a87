"""A few trials of each kind on the first stages; `make test-faults` has them all."""

from __future__ import annotations

import random

import pytest

from tests.faults import kinds
from tests.faults.chain import prepare


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("faults") / "undisturbed", {"download"})


@pytest.mark.parametrize("kind", [kinds.kill, kinds.full_disk, kinds.two_at_once], ids=lambda kind: kind.__name__)
def test_the_first_stage_survives(prepared, tmp_path, kind):
    try:
        assert kind(prepared, prepared.stages["download"], tmp_path, random.Random(3)) == []
    except kinds.NotTried:
        pytest.skip("the stage ended before it was to be killed")


def test_a_lost_file_and_a_changed_table_are_seen(prepared, tmp_path):
    """The comparison itself, which would otherwise let everything survive."""
    stage = prepared.stages["download"]
    assert set(stage.outputs) == {f"results/raw/{name}" for name in
                                  ("source.json", "train.csv.gz", "val.csv.gz", "test.csv.gz")}  # fmt: skip
    for name in stage.outputs:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((prepared.folder / name).read_bytes())
    assert kinds.differences(tmp_path, prepared.folder, stage.outputs) == []
    (tmp_path / "results/raw/val.csv.gz").unlink()
    (tmp_path / "results/raw/test.csv.gz").write_bytes((tmp_path / "results/raw/train.csv.gz").read_bytes())
    (tmp_path / "results/raw/.node7-12.tmp.val.csv.gz").touch()
    assert sorted(kinds.differences(tmp_path, prepared.folder, stage.outputs)) == [
        "results/raw/test.csv.gz differs",
        "results/raw/val.csv.gz is missing",
    ]
    assert kinds.left_over(stage, tmp_path) == ["results/raw/.node7-12.tmp.val.csv.gz is left over"]
