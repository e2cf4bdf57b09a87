"""``symmcd generate``: crystals from trained weights, as CIF and extxyz; and `load_pretrained` for Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.diffusion.checkpoint import weights_path
from symmcd.diffusion.generator import Generator
from symmcd.errors import InputError
from symmcd.storage import write_units

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
    from ase.data import atomic_numbers

    from symmcd.structures.write import write_cifs, write_extxyz  # pymatgen and ASE: not before they are needed

    unknown = [symbol for symbol in elements if symbol not in atomic_numbers or symbol == "X"]
    if unknown:
        raise InputError(f"--elements: {', '.join(unknown)}: no such element; write symbols, as in Li,Fe,O")

    generator = load_pretrained(device=device) if checkpoint is None else Generator.load(checkpoint, device)
    steps = None if generator.settings.kind == "staged" else min(JOINT_STEPS, generator.settings.steps)
    chosen = [atomic_numbers[symbol] for symbol in elements]
    units = AsymmetricUnits.from_units(
        generator.generate(number, space_group, seed=seed, steps=steps, temperature=temperature, elements=chosen)
    )
    crystals = replicate_flat(units)
    write_units(output / "units.npz", units)
    write_extxyz(output / "crystals.extxyz", crystals, units)
    cifs = output / ("cif" if number <= CIF_FOLDER_LIMIT else "cif.zip")
    write_cifs(cifs, crystals, units)
    for path in (output / "units.npz", output / "crystals.extxyz", cifs):
        print(f"wrote {path} ({len(units)} crystals)")
