"""`snakemake results/sun.csv` with its real stages, relaxations killed in the middle: it goes on from what is there."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.storage import write_units
from symmcd.structures.units import reduce

pytestmark = pytest.mark.slow

# Runs the real `symmcd`; kills each `relax` by SIGKILL the first time, once two crystals are finished and some are not.
KILLER = """\
#!{python}
import os, pathlib, subprocess, sys, time

process = subprocess.Popen([{symmcd!r}, *sys.argv[1:]])
if sys.argv[1] == "relax":
    output = sys.argv[sys.argv.index("--output") + 1]
    marker, partial = (pathlib.Path(output + suffix) for suffix in (".killed", ".partial"))
    if not marker.exists():
        marker.touch()
        while process.poll() is None and not (partial.exists() and partial.read_bytes().count(b"\\n") >= 3):
            time.sleep(0.002)
        process.kill()
        process.wait()
        sys.exit(137)
sys.exit(process.wait())
"""
CONFIG = """\
results: {results}
device: cpu
shards: {{relax: 2}}
relax: {{number: 6, draws: 2, batch_size: 1, steps: 30, fmax: 0.02}}
hull: {{source: table, path: table.csv, elemental_references: elements.json}}
sun: {{thresholds: [0.0, 2.0]}}
"""
STABILITY = ("relax", "gather_relaxed", "reference", "hull", "score", "sun")
ENERGIES = {"Li": -1.9, "Na": -1.3, "K": -1.1, "F": -1.9, "Cl": -1.8, "Br": -1.6, "I": -1.5}  # eV/atom
CRYSTALS = [  # lattice parameters in Å, some per cent too large
    ("Li", "F", 4.3), ("Li", "Cl", 5.4), ("Li", "Br", 5.8), ("Li", "I", 6.3), ("Na", "F", 4.9), ("Na", "Cl", 6.0),
    ("Na", "Br", 6.3), ("Na", "I", 6.8), ("K", "F", 5.7), ("K", "Cl", 6.7), ("K", "Br", 7.0), ("K", "I", 7.4),
]  # fmt: skip


def rock_salt(cation: str, anion: str, a: float) -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


def prepare(folder: Path, results: str) -> None:
    """What the stages before `relax` would have made, and a hull in two files."""
    units = AsymmetricUnits.from_units([reduce(rock_salt(*crystal)) for crystal in CRYSTALS])
    for name in ("crystals", "asymmetric_units"):
        (folder / results / name).mkdir(parents=True)
    write_units(folder / results / "crystals/units.npz", units)
    for split in ("train", "val", "test"):
        write_units(folder / results / f"asymmetric_units/{split}.npz", units.take(range(1)))
    references = {e: {"energy": v, "composition": {e: 1}} for e, v in ENERGIES.items()}
    (folder / "elements.json").write_text(json.dumps(references))
    (folder / "table.csv").write_text("formula,formation_energy_per_atom\nNaCl,-2.0\nKBr,-1.9\n")


def results_of(folder: Path) -> dict[str, pd.DataFrame]:
    tables = ("relaxed/relaxed.csv", "hull.csv", "sun.csv", "sun_per_crystal.csv")
    return {name: pd.read_csv(folder / name, dtype=str, keep_default_na=False) for name in tables}


def test_killed_relaxations_go_on_and_give_the_same_table(tmp_path, copy_workflow):
    workflow = copy_workflow(tmp_path, stand_in=False)
    prepare(workflow.folder, "whole")
    rules = ("--allowed-rules", *STABILITY)
    done = workflow.run("--cores", "2", "whole/sun.csv", *rules, config=CONFIG.format(results="whole"))
    assert done.returncode == 0, done.stdout + done.stderr

    script = workflow.folder / "bin" / "symmcd"
    real = Path(sys.executable).with_name("symmcd")
    script.write_text(KILLER.format(python=sys.executable, symmcd=str(real)))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    prepare(workflow.folder, "killed")
    killed = workflow.folder / "killed"
    done = workflow.run(
        "--cores", "2", "killed/sun.csv", *rules, "--keep-going", config=CONFIG.format(results="killed")
    )
    assert done.returncode != 0
    journals = sorted((killed / "relaxed").glob("shard*.csv.partial"))
    assert len(journals) == 2, "both shards were killed"
    kept = [json.loads(line) for journal in journals for line in journal.read_text().splitlines()[1:]]
    assert 4 <= len(kept) < 12, "in the middle"
    assert not list((killed / "relaxed").glob("*.csv"))

    done = workflow.run("--cores", "2", "killed/sun.csv", *rules, config=CONFIG.format(results="killed"))
    assert done.returncode == 0, done.stdout + done.stderr
    logs = [path.read_text() for path in sorted((killed / "logs/relax").glob("shard*.log"))]
    assert all("results already finished; continuing" in log for log in logs)
    found, expected = results_of(killed), results_of(workflow.folder / "whole")
    seconds = found["relaxed/relaxed.csv"].set_index("id")["seconds"].astype(float)
    assert [seconds[row["id"]] for row in kept] == [pytest.approx(row["seconds"]) for row in kept], "not computed again"
    for name, table in found.items():
        columns = [column for column in table if column != "seconds"]
        assert table[columns].to_dict("records") == expected[name][columns].to_dict("records"), name
    assert found["sun.csv"]["draw"].tolist() == ["all", "all", "1", "2", "1", "2"]
    assert found["sun.csv"]["n"].tolist() == ["12", "12", "6", "6", "6", "6"]
    assert float(found["sun.csv"]["sun"][1]) > 0
    assert not list(killed.rglob("*.partial"))
