"""One writer an output: a second process that would write the same file is refused, and told who writes it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from symmcd.errors import InputError
from symmcd.writing import cannot_write, host_name

_TAKEN = {errno.EACCES, errno.EAGAIN}
_UNKNOWN = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextlib.contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """Hold `path`, which the block writes, against other processes.

    Raises:
        InputError: another process holds it (the message names process, machine and time), or nothing can be written.
    """
    lock = WriterLock(path)
    try:
        yield
    finally:
        lock.release()


class WriterLock:
    """The lock of an output, in ``.OUT.lock`` beside it, until `release` or the end of the process.

    The kernel keeps it, over NFS too, and lets go of it when the process dies however it dies: a file that a killed
    process has left is taken over without a word.  A process may hold an output several times, as a stage and its
    journal do.

    Raises:
        InputError: as `one_writer`.
    """

    def __init__(self, path: Path) -> None:
        lock = path.parent.resolve() / f".{path.name}.lock"  # not of the output itself, which may be a link
        try:
            self._held: _HeldFile | None = _held.get((os.getpid(), lock)) or _HeldFile(lock, path)
        except OSError as error:
            raise cannot_write(path, error) from None

    def release(self) -> None:
        """Let others write, once nobody in this process holds the output any more."""
        self._held = None


class _HeldFile:
    """A locked file that is deleted and let go of when nothing refers to this object, or when Python ends."""

    def __init__(self, lock: Path, output: Path) -> None:
        lock.parent.mkdir(parents=True, exist_ok=True)
        while True:
            file = lock.open("a+", encoding="utf-8")
            if not _lock(file):
                file.seek(0)
                holder = _described(file.read())
                file.close()
                raise InputError(f"another symmcd ({holder}) is writing {output}; wait for it or end it")
            if _is_at(lock, file):
                break
            file.close()  # the holder before deleted it between our opening and locking it
        weakref.finalize(self, _release, lock, file, os.getpid())
        file.truncate(0)
        file.write(json.dumps(_identity()) + "\n")
        file.flush()
        _held[os.getpid(), lock] = self


_held: weakref.WeakValueDictionary[tuple[int, Path], _HeldFile] = weakref.WeakValueDictionary()


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _lock(file: IO[str]) -> bool:
    """Lock an open file; False where another process has it."""
    try:
        import fcntl
    except ImportError:  # no POSIX system: nothing to lock files with
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        if error.errno not in _UNKNOWN:
            raise
        print(
            f"{file.name}: this file system has no locks; make sure that only one process writes here", file=sys.stderr
        )
    return True


def _identity() -> dict[str, Any]:
    """Identity of the process that writes, for one that is refused."""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return {
        "process": os.getpid(),
        "host": host_name(),
        "since": since,
        "slurm_job": os.environ.get("SLURM_JOB_ID", ""),
    }


def _described(text: str) -> str:
    try:
        holder = json.loads(text)
        job = f", SLURM job {holder['slurm_job']}" if holder["slurm_job"] else ""
        return f"process {holder['process']} on {holder['host']}{job}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):  # it has the lock and is about to write who it is
        return "a process that began just now"


def _release(lock: Path, file: IO[str], process: int) -> None:
    """Delete a lock file while it is locked, then let go of it; nothing in a forked child, which has no lock."""
    if os.getpid() != process:
        return
    with contextlib.suppress(OSError):  # the folder is gone or read-only; without its lock the file means nothing
        lock.unlink()
    with contextlib.suppress(OSError):  # a full disk, at what `close` flushes
        file.close()
