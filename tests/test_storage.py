"""Files appear whole or not at all, and readable by whom the user's umask says."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest

from symmcd.storage import atomic_path, write_tensors


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_files_have_the_mode_of_the_umask(tmp_path, umask):
    with atomic_path(tmp_path / "text") as temporary:
        temporary.write_text("x")
    write_tensors(tmp_path / "a.safetensors", {"x": np.zeros(3)}, {})
    assert [stat.S_IMODE(path.stat().st_mode) for path in sorted(tmp_path.iterdir())] == [0o666 & ~umask] * 2


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def dies_half_way():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        dies_half_way()
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "old"
