"""The ranked table: energies above the hull, novelty, duplicates, doubts and a verdict for every crystal.

Every crystal has a row.  Verdicts, in the order in which the table has them:

================  =====================================================================================================
``candidate``     new, valid, no duplicate, within the threshold above the hull by every judge, and nothing doubtful
``doubtful``      the same, but something makes it doubtful: the column ``doubts``
``screened_out``  such a crystal that the filters on screens do not keep: the column ``screened_out``
``known``         a known material: the column ``known`` names it
``unstable``      new and valid, but further above the hull than the threshold
``duplicate``     the same crystal as one with a lower energy: ``duplicate_of`` names it
``invalid``       overlapping atoms, or a composition without a neutral choice of oxidation states
``failed``        no relaxed energy, or no hull at its composition: ``status`` says why
``not_reached``   the budget, or an interrupt, came before it
================  =====================================================================================================
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.discovery.files import SCREEN
from symmcd.discovery.judgements import Hulls, elements_energy, judged
from symmcd.discovery.known import KnownMaterials
from symmcd.discovery.unit_json import from_json
from symmcd.discovery.words import VERDICTS
from symmcd.metrics.matching import first_matches, matching
from symmcd.screens.filters import Filter, failures
from symmcd.stability_model.materials import fingerprint
from symmcd.structures.units import replicate

ORDER = {verdict: place for place, verdict in enumerate(VERDICTS)}
SAME_ENERGY = 0.02  # eV/atom; crystals that one potential has relaxed and that are further apart are not the same
SCREENED_OUT = "screened_out"  # a verdict, and the column that says why
NAMES = 3  # number of similar materials in a field


def ranked(
    crystals: Sequence[Mapping[str, Any]],
    predicted: Mapping[str, float | None],
    hulls: Hulls,
    known: KnownMaterials,
    threshold: float,
    keep: Sequence[Filter] = (),
) -> list[dict[str, Any]]:
    """A row per crystal, the best first; a value that does not exist is None.

    Args:
        crystals: of `shards.Machine.shard`; one that was not reached has its ``id`` and ``formula`` alone.
        predicted: eV/atom above the hull by the stability model, by id.
        hulls: of the judges, in their order.
        known: materials that are no news.
        threshold: eV/atom.
        keep: what the screens of candidates have to say.
    """
    rows = [_row(crystal, predicted.get(crystal["id"]), hulls, known) for crystal in crystals]
    by_id = {row["id"]: row for row in rows}
    for name, first in duplicates(crystals, rows).items():
        by_id[name]["duplicate_of"] = first
    for row in rows:
        if keep:
            there = row["e_above_hull"] is not None
            row[SCREENED_OUT] = "; ".join(failures(keep, screens_of(row))) if there else ""
        row["verdict"] = verdict(row, threshold)
    rows.sort(key=_place)
    for rank, row in enumerate(rows, 1):
        row["rank"] = rank
    return rows


def _place(row: Mapping[str, Any]) -> tuple[int, float, str]:
    energy = row["e_above_hull"]
    return ORDER[row["verdict"]], math.inf if energy is None else energy, row["id"]


def _row(crystal: Mapping[str, Any], predicted: float | None, hulls: Hulls, known: KnownMaterials) -> dict[str, Any]:
    """Everything of a crystal that needs no other."""
    made = from_json(crystal.get("unit"))
    row: dict[str, Any] = {"id": crystal["id"], "draft": crystal["draft"], "predicted": predicted, "duplicate_of": ""}
    row["log_probability"] = crystal.get("log_probability")
    row |= {"e_above_hull": None, "judges_spread": None, "decomposition": "", "reference_entries": None}
    row |= {f"e_above_hull_{judge}": None for judge in hulls.hull}
    row |= {
        "doubts": "",
        "known": "",
        "same_arrangement": "",
        "same_formula_and_group": "",
        "same_formula": 0,
        "hull": "",
    }
    if made is None:
        return row | {"status": "not_reached", "formula": crystal["formula"], "space_group": crystal["space_group"]}
    relaxation = crystal["relaxation"] or {}
    found = from_json(crystal["found"]) or from_json(crystal["relaxed"])
    row |= {
        "formula": made.formula,
        "space_group": made.space_group,
        "space_group_relaxed": None if found is None else found.space_group,
        "atoms": (found or made).primitive_atoms,
        "status": relaxation.get("status") or f"invalid:{crystal['valid']}",
        "valid": crystal["valid"] if crystal["valid"] != "valid" else _composition(crystal["composition"]),
        "detail": crystal["detail"],
        "energy_per_atom": crystal["judges"].get(next(iter(hulls.hull)), ["", None])[1],
        **{name: relaxation.get(name) for name in ("rms_displacement", "volume_change")},
        "min_distance": relaxation.get("min_distance_relaxed"),
    }
    row["density"] = None if found is None else float(content.densities(AsymmetricUnits.from_units([found]))[0])
    row |= judged(crystal, row, hulls)
    formation = [e - elements_energy(made) for _, e in crystal["judges"].values() if e is not None]
    row["formation_energy_per_atom"] = formation[0] if formation else None
    row |= {f"{SCREEN}{name}": value for name, value in crystal["screens"].items()}
    return row | names_of(found or made, formation, known)


def screens_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Values of screens in a row, by the names of the screens."""
    return {name.removeprefix(SCREEN): value for name, value in row.items() if name.startswith(SCREEN)}


def _composition(verdict_of: str) -> str:
    return "valid" if verdict_of == "valid" else f"composition:{verdict_of}"


def names_of(unit: AsymmetricUnit, formation: Sequence[float], known: KnownMaterials) -> dict[str, Any]:
    """Known materials that the crystal is, or is like, by their names.

    Args:
        unit: the crystal.
        formation: formation energies by the judges, eV/atom; none: it was not relaxed.
        known: the materials.
    """
    (text,) = content.arrangements(AsymmetricUnits.from_units([unit]))
    alike = known.arrangement.get(fingerprint(text), ())
    return {
        "known": ";".join(known.same(unit, fingerprint(text), formation) if formation else ()),
        "same_arrangement": ";".join(alike[:NAMES]),
        "same_formula_and_group": ";".join(known.form.get((unit.formula, unit.space_group), ())[:NAMES]),
        "same_formula": len(known.formula.get(unit.formula, ())),
    }


def verdict(row: Mapping[str, Any], threshold: float) -> str:
    """One of `words.VERDICTS`."""
    if row["status"] == "not_reached":
        return "not_reached"
    if row["status"].startswith("invalid:"):
        return "invalid"
    if row["e_above_hull"] is None:
        return "failed"
    if row["duplicate_of"]:
        return "duplicate"
    if row["known"]:
        return "known"
    if row["valid"] != "valid":
        return "invalid"
    if row["e_above_hull"] > threshold:
        return "unstable"
    if row.get(SCREENED_OUT):
        return SCREENED_OUT
    return "doubtful" if row["doubts"] else "candidate"


def duplicates(crystals: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Crystals that match one of lower energy, by pymatgen's StructureMatcher: id → id of that one."""
    units = {c["id"]: from_json(c.get("found")) or from_json(c.get("relaxed")) for c in crystals}
    energy = {row["id"]: row["energy_per_atom"] for row in rows if row.get("energy_per_atom") is not None}
    formula = {row["id"]: row["formula"] for row in rows}
    several = Counter(formula[name] for name in energy)
    names = sorted((n for n in energy if several[formula[n]] > 1 and units[n]), key=lambda n: (energy[n], n))
    same = matching([replicate(unit) for name in names if (unit := units[name]) is not None])

    def equal(i: int, j: int) -> bool:
        return abs(energy[names[i]] - energy[names[j]]) < SAME_ENERGY and same(i, j)

    found = first_matches(range(len(names)), equal)
    return {names[i]: names[first] for i, first in found.items() if first is not None}


def found_again(rows: Sequence[Mapping[str, Any]], known: KnownMaterials, elements: frozenset[str]) -> dict[str, Any]:
    """Number of MP-20's materials of a chemical system among the crystals, by split.

    A material is found where a relaxed crystal is it (`KnownMaterials.same`).  The network has seen those of ``train``,
    and not those of ``val`` and ``test``.

    Returns:
        split → [found, of how many]; ``missed``: ids of the others.
    """
    there = known.in_system(elements)
    named = {name for row in rows for name in row["known"].split(";") if name}
    found = {m.id for m in there if m.id in named}
    counts = {
        split: [sum(m.id in found for m in there if m.split == split), sum(m.split == split for m in there)]
        for split in ("train", "val", "test")
    }
    return {**counts, "missed": [m.id for m in there if m.id not in found]}
