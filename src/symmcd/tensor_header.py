"""A few tensors of a safetensors file and its metadata, without the rest: milliseconds, whatever its size."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from symmcd.errors import InputError


def read_some_tensors(path: Path, names: Collection[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Those tensors of `names` that a file has, and its metadata.

    Raises:
        InputError: missing, cut short, or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            there = set(file.keys())
            return {name: file.get_tensor(name) for name in names if name in there}, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, TypeError, MemoryError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a readable safetensors file, or cut short ({said})") from None
