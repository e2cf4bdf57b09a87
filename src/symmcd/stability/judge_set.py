"""Energies of relaxed crystals by a potential that has not relaxed them."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.journal import Journal, Progress
from symmcd.potentials.potential import Point, Potential, Request, UnusableCrystalError
from symmcd.stability.above_hull import PASSED_ON
from symmcd.stability.corrections import COLUMNS as CORRECTIONS
from symmcd.stability.corrections import correction
from symmcd.stability.geometry import shortest_distance
from symmcd.stability.outcome import Limits, Relaxation, nonsense, stop_if_all_fail_alike
from symmcd.stability.relax_set import relaxed_crystals
from symmcd.stability.relaxed_table import potential_of, read_relaxed_table
from symmcd.stability.single_points import computed
from symmcd.storage import atomic_path
from symmcd.structures.cell import Cell
from symmcd.structures.convert import to_structure
from symmcd.structures.crystal_file import CrystalFile
from symmcd.tables import check_drawn

NEEDED = ("id", "status", "formula", "energy_relaxed")
COLUMNS = ("id", "status", "formula", "energy_initial", "energy_given", "energy_relaxed")


def read_relaxed_rows(tables: Sequence[Path], potential: str) -> list[dict[str, str]]:
    """Rows of tables of `symmcd relax`, sorted by crystal.

    Raises:
        InputError: an unreadable table, one that is cut, a crystal that appears twice, or crystals that `potential`
            has relaxed itself.
    """
    where = ", ".join(map(str, tables))
    rows = []
    for path in tables:
        own = read_relaxed_table(path, NEEDED, ("energy_relaxed",))
        for number, row in enumerate(own, 1):
            if potential_of(row) == potential:
                raise InputError(
                    f"{path}, row {number}: {potential} relaxed these crystals; a judge must be another potential"
                )
        rows += own
    if len({row["id"] for row in rows}) != len(rows):
        raise InputError(f"{where}: a crystal appears twice; give each shard once")
    check_drawn(where, [row["drawn"] for row in rows if "drawn" in row])
    return sorted(rows, key=lambda row: row["id"])


def journal_work(files: Sequence[Path], potential: str, relax: Limits | None) -> dict[str, Any]:
    """Identity of the judgements of a potential, for their journal: relaxed crystals, weights and limits."""
    return {
        "crystals": [hashlib.sha256(path.read_bytes()).hexdigest() for path in files],
        "potential": [potential, POTENTIALS[potential].version],
        "relax": None if relax is None else dataclasses.asdict(relax),
    }


def judged(
    rows: Sequence[Mapping[str, str]], given: CrystalFile, *, potential: str, relax: Limits | None, device: str
) -> Iterator[dict[str, Any]]:
    """Judge relaxed crystals by a potential; yield one mapping of `COLUMNS` and more for each when it is finished.

    ``energy_given`` (eV/atom) is the energy of the crystal without further relaxation; ``energy_relaxed`` is the same,
    or the energy after the potential has relaxed it again.  A crystal without a relaxed structure keeps its status; if
    the potential has no energy of it, its own status says why.

    Args:
        rows: of `read_relaxed_rows`.
        given: the relaxed structures by their ids.
        potential: name in the registry.
        relax: relax again, unconstrained, within these limits; None: energies of the crystals as they are.
        device: cpu or cuda.

    Raises:
        InputError: a row with an energy whose structure is not there.
    """
    index = {name: place for place, name in enumerate(given.ids)}
    there = []
    for row in rows:
        if not row["energy_relaxed"]:
            yield _row(row, row["status"])
        elif row["id"] not in index:
            raise InputError(f"crystal {row['id']} has no relaxed structure here; the files come from different runs")
        else:
            there.append(row)
    by_id = {row["id"]: row for row in there}
    chosen = [index[row["id"]] for row in there]
    entry = POTENTIALS[potential]
    if relax is None:
        done = _single_points(given, chosen, entry.load(device)) if chosen else iter(())
    else:
        done = relaxed_crystals(
            given, chosen, potential=potential, method="unconstrained", limits=relax, batch_size=0, device=device
        )
    for place, result in done:
        row = by_id[given.ids[place]]
        made = _row(row, result.status if result.energy_relaxed is None or relax else row["status"], result)
        if entry.correctable and result.energy_relaxed is not None:
            made["correction_relaxed"] = correction(result.structure or to_structure(given.cell(place)))
        if relax and result.energy_relaxed is not None:
            made["space_group_relaxed"] = result.space_group_relaxed  # displacements stay those of the first relaxation
        yield made


def judge_rest(
    rows: Sequence[Mapping[str, str]],
    given: CrystalFile,
    potential: str,
    relax: Limits | None,
    device: str,
    journal: Journal,
) -> list[dict[str, Any]]:
    """`judged` of the crystals that the journal lacks, each into the journal as soon as it is finished.

    Args:
        rows: as in `judged`, and what follows.
        given: the relaxed structures.
        potential: name in the registry.
        relax: limits, or None for the crystals as they are.
        device: cpu or cuda.
        journal: of this work.

    Returns:
        What is known of all of `rows`, sorted by id.
    """  # fmt: skip
    finished = {result["id"] for result in journal.done}
    left = [row for row in rows if row["id"] not in finished]
    done = judged(left, given, potential=potential, relax=relax, device=device)
    with Progress(len(rows), len(rows) - len(left), f"crystals judged by {potential}") as progress:
        for result in done:
            journal.append(result)
            progress.advance(1, f"{result['formula']} {result['status']}")
    return sorted(journal.done, key=lambda result: str(result["id"]))


def _row(row: Mapping[str, str], status: str, result: Relaxation | None = None) -> dict[str, Any]:
    """Columns of the table for a crystal, beside those that `row` has from its relaxation."""
    made: dict[str, Any] = {"id": row["id"], "status": status, "formula": row["formula"], "energy_initial": None}
    made |= {"energy_given": None, "energy_relaxed": None, "detail": ""}
    if result is not None:
        made |= {"energy_given": result.energy_initial, "energy_relaxed": result.energy_relaxed}
        made["detail"] = result.detail
    return {name: row[name] for name in PASSED_ON if name in row} | made


def _single_points(given: CrystalFile, chosen: Sequence[int], potential: Potential) -> Iterator[tuple[int, Relaxation]]:
    """Index and outcome of each crystal, unrelaxed: status ``ok`` and its energy, or why it has none.

    Raises:
        Exception: an unforeseen error that is the same for all crystals of the first call, if there are several.
    """
    for start in range(0, len(chosen), potential.batch_size):
        part = chosen[start : start + potential.batch_size]
        cells = [given.cell(index) for index in part]
        requests = [Request(cell.lattice, cell.position, cell.element) for cell in cells]
        points = computed(potential, requests, forces=False)
        if start == 0:
            stop_if_all_fail_alike(points)
        for index, cell, point in zip(part, cells, points, strict=True):
            yield index, _outcome(cell, point, potential.zero(cell.element))


def _outcome(cell: Cell, point: Point | Exception, zero: float) -> Relaxation:
    structure = to_structure(cell)
    about = Relaxation("ok", structure.composition.reduced_formula, len(structure))
    if isinstance(point, UnusableCrystalError):
        return dataclasses.replace(about, status=f"failed:{point}")
    if isinstance(point, Exception):
        return dataclasses.replace(about, status=f"failed:{type(point).__name__}", detail=str(point).replace("\n", " "))
    if why := nonsense(point.energy - zero, shortest_distance(structure)):
        return dataclasses.replace(about, status=why)
    return dataclasses.replace(about, energy_initial=point.energy, energy_relaxed=point.energy)


def write_judged(path: Path, results: Iterable[Mapping[str, Any]], potential: str) -> None:
    """One row per crystal, csv, as `symmcd hull` reads it beside that of `symmcd relax`."""
    results = list(results)
    passed_on = [name for name in PASSED_ON if any(name in result for result in results)]
    columns = [*COLUMNS, *CORRECTIONS * POTENTIALS[potential].correctable, *passed_on, "potential", "detail"]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n", restval="", extrasaction="ignore")
        writer.writeheader()
        for result in results:
            row = {key: f"{value:.6f}" if isinstance(value, float) else value for key, value in result.items()}
            writer.writerow({**row, "potential": potential})
