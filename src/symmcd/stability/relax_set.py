"""Relaxation of a set of crystals: which are drawn, by which method, and the files at the end."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.stability.batch_relaxation import relax_many
from symmcd.stability.outcome import COLUMNS, SYMPREC, Limits, Relaxation, unusable
from symmcd.stability.own_optimiser import relax_each
from symmcd.storage import atomic_path
from symmcd.structures.checks import is_sound
from symmcd.structures.convert import to_structure
from symmcd.structures.crystal_file import CrystalFile
from symmcd.structures.names import ase_info
from symmcd.structures.symmetry_search import SymmetryError


def relaxed_crystals(
    given: CrystalFile, chosen: list[int], *, potential: str, method: str, limits: Limits, batch_size: int, device: str
) -> Iterator[tuple[int, Relaxation]]:
    """Relax some crystals of a set, yielding (index in `given`, outcome) as each is finished.

    Args:
        given: the crystals.
        chosen: indices of those to relax.
        potential: name in the registry.
        method: unconstrained, symmetry, or an optimiser of the potential's own.
        limits: when each relaxation ends.
        batch_size: crystals in progress at once; 0 = as the potential has it.
        device: cpu or cuda.
    """
    if not chosen:
        return
    entry = POTENTIALS[potential]
    loaded = entry.load(device)
    structures = (to_structure(given.cell(index)) for index in chosen)
    if method in entry.optimisers:
        done = relax_each(structures, loaded, method, entry.optimiser(method), limits)
    else:
        crystals: Iterable[Structure | AsymmetricUnit] = structures
        if method == "symmetry":
            crystals, kept = [], []
            for index in chosen:
                cell = given.cell(index)
                try:  # what is not a cell at all has a status of its own
                    sound = is_sound(cell.lattice, cell.position)
                    crystals.append(given.symmetric(index, SYMPREC) if sound else to_structure(cell))
                    kept.append(index)
                except SymmetryError as error:
                    yield index, unusable(to_structure(cell), error, method)
            chosen = kept
        done = relax_many(crystals, loaded, method, limits=limits, batch_size=batch_size)
    for place, result in done:
        yield chosen[place], result


def draw(total: int, number: int, draws: int, seed: int) -> dict[int, int]:
    """Indices of 0 … total - 1 that are drawn, and in which of the draws 1 … `draws`; none twice.

    A draw does not depend on the number of draws after it.  A single draw takes all crystals if there are no more.

    Raises:
        InputError: too few for several draws of `number`.
    """
    if draws == 1 and number >= total:
        return dict.fromkeys(range(total), 1)
    if draws * number > total:
        raise InputError(
            f"relax.draws = {draws} of relax.number = {number} crystals need {draws * number} crystals, but "
            f"there are {total}; lower one of the two or raise sampling.number"
        )
    random, left = np.random.default_rng(seed), np.arange(total)
    draw_of: dict[int, int] = {}
    for which in range(1, draws + 1):
        chosen = random.choice(len(left), number, replace=False)
        draw_of |= dict.fromkeys(left[chosen].tolist(), which)
        left = np.delete(left, chosen)
    return draw_of


def as_json(result: Relaxation) -> dict[str, Any]:
    """An outcome as a line of a journal, with the relaxed cell if there is one."""
    structure = result.structure
    if structure is None:
        return {**result.row(), "cell": None}
    return {
        **result.row(),
        "cell": structure.lattice.matrix.tolist(),
        "element": [site.specie.Z for site in structure],
        "position": structure.frac_coords.tolist(),
    }


def write_table(path: Path, results: list[dict[str, Any]], more: Sequence[str]) -> None:
    """One row per crystal, with the columns `more` at the end; csv."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        columns = ("id", "space_group", *COLUMNS, *more)
        writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for result in results:
            writer.writerow({k: f"{v:.6f}" if isinstance(v, float) else v for k, v in result.items()})


def write_structures(path: Path, results: list[dict[str, Any]]) -> None:
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
