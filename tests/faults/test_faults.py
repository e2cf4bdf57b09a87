"""A few trials of each kind on the first stages; `make test-faults` has them all."""

from __future__ import annotations

import csv
import gzip
import random
import signal
import time

import pytest

from symmcd.storage import write_units
from tests.faults import kinds
from tests.faults.chain import files, prepare
from tests.faults.processes import marked, start
from tests.structures.random_units import random_units


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("reduce", "results/raw/train.csv.gz", "--output", "train.npz", "--workers", "2"),
        ("fingerprint", "train.npz", "--output", "out.npz", "--workers", "2"),
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_workers_end_with_their_parent(prepared, tmp_path, words, number):
    given = tmp_path / words[1]
    given.parent.mkdir(parents=True, exist_ok=True)
    if words[0] == "reduce":
        with gzip.open(prepared.folder / words[1], "rt", newline="") as file:
            header, *rows = csv.reader(file)
        with gzip.open(given, "wt", newline="") as file:  # so many that it is not done before it is killed
            rows = [[f"{name}_{i}", *row] for i in range(50) for name, *row in rows]
            csv.writer(file).writerows([header, *rows])
    else:
        write_units(given, random_units(list(range(1, 231))))
    running = start(words, tmp_path)
    until = time.monotonic() + 60
    while len(marked(running.mark)) < 3 and running.process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.3)  # the workers import what they need, or compute already
    running.kill(number)
    assert running.finish(60).status == (-number if number == signal.SIGKILL else 128 + number)
    assert running.left(3) == []
    assert [name for name in files(tmp_path) if ".tmp." in name] == []
