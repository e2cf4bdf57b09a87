"""The hull that each judge's energies are held against: the one that comes along, or a user's table."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from symmcd.discovery.known import SHIPPED, elemental_references, elements_of, shipped_entries
from symmcd.errors import InputError
from symmcd.extensions import HULL_SOURCES, POTENTIALS, check_hull
from symmcd.stability.hull import ConvexHull, HullEntry
from symmcd.stability.hull_entries import read_entries, table_entries
from symmcd.structures.files import open_text

DENSER = (
    "for all of the Materials Project run `symmcd reference --set hull.source=matbench-discovery --output mp.csv`, "
    "which downloads it, and give `--hull mp.csv`"
)


@dataclass(frozen=True, eq=False)
class NamedEntries:
    """Entries of a hull, not yet made into one."""

    name: str
    entries: Sequence[HullEntry]

    def hull(self, elements: Collection[str] = ()) -> ConvexHull:
        """The convex hull, of the entries of some elements only where they are named; of all it takes seconds.

        Raises:
            InputError: entries that make no hull.
        """
        wanted = frozenset(elements)
        entries = [entry for entry in self.entries if not wanted or elements_of(entry.formula) <= wanted]
        try:
            return ConvexHull(entries)
        except ValueError as error:
            raise InputError(f"{self.name}: {error}; make it again with `symmcd reference`") from None

    @property
    def elements(self) -> frozenset[str]:
        """Those that have an energy of their own, without which nothing can be judged."""
        return frozenset().union(*(elements_of(e.formula) for e in self.entries if _elemental(e)))

    def compounds_in(self, elements: Collection[str]) -> int:
        """Entries of two or more elements, all of them among `elements`."""
        wanted = frozenset(elements)
        return sum(len(of) > 1 and of <= wanted for of in map(elements_of, (e.formula for e in self.entries)))


def _elemental(entry: HullEntry) -> bool:
    return entry.kind != "formation_energy" and len(elements_of(entry.formula)) == 1


def hulls_of(judges: Iterable[str], path: Path | None) -> dict[str, NamedEntries]:
    """Entries that the energies of each judge can be compared with.

    Args:
        judges: names of potentials.
        path: reference.csv of `symmcd reference`; or a csv with the columns formula, formation_energy_per_atom and
            perhaps material_id, to which the energies of the elements are added that come with the package.  None:
            the materials that come with the package.

    Raises:
        InputError: a file that cannot be used, or a judge whose energies are on the scale of none of its hulls.
    """
    if path is None:
        hulls = {SHIPPED: shipped_entries()}
    elif {"kind", "hull"} <= _header(path):
        hulls = read_entries(path)
    else:
        hulls = {f"table {path.name}": [*elemental_references(), *table_entries(path)]}
    return {judge: _on_scale(judge, hulls, path) for judge in judges}


def _on_scale(judge: str, hulls: dict[str, list[HullEntry]], path: Path | None) -> NamedEntries:
    problem: InputError | None = None
    for name, entries in hulls.items():
        source = "table" if path is None or name.startswith("table ") else name
        if source not in HULL_SOURCES and source not in POTENTIALS:
            return NamedEntries(name, entries)  # nothing is known of it; it is taken at its word
        try:
            check_hull(judge, source)
        except InputError as error:
            problem = problem or error
        else:
            return NamedEntries(name, entries)
    raise InputError(f"{path or SHIPPED}: no hull for the judge {judge}: {problem}")


def _header(path: Path) -> set[str]:
    """Names of the columns of a csv; none where it has none, which its reader complains about."""
    try:
        with open_text(path) as file:
            return set(next(csv.reader(file), []))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--hull {path}: cannot read it ({error}); give a csv or csv.gz") from None
