"""What is packed is unpacked within limits, and what a machine adds to a folder is no crystal."""

from __future__ import annotations

import csv
import gzip
import io
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.structures.test_cif import rock_salt

from symmcd.errors import InputError
from symmcd.structures import files
from symmcd.structures.cell import Cell
from symmcd.structures.crystal import StructureError
from symmcd.structures.files import open_text, shown
from symmcd.structures.read import read_rows, read_structures
from symmcd.structures.sources import whole_source

COMPANIONS = (
    "._salt.cif", "sub/._salt.cif", "__MACOSX/salt.cif", "__MACOSX/._salt.cif", "sub/__MACOSX/deep/x.cif", ".DS_Store",
    "sub/.DS_Store", "Thumbs.db", "sub/desktop.ini", "._sub/x.cif",
)  # fmt: skip


def with_companions(folder: Path) -> Path:
    for name in COMPANIONS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    for name in ("salt.cif", "sub/salt.CIF"):
        (folder / name).write_text(rock_salt())
    return folder


def test_companions_are_no_crystals(tmp_path):
    folder = with_companions(tmp_path / "data")
    assert [row.material_id for row in read_rows(folder)] == ["salt", "sub/salt"]
    assert [row.material_id for row in whole_source(folder)[0]] == ["salt", "sub/salt"]
    shutil.make_archive(str(tmp_path / "data"), "zip", folder)
    for place in (folder, tmp_path / "data.zip"):
        found = read_structures(place)
        assert [name for name, _ in found] == ["salt", "sub/salt"]
        assert all(isinstance(crystal, Cell) for _, crystal in found)


def test_a_folder_of_companions_has_no_crystals(tmp_path):
    (tmp_path / "._a.cif").write_text(rock_salt())
    with pytest.raises(InputError, match=r"no \.cif files"):
        read_structures(tmp_path)


def packed(path: Path, members: dict[str, bytes], method=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_usual_packing_is_read(tmp_path, method):
    path = packed(tmp_path / "a.zip", {"a.cif": rock_salt().encode(), "b/c.CIF": rock_salt().encode()}, method)
    found = read_structures(path)
    assert [name for name, _ in found] == ["a", "b/c"]
    assert all(isinstance(crystal, Cell) for _, crystal in found)


def with_header(path: Path, *, method: int | None = None, flag: int | None = None, size: int | None = None) -> Path:
    """The archive with another packing, flag or unpacked size in the headers of its first member."""
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        begin = content.index(signature)
        if flag is not None:
            content[begin + at : begin + at + 2] = struct.pack("<H", flag)
        if method is not None:
            content[begin + at + 2 : begin + at + 4] = struct.pack("<H", method)
        if size is not None:
            content[begin + at + 16 : begin + at + 20] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flag": 1}, "a.cif is encrypted"),
        ({"method": 9}, "a.cif is packed by Deflate64"),
        ({"method": 98}, "a.cif is packed by PPMd"),
        ({"method": 55}, "a.cif is packed by method 55"),
        ({"size": 5}, "not a readable zip"),
        ({"method": 12}, "not a readable zip"),
        ({"method": 14}, "not a readable zip"),
    ],
)
def test_archives_that_cannot_be_read(tmp_path, change, message):
    path = with_header(packed(tmp_path / "x.zip", {"a.cif": rock_salt().encode()}), **change)
    with pytest.raises(InputError, match=message) as error:
        read_structures(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_cut_archives(tmp_path, cut):
    path = packed(tmp_path / "x.zip", {f"{i}.cif": rock_salt().encode() for i in range(5)})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    with pytest.raises(InputError, match="not a readable zip"):
        read_structures(path)


def test_two_members_of_one_name_are_two_crystals(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.cif", rock_salt())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.cif", rock_salt().replace("5.64", "6.64"))
    found = read_structures(path)
    assert [name for name, _ in found] == ["a", "a#2"]
    assert [round(crystal.lattice[0, 0], 2) for _, crystal in found] == [5.64, 6.64]


def test_a_cif_that_is_too_large_is_a_row_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MEMBER", 10_000)
    members = {"a.cif": rock_salt().encode(), "b.cif": b"#" * 10_001, "c.cif": rock_salt().encode()}
    path = packed(tmp_path / "a.zip", members)
    (tmp_path / "cif").mkdir()
    for name, content in members.items():
        (tmp_path / "cif" / name).write_bytes(content)
    for place in (path, tmp_path / "cif"):
        (_, first), (name, error), (_, last) = read_structures(place)
        assert isinstance(first, Cell)
        assert isinstance(last, Cell)
        assert name == "b"
        assert isinstance(error, StructureError)
        assert error.reason == "too_large"
        assert "0.009537 MiB" in error.detail
    ((_, error),) = read_structures(tmp_path / "cif" / "b.cif")
    assert error.reason == "too_large"
    rows, left_out = whole_source(tmp_path / "cif")
    assert [row.material_id for row in rows] == ["a", "c"]
    assert left_out == {"b": "more than 0.009537 MiB of text"}


def test_an_archive_that_is_too_large_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SMALL", 10_000)
    path = packed(tmp_path / "a.zip", {f"{i}.cif": b"#" * 9_000 for i in range(200)})
    monkeypatch.setattr(files, "RATIO", 10)
    with pytest.raises(InputError, match=r"its CIFs unpack to 1\.717 MiB, \d+ times its size"):
        read_structures(path)
    monkeypatch.setattr(files, "RATIO", 10**6)
    assert len(read_structures(path)) == 200
    monkeypatch.setattr(files, "ARCHIVE", 10_000)
    with pytest.raises(InputError, match="unpack to"):
        read_structures(path)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.json.gz"])
@pytest.mark.parametrize("filling", [b"\x00", b"\n", b'","', b"[", b'"a\n'])
def test_a_bomb_is_refused(tmp_path, monkeypatch, name, filling):
    monkeypatch.setattr(files, "SMALL", 1 << 20)
    monkeypatch.setattr(files, "LINE", 1 << 18)
    content = b"material_id,cif\n" if "csv" in name else b"["
    (tmp_path / name).write_bytes(gzip.compress(content + filling * (8 << 20), mtime=0))
    with pytest.raises(InputError) as error:
        read_structures(tmp_path / name)
    assert len(str(error.value)) < 600
    assert "\n" not in str(error.value)
    if "json" in name or filling == b"\n":  # the others have a line that is too long before that
        assert "unpacks to more than" in str(error.value)


BOMB = """
import gzip, resource, sys, zipfile
from symmcd.errors import InputError
from symmcd.structures.read import read_structures
from pathlib import Path
path = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print([str(error) for _, error in read_structures(path)])
except InputError as error:
    print(str(error)[:500])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("kind", ["csv.gz", "json.gz", "zip", "bzip2.zip", "lying.zip"])
def test_a_gigabyte_of_zeros_does_not_take_a_gigabyte(tmp_path, kind):
    path = tmp_path / f"bomb.{kind}"
    size = 1 << (29 if kind == "bzip2.zip" else 30)  # packing takes seconds
    block = bytes(1 << 20)
    if kind.endswith("zip"):
        method = zipfile.ZIP_BZIP2 if kind.startswith("bzip2") else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive, archive.open("a.cif", "w") as file:
            for _ in range(size >> 20):
                file.write(block)
        if kind.startswith(("lying", "bzip2")):
            with_header(path, size=1000)
    else:
        with gzip.open(path, "wb", 1) as file:
            for _ in range(size >> 20):
                file.write(block)
    done = subprocess.run([sys.executable, "-c", BOMB, path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said, taken = done.stdout.splitlines()
    assert int(taken) < 400, (said, taken)
    assert path.name in said or "too_large" in said


def test_long_names_of_columns_are_cut(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x" * 1_000_000 + ",y\n1,2\n")
    with pytest.raises(InputError, match="no column 'cif'") as error:
        list(read_rows(path))
    assert len(str(error.value)) < 600


def test_long_lines_are_refused_before_they_are_held(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LINE", 1000)
    path = tmp_path / "a.csv"
    path.write_text("material_id,cif\nmp-1," + "x" * 2000 + "\n")
    with pytest.raises(InputError, match=r"a\.csv: line 2 has more than 1000 characters"):
        list(read_rows(path))


def test_a_table_reads_as_before(tmp_path):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("material_id", "cif"), *((f"mp-{i}", rock_salt()) for i in range(50))])
    for name in ("a.csv", "a.csv.gz"):
        content = text.getvalue().encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        rows = list(read_rows(tmp_path / name))
        assert [row.material_id for row in rows] == [f"mp-{i}" for i in range(50)]
        assert {row.cif for row in rows} == {rock_salt()}


def test_open_text_reads_what_gzip_reads(tmp_path):
    content = "\ufeffé\n" * 100_000
    (tmp_path / "a.gz").write_bytes(gzip.compress(content.encode()))
    with open_text(tmp_path / "a.gz") as file:
        assert file.read() == content[1:]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path):
    (tmp_path / "a.cif").write_text(rock_salt())
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(InputError, match="closed: cannot be read"):
        read_structures(tmp_path)


def test_shown_is_one_short_line():
    assert shown("a\nb\x00\tc") == "a b c"
    assert len(shown("x" * 10_000)) == 81
