"""Stage ``relax``: generated crystals → CHGNet energies before and after relaxation, one status a crystal."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.device import choose_device, hold_gpu
from symmcd.errors import InputError
from symmcd.journal import Journal, Progress
from symmcd.settings import RelaxSettings
from symmcd.stability.batch_relaxation import BATCH_ROWS, BATCH_SIZE, Limits, relax_many
from symmcd.stability.batched_potential import BatchedPotential
from symmcd.stability.outcome import COLUMNS, SYMPREC, Relaxation, unusable
from symmcd.stability.potential import load_chgnet
from symmcd.stability.relaxation import relax_each
from symmcd.storage import atomic_path
from symmcd.structures.checks import is_sound
from symmcd.structures.convert import to_structure
from symmcd.structures.crystal_file import CrystalFile, read_crystal_file
from symmcd.structures.names import ase_info
from symmcd.structures.symmetry_search import SymmetryError


def run(
    crystals: Path, table: Path, relaxed: Path, shard: int, shards: int, settings: RelaxSettings, seed: int, device: str
) -> None:
    """Relax this shard's part of `settings.number` crystals drawn with `seed`; write their table and structures.

    Every finished crystal goes to ``TABLE.partial`` at once, from where a killed run goes on.  The table has a row for
    each crystal drawn, with the number drawn for all shards as ``drawn``, so that a lost row is noticed; `relaxed` has
    those with a relaxed structure, in their primitive cells.  With several
    `settings.draws`, the column ``draw`` says in which one a crystal is, from 1; shards cut across draws.

    Args:
        crystals: units.npz of `symmcd replicate`, which has exact coordinates and Wyckoff positions; or an extxyz file
            of anybody's, of which ``relax.method: symmetry`` keeps the symmetry found within 0.1 Å.
        table: csv.
        relaxed: extxyz.
        shard: from 0.
        shards: how many there are.
        settings: how many crystals, and how they are relaxed.
        seed: of the draw.
        device: auto, cuda or cpu.

    Raises:
        InputError: unreadable crystals, too few for the draws, a space group that is none, or an output that cannot be
            written.
    """
    given = read_crystal_file(crystals)
    draw_of = draw(len(given.ids), settings.number, settings.draws, seed)
    chosen = sorted(draw_of)[shard::shards]
    several = settings.draws > 1
    how = dataclasses.asdict(settings)
    if not several:
        del how["draws"]  # journals from before there were several go on
    work = {
        "crystals": hashlib.sha256(crystals.read_bytes()).hexdigest(),
        "settings": how,
        "seed": seed,
        "shard": [shard, shards],
    }
    hold_gpu(device)
    journal = Journal(table, work)
    finished = {result["id"] for result in journal.done}
    left = [index for index in chosen if given.ids[index] not in finished]
    with Progress(len(chosen), len(finished), "crystals") as progress:
        for index, result in _relaxed(given, left, settings, choose_device(device).type):
            about = {"id": given.ids[index], "space_group": given.space_group[index]}
            journal.append({**about, **_as_json(result)})
            progress.advance(1, f"{result.formula} {result.status}")
    results = sorted(journal.done, key=lambda result: result["id"])
    if several:
        number = {given.ids[index]: draw_of[index] for index in chosen}
        results = [{**result, "draw": number[result["id"]]} for result in results]
    results = [{**result, "drawn": len(draw_of)} for result in results]
    _write_table(table, results, ("drawn", "draw") if several else ("drawn",))
    _write_structures(relaxed, results)
    journal.remove()
    statuses = ", ".join(f"{status} {count}" for status, count in Counter(r["status"] for r in results).most_common())
    print(f"wrote {table} ({len(results)} crystals: {statuses})")
    print(f"wrote {relaxed} ({sum(r['cell'] is not None for r in results)} crystals)")


def _relaxed(
    given: CrystalFile, chosen: list[int], settings: RelaxSettings, device: str
) -> Iterator[tuple[int, Relaxation]]:
    """(index of a crystal in `given`, what became of it), as each is finished."""
    if not chosen:
        return
    model = load_chgnet(device)
    limits = Limits(
        settings.steps, settings.fmax, settings.max_atoms, settings.seconds, release_steps=settings.release_steps
    )
    structures = (to_structure(given.cell(index)) for index in chosen)
    if settings.method == "structure_optimizer":
        done = relax_each(
            structures, model, steps=limits.steps, fmax=limits.fmax, max_atoms=limits.max_atoms,
            seconds=limits.seconds,
        )  # fmt: skip
    else:
        crystals: Iterable[Structure | AsymmetricUnit] = structures
        if settings.method == "symmetry":
            crystals, kept = [], []
            for index in chosen:
                cell = given.cell(index)
                try:  # what is no cell at all has a status of its own
                    sound = is_sound(cell.lattice, cell.position)
                    crystals.append(given.symmetric(index, SYMPREC) if sound else to_structure(cell))
                    kept.append(index)
                except SymmetryError as error:
                    yield index, unusable(to_structure(cell), error, settings.method)
            chosen = kept
        done = relax_many(
            crystals,
            BatchedPotential(model),
            settings.method,
            batch_size=settings.batch_size or BATCH_SIZE[device],
            rows=BATCH_ROWS[device],
            limits=limits,
        )
    for place, result in done:
        yield chosen[place], result


def draw(total: int, number: int, draws: int, seed: int) -> dict[int, int]:
    """Which of the indices 0 … total - 1 are drawn, and in which of the draws 1 … `draws`; none twice.

    A draw is the same whatever the number of draws after it.  A single draw takes all where there are no more.

    Raises:
        InputError: too few for several draws of `number`.
    """
    if draws == 1 and number >= total:
        return dict.fromkeys(range(total), 1)
    if draws * number > total:
        raise InputError(
            f"relax.draws = {draws} of relax.number = {number} crystals take {draws * number}, and there are {total}; "
            "lower one of the two or raise sampling.number"
        )
    random, left = np.random.default_rng(seed), np.arange(total)
    found: dict[int, int] = {}
    for which in range(1, draws + 1):
        chosen = random.choice(len(left), number, replace=False)
        found |= dict.fromkeys(left[chosen].tolist(), which)
        left = np.delete(left, chosen)
    return found


def _as_json(result: Relaxation) -> dict[str, Any]:
    structure = result.structure
    if structure is None:
        return {**result.row(), "cell": None}
    return {
        **result.row(),
        "cell": structure.lattice.matrix.tolist(),
        "element": [site.specie.Z for site in structure],
        "position": structure.frac_coords.tolist(),
    }


def _write_table(path: Path, results: list[dict[str, Any]], more: tuple[str, ...]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        columns = ("id", "space_group", *COLUMNS, *more)
        writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for result in results:
            writer.writerow({k: f"{v:.6f}" if isinstance(v, float) else v for k, v in result.items()})


def _write_structures(path: Path, results: list[dict[str, Any]]) -> None:
    """Primitive cells; per frame the id, the status, energy and the space groups sampled and found."""
    frames = []
    for result in results:
        if result["cell"] is None:
            continue
        frame = Atoms(result["element"], cell=result["cell"], scaled_positions=result["position"], pbc=True)
        frame.info = {
            "id": ase_info(result["id"]),
            "status": result["status"],
            "energy_per_atom": result["energy_relaxed"],
            "space_group_relaxed": result["space_group_relaxed"] or 0,  # 0: spglib found none
        }
        if result["space_group"] is not None:
            frame.info["space_group"] = result["space_group"]
        frames.append(frame)
    with atomic_path(path) as temporary:
        temporary.touch()  # no frames make an empty file
        if frames:
            write(temporary, frames, format="extxyz")
