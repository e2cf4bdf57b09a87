"""``symmcd generate``: crystals from trained weights, as CIF and extxyz; and `load_pretrained` for Python."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.space_group import symbol
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.checkpoint import weights_path
from symmcd.diffusion.generator import Generator
from symmcd.errors import InputError
from symmcd.storage import atomic_path, write_units

JOINT_STEPS = 250  # reverse steps of a joint model; a quarter of the training's, for a quarter of the time
CIF_FOLDER_LIMIT = 300  # more crystals than this go into one zip, as in the stage replicate


def load_pretrained(name: str = "mp20", device: str = "auto") -> Generator:
    """A generator from weights shipped with the package, or from a file.

    Args:
        name: ``mp20``, or the path of a denoiser.safetensors that `symmcd train` wrote.
        device: ``auto``, ``cuda`` or ``cpu``.

    Raises:
        InputError: no such weights.
    """
    return Generator.load(weights_path(name), device)


def run(
    output: Path,
    number: int,
    space_group: int | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    *,
    temperature: float = 1.0,
    elements: Sequence[str] = (),
) -> None:
    """Generate crystals and write units.npz, crystals.extxyz and one CIF a crystal to the folder `output`.

    `elements` are symbols to choose from; see `Generator.generate` for the rest.

    Raises:
        InputError: no weights, a number below 1, no such space group, or an unknown element.
    """
    from ase.data import atomic_numbers  # ASE: not before it is needed

    unknown = [symbol for symbol in elements if symbol not in atomic_numbers or symbol == "X"]
    if unknown:
        raise InputError(f"--elements: {', '.join(unknown)}: no such element; write symbols, as in Li,Fe,O")

    generator = load_pretrained(device=device) if checkpoint is None else Generator.load(checkpoint, device)
    steps = None if generator.settings.kind == "staged" else min(JOINT_STEPS, generator.settings.steps)
    chosen = [atomic_numbers[symbol] for symbol in elements]
    units = generator.generate(number, space_group, seed=seed, steps=steps, temperature=temperature, elements=chosen)
    write(output, units)


def predict(
    output: Path,
    formula: str,
    number: int,
    space_group: int | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    *,
    atoms: int | None = None,
) -> None:
    """As `run`, of one composition: crystals that it may form, the likeliest first, with a table candidates.csv.

    `atoms` are those of the primitive cell; see `Generator.predict` for the rest.

    Raises:
        InputError: as `run`, no formula, or nothing found.
    """
    unit = formula_unit(formula)
    generator = load_pretrained(device=device) if checkpoint is None else Generator.load(checkpoint, device)
    candidates = generator.predict(unit, number, space_group, atoms=atoms, seed=seed)
    units = write(output, [candidate.unit for candidate in candidates])
    logs = [candidate.log_probability for candidate in candidates]
    write_candidates(output / "candidates.csv", units, logs)
    if len(candidates) < number:
        print(f"{len(candidates)} instead of {number}: no more sets of Wyckoff positions fit {formula}")


def formula_unit(formula: str) -> dict[int, int]:
    """Atoms of the smallest formula unit, by atomic number.

    Raises:
        InputError: no formula of elements in whole numbers.
    """
    from pymatgen.core import Composition as Formula  # not before it is needed
    from pymatgen.core import Element

    try:
        read = Formula(formula).reduced_composition
    except ValueError as error:
        raise InputError(f"--formula {formula}: {error}; write it as in LiFePO4") from None
    counts = {element.Z: number for element, number in read.items()}
    if not counts or any(number != int(number) for number in counts.values()):
        raise InputError(f"--formula {formula}: whole numbers of atoms, as in LiFePO4")
    if not all(isinstance(element, Element) for element in read):
        raise InputError(f"--formula {formula}: elements without charges, as in LiFePO4")
    return {atomic_number: int(number) for atomic_number, number in counts.items()}


def write(output: Path, generated: Sequence[AsymmetricUnit]) -> AsymmetricUnits:
    """Write crystals as units.npz, crystals.extxyz and CIFs to the folder `output`."""
    from symmcd.structures.write import write_cifs, write_extxyz  # pymatgen and ASE: not before they are needed

    units = AsymmetricUnits.from_units(generated)
    crystals = replicate_flat(units)
    write_units(output / "units.npz", units)
    write_extxyz(output / "crystals.extxyz", crystals, units)
    cifs = output / ("cif" if len(units) <= CIF_FOLDER_LIMIT else "cif.zip")
    write_cifs(cifs, crystals, units)
    for path in (output / "units.npz", output / "crystals.extxyz", cifs):
        print(f"wrote {path} ({len(units)} crystals)")
    return units


def write_candidates(path: Path, units: AsymmetricUnits, logs: Sequence[float]) -> None:
    """One row a crystal: its group, what stands on which Wyckoff position, and how likely it is beside the others."""
    from ase.data import chemical_symbols

    table, largest = wyckoff_table(), max(logs)
    share = [math.exp(log - largest) for log in logs]
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "space_group", "symbol", "orbits", "log_probability", "share"])
        for index, (label, group) in enumerate(zip(units.label, units.space_group.tolist(), strict=True)):
            orbits = slice(units.start[index], units.start[index + 1])
            sites = [
                f"{chemical_symbols[element]} {table.multiplicity[row]}{table.letter[row]}"
                for element, row in zip(units.element[orbits].tolist(), units.wyckoff[orbits].tolist(), strict=True)
            ]
            writer.writerow(
                [
                    label,
                    group,
                    symbol(group),
                    "; ".join(sites),
                    f"{logs[index]:.3f}",
                    f"{share[index] / sum(share):.4f}",
                ]
            )
    print(f"wrote {path} ({len(units)} rows)")
