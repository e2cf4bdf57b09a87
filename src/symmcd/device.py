"""``auto | cuda | cpu`` → a torch device; of a machine's GPUs, one that no other job of ours holds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import torch

from symmcd.errors import InputError

_held: list[IO[str]] = []  # the lock of this process, until it ends


def choose_device(name: str) -> torch.device:
    """The device that a setting names; ``auto`` takes CUDA if there is one.

    Raises:
        InputError: no such device, or CUDA was requested but is not available.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device = cuda, but torch sees no CUDA device; use --device cpu, or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.device(name)
    except RuntimeError:
        raise InputError(f"device = {name!r}: choose auto, cuda or cpu") from None


def hold_gpu(name: str) -> None:
    """Make ``cuda`` a GPU that no other job holds, if `name` means CUDA and there are several GPUs.

    Parallel jobs of Snakemake (``--resources gpu=4``) would all take the first GPU.  Locks in the folder for temporary
    files mark GPUs that are held; a lock ends with its process.  Processes of torchrun, which assigns GPUs itself, and
    jobs that see only one GPU are unaffected; with more jobs than GPUs some share one.
    """
    number = torch.cuda.device_count() if name != "cpu" and torch.cuda.is_available() else 0
    if number < 2 or _held or "WORLD_SIZE" in os.environ:
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = visible if len(visible) == number else [str(index) for index in range(number)]
    free = first_free([name.strip() for name in names], Path(tempfile.gettempdir()))
    torch.cuda.set_device(os.getpid() % number if free is None else free)


def first_free(names: Sequence[str], folder: Path) -> int | None:
    """Index of the first of `names` that no process holds, held by this one from now on; None if all are."""
    try:
        import fcntl
    except ImportError:  # no POSIX system: nothing to lock files with
        return None
    for index, name in enumerate(names):
        file = _opened(folder / f"symmcd-gpu-{name.replace('/', '_')}.lock")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            _held.append(file)  # stays open
            return index
    return None


def _opened(path: Path) -> IO[str]:
    """A lock file, created if missing; another user's can be read, which is enough to lock it."""
    try:
        return path.open("a")
    except PermissionError:
        return path.open()
