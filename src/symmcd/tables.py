"""Tables between stages: every row whole, every crystal there once.  Standard library only."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from symmcd.errors import InputError


def read_rows(path: Path, columns: Iterable[str], stage: str) -> list[dict[str, str]]:
    """Rows of a csv that a stage has written.

    Args:
        path: csv.
        columns: that it must have.
        stage: that writes it.

    Raises:
        InputError: missing or unreadable, lacks a column, or is cut or changed so that a row has not as many fields as
            the first line has names; with the number of the row, 1 = first after the header.
    """
    again = f"run `symmcd {stage}` again"
    try:
        text = path.read_text(encoding="utf-8")
        lines = list(csv.reader(text.splitlines(keepends=True), strict=True))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `symmcd {stage}` first") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable table ({error}); {again}") from None
    if not lines:
        raise InputError(f"{path}: empty; {again}")
    head, *body = lines
    missing = [name for name in columns if name not in head]
    if missing:
        raise InputError(f"{path}: lacks the column {', '.join(missing)}; {again}")
    if len(set(head)) != len(head):
        raise InputError(f"{path}: a column appears twice in {','.join(head)[:200]}; {again}")
    rows = []
    for number, fields in enumerate(body, 1):
        if len(fields) != len(head):
            raise InputError(
                f"{path}, row {number}: {len(fields)} fields, expected {len(head)}; "
                f"the file is incomplete or was changed; {again}"
            )
        rows.append(dict(zip(head, fields, strict=True)))
    if not text.endswith("\n"):
        raise InputError(f"{path}, row {len(body)}: the file ends within this row, so it is incomplete; {again}")
    return rows


def without_nan(row: Mapping[str, str]) -> dict[str, str]:
    """A row in which Python's own "nan" is a blank field."""
    return {name: "" if value == "nan" else value for name, value in row.items()}


def check_numbers(path: Path, rows: Sequence[dict[str, str]], columns: Iterable[str], stage: str) -> None:
    """Refuse a field of `columns`, if they exist, that is neither blank nor a finite number.

    Raises:
        InputError: with the row, the column and what stands there.
    """
    for name in columns:
        for number, row in enumerate(rows, 1):
            if text := row.get(name):
                try:
                    finite = math.isfinite(float(text))
                except ValueError:
                    finite = False
                if not finite:
                    raise InputError(
                        f"{path}, row {number}: {name} {text!r} is not a number; run `symmcd {stage}` again"
                    )


def check_flags(path: Path, rows: Sequence[dict[str, str]], columns: Iterable[str], stage: str) -> None:
    """Refuse a field of `columns`, if they exist, that is neither blank nor True or False.

    Raises:
        InputError: with the row, the column and what stands there.
    """
    for name in columns:
        for number, row in enumerate(rows, 1):
            if row.get(name, "") not in ("True", "False", ""):
                raise InputError(
                    f"{path}, row {number}: {name} {row[name]!r} is not True or False; run `symmcd {stage}` again"
                )


def check_drawn(where: str, drawn: Sequence[object]) -> None:
    """Refuse rows that are not as many as were drawn for relaxation, as their column ``drawn`` says, if there is one.

    Raises:
        InputError: rows are missing or too many, or disagree.
    """
    stated = sorted({f"{number}".removesuffix(".0") for number in drawn})
    if stated and stated != [f"{len(drawn)}"]:
        raise InputError(
            f"{where}: {len(drawn)} crystals, but {' or '.join(stated)} were drawn; give all "
            "shards of one run of `symmcd relax`, each complete"
        )


def check_ids(path: Path | str, found: Sequence[str], expected: Iterable[str], source: Path | str, stage: str) -> None:
    """Refuse a table whose crystals are not those of another file, each once.

    Args:
        path: the table, or words for several.
        found: its ids, in its order.
        expected: ids of the other file.
        source: the other file.
        stage: that makes the table.

    Raises:
        InputError: naming the first crystal that appears twice, missing, or of another run.
    """
    seen: dict[str, int] = {}
    for number, name in enumerate(found, 1):
        if name in seen:
            raise InputError(
                f"{path}, row {number}: crystal {name} appears twice (row {seen[name]}); run `symmcd {stage}` again"
            )
        seen[name] = number
    wanted = dict.fromkeys(expected)
    missing = [name for name in wanted if name not in seen]
    if missing:
        raise InputError(
            f"{path}: crystal {missing[0]} of {source} is missing ({len(missing)} of {len(wanted)} are); "
            f"run `symmcd {stage}` again"
        )
    foreign = [name for name in seen if name not in wanted]
    if foreign:
        raise InputError(
            f"{path}, row {seen[foreign[0]]}: crystal {foreign[0]} is not in "
            f"{source}; the files come from different runs"
        )
