"""Asymmetric units that files of `symmcd generate` and `replicate` were written from: exact, where text is rounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.orbit import replicate_flat
from symmcd.storage import read_units
from symmcd.structures.files import cif_files, open_text, read_cif_file, zipped_cifs
from symmcd.structures.names import extxyz_ids, file_stems
from symmcd.structures.write import cifs, extxyz_frames


def written_units(path: Path) -> dict[str, AsymmetricUnit]:
    """Asymmetric units of the crystals in a file or folder, by the names that `read_structures` gives the crystals.

    They are those of a ``units.npz`` in the folder or beside the file, as far as the text of a crystal is to the last
    letter the one that its unit would be written as.  A crystal that was changed or added since is not among them.

    Args:
        path: folder of CIFs, zip of CIFs, or extxyz file.

    Raises:
        InputError: a units.npz that cannot be read.
    """
    source = _source(path)
    if source is None:
        return {}
    units = read_units(source)
    crystals = replicate_flat(units)
    names = [str(label) for label in units.label]
    if path.suffix.lower() in (".extxyz", ".xyz"):
        ids = extxyz_ids(names)
        there = set(_frames(path))
        frames = zip(ids, extxyz_frames(crystals, units, ids), strict=True)
        return {name: units[i] for i, (name, frame) in enumerate(frames) if frame in there}
    made = {name: (i, text) for i, (name, text) in enumerate(cifs(crystals, units, file_stems(names)))}
    return {
        name: units[made[file][0]]
        for name, file, content in _cifs(path)
        if file in made and content == made[file][1].encode("ascii")
    }


def best_of_file(path: Path) -> BestOf | None:
    """Choice that made the crystals of a file or folder; None: there was none, or it is not known.

    A units.npz says it, or the one in the folder or beside the file, if it holds any of the crystals, exactly.

    Args:
        path: units.npz, or as in `written_units`.

    Raises:
        InputError: a units.npz that cannot be read.
    """
    source = path if path.suffix.lower() == ".npz" else _source(path)
    best_of = None if source is None else read_units(source).best_of
    return best_of if best_of is not None and (source == path or written_units(path)) else None


def _source(path: Path) -> Path | None:
    """The units.npz in a folder, or beside a file or folder."""
    places = [folder / "units.npz" for folder in ([path] if path.is_dir() else []) + [path.parent]]
    return next((place for place in places if place.is_file()), None)


def _cifs(path: Path) -> Iterable[tuple[str, str, bytes | Exception]]:
    """Crystal's name, file's name and content of each CIF in a folder or zip, or of one."""
    if path.suffix.lower() == ".zip":
        return [(name, f"{name}.cif", content) for name, content in zipped_cifs(path)]
    if not path.is_dir():
        return [(path.stem, path.name, read_cif_file(path))] if path.suffix.lower() == ".cif" else []
    files = cif_files(path)
    return [(str(file.relative_to(path).with_suffix("")), file.name, read_cif_file(file)) for file in files]


def _frames(path: Path) -> Iterator[str]:
    """Text of each frame of an extxyz file, up to the first that is damaged."""
    with open_text(path) as file:
        for line in file:
            if not line.strip().isdecimal():
                return
            yield line + "".join(file.readline() for _ in range(int(line) + 1))
