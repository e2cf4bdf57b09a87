"""Snakemake killed while its jobs run on: after `--unlock` the same command, again until the old jobs have ended."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

from tests.faults.chain import ROOT, Prepared, Stage
from tests.faults.contents import differences
from tests.faults.kinds import processes_left
from tests.faults.processes import marked, send, start

COMMAND = (sys.executable, "-m", "snakemake")
RESULTS = "results"
TARGETS = tuple(f"{RESULTS}/{name}" for name in ("relaxed/shard0.csv", "relaxed/shard1.csv", "relaxed/relaxed.csv"))
PATIENCE = 600  # seconds


def killed_with_jobs_running(prepared: Prepared, folder: Path, seed: int) -> list[str]:
    """SIGKILL to Snakemake while `relax` is under way; what is wrong in the end."""
    for name in ("Snakefile", "config", "workflow", "profiles", "src"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        folder.mkdir(exist_ok=True)
        copy(ROOT / name, folder / name)
    relax = [prepared.stages[f"relax {i}"] for i in range(2)]
    for stage in relax:
        prepared.copy(Stage("", (), inputs=stage.inputs), folder)
    words = (
        "--cores", "2", "--configfile", "config/test.yaml", "--config", f"results={RESULTS}",
        "relax={number: 4, steps: 5, max_atoms: 24, batch_size: 1}", "--rerun-triggers", "mtime",
        "--allowed-rules", "relax", "gather_relaxed",
    )  # fmt: skip
    command = (*words, "--", TARGETS[-1])
    first = start(command, folder, command=COMMAND)
    until = time.monotonic() + PATIENCE
    while not list((folder / RESULTS / "relaxed").glob("shard*.partial")):
        if first.process.poll() is not None or time.monotonic() > until:
            return [f"it ended before a shard was under way: {first.finish(1).text[-500:]}"]
        time.sleep(0.01)
    first.kill()
    jobs = marked(first.mark)
    send(jobs, signal.SIGSTOP)  # jobs that take longer than all that follows
    unlocked = start(("--unlock", *words[:7]), folder, command=COMMAND).finish(PATIENCE)
    if unlocked.status != 0:
        return [f"--unlock failed: {unlocked.text[-2000:]}"]
    wrong, again = [], 0
    while time.monotonic() < until:
        running = start(command, folder, command=COMMAND)
        done = running.finish(PATIENCE)
        again += 1
        if again == 1 and "another symmcd (process" not in done.text:
            wrong.append(f"not refused although the jobs of the killed one are there: {done.text[-1000:]}")
        if done.status == 0:
            break
        if "is writing" not in done.text:
            return [*wrong, f"the same command again failed: {done.text[-2000:]}"]
        send(jobs, signal.SIGCONT)
        time.sleep(1)
    # a job of the killed one that had not begun to write when it was stopped may still make its shard, the same again
    wrong += processes_left(first, PATIENCE)
    wrong += differences(folder, prepared.folder, TARGETS)
    hidden = [str(path) for path in (folder / RESULTS).rglob(".*")]
    wrong += [f"{path} is left over" for path in hidden]
    return [*wrong, *processes_left(running)]
