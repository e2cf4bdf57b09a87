"""Stage ``export``: generated crystals as the folder that another evaluator reads."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Literal

import numpy as np

from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.output_folder import RESULTS, remove_other_results
from symmcd.storage import atomic_path, read_units
from symmcd.structures.convert import crystals_to_structures
from symmcd.structures.write import write_cifs, write_extxyz

Target = Literal["genbench", "mattergen", "xtalmet"]

GENBENCH = 2500
"""LeMat-GenBench's leaderboard takes exactly so many structures, scored as submitted (no relaxation)."""


def run(units: Path, output: Path, target: Target, seed: int) -> None:
    """Write crystals for another program.

    ``genbench``: `output`/cif with 2,500 CIFs, drawn at random and not selected by any metric, and structures.txt with
    their paths, either of which is its ``--cifs``.  ``mattergen``: `output`/generated_crystals.extxyz with every
    crystal, for ``mattergen-evaluate --structures_path``.  ``xtalmet``: `output`/structures.json.gz with every crystal
    as pymatgen writes it; its Evaluator takes ``[Structure.from_dict(d) for d in json.load(gzip.open(path, "rt"))]``.

    Raises:
        InputError: fewer crystals than LeMat-GenBench asks for, or an `output` that cannot be written.
    """
    written = _write(units, output, target, seed)
    remove_other_results(output, RESULTS["export"], written)


def _write(units: Path, output: Path, target: Target, seed: int) -> list[Path]:
    """Write the crystals; paths of what was written."""
    crystals = read_units(units)
    if target == "mattergen":
        path = output / "generated_crystals.extxyz"
        write_extxyz(path, replicate_flat(crystals), crystals)
        print(f"wrote {path} ({len(crystals)} crystals)")
        return [path]
    if target == "xtalmet":
        path = output / "structures.json.gz"
        structures = [s.as_dict() for s in crystals_to_structures(replicate_flat(crystals))]
        with atomic_path(path) as temporary, gzip.open(temporary, "wt", encoding="utf-8") as file:
            json.dump(structures, file)
        print(f"wrote {path} ({len(crystals)} crystals)")
        return [path]
    if len(crystals) < GENBENCH:
        raise InputError(
            f"{units}: {len(crystals)} crystals, and LeMat-GenBench takes exactly {GENBENCH}; set sampling.number"
        )
    drawn = np.sort(np.random.default_rng(seed).choice(len(crystals), GENBENCH, replace=False))
    chosen = crystals.take(drawn)
    write_cifs(output / "cif", replicate_flat(chosen), chosen)
    listing = output / "structures.txt"
    with atomic_path(listing) as temporary:
        paths = sorted((output / "cif").glob("*.cif"))
        temporary.write_text("".join(f"{path.absolute()}\n" for path in paths), encoding="utf-8")
    print(f"wrote {output / 'cif'} ({GENBENCH} of {len(crystals)} crystals, drawn with seed {seed})")
    print(f"wrote {listing}")
    return [output / "cif", listing]
