"""Write ``src/symmcd/crystallography/tables/*.csv``: pyxtal's Wyckoff positions (MIT licence), masses, Pauling's scale.

    python -m tools.make_tables

Run by a developer, for minutes; the product only reads the tables.  Everything is derived again from the operations:
coset representatives, distinct images of a position and the nearest point of a position with exact rational arithmetic,
symmetry elements in `symmetry_elements.py` and, from the finished tables, normalisers in `normalisers.py`.  The tests
check the result against spglib's, moyopy's, ASE's and pyxtal's own data.
"""

from __future__ import annotations

import csv
import functools
import itertools
import math
import warnings
from fractions import Fraction
from pathlib import Path
from string import ascii_letters

import gemmi
import numpy as np
from ase.data import atomic_masses, chemical_symbols
from pymatgen.core import Element
from pyxtal.symmetry import Group, Wyckoff_position
from tools.normalisers import letter_permutations
from tools.symmetry_elements import site_code, space_group_code

from symmcd.crystallography.site_symmetry import SYMBOLS
from symmcd.crystallography.space_group import AXES, ELEMENTS

TABLES = Path(__file__).parent.parent / "src/symmcd/crystallography/tables"

Row = tuple[Fraction, Fraction, Fraction, Fraction]  # coefficients of x, y, z and the constant
Operation = tuple[Row, Row, Row]
Matrix = tuple[tuple[int, int, int], ...]


def parse(text: str) -> Operation:
    """Operation of a coordinate triplet such as ``-y, x-y, z+1/2``."""
    rows = []
    for part in text.replace(" ", "").split(","):
        row = [Fraction(0)] * 4
        term, terms = "", []
        for character in part:
            if character in "+-" and term:
                terms.append(term)
                term = ""
            term += character
        terms.append(term)
        for term in terms:
            if term[-1] in "xyz":
                factor = term[:-1].rstrip("*")
                row["xyz".index(term[-1])] += Fraction({"": "1", "+": "1", "-": "-1"}.get(factor, factor))
            else:
                row[3] += Fraction(term)
        rows.append(tuple(row))
    return tuple(rows)  # type: ignore[return-value]


def compose(outer: Operation, inner: Operation) -> Operation:
    """outer ∘ inner, translation reduced to [0, 1)."""
    rows = []
    for o in outer:
        row = [sum(o[k] * inner[k][j] for k in range(3)) for j in range(4)]
        row[3] = (row[3] + o[3]) % 1
        rows.append(tuple(row))
    return tuple(rows)  # type: ignore[return-value]


def linear(operation: Operation) -> Matrix:
    return tuple(tuple(int(v) for v in row[:3]) for row in operation)  # type: ignore[misc]


def text(operation: Operation) -> str:
    """Coordinate triplet as International Tables print it."""
    parts = []
    for row in operation:
        part = ""
        for factor, name in zip(row[:3], "xyz", strict=True):
            if factor:
                sign = "-" if factor < 0 else ("+" if part else "")
                part += sign + ("" if abs(factor) == 1 else str(abs(factor))) + name
        if row[3] or not part:
            part += ("+" if part and row[3] > 0 else "") + str(row[3])
        parts.append(part)
    return ",".join(parts)


HEADINGS = {
    "elements.csv": ["number", "symbol", "mass", "electronegativity"],
    "space_groups.csv": ["number", "symbol", "elements", "operations"],
    "wyckoff.csv": [
        "space_group", "letter", "multiplicity", "site_symmetry", "generator", "nearest", "operations", "images",
    ],
    "letter_permutations.csv": ["space_group", "letters"],
}  # fmt: skip


def main(folder: Path = TABLES) -> None:
    groups, positions = [], []
    for number in range(1, 231):
        group, of_group = space_group(number)
        groups.append(group)
        positions += of_group
    write(folder / "elements.csv", elements())
    write(folder / "space_groups.csv", groups)
    write(folder / "wyckoff.csv", positions)
    # the package reads the tables that were just written
    write(folder / "letter_permutations.csv", [row for number in range(1, 231) for row in permutations(number)])


def space_group(number: int) -> tuple[list[object], list[list[object]]]:
    """Row of a group in space_groups.csv and those of its positions in wyckoff.csv."""
    group = Group(number)
    operations = [compose(parse(op.as_xyz_str()), parse("x,y,z")) for op in group[0].ops]
    assert operations[0] == parse("x,y,z")
    assert len(set(operations)) == len(operations)
    row = [number, with_screws(number, group.symbol), symmetry_elements(operations), ";".join(map(text, operations))]
    # 'a' first, the general position last
    return row, [
        [number, position.letter, position.multiplicity, *wyckoff_position(position, operations)]
        for position in reversed(list(group))
    ]


def permutations(number: int) -> list[list[object]]:
    """Rows of letter_permutations.csv: what becomes of the letters a, b, c, …"""
    return [[number, "".join(ascii_letters[i] for i in row)] for row in letter_permutations(number).tolist()]


def wyckoff_position(position: Wyckoff_position, operations: list[Operation]) -> list[str]:
    """Cells of a row of the table: site symmetry, generator, nearest point, operations of the orbit and of images."""
    generator = compose(parse(position.ops[0].as_xyz_str()), parse("x,y,z"))
    assert compose(generator, generator) == generator, text(generator)
    members: dict[Operation, int] = {}
    fixing = []
    for index, operation in enumerate(operations):
        member = compose(operation, generator)
        members.setdefault(member, index)
        if member == generator:
            fixing.append(operation)
    assert len(members) == position.multiplicity, text(generator)
    # the same set of points as pyxtal's own list of members
    assert subspaces(members) == subspaces(compose(parse(op.as_xyz_str()), parse("x,y,z")) for op in position.ops)
    images: dict[object, int] = {}
    for member, index in members.items():
        images.setdefault(subspace(member), index)
    code = site_code(np.array(fixing, float)[:, :, :3])
    return [
        " ".join(SYMBOLS[i] for i in code),
        text(generator),
        ";".join(" ".join(map(str, row)) for row in nearest(generator, fixing)),
        " ".join(map(str, members.values())),
        " ".join(map(str, images.values())),
    ]


def nearest(generator: Operation, fixing: list[Operation]) -> Operation:
    """[Q | c]: the mean of the operations that fix every point of the position, lattice translations put back."""
    total = [[Fraction(0)] * 4 for _ in range(3)]
    for operation in fixing:
        for o, row, g in zip(operation, total, generator, strict=True):
            shift = g[3] - sum(o[k] * generator[k][3] for k in range(3)) - o[3]  # whole: the position is fixed
            assert shift.denominator == 1
            for j in range(4):
                row[j] += o[j] + (shift if j == 3 else 0)
    return tuple(tuple(v / len(fixing) for v in row) for row in total)  # type: ignore[return-value]


def symmetry_elements(operations: list[Operation]) -> str:
    """``-1;001:4_2 m;100:2 c``: symmetry elements by axis; 1 is left out, -1 stands once for all axes."""
    code = space_group_code(np.array(operations, float))
    found = ["-1"] if code[0, ELEMENTS.index("-1")] else []
    for axis, row in zip(AXES.tolist(), code, strict=True):
        if here := [ELEMENTS[i] for i in np.flatnonzero(row).tolist() if ELEMENTS[i] not in ("1", "-1")]:
            found.append("".join(map(str, axis)) + ":" + " ".join(here))
    return ";".join(found)


def elements() -> list[list[object]]:
    """Standard atomic weights of ASE (Da), and Pauling's electronegativities of pymatgen where there is one."""
    found: list[list[object]] = []
    for number in range(1, 119):
        with warnings.catch_warnings(action="ignore"):  # of elements without electronegativity, which is nan
            scale = Element.from_Z(number).X
        found.append(
            [number, chemical_symbols[number], float(atomic_masses[number]), "" if math.isnan(scale) else scale]
        )
    return found


def with_screws(number: int, symbol: str) -> str:
    """``P6_3/mmc`` of ``P63/mmc``: without the blanks of gemmi's symbol, P 3 1 2 and P 31 2 look the same."""
    done, left = "", symbol
    for word in gemmi.find_spacegroup_by_number(number).hm.split():
        axis = word.split("/")[0]
        if axis.isdigit() and len(axis) == 2:
            before, left = left.split(axis, 1)
            done += f"{before}{axis[0]}_{axis[1]}"
    return done + left


@functools.cache
def subspace(member: Operation) -> object:
    """Canonical name of the set {member(u) + n}: row-reduced directions and a reduced point on it, mod 1."""
    columns = [[member[i][j] for i in range(3)] for j in range(3)]
    basis: list[list[Fraction]] = []
    for column in columns:  # Gauss–Jordan on the directions
        vector = list(column)
        for b in basis:
            pivot = next(i for i, v in enumerate(b) if v)
            vector = [v - vector[pivot] * w for v, w in zip(vector, b, strict=True)]
        if any(vector):
            pivot = next(i for i, v in enumerate(vector) if v)
            vector = [v / vector[pivot] for v in vector]
            basis = [[v - b[pivot] * w for v, w in zip(b, vector, strict=True)] for b in basis] + [vector]
    basis.sort(reverse=True)
    pivots = [next(i for i, v in enumerate(b) if v) for b in basis]
    if len(basis) in (0, 3):  # a single point, or all of space
        return tuple(map(tuple, basis)), tuple(member[i][3] % 1 if not basis else Fraction(0) for i in range(3))
    names = []
    for shift in itertools.product(range(-3, 4), repeat=3):  # every lattice translate, the smallest name wins
        point = [member[i][3] + shift[i] for i in range(3)]
        for b, pivot in zip(basis, pivots, strict=True):
            point = [p - point[pivot] * w for p, w in zip(point, b, strict=True)]
        if all(0 <= p < 1 for p in point):
            names.append(tuple(point))
    assert names, text(member)
    return tuple(map(tuple, basis)), min(names)


def subspaces(members: object) -> set[object]:
    return {subspace(member) for member in members}  # type: ignore[attr-defined]


def write(path: Path, rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADINGS[path.name])
        writer.writerows(rows)
    print(f"wrote {path} ({len(rows)} rows)")


if __name__ == "__main__":
    main()
