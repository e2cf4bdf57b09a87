"""Files, folders and archives that a user gives: opened within limits, for what is packed may unpack to anything."""

from __future__ import annotations

import bz2
import copy
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from symmcd.errors import InputError
from symmcd.structures.names import is_companion

MEMBER = 32 << 20
"""Bytes of one CIF, in a folder, an archive or a cell of a table; the largest of crystals (proteins aside) have 5."""

ARCHIVE = 2 << 30
"""Bytes that the CIFs of an archive unpack to in all: 20 times the CIFs of MP-20."""

TABLE = 16 << 30
"""Bytes that a table unpacks to; it is read row by row."""

JSON = 1 << 30
"""Bytes of a JSON, unpacked; as objects in memory it is several times that."""

RATIO = 100
"""A file of text that unpacks to more than this many times its size is no text; CIFs and JSON have 3 to 20."""

SMALL = 64 << 20
"""Bytes up to which `RATIO` does not count."""

LINE = 1 << 25
"""Characters of one line or cell of text."""

BROKEN_ZIP = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError, OverflowError,
    MemoryError,  # LZMA makes room for what its header says
)  # fmt: skip
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_NAMES = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 97: "WavPack", 98: "PPMd"}


class TooLargeError(InputError):
    """Something unpacks to more than is read."""


def mebibytes(size: int) -> str:
    """``32 MiB``."""
    return f"{size / (1 << 20):.4g} MiB"


def files_of(folder: Path) -> list[Path]:
    """Files of a folder and the folders in it, in order of path, without what macOS and Windows add.

    Raises:
        InputError: a folder in it cannot be looked into.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}); make it readable or remove it")

    paths = (Path(place, name) for place, _, names in os.walk(folder, onerror=refuse) for name in names)
    return sorted(path for path in paths if path.is_file() and not is_companion(path.relative_to(folder)))


def cif_files(folder: Path) -> list[Path]:
    """CIFs among `files_of` a folder."""
    return [path for path in files_of(folder) if path.suffix.lower() == ".cif"]


def check_only_cifs(folder: Path) -> None:
    """Raise InputError where a folder that is to be replaced or deleted holds other files than CIFs."""
    others = (path for path in folder.glob("*") if path.suffix != ".cif" and not is_companion(path.name))
    foreign = sorted(path.name for path in others) if folder.is_dir() else []
    if foreign:
        raise InputError(
            f"{folder}: holds {foreign[0]}, which is not a CIF of symmcd; choose another folder, or empty this one"
        )


def read_cif_file(path: Path) -> bytes:
    """Content of a CIF.

    Raises:
        TooLargeError: more than `MEMBER`.
        InputError: cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MEMBER + 1)
    except OSError as error:
        raise InputError(
            f"{path.absolute()}: cannot be read ({error.strerror}); make it readable or remove it"
        ) from None
    if len(content) > MEMBER:
        raise TooLargeError(f"more than {mebibytes(MEMBER)} of text")
    return content


def zipped_cifs(path: Path) -> Iterator[tuple[str, bytes | TooLargeError]]:
    """Name without ``.cif`` and content of each CIF in a zip, in order of name; in place of one too large the reason.

    Raises:
        InputError: no zip, damaged, encrypted, of a kind of packing that is not read, or too large as a whole.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                member
                for member in sorted(archive.infolist(), key=lambda member: member.filename)
                if member.filename.lower().endswith(".cif") and not is_companion(member.filename)
            ]
            _check_directory(path, members)
            total = 0
            for member in members:
                if member.file_size > MEMBER:
                    reason = f"{mebibytes(member.file_size)} of text, more than {mebibytes(MEMBER)}"
                    yield member.filename[:-4], TooLargeError(reason)
                    continue
                content = _unpacked(archive, member)
                total += len(content)
                yield member.filename[:-4], content
    except InputError:
        raise
    except BROKEN_ZIP as error:
        raise InputError(
            f"{path}: not a readable zip file ({shown(error, 200) or type(error).__name__}); pack it again"
        ) from None


def _check_directory(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse by what the archive says of itself, before anything is unpacked."""
    for member in members:
        if member.flag_bits & 1:
            raise InputError(
                f"{path}: {shown(member.filename)} is encrypted; unpack it with its password and pack it without"
            )
        if member.compress_type not in _METHODS:
            method = _NAMES.get(member.compress_type, f"method {member.compress_type}")
            raise InputError(
                f"{path}: {shown(member.filename)} is packed by {method}, which "
                "is not supported; pack it as a plain zip"
            )
    total = sum(member.file_size for member in members if member.file_size <= MEMBER)
    packed = max(path.stat().st_size, 1)
    if total > ARCHIVE or total > max(SMALL, RATIO * packed):
        raise InputError(
            f"{path}: its CIFs unpack to {mebibytes(total)}, {total / packed:.0f} times its size; at most "
            f"{mebibytes(ARCHIVE)} and {RATIO} times are read; give it in parts, or as a folder"
        )


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Content of a member, which has as many bytes as the directory says and no more, whatever it unpacks to."""
    if member.compress_type != zipfile.ZIP_BZIP2:
        with archive.open(member) as file:
            return b"".join(iter(lambda: file.read(4096), b""))  # small parts: of LZMA each may be 7,000 times as large
    packed = copy.copy(member)  # zipfile unpacks bzip2 4 kB at once, which may be 4 GB
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, member.compress_size
    del packed.CRC
    with archive.open(packed) as file:
        content = bz2.BZ2Decompressor().decompress(file.read(), member.file_size + 1)
    if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
        raise zipfile.BadZipFile(f"{shown(member.filename)} is damaged")
    return content


def open_text(path: Path, limit: int = TABLE) -> io.TextIOBase:
    """A text file of at most `limit` bytes, unpacked if its name ends in .gz, without a byte order mark.

    Raises:
        TooLargeError: larger, or unpacks to more than `RATIO` times its size; here or while it is read.
    """
    size = path.stat().st_size
    if path.suffix.lower() != ".gz":
        if size > limit:
            raise TooLargeError(f"{path}: {mebibytes(size)}, more than {mebibytes(limit)}; give it in parts")
        return path.open(encoding="utf-8-sig", newline="")
    bounded = _Bounded(path, min(limit, max(SMALL, RATIO * size)))
    return io.TextIOWrapper(io.BufferedReader(bounded, 1 << 16), encoding="utf-8-sig", newline="")


class _Bounded(io.RawIOBase):
    """Content of a gzip file up to a limit."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._left, self._limit = path, limit, limit
        self._file = cast("BinaryIO", gzip.open(path))  # noqa: SIM115  (closed by `close`)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        self._left -= len(content)
        if self._left < 0:
            raise TooLargeError(
                f"{self._path}: unpacks to more than {mebibytes(self._limit)}, far more than a text of "
                "its size; if this is right, give it unpacked or in parts"
            )
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


def bounded_lines(file: io.TextIOBase, path: Path) -> Iterator[str]:
    """Lines of a text.

    Raises:
        TooLargeError: a line is longer than `LINE`.
    """
    for number, line in enumerate(iter(lambda: file.readline(LINE + 1), ""), start=1):
        if len(line) > LINE:
            raise TooLargeError(
                f"{path}: line {number} has more than {LINE} characters; it is not a text file, or it is damaged"
            )
        yield line


def shown(text: object, longest: int = 80) -> str:
    """`text` for a message: on one line, and cut where it is long."""
    start = str(text)[: 4 * longest]
    whole = " ".join("".join(c if c.isprintable() else " " for c in start).split())
    return whole if len(whole) <= longest else f"{whole[:longest]}…"
