"""Files appear whole or not at all, and readable by whom the user's umask says."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from symmcd.errors import InputError
from symmcd.storage import atomic_path, read_arrays, read_tensors, write_arrays, write_tensors


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


def test_what_is_no_npz_is_said(tmp_path):
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))  # a .npy by another name
    with pytest.raises(InputError, match=r"array\.npz: not a readable npz file \(no zip archive"):
        read_arrays(tmp_path / "array.npz")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(InputError, match=r"text\.npz: not a readable npz file"):
        read_arrays(tmp_path / "text.npz")
    write_arrays(tmp_path / "cut.npz", {"a": np.arange(1000)})
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-30])
    with pytest.raises(InputError, match=r"cut\.npz: not a readable npz file .*delete it and rerun its stage"):
        read_arrays(tmp_path / "cut.npz")


@pytest.mark.parametrize("name", ["crystals.extxyz", "folder"])
def test_what_is_something_else_is_not_to_be_deleted(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "crystals.extxyz").write_text("1\n")
    path = tmp_path / name
    with pytest.raises(InputError, match=r"expected an npz file, such as units\.npz") as error:
        read_arrays(path)
    assert "delete" not in str(error.value)
    beside = path / "units.npz" if path.is_dir() else tmp_path / "units.npz"
    beside.touch()
    with pytest.raises(InputError) as error:
        read_arrays(path)
    assert str(error.value).endswith(f"; give {beside}")


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_no_changed_bit_of_weights_is_believed(place, bit):
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(5), "c": np.zeros((0, 3))}
    metadata = {"format": "x", "state": '{"step": 12}'}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        write_tensors(path, tensors, metadata)
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= 1 << bit
        path.write_bytes(content)
        try:
            found, text = read_tensors(path)
        except InputError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
            return
        assert {k: v.tobytes() for k, v in found.items()} == {k: v.tobytes() for k, v in tensors.items()}
        assert metadata.items() <= text.items()  # or the name of the checksum has changed, and nothing else


def test_weights_without_a_checksum_are_read(tmp_path):
    save_file({"a": np.ones(3)}, tmp_path / "a.safetensors", metadata={"format": "x"})
    arrays, text = read_tensors(tmp_path / "a.safetensors")
    assert (arrays["a"].tolist(), text) == ([1, 1, 1], {"format": "x"})
