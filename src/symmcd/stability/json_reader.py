"""A JSON text item by item, for files that would take gigabytes as objects."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, TextIO

CHUNK = 1 << 20  # characters read at once
BLANK = " \t\n\r"


class JsonReader:
    """Walks into arrays and objects one member at a time; holds the text of the member at hand, and no more.

    Loop over `members`, and in each turn take the member by `value`, or walk into it by `members` once more.

    Args:
        file: open text file.
        limit: the most characters of a member.
    """

    def __init__(self, file: TextIO | io.TextIOBase, limit: int = 1 << 30) -> None:
        self._file, self._limit = file, limit
        self._text, self._at, self._ended = "", 0, False
        self._decoder = json.JSONDecoder()

    def members(self) -> Iterator[str | int]:
        """Index or name of each member of the array or object that comes next, when the member is at hand.

        Raises:
            JSONDecodeError: something else comes next, or the text is damaged or ends too early.
        """
        opening = self._token("[{")
        closing = "]" if opening == "[" else "}"
        if self._peek() == closing:
            self._at += 1
            return
        number = 0
        while True:
            if opening == "[":
                yield number
            else:
                if self._peek() != '"':
                    raise self._error("a name expected")
                name = self.value()
                self._token(":")
                yield name
            number += 1
            if self._token("," + closing) == closing:
                return

    def value(self) -> Any:
        """The next value, read whole.

        Raises:
            JSONDecodeError: damaged or too long, or the text ends too early.
            RecursionError: nested too deep.
        """
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if len(self._text) - self._at > self._limit or not self._more():
                    raise
                continue
            if len(self._text) - end < 3 and self._more():  # a number may go on, behind as much as "e-"
                continue
            self._at = end
            return value

    def _token(self, allowed: str) -> str:
        found = self._peek()
        if not found or found not in allowed:
            raise self._error(f"one of {allowed} expected")
        self._at += 1
        return found

    def _peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in BLANK:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Read on, at least as much as is unread; False at the end of the file."""
        if self._ended:
            return False
        more = self._file.read(max(CHUNK, len(self._text) - self._at))
        self._ended = not more
        if more:
            self._text = self._text[self._at :] + more
            self._at = 0
        return bool(more)

    def _error(self, message: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(message, self._text, self._at)
