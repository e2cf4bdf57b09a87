"""Crystals as files that people use: extended xyz, and symmetrised CIFs in a folder or a zip."""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import formulas
from symmcd.crystallography.lattice import lengths_and_angles
from symmcd.crystallography.orbit import Crystals
from symmcd.crystallography.space_group import symbol, triplets
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError
from symmcd.storage import atomic_folder, atomic_path, write_units
from symmcd.structures.cell import Cell
from symmcd.structures.crystal import StructureError
from symmcd.structures.extxyz import atoms_of_frame, frames
from symmcd.structures.files import bounded_lines, check_only_cifs, shown
from symmcd.structures.names import (
    extxyz_ids,
    extxyz_value,
    file_stem,
    file_stems,
    tell_of_changes,
)
from symmcd.writing import delete

SYMBOLS = np.array(chemical_symbols)


def write_extxyz(path: Path, crystals: Crystals, units: AsymmetricUnits) -> None:
    """One frame per crystal: `id`, `space_group`; per atom Cartesian position (Å), Wyckoff letter, orbit in the unit.

    Ids are the units' labels where a line can hold them; how many are not is said (`extxyz_ids`).
    """
    labels = [str(label) for label in units.label]
    ids = extxyz_ids(labels)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(extxyz_frames(crystals, units, ids))
    tell_of_changes(labels, ids, str(path))


def extxyz_frames(crystals: Crystals, units: AsymmetricUnits, ids: Sequence[str]) -> Iterator[str]:
    """Text of each frame of `write_extxyz`."""
    letter = wyckoff_table().letter[units.wyckoff[crystals.orbit]]
    name = SYMBOLS[crystals.element]
    for i in range(len(crystals)):
        atoms = slice(crystals.start[i], crystals.start[i + 1])
        cartesian = crystals.position[atoms] @ crystals.lattice[i]
        cell = " ".join(f"{v:.10g}" for v in crystals.lattice[i].ravel())
        head = (
            f'{len(cartesian)}\nLattice="{cell}" Properties=species:S:1:pos:R:3:wyckoff:S:1:orbit:I:1 '
            f'id={extxyz_value(ids[i])} space_group={units.space_group[i]} pbc="T T T"\n'
        )
        orbit = crystals.orbit[atoms] - units.start[i]
        rows = zip(name[atoms].tolist(), cartesian.tolist(), letter[atoms].tolist(), orbit.tolist(), strict=True)
        yield head + "".join(f"{e} {x:.10f} {y:.10f} {z:.10f} {w} {o}\n" for e, (x, y, z), w, o in rows)


def read_extxyz(path: Path) -> list[Atoms]:
    """All frames of an extxyz file, each with its `info["id"]` (a string) and whatever else was written.

    Raises:
        InputError: missing; a frame is damaged or has no id, or two have the same, by their numbers.
    """
    read: list[Atoms] = []
    first: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for frame in frames(bounded_lines(file, path)):
                read.append(atoms_of_frame(frame))
                if not frame.id:
                    raise InputError(f"{path}: {frame} has no id; it is not a file of symmcd")
                if frame.id in first:
                    raise InputError(
                        f"{path}: {first[frame.id]} and {frame} have the same id, {shown(frame.id)!r}; one "
                        "of the two would be lost; give each a different one"
                    )
                first[frame.id] = str(frame)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the stage that makes it first") from None
    except StructureError as error:
        raise InputError(
            f"{path}: not a readable extxyz file ({frame}: {error.detail}); delete it and rerun its stage"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable extxyz file ({error}); delete it and rerun its stage") from None
    return read


def write_crystals(folder: Path, crystals: Crystals, units: AsymmetricUnits, cif_folder_limit: int) -> list[Path]:
    """Write units.npz, crystals.extxyz and CIFs to `folder`: in ``cif/``, more than the limit in ``cif.zip``.

    CIFs that lie there in the other form are removed: they are of other crystals of the same names.

    Raises:
        InputError: see `write_cifs`.
    """
    write_units(folder / "units.npz", units)
    write_extxyz(folder / "crystals.extxyz", crystals, units)
    return [folder / "units.npz", folder / "crystals.extxyz", write_cif_set(folder, crystals, units, cif_folder_limit)]


def write_cifs(target: Path, crystals: Crystals, units: AsymmetricUnits) -> None:
    """One symmetrised CIF per crystal, in a folder or, if `target` ends so, a .zip.

    Names are ``<id>_<formula>_<group>.cif``, as ``00042_TiO2_136.cif``.
    A folder is replaced whole, and is at no time half of one.  Archives are byte-reproducible.

    Raises:
        InputError: cannot be written, or the folder to be replaced holds other files than CIFs.
    """
    if target.suffix == ".zip":
        write_zip(target, cifs(crystals, units))
        return
    check_only_cifs(target)
    with atomic_folder(target) as building:
        for name, text in cifs(crystals, units):
            (building / name).write_text(text, encoding="ascii")


def write_zip(target: Path, files: Iterable[tuple[str, str]]) -> None:
    """An archive of texts by their names, the same bytes for the same texts."""
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)


def write_cif_set(folder: Path, crystals: Crystals, units: AsymmetricUnits, limit: int) -> Path:
    """``cif/`` in `folder`, or beyond `limit` crystals ``cif.zip``, in place of either; its path.

    Raises:
        InputError: as `write_cifs`.
    """
    one, other = folder / "cif", folder / "cif.zip"
    if len(units) > limit:
        one, other = other, one
        check_only_cifs(other)
    write_cifs(one, crystals, units)
    delete(other)
    return one


def cifs(crystals: Crystals, units: AsymmetricUnits, stems: Sequence[str] | None = None) -> Iterator[tuple[str, str]]:
    """File name and text of each crystal's CIF: operations of the group, and one atom per orbit.

    Names begin with `stems`; by default these are the units' labels, or substitutes for labels that cannot be file
    names (`file_stems`), whose number is printed.  A CIF with another name has the label in a comment.
    """
    table = wyckoff_table()
    labels = [str(label) for label in units.label]
    if stems is None:
        stems = file_stems(labels)
        tell_of_changes(labels, stems, "file names of CIFs")
    lengths, angles = lengths_and_angles(crystals.lattice)
    volume, names = np.abs(np.linalg.det(crystals.lattice)), formulas(units)
    multiplicity, letter = table.multiplicity[units.wyckoff], table.letter[units.wyckoff]
    for i in range(len(units)):
        orbits = range(units.start[i], units.start[i + 1])
        counts: dict[str, int] = {}
        for orbit in orbits:
            element = str(SYMBOLS[units.element[orbit]])
            counts[element] = counts.get(element, 0) + int(multiplicity[orbit])
        group = int(units.space_group[i])
        lines = [
            *((f"# id {json.dumps(labels[i])}",) if stems[i] != labels[i] else ()),
            f"data_{stems[i]}_{names[i]}",
            f"_symmetry_space_group_name_H-M '{symbol(group)}'",
            f"_space_group_IT_number {group}",
            f"_symmetry_Int_Tables_number {group}",
            *(f"_cell_length_{n} {v:.8f}" for n, v in zip("abc", lengths[i], strict=True)),
            *(f"_cell_angle_{n} {v:.8f}" for n, v in zip(("alpha", "beta", "gamma"), angles[i], strict=True)),
            f"_cell_volume {volume[i]:.6f}",
            "_chemical_formula_sum '" + " ".join(f"{e}{n}" for e, n in sorted(counts.items())) + "'",
            "loop_", "_symmetry_equiv_pos_site_id", "_symmetry_equiv_pos_as_xyz",
            *_operation_lines(group),
            "loop_", "_atom_site_label", "_atom_site_type_symbol", "_atom_site_symmetry_multiplicity",
            "_atom_site_Wyckoff_symbol", "_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z",
            "_atom_site_occupancy",
        ]  # fmt: skip
        for number, orbit in enumerate(orbits, start=1):
            element, (x, y, z) = SYMBOLS[units.element[orbit]], units.position[orbit]
            lines.append(
                f"{element}{number} {element} {multiplicity[orbit]} {letter[orbit]} {x:.10f} {y:.10f} {z:.10f} 1"
            )
        yield f"{stems[i]}_{names[i]}_{group}.cif", "\n".join(lines) + "\n"


@functools.cache
def _operation_lines(group: int) -> tuple[str, ...]:
    return tuple(f"{n} '{t}'" for n, t in enumerate(triplets(group), start=1))


def p1_cif(name: str, crystal: Cell) -> str:
    """CIF that lists every atom of the cell and no symmetry."""
    lengths, angles = lengths_and_angles(crystal.lattice[None])
    symbols = SYMBOLS[crystal.element].tolist()
    atoms = zip(symbols, crystal.position.tolist(), strict=True)
    lines = [
        f"data_{file_stem(name)}",
        "_symmetry_space_group_name_H-M 'P 1'",
        "_symmetry_Int_Tables_number 1",
        *(f"_cell_length_{n} {v:.8f}" for n, v in zip("abc", lengths[0], strict=True)),
        *(f"_cell_angle_{n} {v:.8f}" for n, v in zip(("alpha", "beta", "gamma"), angles[0], strict=True)),
        "loop_", "_symmetry_equiv_pos_site_id", "_symmetry_equiv_pos_as_xyz", "1 'x,y,z'",
        "loop_", "_atom_site_label", "_atom_site_type_symbol",
        "_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z", "_atom_site_occupancy",
        *(f"{e}{i} {e} {x:.8f} {y:.8f} {z:.8f} 1" for i, (e, (x, y, z)) in enumerate(atoms, start=1)),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
