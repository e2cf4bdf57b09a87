"""One trial of each kind of fault: a stage disturbed, the same command again, what is wrong then (nothing)."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.chain import Prepared, Stage, files
from tests.faults.contents import CACHES, differences
from tests.faults.processes import Done, Running, start

PAGE = 4096
UNUSABLE = ("crystals cannot be used and count as invalid", "crystals have a name with bytes that are no text")


class NotTried(Exception):  # noqa: N818  (it is no error)
    """A trial in which the fault did not happen, as a stage that ended before it was to be killed."""


def limit(stage: Stage) -> float:
    """Seconds after which a stage hangs, on a machine that others use too."""
    return 120 + 20 * stage.seconds


def finished(prepared: Prepared, stage: Stage, folder: Path) -> list[str]:
    """What is wrong after the stage has been run (again) in `folder`: status, outputs, files and processes left."""
    running = start(stage.words, folder)
    done = running.finish(limit(stage))
    if done.status != 0:
        return [f"status {done.status} when run again: {_end(done)}"]
    wrong = differences(folder, prepared.folder, stage.outputs)
    return [*wrong, *left_over(stage, folder), *processes_left(running)]


def left_over(stage: Stage, folder: Path) -> list[str]:
    """Files that are neither inputs nor outputs nor a cache."""
    return [
        f"{name} is left over"
        for name in sorted({*files(folder)} - {*stage.inputs, *stage.outputs})
        if not name.endswith(CACHES)
    ]


def processes_left(running: Running, seconds: float = 5.0) -> list[str]:
    """Processes of a command that has ended or was killed, after so many seconds."""
    found = running.left(seconds)
    return [f"{len(found)} processes outlive it"] if found else []


# --- kill -9 ---------------------------------------------------------------------------------------------------------


def kill(prepared: Prepared, stage: Stage, folder: Path, chance: random.Random) -> list[str]:
    """SIGKILL at a random moment, or within milliseconds of a change in its folder; then the same command again."""
    prepared.copy(stage, folder)
    running = start(stage.words, folder)
    if chance.random() < 0.5:
        moment = chance.uniform(0, stage.seconds)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(moment)
        how = f"after {moment:.2f} s"
    else:
        changes, later = chance.randint(1, 2 * len(stage.outputs) + 2), chance.uniform(0, 0.02)
        _wait_for_changes(running, folder, changes)
        time.sleep(later)
        how = f"{1000 * later:.0f} ms after change {changes} of its files"
    if running.process.poll() is not None:
        running.finish(1)
        raise NotTried
    running.kill()
    wrong = processes_left(running)
    running.finish(1)
    return [f"{how}: {text}" for text in [*wrong, *finished(prepared, stage, folder)]]


def _wait_for_changes(running: Running, folder: Path, number: int) -> None:
    """Until so many files have appeared, gone or changed, or the command has ended."""
    seen, changes = _state(folder), 0
    while changes < number and running.process.poll() is None:
        time.sleep(0.002)
        now = _state(folder)
        changes += len(set(now.items()) ^ set(seen.items()))
        seen = now


def _state(folder: Path) -> dict[str, int]:
    found = {}
    for name in files(folder):
        with contextlib.suppress(FileNotFoundError):
            found[name] = (folder / name).stat().st_mtime_ns
    return found


# --- full disk -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[bool]:
    """A file system of this size at `folder`; False where it cannot be mounted here (no root)."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "symmcd-faults", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def full_disk(prepared: Prepared, stage: Stage, folder: Path, chance: random.Random) -> list[str]:
    """A disk with room for the inputs and a part of the outputs; then with room for all."""
    needed = [name for name in stage.outputs if not name.endswith(CACHES)]  # without a cache a stage goes on
    sizes = {name: (prepared.folder / name).stat().st_size for name in (*stage.inputs, *needed)}
    inputs, outputs = (sum(-(-sizes[name] // PAGE) for name in names) for names in (stage.inputs, needed))
    # a small output fits into the page that the lock has, or not at all
    room = chance.randrange(max(1, outputs - 1))
    with small_disk(folder, 4 * (inputs + room) or 4) as mounted:
        prepared.copy(stage, folder)
        if mounted:
            if not inputs + room:  # a tmpfs of size 0 would have no limit
                (folder / "filler").write_bytes(bytes(PAGE))
            done = start(stage.words, folder).finish(limit(stage))
            (folder / "filler").unlink(missing_ok=True)
        else:
            most = chance.randrange(max(sizes[name] for name in needed))
            done = start(stage.words, folder, largest_file=most).finish(limit(stage))
        how = f"{4 * room} of {4 * outputs} kB left" if mounted else f"files of at most {most} bytes"
        wrong = _refusal(done, stage)
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)
        return [f"{how}: {text}" for text in [*wrong, *finished(prepared, stage, folder)]]


def _refusal(done: Done, stage: Stage) -> list[str]:
    words = ("disk full", "larger than files may be")
    if done.status == 0:
        return ["status 0"]
    if not done.refused or not any(word in done.complaint[0] for word in words):
        return [f"status {done.status}, no line of it: {_end(done)}"]
    return []


# --- damaged files ---------------------------------------------------------------------------------------------------


def corrupt(prepared: Prepared, stage: Stage, folder: Path, chance: random.Random) -> list[str]:
    """An input that is cut or has wrong bytes: refused in one line that names it, or not believed.

    A text has no checksum: a digit that became another is a table that somebody has edited.  Its damage here is a cut
    or bytes that no text has.
    """
    prepared.copy(stage, folder)
    given = [name for name in stage.inputs if name in stage.words or stage.name in ("report", "train")]
    if not given:
        raise NotTried
    name = chance.choice(given)
    content = bytearray((folder / name).read_bytes())
    if chance.random() < 0.5:
        at = chance.randrange(len(content))
        content = content[:at]
        how = f"{name} cut at {at}"
    else:
        places = [chance.randrange(len(content)) for _ in range(chance.choice((1, 1, 20)))]
        binary = Path(name).suffix in (".npz", ".safetensors", ".gz", ".zip", ".parquet", ".png", ".sqlite")
        for place in places:
            content[place] = content[place] ^ (1 << chance.randrange(8)) if binary else chance.choice((0, 0xFF))
        how = f"{name} changed at {', '.join(map(str, places[:3]))}"
    (folder / name).write_bytes(content)
    running = start(stage.words, folder)
    done = running.finish(limit(stage))
    if done.refused and Path(name).name in done.complaint[0]:
        wrong = [text for text in left_over(stage, folder) if ".tmp." in text]
    elif done.status == 0:
        wrong = differences(folder, prepared.folder, stage.outputs)
        if stage.name.startswith("evaluate") and any(words in done.text for words in UNUSABLE):
            wrong = []  # what is wrong with a crystal of anybody's file is said, and is a row of the tables
    else:
        wrong = [f"status {done.status}: {_end(done)}"]
    return [f"{how}: {text}" for text in [*wrong, *processes_left(running)]]


# --- two at once -----------------------------------------------------------------------------------------------------


def two_at_once(prepared: Prepared, stage: Stage, folder: Path, chance: random.Random) -> list[str]:
    """The same command twice, a random moment apart; one of a stage with a lock may be refused, and names the other."""
    prepared.copy(stage, folder)
    first = start(stage.words, folder)
    time.sleep(chance.uniform(0, 0.3 * stage.seconds))
    second = start(stage.words, folder)
    ends = {running: running.finish(2 * limit(stage)) for running in (first, second)}
    wrong = []
    for running, done in ends.items():
        wrong += processes_left(running)
        other = second if running is first else first
        if done.status != 0 and not (done.refused and f"(process {other.process.pid} on" in done.complaint[0]):
            wrong.append(f"status {done.status}: {_end(done)}")
    if all(done.status != 0 for done in ends.values()):
        wrong.append("neither of them has finished")
    wrong += [*differences(folder, prepared.folder, stage.outputs), *left_over(stage, folder)]
    return wrong


def _end(done: Done) -> str:
    return " | ".join(done.text.rstrip().splitlines()[-3:])


def scratch(folder: Path) -> None:
    """Delete a trial's folder."""
    if os.path.ismount(folder):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    shutil.rmtree(folder, ignore_errors=True)
