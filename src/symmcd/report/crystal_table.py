"""A table of relaxed crystals to search, sort and download, with a window that shows the chosen one in 3D.

It knows nothing of the chain: rows are mappings, such as those of a csv, and crystals are CIFs.

section = crystal_table(rows, cifs)                      # rows: each with "id" and "formula"; cifs: id -> text
write_page(Path("index.html"), "Candidates", "What this is.", [section], "Made by ...")
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from markupsafe import Markup

from symmcd.crystallography.space_group import screw_symbol, symbol
from symmcd.errors import InputError
from symmcd.report.page import Section, Text, template, template_text
from symmcd.report.typesetting import formula_html, symbol_html
from symmcd.report.viewer import drawn_cell, in_script, library
from symmcd.stability.doubts import WORDS
from symmcd.stability.geometry import shortest_distance
from symmcd.stability.judge_words import judge_name
from symmcd.structures.cif import StructureError, parse_cif
from symmcd.structures.convert import to_structure

EMBEDDED = 200
"""Crystals of which the page holds the CIF and the atoms; 3 to 5 kB each."""

OF_JUDGE = "e_above_hull_"  # and the judge's name
UNKNOWN = "–"

Kind = Literal["text", "number", "group", "doubts"]


@dataclass(frozen=True)
class Column:
    """One column: which value of a row it shows, and how.

    ``group`` is the number of a space group; ``doubts`` are words separated by semicolons.
    """

    key: str
    heading: Text
    kind: Kind = "text"
    digits: int = 3  # decimals of a number


@dataclass(frozen=True)
class Field:
    """A cell of the table as it is printed, and the value by which it is sorted; None: unknown, always last."""

    shown: Text
    order: str | float | None


@dataclass(frozen=True)
class Line:
    id: str
    formula: Field
    fields: Sequence[Field]
    find: str  # words that the search looks in
    link: str  # address of the CIF; empty: there is none
    file: str  # name that the CIF is saved under
    undrawn: str  # why there is no picture of a crystal that has a CIF

    @property
    def orders(self) -> str:
        """Values by which the columns are sorted, as JSON."""
        return json.dumps([field.order for field in self.fields])


def columns_for(keys: Iterable[str]) -> list[Column]:
    """The columns that a table with these names has: space groups, energies of each judge, distance, doubts.

    Names are those of candidates.csv.  Other names are not shown; add a `Column` for each that should be.
    """
    keys = list(keys)
    relaxed = "space_group_relaxed"
    group = Column(relaxed if relaxed in keys else "space_group", "space group", "group")
    judges = [name for name in keys if name.startswith(OF_JUDGE)] or ["e_above_hull"]
    name = {key: judge_name(key.removeprefix(OF_JUDGE)) for key in judges if key.startswith(OF_JUDGE)}
    nowrap = Markup('<span class="nowrap">{}</span>, eV/atom')
    energies = [Column(key, nowrap.format(name[key]) if key in name else "eV/atom", "number") for key in judges]
    by_all = [Column("sun_by_all", "S.U.N. by all")] if "sun_by_all" in keys else []
    distance = Column("shortest_distance", "shortest distance, Å", "number", 2)
    return [group, *energies, *by_all, distance, Column("doubts", "doubts", "doubts")]


def crystal_table(
    rows: Sequence[Mapping[str, Any]],
    cifs: Mapping[str, str],
    *,
    columns: Sequence[Column] | None = None,
    details: Sequence[Column] = (),
    links: Mapping[str, str] | None = None,
    words: Mapping[str, str] = WORDS,
    name: str = "candidates",
    title: str = "Candidates",
    paragraphs: Sequence[Text] = (),
    embedded: int = EMBEDDED,
) -> Section:
    """A section of a page with one row per crystal, for `write_page`; one page has at most one such section.

    Every row can be found by the search box and sorted by each column.  The window and the download need the crystal:
    the first `embedded` rows that have a CIF can be shown in 3D, and their CIFs are in the page.  All other CIFs can be
    downloaded if `links` names the files beside the page.  Where a CIF cannot be read, the row says why.

    Args:
        rows: in the order to show them, each with ``id`` and ``formula``, and a value for each column.  Values may be
            numbers or text; None, nan and "" are shown as a dash, and so is a name that a row lacks.
        cifs: text of the CIF of each crystal by id; an id may lack one, such as that of a crystal that failed.
        columns: that follow the formula; default: `columns_for` the names of the first row.  ``shortest_distance``
            (Å) is measured in the CIF where a row has none.
        details: values shown beside the picture of a crystal, if they exist.
        links: address of the CIF's file by id, relative to the page, where it lies beside the page.
        words: meaning of each word that the doubts may have.
        name: of the section, for links to it.
        title: of the section.
        paragraphs: above the table: what these crystals are, and which hull their energies are measured over.
        embedded: largest number of crystals that the page holds.

    Raises:
        InputError: a row without id or formula, an id that occurs twice, or a value that its column cannot show.
    """
    check_rows(rows)
    columns = columns_for(rows[0] if rows else ()) if columns is None else columns
    links = links or {}
    held = set([row["id"] for row in rows if row["id"] in cifs][:embedded])
    measured = any(column.key == "shortest_distance" for column in (*columns, *details))
    drawn: dict[str, dict[str, Any]] = {}
    lines = []
    for given in rows:
        row, name_of = dict(given), given["id"]
        to_measure = measured and not _text(row.get("shortest_distance"))
        undrawn = ""
        if name_of in cifs and (name_of in held or to_measure):
            try:
                cell = parse_cif(cifs[name_of])
            except StructureError as error:
                undrawn = f"its CIF cannot be read: {error.reason}"
            else:
                if name_of in held:
                    drawn[name_of] = drawn_cell(cell)
                if to_measure:
                    row["shortest_distance"] = shortest_distance(to_structure(cell))
        if name_of in drawn:
            drawn[name_of]["details"] = _details(row, details)
        link = _data_uri(cifs[name_of]) if name_of in held else ""
        lines.append(_line(row, columns, quote(links[name_of]) if name_of in links else link, undrawn))
    used = list(dict.fromkeys(word for row in rows for word in _words(row.get("doubts"))))
    block = template("crystal_table.html.j2").render(
        columns=columns,
        lines=lines,
        doubts=[(_short(word), words.get(word, "")) for word in used],
        has_details=bool(details),
        has_doubts=any(column.kind == "doubts" for column in columns),
        data=Markup(in_script([drawn.get(line.id) for line in lines])),  # noqa: S704  (`in_script`)
    )
    scripts = (library(), template_text("crystal_view.js") + template_text("crystal_table.js"))
    return Section(name, title, paragraphs=paragraphs, block=Markup(block), scripts=scripts)  # noqa: S704  (escaped)


def check_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse rows that a table cannot show.

    Raises:
        InputError: a row without id or formula, or an id that occurs twice.
    """
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        for key in ("id", "formula"):
            if not isinstance(row.get(key), str) or not row[key]:
                raise InputError(f"row {number} of the crystals: no {key}; give it as text")
        if row["id"] in seen:
            raise InputError(f"rows {seen[row['id']]} and {number} of the crystals: both have the id {row['id']}")
        seen[row["id"]] = number


def _line(row: Mapping[str, Any], columns: Sequence[Column], link: str, undrawn: str) -> Line:
    fields = [_field(row.get(column.key), column) for column in columns]
    formula = Field(formula_html(row["formula"]), row["formula"])
    of_kind = [(column.kind, field) for column, field in zip(columns, fields, strict=True)]
    groups = [int(field.order) for kind, field in of_kind if kind == "group" and field.order]
    symbols = [part for number in groups for part in (symbol(number), screw_symbol(number), str(number))]
    shown = [field.shown for kind, field in of_kind if kind == "text"]
    texts = [text.striptags() if isinstance(text, Markup) else text for text in shown]
    find = " ".join([row["formula"], row["id"], *symbols, *map(_short, _words(row.get("doubts"))), *texts])
    file = str(row.get("file") or f"{row['id']}.cif").rpartition("/")[2]
    return Line(row["id"], formula, fields, find, link, file, undrawn)


def _details(row: Mapping[str, Any], columns: Sequence[Column]) -> list[tuple[str, str]]:
    """Heading and value of what a row says."""
    fields = [(column.heading, _field(row.get(column.key), column)) for column in columns]
    return [(str(heading), str(field.shown)) for heading, field in fields if field.order is not None]


def _field(value: Any, column: Column) -> Field:
    text = _text(value)
    if column.kind == "doubts":
        words = _words(value)
        tags = Markup("").join(Markup('<span class="tag">{}</span>').format(_short(word)) for word in words)
        return Field(tags, len(words))
    if not text:
        return Field(UNKNOWN, None)
    if column.kind == "text":
        said = {"True": "yes", "False": "no"}.get(text, value if isinstance(value, Markup) else text)
        return Field(said, text)
    try:
        number = float(text)
    except ValueError:
        raise InputError(f"column {column.key} of the crystals: {text!r} is not a number") from None
    if not math.isfinite(number):
        return Field(UNKNOWN, None)
    if column.kind == "group":
        return Field(Markup("{} ({})").format(symbol_html(int(number)), int(number)), int(number))
    return Field(f"{number:.{column.digits}f}".replace("-", "−"), number)


def _text(value: Any) -> str:
    """Text of a row; empty if there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value).strip()
    return "" if text.lower() == "nan" else text


def _words(doubts: Any) -> list[str]:
    return [word for word in _text(doubts).split(";") if word]


def _short(word: str) -> str:
    return word.replace("_", " ")


def _data_uri(cif: str) -> str:
    return "data:chemical/x-cif;base64," + base64.b64encode(cif.encode()).decode()
