"""Arrays changed in one place, and the one line that their readers refuse them with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symmcd.errors import InputError


def entry(arrays: Mapping[str, np.ndarray], name: str, place: Any, value: Any) -> dict[str, np.ndarray]:
    """The array `name` with another value at `place`, of a type that holds it."""
    array = arrays[name].astype(np.result_type(arrays[name].dtype, np.asarray(value).dtype))
    array[place] = value
    return {name: array}


def refusal(read: Callable[[Path], object], path: Path) -> str:
    """What `read` says of a file: one line of reasonable length that begins with its path."""
    with pytest.raises(InputError) as error:
        read(path)
    said = str(error.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    assert len(said) < 600 + len(str(path))
    return said
