"""Stage ``relax``: generated crystals → CHGNet energies before and after relaxation, one status a crystal."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.consistency import POSITION_TOLERANCE
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.device import choose_device, hold_gpu
from symmcd.errors import InputError
from symmcd.settings import RelaxSettings
from symmcd.stability.batch_relaxation import BATCH_ROWS, BATCH_SIZE, Limits, relax_many
from symmcd.stability.batched_potential import BatchedPotential
from symmcd.stability.journal import Journal, Progress
from symmcd.stability.outcome import COLUMNS, Relaxation
from symmcd.stability.potential import FLAT, load_chgnet
from symmcd.stability.relaxation import relax_each
from symmcd.storage import atomic_path
from symmcd.structures.frames import read_generated, space_group_of
from symmcd.structures.names import ase_info


def run(
    crystals: Path, table: Path, relaxed: Path, shard: int, shards: int, settings: RelaxSettings, seed: int, device: str
) -> None:
    """Relax this shard's part of `settings.number` crystals drawn with `seed`; write their table and structures.

    Every finished crystal goes to ``TABLE.partial`` at once, from where a killed run goes on.  The table has a row for
    each crystal drawn, with the number drawn for all shards as ``drawn``, so that a lost row is noticed; `relaxed` has
    those with a relaxed structure, in their primitive cells.  With several
    `settings.draws`, the column ``draw`` says in which one a crystal is, from 1; shards cut across draws.

    Raises:
        InputError: unreadable crystals, too few for the draws, a space group that is none or is needed and missing, or
            an output that cannot be written.
    """
    frames = read_generated(crystals)
    draw_of = draw(len(frames), settings.number, settings.draws, seed)
    chosen = sorted(draw_of)[shard::shards]
    needed = " (or set relax.method = unconstrained)" if settings.method == "symmetry" else ""
    group = {index: space_group_of(crystals, frames[index], needed=needed) for index in chosen}
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
    left = [index for index in chosen if frames[index].info["id"] not in finished]
    with Progress(len(chosen), len(finished), "crystals") as progress:
        for index, result in _relaxed(crystals, [frames[i] for i in left], settings, choose_device(device).type):
            name = frames[left[index]].info["id"]
            journal.append({"id": name, "space_group": group[left[index]], **_as_json(result)})
            progress.advance(1, f"{result.formula} {result.status}")
    results = sorted(journal.done, key=lambda result: result["id"])
    if several:
        number = {str(frames[index].info["id"]): draw_of[index] for index in chosen}
        results = [{**result, "draw": number[result["id"]]} for result in results]
    results = [{**result, "drawn": len(draw_of)} for result in results]
    _write_table(table, results, ("drawn", "draw") if several else ("drawn",))
    _write_structures(relaxed, results)
    journal.remove()
    statuses = ", ".join(f"{status} {count}" for status, count in Counter(r["status"] for r in results).most_common())
    print(f"wrote {table} ({len(results)} crystals: {statuses})")
    print(f"wrote {relaxed} ({sum(r['cell'] is not None for r in results)} crystals)")


def _relaxed(
    source: Path, frames: list[Atoms], settings: RelaxSettings, device: str
) -> Iterator[tuple[int, Relaxation]]:
    """(index into `frames`, what became of it), as each is finished."""
    if not frames:
        return
    model = load_chgnet(device)
    limits = Limits(
        settings.steps, settings.fmax, settings.max_atoms, settings.seconds, release_steps=settings.release_steps
    )
    if settings.method == "structure_optimizer":
        yield from relax_each(
            (_structure(frame) for frame in frames), model, steps=limits.steps, fmax=limits.fmax,
            max_atoms=limits.max_atoms, seconds=limits.seconds,
        )  # fmt: skip
        return
    symmetric = settings.method == "symmetry"
    units = [_unit(source, frame) for frame in frames] if symmetric else []  # all are looked at before the first runs
    yield from relax_many(
        units if symmetric else (_structure(frame) for frame in frames),
        BatchedPotential(model),
        settings.method,
        batch_size=settings.batch_size or BATCH_SIZE[device],
        rows=BATCH_ROWS[device],
        limits=limits,
    )


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


def _structure(frame: Atoms) -> Structure:
    return Structure(frame.cell.array, frame.numbers.tolist(), _fractional(frame))


def _fractional(frame: Atoms) -> np.ndarray:
    """Fractional positions (N, 3); a flat or infinite cell has none, and `relax` says what it is."""
    usable = np.isfinite(frame.cell.array).all() and frame.cell.volume >= FLAT
    return frame.get_scaled_positions() if usable else frame.positions


def _unit(source: Path, frame: Atoms) -> AsymmetricUnit:
    """Asymmetric unit of a frame of ours: its orbits' first atoms are the representatives.

    What is broken physically (no cell, no numbers, atoms on one point) is left to the relaxation, which gives it a
    status; a frame that contradicts itself is refused.

    Raises:
        InputError: the frame does not say what its orbits are, or atoms, letters and cell do not fit its group.
    """
    if not {"wyckoff", "orbit"} <= set(frame.arrays):
        raise InputError(
            f"{source}: frame {frame.info['id']} has no Wyckoff letters and orbits, which relax.method = symmetry goes "
            "by; give crystals.extxyz of `symmcd replicate`, or set relax.method = unconstrained"
        )
    _, first, orbit = np.unique(frame.arrays["orbit"], return_index=True, return_inverse=True)
    letters = tuple(str(letter) for letter in frame.arrays["wyckoff"][first])
    number, cell, elements = int(frame.info["space_group"]), frame.cell.array, frame.numbers[first]
    try:
        for name, of_atoms in (("wyckoff", frame.arrays["wyckoff"]), ("species", frame.numbers)):
            if (of_atoms != of_atoms[first][orbit]).any():
                raise InputError(f"atoms of one orbit differ in the column {name}")
        if not (np.isfinite(cell).all() and np.isfinite(frame.positions).all() and frame.cell.volume > 0):
            for letter in letters:
                wyckoff_table().row(number, letter)
            return AsymmetricUnit.exact(number, cell, elements, letters, frame.positions[first])
        unit = AsymmetricUnit(number, cell, elements, letters, frame.get_scaled_positions()[first], apart=False)
    except InputError as error:
        raise InputError(f"{source}: frame {frame.info['id']}: {error}") from None
    wrong = _of_another_orbit(unit, frame, orbit)
    if wrong is not None:
        raise InputError(
            f"{source}: frame {frame.info['id']}: atom {wrong} is not one that space group {number} makes of its orbit "
            f"{frame.arrays['orbit'][wrong]}; give crystals.extxyz as `symmcd replicate` wrote it, or set relax.method "
            "= unconstrained"
        )
    return unit


def _of_another_orbit(unit: AsymmetricUnit, frame: Atoms, orbit: np.ndarray) -> int | None:
    """The first atom of a frame that is not on one of the points of its `orbit` (N,)."""
    made, owner = wyckoff_table().orbit(unit.wyckoff, unit.position)
    position = frame.get_scaled_positions()
    for index in range(len(unit.element)):
        atoms = np.flatnonzero(orbit == index)
        difference = position[atoms, None] - made[owner == index]
        distance = np.linalg.norm((difference - np.rint(difference)) @ unit.lattice, axis=2)
        if len(atoms) != distance.shape[1]:
            return int(atoms[0])
        wrong = (distance.min(axis=1) > POSITION_TOLERANCE) | (frame.numbers[atoms] != unit.element[index])
        if wrong.any():
            return int(atoms[wrong.argmax()])
    return None


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
