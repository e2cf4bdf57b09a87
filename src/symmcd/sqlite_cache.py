"""Cache of computed results in an SQLite file; each row has a checksum, so that damage costs time and no number."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Generic, NamedTuple, Self, TypeVar

from symmcd.errors import InputError
from symmcd.writing import NO_ROOM

# A damaged length makes SQLite ask for more memory than there is, a damaged name of a column is no text.
FAILURES = (sqlite3.Error, MemoryError, UnicodeDecodeError)
COLUMNS = ("key", "status", "detail", "value", "checksum")


class Stored(NamedTuple):
    """Columns of a row beside its key and its checksum."""

    status: str
    detail: str
    value: bytes | None


Item = TypeVar("Item")


class SqliteCache(ABC, Generic[Item]):
    """Items by content hash in an SQLite file, which several jobs may use at once; none without a path.

    The file is locked only during a write; items wait in memory for the next write, a second later.  If the file can no
    longer be read or written, a message says so once and the work continues without it.  A row with a wrong checksum
    counts as unknown; the number of such rows is reported at the end.  A table of an earlier version, without
    checksums, is started again.

    Raises:
        InputError: the file is not a cache or cannot be made.
    """

    TABLE: ClassVar[str]
    """Name of the table in the file, used in queries unquoted (S608: nothing of a user's)."""
    ITEMS: ClassVar[str]
    """Name of the items, in the plural, for messages."""
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

    @abstractmethod
    def _pack(self, item: Item) -> Stored | None:
        """Row for an item; None for one that is not to be kept."""

    @abstractmethod
    def _unpack(self, stored: Stored) -> Item | None:
        """The item that a row holds; None if `_pack` makes no such row."""

    def _make_table(self) -> None:
        """The table, empty if it is not there or is one of an earlier version."""
        assert self._connection is not None
        columns = self._columns()
        if columns == COLUMNS:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:  # ends the transaction
            if columns and self._columns() == columns:  # no other job has replaced it meanwhile
                (number,) = self._connection.execute(f"SELECT count(*) FROM {self.TABLE}").fetchone()  # noqa: S608
                self._connection.execute(f"DROP TABLE {self.TABLE}")
                print(
                    f"{self._path}: made by an earlier version, without checksums; "
                    f"computing its {number} {self.ITEMS} again",
                    file=sys.stderr,
                )
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self.TABLE} (key BLOB PRIMARY KEY, status BLOB NOT NULL,"
                " detail BLOB NOT NULL, value BLOB, checksum BLOB NOT NULL) WITHOUT ROWID"
            )

    def _columns(self) -> tuple[str, ...]:
        assert self._connection is not None
        columns = self._connection.execute(f"PRAGMA table_info({self.TABLE})").fetchall()
        return tuple(bytes(row[1]).decode("utf-8", "replace") for row in columns)

    def get(self, key: bytes) -> Item | None:
        """Look up a key."""
        if self._connection is None:
            return None
        try:
            row = self._connection.execute(
                f"SELECT status, detail, value, checksum FROM {self.TABLE} WHERE key = ?",  # noqa: S608
                (key,),
            ).fetchone()
        except FAILURES as error:
            self._give_up(error)
            return None
        if row is None:
            return None
        stored = _read(key, *row)
        item = None if stored is None else self._unpack(stored)
        self._damaged += item is None
        return item

    def put(self, key: bytes, item: Item) -> None:
        """Keep an item, as far as it is one to be kept."""
        self.put_all({key: item})

    def put_all(self, items: Mapping[bytes, Item]) -> None:
        """Keep items that were computed together: they are written together."""
        if self._connection is None:
            return
        for key, item in items.items():
            if (stored := self._pack(item)) is not None:
                status, detail = stored.status.encode(), stored.detail.encode("utf-8", "replace")
                checksum = _checksum(key, status, detail, stored.value)
                self._waiting.append((key, status, detail, stored.value, checksum))
        if self._waiting and time.monotonic() - self._written >= self.SECONDS:
            self._write()

    def _write(self) -> None:
        if self._connection is None:
            return
        try:
            with self._connection:  # a transaction
                self._connection.executemany(
                    f"INSERT OR REPLACE INTO {self.TABLE} VALUES (?, ?, ?, ?, ?)",  # noqa: S608
                    self._waiting,
                )
        except FAILURES as error:
            self._give_up(error)
        self._waiting, self._written = [], time.monotonic()

    def _give_up(self, error: Exception) -> None:
        advice = "" if _passes(error) else "; delete it to have one again"
        print(
            f"{self._path}: no longer used as a cache ({error}); {self.ITEMS} are computed without it{advice}",
            file=sys.stderr,
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
                f"{self._path}: {self._damaged} damaged {self.ITEMS} were computed again; if this "
                "message returns, delete the file and check the disk",
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


def _read(key: bytes, *fields: object) -> Stored | None:
    """Content of a row; None if the row is damaged."""
    status, detail, value, checksum = fields
    if not (isinstance(status, bytes) and isinstance(detail, bytes) and isinstance(value, bytes | None)):
        return None
    if checksum != _checksum(key, status, detail, value):
        return None
    return Stored(status.decode(), detail.decode(), value)


def _passes(error: Exception) -> bool:
    """Return whether an error will pass and says nothing about the cache: another job has it, or its disk is full."""
    kinds = sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR
    extended = getattr(error, "sqlite_errorcode", None)  # the kind is its last byte
    return getattr(error, "errno", None) in NO_ROOM or (extended is not None and extended & 0xFF in kinds)
