"""Reads damaged files one after the other and says what came of each; started by run.py, which ends it if it hangs.

Standard input has lines ``kind seed first count``; standard output one JSON a line: ``{"at": number}`` before an input
is read, and its outcome after it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

from tests.fuzz.kinds import KINDS, damaged

from symmcd.errors import SymmcdError

ROOM = 3 << 30  # bytes of address space beyond what the worker has when it begins
BLOWN = 1 << 29  # bytes of memory that an input of at most 1 MB may take
LONGEST = 1500  # characters of a message


def attempt(kind: str, seed: int, number: int, folder: Path) -> dict[str, Any]:
    """What the reader makes of one input: ``outcome`` and, unless it was read, ``detail``."""
    path = folder / f"input{KINDS[kind].suffix}"
    path.write_bytes(damaged(kind, seed, number))
    before = resident()
    try:
        KINDS[kind].read(path)
    except SymmcdError as error:
        text = str(error)
        wordy = "\n" in text.strip() or len(text) > LONGEST
        found = {"outcome": "wordy" if wordy else "refused", "detail": text[:300]}
    except MemoryError as error:
        found = {"outcome": "memory", "detail": _where(error)}
    except BaseException as error:  # noqa: BLE001  (that is what is looked for)
        found = {"outcome": "crash", "detail": _where(error)}
    else:
        found = {"outcome": "read", "detail": ""}
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    if grown > BLOWN and grown > peak_before.get("peak", 0) - before:
        found = {"outcome": "memory", "detail": f"{grown >> 20} MiB; {found['detail']}"}
    peak_before["peak"] = grown + before
    return found


peak_before: dict[str, int] = {}


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _where(error: BaseException) -> str:
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/src/symmcd/" in frame.filename]
    place = f"{ours[-1].filename.rpartition('/src/')[2]}:{ours[-1].lineno}" if ours else "?"
    return f"{type(error).__name__} @ {place}: {str(error)[:200]}"


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # readers may print
    os.dup2(1, 2)
    warnings.simplefilter("ignore")
    for kind in KINDS.values():
        with tempfile.TemporaryDirectory() as folder:
            attempt(kind.name, 0, 0, Path(folder))  # loads what the reader needs
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    print(json.dumps({"ready": True}), file=answers, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            kind, seed, first, count = line.split()
            for number in range(int(first), int(first) + int(count)):
                print(json.dumps({"at": number}), file=answers, flush=True)
                print(json.dumps(attempt(kind, int(seed), number, Path(folder))), file=answers, flush=True)


if __name__ == "__main__":
    main()
