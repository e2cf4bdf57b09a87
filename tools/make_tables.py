"""Write ``src/symmcd/crystallography/tables/*.csv``: pyxtal's Wyckoff positions (MIT licence), masses, Pauling's scale.

    python tools/make_tables.py

Run once by a developer; the product only reads the tables.  Everything is derived again from the operations, with
exact rational arithmetic: coset representatives, distinct images of a position, site-symmetry codes.  The tests check
the result against spglib's, moyopy's and pyxtal's own data.
"""

from __future__ import annotations

import csv
import itertools
import math
import warnings
from fractions import Fraction
from pathlib import Path

import gemmi
from ase.data import atomic_masses, chemical_symbols
from pymatgen.core import Element
from pyxtal.symmetry import Group

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


def main() -> None:
    groups, positions = [], []
    for number in range(1, 231):
        group = Group(number)
        operations = [parse(op.as_xyz_str()) for op in group[0].ops]
        operations = [compose(op, parse("x,y,z")) for op in operations]
        assert operations[0] == parse("x,y,z")
        assert len(set(operations)) == len(operations)
        groups.append([number, with_screws(number, group.symbol), group.symbol[0], ";".join(map(text, operations))])
        for position in reversed(list(group)):  # 'a' first, general position last
            generator = compose(parse(position.ops[0].as_xyz_str()), parse("x,y,z"))
            assert compose(generator, generator) == generator, (number, position.letter, text(generator))
            members: dict[Operation, int] = {}
            for index, operation in enumerate(operations):
                members.setdefault(compose(operation, generator), index)
            assert len(members) == position.multiplicity, (number, position.letter)
            # the same set of points as pyxtal's own list of members
            assert subspaces(members) == subspaces(
                compose(parse(op.as_xyz_str()), parse("x,y,z")) for op in position.ops
            ), (number, position.letter)
            images: dict[object, int] = {}
            for member, index in members.items():
                images.setdefault(subspace(member), index)
            positions.append(
                [number, position.letter, position.multiplicity, text(generator)]
                + [" ".join(map(str, members.values())), " ".join(map(str, images.values()))]
            )
    write("elements.csv", ["number", "symbol", "mass", "electronegativity"], elements())
    write("space_groups.csv", ["number", "symbol", "lattice_letter", "operations"], groups)
    write("wyckoff.csv", ["space_group", "letter", "multiplicity", "generator", "operations", "images"], positions)


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


def write(name: str, header: list[str], rows: list[list[object]]) -> None:
    TABLES.mkdir(parents=True, exist_ok=True)
    with (TABLES / name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    print(f"wrote {TABLES / name} ({len(rows)} rows)")


if __name__ == "__main__":
    main()
