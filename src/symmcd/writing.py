"""Files appear whole or not at all, the remains of killed writers go, and a full disk is said in one line.

Standard library only: the command line needs it before numpy is loaded, and a bare CUDA machine has nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from symmcd.errors import InputError, SymmcdError

NO_ROOM = {  # what went wrong, and what to do before the same command is run again
    errno.ENOSPC: "disk full while writing it; make room",
    errno.EDQUOT: "quota of the disk used up while writing it; make room",
    errno.EFBIG: "larger than files may be here (ulimit -f); raise that limit",
    errno.EIO: "the disk reports an error; check it",
}
OLD = 86_400.0
"""Seconds after which a temporary file is nobody's, whatever process or machine its name says."""


def host_name() -> str:
    """Name of this machine as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9]", "-", socket.gethostname().partition(".")[0])[:40] or "unnamed"


def temporary_name(path: Path) -> Path:
    """The name beside `path` under which this process builds it, a file or a folder.

    It says machine and process, so that jobs on two nodes do not meet and `remove_abandoned` knows whose it was.  The
    suffix is kept, because writers choose a format by it.
    """
    return path.with_name(f".{host_name()}-{os.getpid()}.tmp.{path.name}")


def remove_abandoned(path: Path) -> None:
    """Delete what writers of `path` left behind when they were killed.

    A temporary file or folder of it is left behind if its process on this machine has ended, or if it is a day old.
    """
    pattern = re.compile(rf"\.(?:(?P<host>[A-Za-z0-9-]+)-)?(?P<process>\d+)\.tmp\.{re.escape(path.name)}")
    with os.scandir(path.parent) as entries:
        remains = [(Path(entry.path), match) for entry in entries if (match := pattern.fullmatch(entry.name))]
    for temporary, match in remains:
        here = match["host"] == host_name()
        with contextlib.suppress(FileNotFoundError):  # another writer was faster
            if (here and not is_alive(int(match["process"]))) or time.time() - temporary.stat().st_mtime > OLD:
                delete(temporary)


def delete(path: Path) -> None:
    """Delete a file or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Return whether a process of this machine is running, ours or another user's."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it when the block ends well and removed when it does not.

    The content is on the disk before the file has its name, so that not even a power cut leaves half of it there.

    Raises:
        InputError: the disk is full, or nothing can be written here.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path)
        temporary.unlink(missing_ok=True)
        temporary.touch()  # before any work, to see whether it can be
        temporary.unlink()
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        yield temporary
        flush_to_disk(temporary)
        os.replace(temporary, path)
        flush_to_disk(path.parent)
    except Exception as error:
        if (cause := failed_write(error, temporary)) is not None:
            raise cannot_write(path, cause) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # what the block raised says more
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, which takes its place when the block ends well and is removed when it does not.

    Whenever a kill comes, the earlier content is there completely or not at all.

    Raises:
        InputError: the disk is full, or nothing can be written here.
    """
    path = Path(path)
    building, old = temporary_name(path), path.with_name(f".{path.name}.old")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _put_back(old, path)
        remove_abandoned(path)
        delete(old)
        delete(building)
        building.mkdir()
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        yield building
        _exchange(building, path, old)
    except Exception as error:
        if (cause := failed_write(error, building)) is not None:
            raise cannot_write(path, cause) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            _put_back(old, path)
        shutil.rmtree(building, ignore_errors=True)


def _exchange(building: Path, path: Path, old: Path) -> None:
    """Put a finished folder in the place of the one before."""
    try:
        if path.exists():
            path.rename(old)
        building.rename(path)
        flush_to_disk(path.parent)
        delete(old)
    except OSError as error:
        raise cannot_write(path, error) from None


def _put_back(old: Path, path: Path) -> None:
    """Undo the first of the two renames where a writer was killed before the second."""
    if old.is_dir() and not path.exists():
        old.rename(path)


def flush_to_disk(path: Path) -> None:
    """Wait until what was written to a file, or the names in a folder, is on the disk.

    Raises:
        OSError: the disk is full after all; some file systems say so only now.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        # EINVAL and the like: a file system that cannot, mostly for folders
    finally:
        os.close(handle)


def failed_write(error: BaseException, written: Path | None = None) -> OSError | None:
    """The failed write below an error that arose while `written` (a file, or something in that folder) was written.

    None if it is something else: an error of a computation, or of another file that was read meanwhile.  Without
    `written` only what cannot be anything else: a full or broken disk.  Libraries
    wrap a full disk in errors of their own or stumble over it a second time when they close the file, so what the error
    arose from is looked at too.
    """
    link: BaseException | None = None if isinstance(error, SymmcdError) else error  # that has said it already
    while link is not None:
        if isinstance(link, OSError) and link.errno is not None and not isinstance(link, ConnectionError):
            named = link.filename if isinstance(link.filename, str | os.PathLike) else None
            of_ours = written is not None and (named is None or Path(named).is_relative_to(written))
            if link.errno in NO_ROOM or of_ours:
                return link
        link = link.__cause__ or link.__context__
    return None


def cannot_write(path: Path, error: OSError, then: str = "") -> InputError:
    """Error for a `path` that could not be written; `then` is the state from which the next run continues."""
    if error.errno in NO_ROOM:
        return InputError(
            f"{path}: {NO_ROOM[error.errno]} and run the same command again" + (f", {then}" if then else "")
        )
    return InputError(f"{path}: cannot write here ({error.strerror or error}); choose another folder")
