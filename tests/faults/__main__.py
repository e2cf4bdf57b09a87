"""``make test-faults``: kills, full disks, damaged files and two writers, each followed by the same command again."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults import kinds, workflow
from tests.faults.chain import Prepared, prepare
from tests.faults.kinds import NotTried

ONE_STAGE = {
    "kill": kinds.kill,
    "full disk": kinds.full_disk,
    "damaged file": kinds.corrupt,
    "two at once": kinds.two_at_once,
}


def main() -> int:
    """Run the trials and print how many of each kind the results survived; 1 where one did not."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the moments, places and stages (default: 0)")
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="at random moments (default: 100)")
    parser.add_argument("--damages", type=int, default=60, metavar="N", help="damaged files (default: 60)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="trials at once (default: 2)")
    parser.add_argument("--kinds", nargs="+", choices=[*ONE_STAGE, "snakemake"], default=[*ONE_STAGE, "snakemake"])
    parser.add_argument("--stages", nargs="+", help="only these, as `relax 0`")
    parser.add_argument("--prepared", type=Path, metavar="DIR", help="keep the undisturbed chain here")
    a = parser.parse_args()

    scratch = Path(tempfile.mkdtemp(prefix="symmcd-faults-"))
    began = time.monotonic()
    try:
        prepared = prepare(a.prepared or scratch / "undisturbed", set(a.stages) if a.stages else None)
        print(f"undisturbed chain: {len(prepared.stages)} stages, {time.monotonic() - began:.0f} s", flush=True)
        tried, failed = trials(prepared, scratch, a)
        if "snakemake" in a.kinds:
            tried["snakemake killed"] += 1
            wrong = workflow.killed_with_jobs_running(prepared, scratch / "snakemake", a.seed)
            failed["snakemake killed"] += bool(wrong)
            _tell("snakemake killed", "relax", a.seed, wrong)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"\n{'kind':20}{'tried':>7}{'survived':>10}")
    for kind, number in tried.items():
        print(f"{kind:20}{number:7}{number - failed[kind]:10}")
    print(f"seed {a.seed}, {time.monotonic() - began:.0f} s")
    return 1 if failed.total() else 0


def trials(prepared: Prepared, scratch: Path, a: argparse.Namespace) -> tuple[Counter[str], Counter[str]]:
    """Those of one stage each: how many of each kind were tried, and how many ended badly."""
    names = a.stages or list(prepared.stages)
    several = {"kill": a.kills, "damaged file": a.damages, "full disk": len(names), "two at once": len(names)}
    todo = [(kind, names[i % len(names)], a.seed * 100_000 + i) for kind in a.kinds if kind in ONE_STAGE
            for i in range(several[kind])]  # fmt: skip
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()

    def one(work: tuple[str, str, int]) -> tuple[str, str, int, list[str] | None]:
        kind, name, seed = work
        chance = random.Random(f"{kind} {name} {seed}")
        folder = scratch / f"{kind.replace(' ', '_')}-{seed}"
        for _ in range(8):
            folder.mkdir(parents=True)
            try:
                return *work, ONE_STAGE[kind](prepared, prepared.stages[name], folder, chance)
            except NotTried:
                continue
            finally:
                kinds.scratch(folder)
        return *work, None

    with ThreadPoolExecutor(a.jobs) as pool:
        for kind, name, seed, wrong in pool.map(one, todo):
            if wrong is None:
                continue
            tried[kind] += 1
            failed[kind] += bool(wrong)
            _tell(kind, name, seed, wrong)
    return tried, failed


def _tell(kind: str, name: str, seed: int, wrong: list[str]) -> None:
    print(f"{kind}, {name}, seed {seed}: {'survived' if not wrong else 'FAILED'}", flush=True)
    for text in wrong:
        print(f"    {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
