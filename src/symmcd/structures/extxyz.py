"""Extended xyz, frame by frame, so that a damaged frame does not take the others with it.

A frame is a line with the number of atoms, a line of ``key=value`` and a line an atom.  Values are quoted as ASE does;
its own reader takes a file as a whole and believes every count in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

from symmcd.crystallography.composition import HEAVIEST, NUMBERS
from symmcd.structures.cell import Cell
from symmcd.structures.checks import FLAT
from symmcd.structures.crystal import StructureError
from symmcd.structures.files import shown

_TOKEN = re.compile(  # possessive, so that a line of any length is read in one go and without memory
    r"""(?P<blank>\s++) | (?P<equals>=)
    | "(?P<double>[^"\\]*+(?:\\.[^"\\]*+)*+)["\\]?+ | '(?P<single>[^'\\]*+(?:\\.[^'\\]*+)*+)['\\]?+
    | \{(?P<brace>[^}\\]*+(?:\\.[^}\\]*+)*+)[}\\]?+ | \[(?P<bracket>[^]\\]*+(?:\\.[^]\\]*+)*+)[]\\]?+
    | (?P<plain>(?:[^\s="'{[\\]++|\\.)++) | \\""",
    re.VERBOSE | re.DOTALL,
)
_OF_A_FRAME = re.compile(r"(?:^|\s)(?:Lattice|Properties)\s*=")
_TRUTH = dict.fromkeys(("T", "true", "True", "TRUE", "1"), True) | dict.fromkeys(
    ("F", "false", "False", "FALSE", "0"), False
)
_MOST = 18  # digits of a number of atoms or columns; more are no number that a file could have


@dataclass(frozen=True)
class Frame:
    """Lines of one frame, nothing read from them but where it ends."""

    number: int  # 1 = first of the file
    line: int  # where it begins, 1 = first of the file
    values: dict[str, str] = field(default_factory=dict)  # values of the second line, unchanged but for their quotes
    rows: tuple[str, ...] = ()  # an atom each
    problem: str = ""  # why it is no frame; empty if it may be one
    uncounted: bool = False  # it has no line with its number of atoms

    @property
    def id(self) -> str:
        """``id`` or ``material_id`` as text, because id="00012" is not a number; empty if there is none."""
        return next((self.values[key] for key in self.values if key in ("id", "material_id")), "")

    def __str__(self) -> str:
        return f"frame {self.number} (line {self.line})"


def frames(lines: Iterable[str]) -> Iterator[Frame]:
    """Frames of a file; text that is not a frame comes as a frame with its `problem`.

    A line that is a whole number and nothing else begins a frame wherever it stands, for an atom has four columns; so a
    wrong count costs one frame.  Blank lines between frames are no part of them.
    """
    source = _Lines(lines)
    number = 0
    while (line := source.take()) is not None:
        if not line.strip():
            continue
        number, begin = number + 1, source.number
        count = _count(line)
        if count is None:
            if not _OF_A_FRAME.search(line) and _OF_A_FRAME.search(source.peek() or ""):
                values = _values(source.take() or "")[0]
            else:
                values = _values(line)[0]
            source.skip_rows()
            problem = f"begins with {shown(line)!r}, expected its number of atoms"
            yield Frame(number, begin, values, problem=problem, uncounted=True)
            continue
        comment = source.take()
        if comment is None:
            yield Frame(number, begin, problem="the file ends after its number of atoms")
            continue
        rows: list[str] = []
        while len(rows) < count and source.at_row():
            rows.append(source.take() or "")
        values, twice = _values(comment)
        problem = ""
        if count < 0:
            source.skip_rows()
            problem = f"its number of atoms is {count}"
        elif len(rows) < count:
            end = "the file ends" if source.peek() is None else "the next frame begins"
            problem = f"says {line.strip()[:30]} atoms, and {end} after {len(rows)}"
        elif source.skip_rows():
            problem = f"says {count} atoms, and more lines follow"
        elif twice:
            problem = f"says {twice} twice"
        yield Frame(number, begin, values, tuple(rows), problem)


class _Lines:
    """Lines with a look at the next two."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._next = [next(self._lines, None), next(self._lines, None)]
        self.number = 0  # number of the line taken last

    def peek(self) -> str | None:
        return self._next[0]

    def take(self) -> str | None:
        line = self._next.pop(0)
        self._next.append(next(self._lines, None))
        self.number += 1
        return line

    def at_row(self) -> bool:
        """Return whether another line follows that is not the beginning of a frame."""
        line = self._next[0]
        return line is not None and _count(line) is None and not _OF_A_FRAME.search(line)

    def skip_rows(self) -> bool:
        """Go on to the next frame; whether there was anything but blank lines before it.

        A frame may begin with what is left of its number of atoms: fewer columns than an atom has, before its values.
        """
        any_words = False
        while self.at_row():
            line = self._next[0] or ""
            if line.strip() and len(line.split()) < 4 and _OF_A_FRAME.search(self._next[1] or ""):
                break
            any_words |= bool(line.strip())
            self.take()
        return any_words


def _count(line: str) -> int | None:
    """A line's whole number, where it is one and nothing else."""
    text = line.strip()
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        return None
    return int(text) if len(text) <= _MOST else 10**_MOST


def _values(comment: str) -> tuple[dict[str, str], str]:
    """Values of the second line, and which of those that make the crystal appears twice and not the same."""
    values: dict[str, str] = {}
    twice = ""
    for key, value in key_values(comment):
        if key in ("Lattice", "Properties", "pbc") and values.get(key, value) != value:
            twice = key
        values.setdefault(key, value)
    return values, twice


def key_values(comment: str) -> list[tuple[str, str]]:
    r"""Keys and values of a frame's second line as ASE divides it, without their quotes; a key alone has the value T.

    Values may stand in ``" "``, ``' '``, ``{ }`` or ``[ ]``; a backslash takes the next character as it is.
    """
    pairs: list[list[str]] = []
    begins, awaited = True, False
    for token in _TOKEN.finditer(comment.strip()):
        kind = token.lastgroup
        if kind == "blank":
            begins = begins or not awaited
        elif kind == "equals":
            if not pairs:
                pairs.append([""])
            pairs[-1].append("")
            begins, awaited = False, True
        elif kind is not None:
            if begins:
                pairs.append([""])
            pairs[-1][-1] += re.sub(r"\\(.)", r"\1", token[kind], flags=re.DOTALL)
            begins = awaited = False
    return [(key, "=".join(value) if value else "T") for key, *value in pairs]


def crystal_of_frame(frame: Frame) -> Cell:
    """The crystal of a frame, positions as they stand (not wrapped into the cell).

    Raises:
        StructureError: it is damaged, is not periodic in three directions, or names what is not an element.
    """
    columns = _columns(frame)
    lattice, element, position = _lattice(frame), _elements(columns), _positions(columns)
    if not len(element):
        raise StructureError("no_atoms", "no atoms")
    if not np.isfinite(position).all():
        first = int(np.isfinite(position).all(axis=1).argmin()) + 1
        raise StructureError("bad_position", f"atom {first} has no position")
    if not np.isfinite(lattice).all() or not abs(np.linalg.det(lattice)) > FLAT:
        raise StructureError("bad_cell", f"lattice vectors {np.round(lattice, 3).tolist()} have no volume")
    return Cell(lattice, element, np.linalg.solve(lattice.T, position.T).T)


def atoms_of_frame(frame: Frame) -> Atoms:
    """ASE's Atoms with every column and value of a frame; ``info["id"]`` is a text, numbers are numbers.

    Raises:
        StructureError: as `crystal_of_frame`; but for numbers that are not finite and a cell without volume, for which
            the stages have a status.
    """
    columns = _columns(frame)
    atoms = Atoms(_elements(columns), positions=_positions(columns), cell=_lattice(frame), pbc=True)
    for name, values in columns.items():
        if name not in ("numbers", "positions", "symbols"):
            atoms.set_array(name, values)
    used = {"Lattice", "Properties", "pbc", "id", "material_id"}
    atoms.info = {key: _typed(value) for key, value in frame.values.items() if key not in used} | {"id": frame.id}
    return atoms


def _columns(frame: Frame) -> dict[str, np.ndarray]:
    """Columns (n,) or (n, m) by ASE's names of them."""
    if frame.problem:
        raise StructureError("unparseable", frame.problem)
    given = frame.values.get("Properties", "species:S:1:pos:R:3")
    parts = given.split(":")
    widths = [int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0 for text in parts[2::3]]
    if len(parts) % 3 or min(widths) < 1 or not set(parts[1::3]) <= set(_READ):
        raise StructureError("unparseable", f"Properties={shown(given)}: expected name:type:number of columns, …")
    rows = [row.split() for row in frame.rows]
    for i, row in enumerate(rows, start=1):
        if len(row) < sum(widths):
            raise StructureError("unparseable", f"atom {i} has {len(row)} columns; Properties asks for {sum(widths)}")
    names = {"pos": "positions", "Z": "numbers", "species": "symbols"}
    columns: dict[str, np.ndarray] = {}
    begin = 0
    for name, kind, width in zip(parts[::3], parts[1::3], widths, strict=True):
        read, dtype = _READ[kind]
        try:
            values = np.array([[read(text) for text in row[begin : begin + width]] for row in rows], dtype)
        except (ValueError, OverflowError, KeyError):
            raise StructureError(
                "unparseable", f"column {shown(name)} has values that are not of type {kind}"
            ) from None
        named = names.get(name, name)
        if named in columns:
            raise StructureError("unparseable", f"Properties={shown(given)}: {shown(name)} twice")
        columns[named] = values.reshape(len(rows), width)[:, 0] if width == 1 else values.reshape(len(rows), width)
        begin += width
    return columns


_READ: dict[str, tuple[Any, Any]] = {
    "R": (float, float),
    "I": (int, int),
    "S": (str, object),
    "L": (_TRUTH.__getitem__, bool),
}


def _elements(columns: dict[str, np.ndarray]) -> np.ndarray:
    """(n,) atomic numbers."""
    numbers = []
    if "symbols" in columns and columns["symbols"].ndim == 1:
        symbols = [str(symbol) for symbol in columns["symbols"]]
        numbers.append(np.array([element_number(symbol) for symbol in symbols], int))
        unknown = [symbol for symbol, number in zip(symbols, numbers[0], strict=True) if not number]
        if unknown and "numbers" not in columns:
            raise StructureError("unknown_element", f"{shown(unknown[0])!r} is not an element")
    if "numbers" in columns:
        numbers.append(columns["numbers"])
    if not numbers or numbers[-1].shape != (len(numbers[-1]),) or numbers[-1].dtype.kind not in "iu":
        raise StructureError("unknown_element", "no column species or Z")
    if (numbers[0] != numbers[-1])[numbers[0] > 0].any():  # beside Z, species may be the names of sites
        raise StructureError("unknown_element", "the columns species and Z name different elements")
    if not ((numbers[-1] > 0) & (numbers[-1] <= HEAVIEST)).all():
        raise StructureError("unknown_element", f"atomic numbers {np.unique(numbers[-1])[:10].tolist()}")
    return numbers[-1]


def element_number(symbol: str) -> int:
    """Atomic number of a symbol in capitals or small letters; D and T are hydrogen; 0 if it is nothing but a symbol."""
    return NUMBERS.get(symbol.capitalize(), 0)


def _positions(columns: dict[str, np.ndarray]) -> np.ndarray:
    """(n, 3) Cartesian, Å."""
    position = columns.get("positions")
    if position is None or position.ndim != 2 or position.shape[1] != 3 or position.dtype.kind != "f":
        raise StructureError("bad_position", "no three columns pos of type R")
    return position


def _lattice(frame: Frame) -> np.ndarray:
    """(3, 3) rows a, b, c, Å."""
    given = frame.values.get("Lattice")
    if given is None:
        raise StructureError("bad_cell", "no Lattice: a molecule, not a crystal")
    texts = re.findall(r"[^\s,]+", given)
    try:
        lattice = np.array([float(text) for text in texts])
    except ValueError:
        lattice = np.array([])
    if len(lattice) != 9:
        raise StructureError("bad_cell", f"Lattice={shown(given)!r}: expected nine numbers")
    pbc = re.findall(r"[^\s,]+", frame.values.get("pbc", "T T T"))  # without a word on it a lattice means all three
    if not set(pbc) <= set(_TRUTH) or len(pbc) not in (1, 3):
        raise StructureError("bad_cell", f"pbc={shown(frame.values['pbc'])!r}: expected three of T and F")
    periodic = sum(_TRUTH[text] for text in pbc) * (3 // len(pbc))
    if periodic < 3:
        what = ("a molecule in a box", "a chain", "a slab")[periodic]
        raise StructureError("bad_cell", f'pbc="{" ".join(pbc)}": {what}; a crystal is periodic in three directions')
    return lattice.reshape(3, 3)


def _typed(text: str) -> Any:
    """A value as a number or truth value where it is one."""
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return {"T": True, "F": False}.get(text, text)
