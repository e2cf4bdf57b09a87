"""Draw README's picture: the first crystals of a folder that a chemist can look at, relaxed, with the colours' names.

The folder may be of the chain or of `symmcd evaluate --relax` (candidates.zip), of `symmcd discover` (cif/), or hold
any CIFs or the extxyz of `symmcd relax`.  The picture in docs/images was drawn by

symmcd generate --stable --number 40 --seed 0 --output crystals
symmcd relax crystals/units.npz --output relaxed/relaxed.csv --output-crystals relaxed/relaxed.extxyz \
    --settings '{"number": 40}'
python tools/draw_gallery.py relaxed docs/images/generated.png

Crystals keep the order of the folder, which is by rank or by chance.  Shown are the first six that
- converged, as far as the folder says, and have at most `LARGEST` atoms in the conventional cell;
- are valid by the checks of `symmcd evaluate`, and have symmetry other than translations and inversion;
- have no radioactive element, no bonded oxygen atoms, and no atom without a bond in the drawing (bonds between metals
  are not drawn: one crystal of metals alone is shown);
- share neither space group and stoichiometry nor more than one element with one shown before.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pymatgen.core import Structure

import symmcd
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.metrics.validity import composition_verdict, distances, structural_verdict
from symmcd.report.crystal_drawing import NON_METALS, bonds, with_boundary_images, write_gallery
from symmcd.stability.doubts import RADIOACTIVE
from symmcd.structures.convert import from_atoms, to_structure
from symmcd.structures.frames import frames_by_id

NUMBER = 6
LARGEST = 48
METALS = frozenset(range(1, 119)) - NON_METALS
OXYGEN = 1.8  # Å: nearer ones are bonded to each other
SECONDS = 10.0  # for the oxidation states of a composition


def crystals(folder: Path) -> Iterator[tuple[str, Structure]]:
    """Name and structure of each crystal of a folder, in its order."""
    if (folder / "candidates.zip").exists():
        with zipfile.ZipFile(folder / "candidates.zip") as archive:
            for name in archive.namelist():
                yield name, Structure.from_str(archive.read(name).decode(), fmt="cif")
        return
    frames = sorted(folder.glob("*.extxyz"))
    if frames and not (folder / "cif").is_dir():
        for name, atoms in frames_by_id(frames).items():
            if atoms.info.get("status", "converged") == "converged":
                yield name, to_structure(from_atoms(atoms))
        return
    files = sorted(folder.glob("*.cif")) or sorted((folder / "cif").glob("*.cif"))
    if not files:
        sys.exit(f"{folder}: no candidates.zip, extxyz or CIFs; give a folder of relaxed crystals")
    for path in files:
        yield path.name, Structure.from_file(path)


def why_not(structure: Structure, unit: AsymmetricUnit) -> str:
    """Why a crystal is not shown; empty where it is."""
    numbers = np.array([site.specie.Z for site in structure])
    if unit.number_of_atoms > LARGEST:
        return "large"
    if unit.space_group <= 2:
        return "low symmetry"
    if RADIOACTIVE & set(numbers.tolist()):
        return "radioactive"
    closest = distances(structure).with_self
    verdict = structural_verdict(structure, closest)
    if verdict != "valid" or (verdict := composition_verdict(unit.formula, SECONDS)) != "valid":
        return verdict
    numbers_drawn, joined = drawn_bonds(unit)
    if not set(numbers_drawn) <= METALS and len(set(joined)) < len(numbers_drawn):
        return "an atom without a bond in the drawing"
    first, second, *_ = structure.get_neighbor_list(OXYGEN)
    if ((numbers[first] == 8) & (numbers[second] == 8)).any():
        return "bonded oxygen atoms"
    return ""


def drawn_bonds(unit: AsymmetricUnit) -> tuple[list[int], list[int]]:
    """Atomic numbers of the atoms of the drawing, and the indices of those that have a bond there."""
    cell = replicate_flat(AsymmetricUnits.from_units([unit]))
    position, element = with_boundary_images(cell.lattice[0], cell.position, cell.element)
    return element.tolist(), bonds(position @ cell.lattice[0], element).flatten().tolist()


def chosen(folder: Path) -> Iterator[tuple[str, AsymmetricUnit]]:
    """The crystals shown; says of the others why not."""
    types: set[tuple[int, str]] = set()
    shown: list[set[int]] = []
    for name, structure in crystals(folder):
        unit = symmcd.reduce(structure, symprec=0.1)
        elements = set(unit.element.tolist())
        reason = why_not(structure, unit)
        kind = (unit.space_group, structure.composition.anonymized_formula)
        if not reason and kind in types:
            reason = "a structure type shown before"
        if not reason and elements <= METALS and any(before <= METALS for before in shown):
            reason = "a second one of metals alone"
        if not reason and any(len(elements & before) > 1 for before in shown):
            reason = "two elements of one shown before"
        print(f"{name} {unit.formula} {unit.space_group}: {reason or 'shown'}")
        if not reason:
            types.add(kind)
            shown.append(elements)
            yield name, unit
        if len(shown) == NUMBER:
            return


def main() -> None:
    folder, picture = Path(sys.argv[1]), Path(sys.argv[2])
    units = [unit for _, unit in chosen(folder)]
    if not units:
        sys.exit(f"{folder}: no crystal fits")
    write_gallery(picture, units, columns=NUMBER)
    print(f"wrote {picture} ({len(units)} crystals)")


if __name__ == "__main__":
    main()
