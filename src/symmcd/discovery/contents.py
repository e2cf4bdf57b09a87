"""Identity of a plan by content and not by file name: a changed file is another one, a moved one is not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.discovery.unit_json import as_json
from symmcd.errors import InputError
from symmcd.extensions import CONSTRAINTS


def file_hash(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror})") from None


def wish_identity(name: str, value: Any) -> str:
    """Describe a constraint as text; the hash of its content stands for a file.

    Args:
        name: of the constraint, in `extensions.CONSTRAINTS`.
        value: as a user gives it: a text, a file, an asymmetric unit, or a mapping of these.

    Raises:
        InputError: a file that cannot be read.
    """
    return _content(value) if CONSTRAINTS[name].reads_file else str(value)


def _content(value: Any) -> str:
    if isinstance(value, AsymmetricUnit):
        return hashlib.sha256(json.dumps(as_json(value)).encode()).hexdigest()
    if isinstance(value, Mapping):
        return json.dumps({str(key): _content(of) for key, of in sorted(value.items())})
    if not isinstance(value, str | PathLike):
        return str(value)
    text = fspath(value)
    # the file may have more behind it, as host.cif+Li has
    end = next((end for end in range(len(text), 0, -1) if _is_file(text[:end])), 0)
    return file_hash(Path(text[:end])) + text[end:] if end else text


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # no name of a file at all
        return False
