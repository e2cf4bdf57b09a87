"""``symmcd generate``: crystals from trained weights, as CIF and extxyz; and `load_pretrained` for Python."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import Crystals, replicate_flat
from symmcd.crystallography.space_group import lattice_points, symbol
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.device import hold_gpu
from symmcd.diffusion.checkpoint import weights_path
from symmcd.diffusion.generator import Generator
from symmcd.errors import InputError
from symmcd.storage import atomic_path

SHIPPED = "mp20"  # weights that come with the package
JOINT_STEPS = 250  # reverse steps of a joint model; a quarter of the training's, for a quarter of the time
GRAMS_PER_CM3 = 1.66053907  # of one atomic mass unit a cubic ångström
CIF_FOLDER_LIMIT = 300  # more crystals than this go into one zip, as in the stage replicate


def load_pretrained(name: str | Path = SHIPPED, device: str = "auto") -> Generator:
    """A generator from weights shipped with the package, or from a file.

    Args:
        name: ``mp20``, or the path of a denoiser.safetensors that `symmcd train` wrote.
        device: ``auto``, ``cuda`` or ``cpu``.

    Raises:
        InputError: no such weights.
    """
    return Generator.load(weights_path(str(name)), device)


def run(
    output: Path,
    number: int,
    space_group: int | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    *,
    steps: int | None = None,
    proposals: int | None = None,
    temperature: float = 1.0,
    elements: Sequence[str] = (),
    exclude: Sequence[str] = (),
    chemical_system: Sequence[str] = (),
    max_atoms: int | None = None,
) -> None:
    """Generate crystals; write units.npz, crystals.extxyz, crystals.csv, one CIF a crystal to the folder `output`.

    `elements` are symbols to choose from, `exclude` those not to take, `chemical_system` those that every crystal has
    and no others; see `Generator.generate` for the rest.

    Raises:
        InputError: no weights, a number below 1, no such space group, an unknown element, none left to choose from, or
            a chemical system beside other choices of elements.
    """
    if chemical_system and (elements or exclude):
        raise InputError("--chemical-system names all elements; leave out --elements and --exclude")
    allowed, refused = atomic_numbers_of("--elements", elements), atomic_numbers_of("--exclude", exclude)
    allowed = allowed or atomic_numbers_of("--chemical-system", chemical_system)
    hold_gpu(device)
    generator = Generator.load(checkpoint or weights_path(SHIPPED), device)
    if generator.settings.kind != "staged":
        steps = steps or min(JOINT_STEPS, generator.settings.steps)
    if refused:
        allowed = sorted(set(allowed or generator.elements) - set(refused))
        if not allowed:
            raise InputError(f"--exclude {','.join(exclude)}: no element is left")
    units = generator.generate(
        number, space_group, seed=seed, steps=steps, proposals=proposals, temperature=temperature, elements=allowed,
        every_element=bool(chemical_system), max_atoms=max_atoms,
    )  # fmt: skip
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
    steps: int | None = None,
    proposals: int | None = None,
    atoms: int | None = None,
) -> None:
    """As `run`, of one composition: crystals that it may form, the likeliest first, crystals.csv says how likely.

    `atoms` are those of the primitive cell; see `Generator.predict` for the rest.

    Raises:
        InputError: as `run`, no formula, or nothing found.
    """
    unit = formula_unit(formula)
    hold_gpu(device)
    generator = Generator.load(checkpoint or weights_path(SHIPPED), device)
    candidates = generator.predict(unit, number, space_group, atoms=atoms, seed=seed, steps=steps, proposals=proposals)
    write(output, [c.unit for c in candidates], [c.log_probability for c in candidates])
    if len(candidates) < number:
        print(f"{len(candidates)} instead of {number}: no more sets of Wyckoff positions fit {formula}")


def atomic_numbers_of(option: str, symbols: Sequence[str]) -> list[int]:
    """Atomic numbers of the elements that an option names.

    Raises:
        InputError: no such element.
    """
    from ase.data import atomic_numbers  # ASE: not before it is needed

    unknown = [symbol for symbol in symbols if symbol not in atomic_numbers or symbol == "X"]
    if unknown:
        raise InputError(f"{option}: {', '.join(unknown)}: no such element; write symbols, as in Li,Fe,O")
    return [atomic_numbers[symbol] for symbol in symbols]


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


def write(output: Path, generated: Sequence[AsymmetricUnit], log_probability: Sequence[float] = ()) -> None:
    """Write crystals as units.npz, crystals.extxyz, crystals.csv and CIFs to the folder `output`."""
    from symmcd.structures.write import write_crystals  # pymatgen and ASE: not before they are needed

    units = AsymmetricUnits.from_units(generated)
    crystals = replicate_flat(units)
    paths = write_crystals(output, crystals, units, CIF_FOLDER_LIMIT)
    write_table(output / "crystals.csv", units, crystals, log_probability)
    for path in (*paths, output / "crystals.csv"):
        print(f"wrote {path} ({len(units)} crystals)")


def write_table(path: Path, units: AsymmetricUnits, crystals: Crystals, log_probability: Sequence[float]) -> None:
    """One row a crystal: what it is made of, what stands on which Wyckoff position, size and density.

    With `log_probability` (B,), of its space group, positions and elements, also how likely that makes it beside the
    others in the table (``share``).
    """
    from ase.data import atomic_masses, chemical_symbols
    from ase.formula import Formula

    table = wyckoff_table()
    volume = np.abs(np.linalg.det(crystals.lattice))
    share = np.exp(np.array(log_probability) - max(log_probability)) if log_probability else np.zeros(0)
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        more = ("log_probability", "share") if log_probability else ()
        writer.writerow(("id", "formula", "space_group", "symbol", "atoms_primitive", "density", "orbits", *more))
        for index, (label, group) in enumerate(zip(units.label, units.space_group.tolist(), strict=True)):
            orbits = slice(units.start[index], units.start[index + 1])
            atoms = crystals.element[crystals.start[index] : crystals.start[index + 1]]
            sites = [
                f"{chemical_symbols[element]} {table.multiplicity[row]}{table.letter[row]}"
                for element, row in zip(units.element[orbits].tolist(), units.wyckoff[orbits].tolist(), strict=True)
            ]
            formula = Formula.from_list([chemical_symbols[number] for number in atoms]).reduce()[0].format("metal")
            density = atomic_masses[atoms].sum() / volume[index] * GRAMS_PER_CM3
            row = [label, formula, group, symbol(group), len(atoms) // lattice_points(group), f"{density:.3f}"]
            row.append("; ".join(sites))
            if more:
                row += [f"{log_probability[index]:.3f}", f"{share[index] / share.sum():.4f}"]
            writer.writerow(row)
