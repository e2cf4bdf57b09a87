"""Fingerprints already known, in an SQLite file; each row has a checksum, so that damage costs time and no number."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import sys
import time
from pathlib import Path
from typing import Self

import numpy as np

from symmcd.errors import InputError
from symmcd.metrics.order_parameters import LABELS
from symmcd.workers import OF_THE_MACHINE, Outcome
from symmcd.writing import NO_ROOM

# A damaged length makes SQLite ask for more memory than there is, a damaged name of a column is no text.
FAILURES = (sqlite3.Error, MemoryError, UnicodeDecodeError)
COLUMNS = ("key", "status", "detail", "value", "checksum")


class Cache:
    """Fingerprints by content hash in an SQLite file, which several jobs may use at once; none without a path.

    The file is locked for the moment of a write only: results wait in memory for the next one, a second later.  Where
    it cannot be read or written any more, that is said once and the work goes on without it.  A row that its checksum
    does not fit is taken for unknown, and how many there were is said at the end.  A file of an earlier version,
    without checksums, is started over.

    Raises:
        InputError: the file is no such cache or cannot be made.
    """

    SECONDS = 1.0  # between two writes
    PATIENCE = 60.0  # seconds to wait for another job's write

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._waiting: list[tuple[bytes, bytes, bytes, bytes | None, bytes]] = []
        self._written = time.monotonic()
        self._damaged = 0
        self._connection: sqlite3.Connection | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=self.PATIENCE)
            self._connection.text_factory = bytes  # a damaged text need not be one
            self._make_table()
        except (OSError, *FAILURES) as error:
            if _passes(error):
                self._give_up(error)
                return
            raise InputError(f"{path}: cannot be used as a cache ({error}); delete it or choose another") from None

    def _make_table(self) -> None:
        """The table of fingerprints, empty if it is not there or is one of an earlier version."""
        assert self._connection is not None
        columns = self._columns()
        if columns == COLUMNS:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:  # ends the transaction
            if columns and self._columns() == columns:  # no other job has replaced it meanwhile
                (number,) = self._connection.execute("SELECT count(*) FROM fingerprint").fetchone()
                self._connection.execute("DROP TABLE fingerprint")
                print(
                    f"{self._path}: made by an earlier version, without checksums; its {number} fingerprints are "
                    "computed again",
                    file=sys.stderr,
                )
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS fingerprint (key BLOB PRIMARY KEY, status BLOB NOT NULL,"
                " detail BLOB NOT NULL, value BLOB, checksum BLOB NOT NULL) WITHOUT ROWID"
            )

    def _columns(self) -> tuple[str, ...]:
        assert self._connection is not None
        columns = self._connection.execute("PRAGMA table_info(fingerprint)").fetchall()
        return tuple(bytes(row[1]).decode("utf-8", "replace") for row in columns)

    def get(self, key: bytes) -> Outcome | None:
        """What is known of a crystal."""
        if self._connection is None:
            return None
        try:
            row = self._connection.execute(
                "SELECT status, detail, value, checksum FROM fingerprint WHERE key = ?", (key,)
            ).fetchone()
        except FAILURES as error:
            self._give_up(error)
            return None
        if row is None:
            return None
        outcome = _read(key, *row)
        self._damaged += outcome is None
        return outcome

    def put(self, key: bytes, outcome: Outcome) -> None:
        """Keep an outcome; time limits and crashes depend on the machine and are not kept."""
        if self._connection is None or outcome.status in OF_THE_MACHINE or not _sound(outcome):
            return
        status, detail = outcome.status.encode(), outcome.detail.encode("utf-8", "replace")
        value = None if outcome.value is None else outcome.value.astype("<f8").tobytes()
        self._waiting.append((key, status, detail, value, _checksum(key, status, detail, value)))
        if time.monotonic() - self._written >= self.SECONDS:
            self._write()

    def _write(self) -> None:
        if self._connection is None:
            return
        try:
            with self._connection:  # a transaction
                self._connection.executemany("INSERT OR REPLACE INTO fingerprint VALUES (?, ?, ?, ?, ?)", self._waiting)
        except FAILURES as error:
            self._give_up(error)
        self._waiting, self._written = [], time.monotonic()

    def _give_up(self, error: Exception) -> None:
        advice = "" if _passes(error) else "; delete it to have one again"
        print(
            f"{self._path}: no cache any more ({error}); fingerprints are computed without it{advice}", file=sys.stderr
        )
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(*FAILURES):
            if self._connection is not None:
                self._connection.close()
        self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._waiting:
            self._write()
        if self._damaged:
            print(
                f"{self._path}: {self._damaged} damaged fingerprints were computed again; if this is said once more, "
                "delete it and look after the disk",
                file=sys.stderr,
            )
        self._damaged = 0
        self._close()


def _checksum(key: bytes, status: bytes, detail: bytes, value: bytes | None) -> bytes:
    """SHA-256 over all fields, each with its length before it."""
    digest = hashlib.sha256()
    for field in (key, status, detail, b"none" if value is None else b"some" + value):
        digest.update(len(field).to_bytes(8, "little") + field)
    return digest.digest()


def _read(key: bytes, *fields: object) -> Outcome | None:
    """The outcome that a row holds; None if the row is not as it was written."""
    status, detail, value, checksum = fields
    if not (isinstance(status, bytes) and isinstance(detail, bytes) and isinstance(value, bytes | None)):
        return None
    if checksum != _checksum(key, status, detail, value):
        return None
    array = np.frombuffer(value, "<f8") if value is not None and len(value) == 8 * len(LABELS) else None
    outcome = Outcome(status.decode(), array, detail.decode())
    return outcome if _sound(outcome) and (value is None) == (array is None) else None


def _sound(outcome: Outcome) -> bool:
    """Whether it has what an outcome of its status has: a whole, finite fingerprint where that is ``ok``."""
    if outcome.status != "ok":
        return outcome.value is None
    return np.shape(outcome.value) == (len(LABELS),) and bool(np.isfinite(outcome.value).all())


def _passes(error: Exception) -> bool:
    """Whether nothing is wrong with the cache itself: another job has it, or its disk is full."""
    kinds = sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR
    extended = getattr(error, "sqlite_errorcode", None)  # the kind is its last byte
    return getattr(error, "errno", None) in NO_ROOM or (extended is not None and extended & 0xFF in kinds)
