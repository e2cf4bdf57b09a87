"""Archives of arrays: what comes back, and damage of every kind ends in one line with the file's name."""

from __future__ import annotations

import functools
import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symmcd.errors import InputError
from symmcd.npz import UNPACKED, Expected, fitted
from symmcd.storage import read_arrays, read_tensors, write_arrays, write_tensors
from tests import damaged_arrays

ARRAYS = {
    "numbers": np.random.default_rng(0).normal(size=(20, 3)),
    "integers": np.arange(20),
    "texts": np.array([f"crystal {i}" for i in range(20)]),
    "flags": np.array([True, False]),
    "single": np.array("key"),
    "none": np.zeros((0, 3)),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "foreign": np.arange(4, dtype=">i8"),
}


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    return stream.getvalue()


def header(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    """Of a npy file whose description is `text`."""
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text.encode("latin1")


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


refusal = functools.partial(damaged_arrays.refusal, read_arrays)


def test_what_was_written_comes_back(tmp_path):
    write_arrays(tmp_path / "all.npz", ARRAYS)
    found = read_arrays(tmp_path / "all.npz")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].flags.writeable
    np.savez(tmp_path / "stored.npz", **ARRAYS)  # uncompressed
    for name, array in read_arrays(tmp_path / "stored.npz").items():
        np.testing.assert_array_equal(array, ARRAYS[name])


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }",  # 8 PB
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000, 1000000), }",
        "{'descr': '<U100000000', 'fortran_order': False, 'shape': (100,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }",  # less than there is
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (True,), }",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,), }",
        "{'descr': ('<f8', (3,)), 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': 3, 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f8', 'fortran_order': 'no', 'shape': (3,), }",
        "{'descr': '<f8', 'shape': (3,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 3L, ",
        "{1: 2, 'descr': (), b'x': '\\q'}",
        "(((((((((((((((((((((((((((((((((((((((((",
        "[" * 5000,
        "__import__('os').system('true')",
        "",
        "\x00\xff\n",
    ],
)
def test_headers_that_are_wrong(tmp_path, text):
    for version in ((1, 0), (2, 0)):
        path = archive(tmp_path / "a.npz", {"a.npy": header(text, version) + bytes(24)})
        tracemalloc.start()
        said = refusal(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert "not a readable npz file (" in said
        assert said.endswith("delete it and rerun its stage")
        assert peak < 5e6


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", b""), ("a.npy", b"\x93NUMPY"), ("a.npy", b"\x93NUMPY\x01\x00\xff\xff{"), ("a.txt", b"text"),
        ("a", npy(np.zeros(3))), ("a.npy", b"\x93NUMPY\x09\x00" + bytes(50)), ("a.npy", b"\x80\x04K\x01."),
        ("a.npy", npy(np.array([{}, None]))), ("a.npy", npy(np.zeros(3)) + b"more"), ("a.npy", npy(np.zeros(3))[:-1]),
    ],
)  # fmt: skip
def test_members_that_are_no_arrays(tmp_path, name, content):
    assert "not a readable npz file" in refusal(archive(tmp_path / "a.npz", {name: content}))


def test_two_members_of_one_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("a.npy", npy(np.zeros(3)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.npy", npy(np.ones(3)))
    assert "appears twice" in refusal(tmp_path / "a.npz")


def patched(path: Path, local: int, central: int, value: bytes) -> Path:
    """The same archive with `value` in the first member's local header and in the directory."""
    content = bytearray(path.read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    content[local : local + len(value)] = value
    content[directory + central : directory + central + len(value)] = value
    path.write_bytes(content)
    return path


def test_compressions_and_ciphers_that_are_not_ours(tmp_path):
    for number in (1, 9, 12, 14, 97, 98):  # shrunk, Deflate64, bzip2, LZMA and PPMd by name, of a deflated stream
        path = archive(tmp_path / "a.npz", {"a.npy": npy(np.arange(100))})
        assert "not a readable npz file (" in refusal(patched(path, 8, 10, struct.pack("<H", number)))
    path = archive(tmp_path / "a.npz", {"a.npy": npy(np.arange(100))})
    assert "encrypted" in refusal(patched(path, 6, 8, struct.pack("<H", 1)))


@pytest.mark.parametrize("claimed", [2**31, 2**32 - 2])
def test_a_directory_that_claims_too_much(tmp_path, claimed):
    path = archive(tmp_path / "a.npz", {"a.npy": npy(np.arange(100))})
    said = refusal(patched(path, 22, 24, struct.pack("<I", claimed)))
    assert f"unpack to {claimed}" in said
    assert "more than 100 times as many" in said


def test_a_bomb_is_not_unpacked(tmp_path):
    """200 MB of zeros in 200 kB: refused from the directory; what is below the limit is read, however well it packs."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file, file.open("a.npy", "w") as stream:
        stream.write(header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({200 * 2**20},), }}\n"))
        for _ in range(200):
            stream.write(bytes(2**20))
    tracemalloc.start()
    refusal(tmp_path / "a.npz")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    write_arrays(tmp_path / "b.npz", {"a": np.zeros(UNPACKED // 64)})
    assert read_arrays(tmp_path / "b.npz")["a"].nbytes == UNPACKED // 8


def test_a_wrong_checksum_is_noticed(tmp_path):
    path = archive(tmp_path / "a.npz", {"a.npy": npy(np.arange(100.0))}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[300] ^= 1  # in a number
    path.write_bytes(content)
    assert "Bad CRC-32" in refusal(path)


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_are_read_or_refused(tmp_path, data):
    """A few bytes of an archive or of safetensors, cut, repeated, or put in."""
    if not (tmp_path / "whole.npz").exists():
        write_arrays(tmp_path / "whole.npz", ARRAYS)
        tensors = {"a": np.arange(6.0), "b": np.zeros((2, 2), np.float32)}
        write_tensors(tmp_path / "whole.safetensors", tensors, {"format": "x"})
    kind = data.draw(st.sampled_from(["npz", "safetensors"]))
    content = bytearray((tmp_path / f"whole.{kind}").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1)) if content else 0
        some = data.draw(st.binary(max_size=6))
        if data.draw(st.booleans()):
            content[place : place + len(some)] = some
        else:
            content[place : place + data.draw(st.integers(0, 400))] = some
    path = tmp_path / f"changed.{kind}"
    path.write_bytes(content)
    said = f"{path}: "
    try:
        read = read_arrays(path) if kind == "npz" else read_tensors(path)[0]
    except InputError as error:
        read, said = {}, str(error)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    for name in set(read) & set(ARRAYS) if kind == "npz" else ():
        np.testing.assert_array_equal(read[name], ARRAYS[name])  # the checksum saw to it


def test_paths_that_are_no_files(tmp_path):
    assert "no such file; run the stage" in refusal(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"")
    assert "not a readable npz file (no zip archive)" in refusal(tmp_path / "a.npz")
    assert "not a regular file" in refusal(Path("/dev/zero"))


EXPECTED = {
    "count": Expected("integers", ("B",)),
    "start": Expected("integers", ("B+1",)),
    "value": Expected("numbers", ("B", 2)),
    "blank": Expected("numbers", ("B",), finite=False),
    "name": Expected("texts", ("B",)),
}
FITTING = {
    "count": np.array([1, 2], np.uint8),
    "start": np.arange(3, dtype=np.int32),
    "value": np.ones((2, 2), np.float32),
    "blank": np.array([np.nan, np.inf]),
    "name": np.array(["x", ""]),
    "more": np.zeros(7),
}


def test_arrays_that_fit_have_one_kind_each():
    found = fitted(Path("a.npz"), FITTING, EXPECTED, "things")
    assert list(found) == list(EXPECTED)
    assert [found[name].dtype.str for name in found] == ["<i8", "<i8", "<f8", "<f8", "<U1"]
    for name, array in found.items():
        np.testing.assert_array_equal(array, FITTING[name])


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("count", None, "lacks count; it is not a file of things"),
        ("count", np.array([1.0, 2.0]), r"count is float64 \(2,\), expected integers \(B,\)"),
        ("count", np.array([True, False]), "count is bool"), ("count", np.array(["1", "2"]), "count is <U1"),
        ("count", np.array([[1, 2]]), r"count is int64 \(1, 2\), expected integers \(B,\)"),
        ("count", np.array([1]), r"start has shape \(3,\), expected integers \(B\+1,\) with B = 1 of count"),
        ("count", np.array([2**63, 1], np.uint64), "count has numbers up to 9223372036854775808"),
        ("start", np.arange(2), r"start has shape \(2,\)"), ("start", np.array(0), r"start is int64 \(\)"),
        ("value", np.ones((2, 3)), r"value has shape \(2, 3\), expected numbers \(B, 2\)"),
        ("value", np.array([[1, 2], [np.nan, 1]]), "value is nan in row 1"),
        ("value", np.array([[-np.inf, 2], [1, 1]]), "value is -inf in row 0"),
        ("value", np.array([[np.longdouble("1e400"), 2], [1, 1]]), "value is inf in row 0"),
        ("blank", np.array(["a", "b"]), "blank is <U1"),
        ("name", np.array([b"x", b"y"]), "name is |S1"), ("name", np.array([1, 2]), "name is int64"),
        ("name", np.array([0x110000, 65], np.uint32).view("<U1"), "name has a value that is not text"),
        ("name", np.array([0xD800, 65], np.uint32).view("<U1"), "name has a value that is not text"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(name, array, said):
    given = {k: v for k, v in (FITTING | {name: array}).items() if v is not None}
    with pytest.raises(InputError, match=said) as error:
        fitted(Path("a.npz"), given, EXPECTED, "things")
    assert str(error.value).startswith("a.npz: ")
    assert "\n" not in str(error.value)
