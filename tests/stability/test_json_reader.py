"""JSON item by item, in whatever pieces the text is read."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from symmcd.stability import json_reader
from symmcd.stability.json_reader import JsonReader

CONTENT = {"a": {"0": 'x\\"y', "1": "é"}, "b": [1, 23, -4.5e-3, True, None, [], {}], "c": {}, "d": [], "e": 12345}


def rebuilt(text: str, depth: int) -> Any:
    """The content, walked into `depth` levels deep."""
    reader = JsonReader(io.StringIO(text))

    def walk(level: int) -> Any:
        if level == 0 or reader._peek() not in "[{":
            return reader.value()
        names, values = [], []
        for name in reader.members():
            names.append(name)
            values.append(walk(level - 1))
        return dict(zip(names, values, strict=True)) if names and isinstance(names[0], str) else values

    return walk(depth)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_pieces_make_the_whole(monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None, depth: int) -> None:
    monkeypatch.setattr(json_reader, "CHUNK", chunk)
    found = rebuilt(json.dumps(CONTENT, indent=indent), depth)
    assert found == (CONTENT if depth < 2 else {**CONTENT, "c": []})  # an empty object has no names to tell it by


@pytest.mark.parametrize(
    "text", ["", "[", "[1", "[1,", "[1 2]", '{"a"', '{"a":', '{"a":1', '{"a":1,', "{1:2}", "[}", "7"]
)
def test_damaged_text_is_an_error(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        rebuilt(text if text.strip("7") else "[" + text, 1)


def test_no_more_is_held_than_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_reader, "CHUNK", 64)
    reader = JsonReader(io.StringIO(json.dumps([{"n": n, "text": "x" * 50} for n in range(1000)])))
    longest = 0
    for _ in reader.members():
        reader.value()
        longest = max(longest, len(reader._text))
    assert longest < 400
