"""Whether `symmcd discover` comes to the same list after SIGKILL at random moments, with the shipped weights.

    python bench/killed_discover.py [--kills 3] [--seed 0] [--folder FOLDER] \
        [--words "--chemical-system Ti-O --number 64 --stable=3"]

The command runs once to its end.  Then, in a folder of its own for each kill, it is killed once after a random share of
that time and started again.  All results but the journals have to be the same to the last byte.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = "--chemical-system Ti-O --number 64 --stable=3"


def start(words: list[str], folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "symmcd", "discover", *words, "--output", str(folder)]
    with (folder.with_suffix(".log")).open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def finished(words: list[str], folder: Path) -> float:
    """Run it to its end; the seconds that it took."""
    began = time.monotonic()
    if status := start(words, folder).wait():
        raise SystemExit(f"the command ended with {status}; {folder.with_suffix('.log')} says why")
    return time.monotonic() - began


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(p for p in folder.rglob("*") if p.is_file() and "work" not in p.relative_to(folder).parts)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def journals(folder: Path) -> str:
    """What was on the disk when it was killed."""
    lines = {p.name.removesuffix(".partial"): p.read_bytes().count(b"\n") for p in (folder / "work").glob("*.partial")}
    return ", ".join(f"{max(0, n - 1)} lines of {name}" for name, n in sorted(lines.items())) or "nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--words", default=WORDS)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="killed-"))
    folder.mkdir(parents=True, exist_ok=True)
    words, chance = shlex.split(given.words), random.Random(given.seed)
    seconds = finished(words, folder / "whole")
    whole = files(folder / "whole")
    print(f"whole: {seconds:.0f} s, {len(whole)} files", flush=True)
    wrong = 0
    for kill in range(given.kills):
        place, moment = folder / f"killed{kill}", chance.uniform(0.05, 0.95) * seconds
        process = start(words, place)
        try:
            process.wait(moment)
            print(f"kill {kill}: came to its end before {moment:.0f} s")
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            print(f"kill {kill}: after {moment:.0f} s, with {journals(place)} on the disk", flush=True)
        finished(words, place)
        other = files(place)
        differ = sorted(name for name in whole.keys() | other.keys() if whole.get(name) != other.get(name))
        wrong += bool(differ)
        print(
            f"kill {kill}: {'the same in every byte' if not differ else 'differs in ' + ', '.join(differ[:5])}",
            flush=True,
        )
    raise SystemExit(wrong)


if __name__ == "__main__":
    main()
