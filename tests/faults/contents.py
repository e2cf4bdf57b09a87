"""Whether two files say the same: arrays, weights, rows and texts, without what a clock wrote, or git."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

CLOCK = {"seconds", "minutes", "commit"}
CACHES = (".sqlite",)  # may hold more than a run needs


def differences(found: Path, expected: Path, names: tuple[str, ...]) -> list[str]:
    """Which of the files are missing in `found` or say something else than in `expected`."""
    bad = []
    for name in names:
        if not name.endswith(CACHES) and not (found / name).is_file():
            bad.append(f"{name} is missing")
        elif not name.endswith(CACHES) and content(found / name) != content(expected / name):
            bad.append(f"{name} differs")
    return bad


def content(path: Path) -> Any:
    """What a file says, to be compared by ``==``."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return {name: _array(archive[name]) for name in archive.files}
    if path.suffix == ".safetensors":
        with safe_open(path, framework="numpy") as file:
            text = {k: _untimed(json.loads(v)) if v[:1] == "{" else v for k, v in (file.metadata() or {}).items()}
            return text, {name: _array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return [_untimed(row) for row in csv.DictReader(file)]
    if path.suffix == ".json":
        return _untimed(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".parquet":
        import pandas as pd

        return pd.read_parquet(path).to_csv()
    if path.suffix == ".html":
        return re.sub(
            r"\d+(\.\d+)? (s|seconds|min|minutes)\b|\d{4}-\d\d-\d\d \d\d:\d\d", "", path.read_text(encoding="utf-8")
        )
    return path.read_bytes()


def _array(values: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return str(values.dtype), values.shape, values.tobytes()


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untimed(of) for key, of in value.items() if key not in CLOCK}
    return [_untimed(of) for of in value] if isinstance(value, list) else value
