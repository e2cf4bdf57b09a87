"""Relaxations of a set, resumed from a journal, and the files that they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symmcd.crystallography.composition import reduced_formula
from symmcd.extensions import POTENTIALS
from symmcd.journal import Journal, Progress
from symmcd.stability.corrections import COLUMNS, corrections
from symmcd.stability.outcome import Limits, Relaxation
from symmcd.stability.relax_set import as_json, relaxed_crystals, write_structures, write_table
from symmcd.structures.crystal_file import CrystalFile
from symmcd.structures.given_crystals import OwnCrystals


@dataclass(frozen=True)
class Method:
    """Settings of a relaxation."""

    potential: str = "chgnet"  # name in the registry
    method: str = "unconstrained"  # or symmetry, or an optimiser of the potential's own
    limits: Limits = Limits()  # noqa: RUF009  (frozen)
    batch_size: int = 0  # crystals in progress at once; 0 = as the potential has it

    def identity(self) -> list[str]:
        """Names that identify the potential in the journal of a relaxation."""
        return [self.potential, POTENTIALS[self.potential].version]


def relax_rest(given: CrystalFile, chosen: Sequence[int], how: Method, device: str, journal: Journal) -> None:
    """Relax those of the crystals that the journal lacks, each into the journal as soon as it is finished.

    Args:
        given: the crystals.
        chosen: indices of those to relax.
        how: method and limits.
        device: cpu or cuda.
        journal: lines have ``id``, ``space_group``, the corrections where there are such, and `relax_set.as_json`.
    """
    finished = {result["id"] for result in journal.done}
    left = [index for index in chosen if given.ids[index] not in finished]
    done = relaxed_crystals(
        given, left, potential=how.potential, method=how.method, limits=how.limits, batch_size=how.batch_size,
        device=device,
    )  # fmt: skip
    with Progress(len(chosen), len(chosen) - len(left), "crystals relaxed") as progress:
        for index, result in done:
            about: dict[str, Any] = {"id": given.ids[index], "space_group": given.space_group[index]}
            if POTENTIALS[how.potential].correctable:
                about |= corrections(given.cell(index), result)
            journal.append({**about, **as_json(result)})
            progress.advance(1, f"{result.formula} {result.status}")


def not_relaxed(given: OwnCrystals, index: int) -> dict[str, Any]:
    """The row of a crystal that cannot be relaxed, with the reason; nothing else is known of one that was not read."""
    atoms = given.composition(index)
    formula = reduced_formula(atoms) if atoms else ""
    row = as_json(Relaxation(f"failed:{given.failure[index]}", formula, sum(atoms.values())))
    about = {"id": given.ids[index], "space_group": given.space_group[index]}
    return {**about, **row, "number_of_atoms": sum(atoms.values()) or None}


def write_relaxed(
    table: Path, crystals: Path, results: Sequence[Mapping[str, Any]], potential: str, draw_of: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Write relaxed.csv and relaxed.extxyz; the rows, sorted by id.

    The column ``draw`` is present if there are several, ``potential`` if it is not CHGNet, corrections if energies can
    be corrected.

    Args:
        table: csv.
        crystals: extxyz.
        results: of the journal.
        potential: that relaxed the crystals.
        draw_of: of each crystal drawn, by its id, in which draw it is; of all shards.
    """
    several = len(set(draw_of.values())) > 1
    rows = []
    for result in sorted(results, key=lambda result: str(result["id"])):
        draw = {"draw": draw_of[result["id"]]} if several else {}
        rows.append({**result, **draw, "drawn": len(draw_of), "potential": potential})
    more = ["drawn"] + ["draw"] * several + ["potential"] * (potential != "chgnet")
    more += [*COLUMNS] * POTENTIALS[potential].correctable
    write_table(table, rows, more)
    write_structures(crystals, rows)
    return rows
