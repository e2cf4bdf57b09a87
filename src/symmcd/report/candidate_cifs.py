"""The CIFs of the candidates, as `symmcd candidates` writes them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from symmcd.errors import InputError


def read_candidate_cifs(path: Path, files: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Text of each CIF by the id of its crystal.

    Args:
        path: candidates.zip.
        files: id and name of the file of each crystal, from candidates.csv.

    Raises:
        InputError: the archive is missing, damaged, or lacks a file.
    """
    if not path.is_file():
        raise InputError(f"{path}: missing; run `symmcd candidates` first (or `snakemake {path}`)")
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            cifs = {}
            for crystal, file in files:
                if file not in names:
                    raise InputError(
                        f"{path}: lacks {file}, the CIF of crystal {crystal} of candidates.csv; run `symmcd candidates`"
                        " again"
                    )
                cifs[crystal] = archive.read(file).decode("utf-8")
            return cifs
    except (zipfile.BadZipFile, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not a readable archive ({error}); run `symmcd candidates` again") from None
