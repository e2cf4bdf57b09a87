"""``symmcd generate``: crystals from trained weights, as CIF and extxyz; and `load_pretrained` for Python.

What cannot be done is refused before torch and the weights are loaded, which takes seconds.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symmcd.crystallography import composition
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits, labels_of
from symmcd.crystallography.composition import SYMBOLS
from symmcd.crystallography.content import densities, formulas, primitive_atoms
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.space_group import number_of, symbol
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.abilities import Abilities, read_abilities, weights_path
from symmcd.diffusion.batches import Batch
from symmcd.diffusion.constraints.constraint import read_constraints, space_groups_of
from symmcd.diffusion.progress import Progress
from symmcd.diffusion.sampler import Sampler
from symmcd.errors import InputError
from symmcd.output_folder import RESULTS, check_output_folder, remove_other_results
from symmcd.storage import atomic_path
from symmcd.threads import let_threads_sleep

if TYPE_CHECKING:  # it loads torch
    from symmcd.diffusion.generator import Generator

SHIPPED = "mp20"  # weights that come with the package
JOINT_STEPS = 250  # reverse steps of a joint model; a quarter of the training's, for a quarter of the time
CIF_FOLDER_LIMIT = 300  # more crystals than this go into one zip, as in the stage replicate
# crystals at once: the fewer, the more an interrupt finds finished.  On a CPU it is four times as many geometries that
# are computed together, which are as fast as more; a GPU is waiting for its next call with so few
AT_ONCE = {"cpu": 64, "cuda": 256}


def load_pretrained(name: str | Path = SHIPPED, device: str = "auto") -> Generator:
    """A generator from weights shipped with the package, or from a file.

    Args:
        name: ``mp20``, or the path of a denoiser.safetensors that `symmcd train` wrote.
        device: ``auto``, ``cuda`` or ``cpu``.

    Where torch is not loaded yet, threads that wait are told to sleep (`symmcd.threads`).

    Raises:
        InputError: no such weights.
    """
    path = weights_path(str(name))
    read_abilities(path)  # refuses what is no file of weights before torch is loaded
    let_threads_sleep()
    from symmcd.diffusion.generator import Generator

    return Generator.load(path, device)


def run(
    output: Path,
    number: int,
    checkpoint: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    *,
    steps: int | None = None,
    proposals: int | None = None,
    temperature: float = 1.0,
    constraints: Mapping[str, Any] | None = None,
) -> None:
    """Generate crystals; write units.npz, crystals.extxyz, crystals.csv, one CIF a crystal to the folder `output`.

    `constraints` are values by names of `symmcd.extensions.CONSTRAINTS`; see `Generator.generate` for the rest.
    After an interrupt (Ctrl-C) the crystals that are finished are written, with the numbers that they have in the whole
    set.

    Raises:
        InputError: no weights, a number below 1, constraints that mean nothing or cannot be fulfilled, what the model
            cannot do, or an `output` that cannot be written.
        KeyboardInterrupt: after what is finished has been written.
    """
    constraints = constraints or {}
    asked = read_constraints(constraints, options=True)
    space_groups_of(asked)
    path, abilities, steps = _asked(output, number, checkpoint, steps)
    abilities.check(Sampler(steps=steps, proposals=proposals, temperature=temperature, constraints=asked))
    generator, at_once = _loaded(path, device)

    def make(finished: list[Batch], progress: Progress) -> None:
        generator.generate(
            number, seed=seed, steps=steps, proposals=proposals, temperature=temperature, batch_size=at_once,
            on_batch=finished.append, on_progress=lambda done, work: progress.update(done, work=work), **constraints,
        )  # fmt: skip

    _made(output, number, make)


def predict(
    output: Path,
    formula: str,
    number: int,
    space_group: int | str | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    *,
    steps: int | None = None,
    proposals: int | None = None,
    atoms: int | None = None,
) -> None:
    """As `run`, of one composition: crystals that it may form, the likeliest first, crystals.csv says how likely.

    `atoms` are those of the primitive cell; see `Generator.predict` for the rest.

    Raises:
        InputError: as `run`, no formula, more atoms than the model knows, or nothing found.
        KeyboardInterrupt: after what is finished has been written.
    """
    unit = formula_unit(formula)
    group = None if space_group is None else number_of(space_group)
    path, abilities, steps = _asked(output, number, checkpoint, steps)
    abilities.check_composition(unit, atoms)
    abilities.check(Sampler(steps=steps, proposals=proposals))
    generator, at_once = _loaded(path, device)

    def make(finished: list[Batch], progress: Progress) -> None:
        generator.predict(
            unit, number, group, atoms=atoms, seed=seed, steps=steps, proposals=proposals, batch_size=at_once,
            on_batch=finished.append, on_progress=lambda done, work: progress.update(done, work=work),
        )  # fmt: skip

    made = _made(output, number, make)
    if made < number:
        print(f"{made} instead of {number}: no more sets of Wyckoff positions fit {formula}")


def _asked(output: Path, number: int, checkpoint: Path | None, steps: int | None) -> tuple[Path, Abilities, int | None]:
    """Weights, what they can do, and reverse steps; the refusals that all requests share.

    Raises:
        InputError: as `run`.
    """
    if number < 1:
        raise InputError(f"number = {number}: expected a whole number, at least 1")
    check_output_folder(output, RESULTS["generate"], overwrite=True)
    path = checkpoint or weights_path(SHIPPED)
    abilities = read_abilities(path)
    if abilities.kind != "staged":
        steps = steps or min(JOINT_STEPS, abilities.trained_steps)
    return path, abilities, steps


def _loaded(path: Path, device: str) -> tuple[Generator, int]:
    """The generator, and how many crystals it makes at once."""
    let_threads_sleep()
    from symmcd.device import hold_gpu
    from symmcd.diffusion.generator import Generator

    hold_gpu(device)
    generator = Generator.load(path, device)
    return generator, AT_ONCE[generator.device.type]


def _made(output: Path, number: int, make: Callable[[list[Batch], Progress], None]) -> int:
    """Crystals written to `output`, of those that `make` appends to a list batch by batch.

    Raises:
        KeyboardInterrupt: in `make`, after what is finished has been written.
    """
    finished: list[Batch] = []
    progress = Progress("generating crystal", number)
    try:
        make(finished, progress)
    except KeyboardInterrupt:
        progress.close()
        if finished:
            done = _write(output, finished, number)
            print(f"interrupted: {done} of {number} crystals written", file=sys.stderr)
        raise
    progress.close()
    return _write(output, finished, number)


def _write(output: Path, finished: Sequence[Batch], number: int) -> int:
    """Write the crystals of finished batches, in the order of their numbers and named by them; how many."""
    order = np.concatenate([batch.number for batch in finished])
    units = [unit for batch in finished for unit in batch.units]
    said = [batch.log_probability for batch in finished if batch.log_probability is not None]
    rows = np.argsort(order)
    labels = labels_of(order[rows], max(number, len(order)) - 1)
    log_probability = np.concatenate(said)[rows].tolist() if said else []
    write(output, [units[row] for row in rows], log_probability, labels)
    return len(order)


def formula_unit(formula: str) -> Mapping[int, int]:
    """Atoms of the smallest formula unit, by atomic number.

    Raises:
        InputError: no formula of elements in whole numbers.
    """
    try:
        return composition.parse_formula(formula)
    except InputError as error:
        raise InputError(f"{formula[:60]}: {error}") from None


def write(
    output: Path,
    generated: Sequence[AsymmetricUnit],
    log_probability: Sequence[float] = (),
    labels: Sequence[str] | None = None,
) -> None:
    """Write crystals as units.npz, crystals.extxyz, crystals.csv and CIFs to the folder `output`, and nothing else."""
    from symmcd.structures.write import write_crystals  # pymatgen and ASE: not before they are needed

    units = AsymmetricUnits.from_units(generated, labels)
    crystals = replicate_flat(units)
    paths = [*write_crystals(output, crystals, units, CIF_FOLDER_LIMIT), output / "crystals.csv"]
    write_table(paths[-1], units, log_probability)
    remove_other_results(output, RESULTS["generate"], paths)
    for path in paths:
        print(f"wrote {path} ({len(units)} crystals)")


def write_table(path: Path, units: AsymmetricUnits, log_probability: Sequence[float]) -> None:
    """One row a crystal: what it is made of, what stands on which Wyckoff position, size and density.

    With `log_probability` (B,), of its space group, positions and elements, also how likely that makes it beside the
    others in the table (``share``).
    """
    table = wyckoff_table()
    share = np.exp(np.array(log_probability) - max(log_probability)) if log_probability else np.zeros(0)
    names, atoms, density = formulas(units), primitive_atoms(units).tolist(), densities(units).tolist()
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        more = ("log_probability", "share") if log_probability else ()
        writer.writerow(("id", "formula", "space_group", "symbol", "atoms_primitive", "density", "orbits", *more))
        for index, (label, group) in enumerate(zip(units.label, units.space_group.tolist(), strict=True)):
            orbits = slice(units.start[index], units.start[index + 1])
            sites = [
                f"{SYMBOLS[element - 1]} {table.multiplicity[row]}{table.letter[row]}"
                for element, row in zip(units.element[orbits].tolist(), units.wyckoff[orbits].tolist(), strict=True)
            ]
            row = [label, names[index], group, symbol(group), atoms[index], f"{density[index]:.3f}", "; ".join(sites)]
            if more:
                row += [f"{log_probability[index]:.3f}", f"{share[index] / share.sum():.4f}"]
            writer.writerow(row)
