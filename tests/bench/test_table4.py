"""Table 4 in small, in one process."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import pytest

from symmcd.storage import write_units
from tests.diffusion.crystals import random_units


def test_the_table_has_a_row_for_every_representation_and_engine(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch_geometric", reason="the yardstick needs torch-geometric")
    import table4

    train, output = tmp_path / "train.npz", tmp_path / "table.md"
    write_units(train, random_units(12, largest=3))
    small = {"crystals": 12, "batch": 4, "samples": 4, "largest": 4}
    monkeypatch.setattr(table4, "SMOKE", table4.SMOKE | small)
    monkeypatch.setattr(sys, "argv", ["table4.py", "--train", str(train), "--output", str(output), "--smoke"])
    given = table4.arguments()

    def in_this_process(what):
        kind, representation, engine = what.split("/")
        found = (
            table4.memory(given, representation, engine) if kind == "memory" else table4.speed(given, representation)
        )
        return json.loads(json.dumps(found))

    monkeypatch.setattr(table4, "in_subprocess", in_this_process)
    table4.main()
    rows = [line.split("|")[1:-1] for line in output.read_text().splitlines() if line.startswith("|")][2:]
    assert [(row[0].strip(), row[1].strip()) for row in rows] == [
        (representation, engine)
        for representation in ("asymmetric unit", "unit cell")
        for engine in ("ours", "yardstick")
    ]
    for row in rows:
        rate, floor = (float(text) for text in row[4].replace(")", "").split("("))
        assert 0 < rate < floor
        assert row[3].strip() == "≥ 4"


def test_the_largest_batch_is_the_last_within_the_budget(tmp_path, monkeypatch):
    import table4

    write_units(tmp_path / "train.npz", random_units(12, largest=3))
    given = argparse.Namespace(
        **table4.SMOKE, train=tmp_path / "train.npz", device="cpu", budget=5.0, engines="both", precision="auto"
    )
    vars(given).update(batch=2, largest=64, crystals=0)
    used = iter([1.0, 4.0, 6.0])
    monkeypatch.setattr(table4, "peak", lambda *_: next(used))
    assert table4.memory(given, "asymmetric unit", "ours") == {"memory": 1.0, "largest": 4, "tried": 8}


def test_it_runs_without_torch_geometric(tmp_path):
    """And without pymatgen and the rest, as on a bare CUDA machine."""
    code = (
        "import sys\n"
        "for name in ('torch_geometric', 'pymatgen', 'pandas', 'ase', 'scipy', 'yaml'):\n"
        "    sys.modules[name] = None\n"
        "import table4, check_cuda\n"
        "assert table4.Yardstick is None\n"
        "print(table4.geometric())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd="bench", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\n"
