"""A folder that a command writes its results to: not over those of an earlier run, unless asked to, and writable."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from symmcd.errors import InputError
from symmcd.writing import delete

RESULTS: dict[str, tuple[str, ...]] = {
    "generate": ("units.npz", "crystals.extxyz", "crystals.csv", "cif", "cif.zip", "unrelaxed.npz"),
    "evaluate": (
        "per_crystal.csv", "per_crystal.parquet", "summary.csv", "table1.md", "table1.tex", "table2.md", "table2.tex",
        "table3.md", "table3.tex", "relaxed/relaxed.csv", "relaxed/relaxed.extxyz", "judges/*.csv",
        "hull/reference.csv", "hull/own/*.csv", "hull.csv", "sun.csv", "sun_per_crystal.csv", "candidates.csv",
        "candidates.zip",
    ),
    "export": ("generated_crystals.extxyz", "structures.json.gz", "structures.json", "cif", "structures.txt"),
}  # fmt: skip
"""Files of each command in the folder that a user names; known fingerprints and energies are kept for its next run.

A name may be a pattern of `Path.glob`."""


def check_output_folder(folder: Path, names: Iterable[str], *, overwrite: bool) -> None:
    """Refuse a folder before any work if results cannot or must not be written there; leave nothing behind.

    Args:
        folder: may exist or not.
        names: files and folders of the results in it.
        overwrite: these may exist already.

    Raises:
        InputError: no folder, not writable, or it holds results and `overwrite` is not given.
    """
    from symmcd.structures.files import check_only_cifs  # not before it is needed: `symmcd --help` is instant

    held = _held(folder, names)
    if held and not overwrite:
        named = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        raise InputError(
            f"{folder}: holds results of an earlier run ({named}); choose another folder, or give --overwrite"
        )
    there = folder.resolve()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise InputError(f"{folder}: cannot write here ({there} is no folder); choose another folder")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise InputError(f"{folder}: cannot write here ({error.strerror}); choose another folder") from None
    for name in held:
        check_only_cifs(folder / name)


def remove_other_results(folder: Path, names: Iterable[str], written: Iterable[Path]) -> None:
    """Delete results of an earlier run that the new ones do not replace: they are of other crystals."""
    from symmcd.structures.files import check_only_cifs

    new = {path.relative_to(folder).as_posix() for path in written}
    for name in _held(folder, names):
        if name in new:
            continue
        check_only_cifs(folder / name)
        delete(folder / name)


def _held(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of `names` that are there; for a pattern all that fit it."""
    held: list[str] = []
    for name in names:
        if "*" in name:
            held += sorted(path.relative_to(folder).as_posix() for path in folder.glob(name))
        elif os.path.lexists(folder / name):
            held.append(name)
    return held
