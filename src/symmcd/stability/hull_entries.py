"""Reference energies that a convex hull is made of, from each source; and the csv that holds them."""

from __future__ import annotations

import csv
import json
import math
import re
import reprlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pymatgen.core import Composition, Element

from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.stability.hull import EnergyKind, HullEntry
from symmcd.stability.json_reader import JsonReader
from symmcd.storage import atomic_path
from symmcd.structures.files import JSON, bounded_lines, open_text, shown

COLUMNS = ("hull", "id", "formula", "energy_per_atom", "kind", "origin", "status")
KINDS: tuple[EnergyKind, ...] = get_args(EnergyKind)
DAMAGED = (OSError, EOFError, zlib.error, ValueError, RecursionError)  # errors of a JSON; the decoder's are ValueErrors
AMOUNTS = (1e-6, 1e6)  # amounts of an element in a formula
NO_PICKLE = (
    "expected computed entries as .json or .json.gz; matbench-discovery's phase diagram 2023-02-07-ppd-mp.pkl.gz is a "
    "pickle, and reading a pickle runs code from it, so it is not read. Leave hull.path empty to download its entries"
)


@cache
def elemental_energies(potential: str) -> dict[str, HullEntry]:
    """A potential's lowest energy of each element that it knows, by symbol; empty if it has no such table.

    They see to it that every composition has its terminals, whatever crystals the data set has.  CHGNet's are made by
    ``tools/make_elemental_energies.py``.
    """
    package, _, name = POTENTIALS[potential].elemental.partition(":")
    if not package:
        return {}
    with (resources.files(package) / name).open(encoding="utf-8") as file:
        return {
            row["element"]: HullEntry(
                row["element"], float(row["energy_per_atom"]), "energy", f"elemental prototype {row['prototype']}"
            )
            for row in csv.DictReader(file)
        }


def is_formula(text: str) -> bool:
    """Return whether a text is a formula of elements."""
    return _valid_formula(text)


def table_entries(path: Path) -> list[HullEntry]:
    """Formation energies of a csv(.gz) with columns formula, formation_energy_per_atom and, if there, material_id.

    Raises:
        InputError: an unreadable file, a missing column, or a row that makes no sense, by its number.
    """
    origin = path.name
    entries = []
    for number, row in _read_csv(path, ("formula", "formation_energy_per_atom")):
        energy = _energy(row["formation_energy_per_atom"], path, number)
        formula = _formula(row["formula"], path, number)
        entries.append(HullEntry(formula, energy, "formation_energy", origin, row.get("material_id") or ""))
    return entries


def elemental_reference_entries(path: Path) -> list[HullEntry]:
    """Elemental references of a json(.gz), element → computed entry, as matbench-discovery publishes them.

    Raises:
        InputError: an unreadable file, or one of another form.
    """
    content = _read_json(path)
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: expected a mapping from element to computed entry")
    entries = []
    for element, entry in content.items():
        computed = _computed_entry(entry, path, element)
        if Composition(computed.formula).chemical_system != element:
            raise InputError(f"{path}: the entry of {element} is {computed.formula}; expected the element alone")
        entries.append(HullEntry(element, computed.energy_per_atom, "elemental_reference", path.name, computed.id))
    return entries


def computed_entries(path: Path) -> list[HullEntry]:
    """Corrected total energies of a json(.gz) of pymatgen computed entries, read one by one.

    Taken are a list of entries, a mapping from id to entry, or a mapping (a data frame) with such under ``entry``, as
    matbench-discovery has it.
    Energies get the correction that the entry carries (MP2020), as CHGNet was trained on corrected ones.

    Raises:
        InputError: a pickle, or a file of another form.
    """
    if not path.name.removesuffix(".gz").endswith(".json"):
        raise InputError(f"hull.path = {str(path)!r}: {NO_PICKLE}")
    entries: list[HullEntry] = []
    other: InputError | None = None  # what is wrong with the first that is no entry, unless it is another column
    column: list[HullEntry] | None = None
    try:
        with open_text(path) as file:
            reader = JsonReader(file, JSON)
            for key in reader.members():
                if key == "entry":
                    column = [_computed_entry(reader.value(), path, inner) for inner in reader.members()]
                    continue
                value = reader.value()
                if other is None and column is None:
                    try:
                        entries.append(_computed_entry(value, path, key))
                    except InputError as error:
                        other = error
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"{path}: cannot read it ({shown(error, 200)}); give a json or json.gz") from None
    if column is not None:
        return column
    if other is not None:
        raise other
    return entries


def _computed_entry(entry: Any, path: Path, key: object) -> HullEntry:
    where = f"{path}: entry {shown(key)}"
    if not isinstance(entry, Mapping):
        raise InputError(f"{where} is not a computed entry with composition and energy but {_brief(entry)}")
    given = entry["composition"] if "composition" in entry else _site_amounts(entry.get("structure"), where)
    amounts = _amounts(given, where)
    energy = _number(entry.get("energy"), f"{where} has the energy") + _number(
        entry.get("correction") or 0.0, f"{where} has the correction"
    )
    formula = "".join(f"{element}{amount:.6f}".rstrip("0").rstrip(".") for element, amount in amounts.items())
    return HullEntry(formula, energy / sum(amounts.values()), "energy", path.name, str(entry.get("entry_id") or key))


def _site_amounts(structure: Any, where: str) -> dict[str, float]:
    """Amounts of a computed structure entry, which as pymatgen writes it has only the sites."""
    try:
        amounts: dict[str, float] = {}
        for site in structure["sites"]:
            for species in site["species"]:
                amounts[species["element"]] = amounts.get(species["element"], 0) + species["occu"]
    except (KeyError, TypeError, IndexError):
        raise InputError(
            f"{where} is not a computed entry with composition, or structure with sites, and energy"
        ) from None
    return amounts


def _amounts(given: Any, where: str) -> dict[str, float]:
    """Amount of each element of a composition, a mapping or a formula; charges are dropped."""
    if isinstance(given, str) and _valid_formula(given):
        return {str(element): float(n) for element, n in Composition(given).get_el_amt_dict().items()}
    amounts: dict[str, float] = {}
    for name, amount in given.items() if isinstance(given, Mapping) else ():
        matched = re.fullmatch(r"([A-Z][a-z]?)([0-9.]*[+-])?", str(name))
        if not matched or not Element.is_valid_symbol(matched[1]):
            raise InputError(f"{where} has the composition {_brief(given)}: {shown(name)!r} is not an element")
        amounts[matched[1]] = amounts.get(matched[1], 0.0) + _number(amount, f"{where} has of {name} the amount")
    if not amounts or min(amounts.values()) < AMOUNTS[0] or max(amounts.values()) > AMOUNTS[1]:
        raise InputError(f"{where} has the composition {_brief(given)}; expected elements and amounts from 1e-6 to 1e6")
    return amounts


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise InputError(f"{what} {_brief(value)}, which is not a number")
    return number


def _brief(value: Any) -> str:
    return shown(reprlib.repr(value))


# --- the csv between the stages `reference` and `hull` ---------------------------------------------------------------


def write_entries(
    path: Path, hull: str, entries: Iterable[HullEntry], failed: Sequence[Mapping[str, str]] = ()
) -> None:
    """Write the energies of one hull; crystals that have none stand at the end, with their status.

    Each row has the number of ``rows``, so that a file that lost some is noticed.

    Args:
        path: csv.
        hull: name of the hull, repeated in every table that is made with it.
        entries: with energies.
        failed: ``id, formula, origin, status`` of reference crystals without energy.
    """
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, (*COLUMNS, "rows"), lineterminator="\n", restval="")
        writer.writeheader()
        entries = list(entries)
        total = len(entries) + len(failed)
        for entry in entries:
            writer.writerow({"hull": hull, "status": "ok", **vars(entry), "rows": total})
        for row in failed:
            writer.writerow({"hull": hull, "kind": "energy", **row, "rows": total})


def read_entries(path: Path) -> dict[str, list[HullEntry]]:
    """Energies by name of hull; rows without an energy are left out.

    Raises:
        InputError: missing, unreadable, empty, or not as many rows as its column ``rows`` says, if it has one.
    """
    hulls: dict[str, list[HullEntry]] = {}
    stated: list[str] = []
    for number, row in _read_csv(path, COLUMNS):
        if "rows" in row:
            stated.append(row["rows"])
        if row["status"] != "ok":
            continue
        kind = next((kind for kind in KINDS if kind == row["kind"]), None)
        if kind is None:
            raise InputError(f"{path}, row {number}: kind {shown(row['kind'])!r}; expected one of {', '.join(KINDS)}")
        energy, formula = _energy(row["energy_per_atom"], path, number), _formula(row["formula"], path, number)
        hulls.setdefault(row["hull"], []).append(HullEntry(formula, energy, kind, row["origin"], row["id"]))
    if not hulls:
        raise InputError(f"{path}: no reference energies; rerun `symmcd reference`")
    if stated and set(stated) != {str(len(stated))}:
        numbers = " or ".join(sorted(set(stated)))
        raise InputError(
            f"{path}: {len(stated)} rows of {numbers}; it is incomplete or was changed; run `symmcd reference` again"
        )
    return hulls


def _read_csv(path: Path, columns: Sequence[str]) -> Iterable[tuple[int, dict[str, str]]]:
    """Rows with their number, 1 = first after the header."""
    try:
        with open_text(path) as file:
            reader = csv.DictReader(bounded_lines(file, path))
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                there = shown(", ".join((reader.fieldnames or ())[:20]), 300)
                raise InputError(f"{path}: lacks the column {', '.join(missing)}; it has {there or 'none'}")
            for number, row in enumerate(reader, 1):
                if any(row.get(None, ())) or None in row.values():
                    raise InputError(
                        f"{path}, row {number}: not as many values as the header; the file is incomplete or damaged"
                    )
                yield number, row
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot read it ({error}); give a csv or csv.gz") from None


def _read_json(path: Path) -> Any:
    try:
        with open_text(path, JSON) as file:
            return json.load(file, object_pairs_hook=_once)
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"{path}: cannot read it ({shown(error, 200)}); give a json or json.gz") from None


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(name for i, (name, _) in enumerate(pairs) if name in dict(pairs[:i]))
        raise ValueError(f"{shown(twice)!r} stands twice in one mapping")
    return content


def _energy(text: str | None, path: Path, number: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}, row {number}: energy {shown(text)!r} is not a number; remove the row or fill it")
    return value


@cache
def _valid_formula(formula: str) -> bool:
    try:
        composition = Composition(formula, strict=True)
    except ValueError:
        return False
    return composition.num_atoms > 0 and composition.valid


def _formula(text: str | None, path: Path, number: int) -> str:
    if not text or not _valid_formula(text):
        raise InputError(f"{path}, row {number}: {shown(text)!r} is not a formula")
    return text
