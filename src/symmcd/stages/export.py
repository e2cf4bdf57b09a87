"""Stage ``export``: generated crystals as the folder that another evaluator reads."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.output_folder import RESULTS, remove_other_results

if TYPE_CHECKING:
    from symmcd.crystallography.asymmetric_unit import AsymmetricUnits

Submission = Literal["genbench", "mattergen", "xtalmet"]

GENBENCH = 2500
"""LeMat-GenBench's leaderboard takes exactly so many structures, scored as submitted (no relaxation)."""


EXAMPLE = "results/crystals/units.npz --output submission/ --format genbench"


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument("units", type=Path, help="units.npz of `symmcd replicate`")
    parser.add_output("folder to write", metavar="DIR")
    text = "LeMat-GenBench: 2,500 CIFs; mattergen-evaluate: one extxyz; xtalmet: JSON of pymatgen structures"
    parser.add_argument("--format", dest="target", choices=get_args(Submission), required=True, help=text)
    parser.add_seed()
    parser.add_overwrite(RESULTS["export"])


def run(units: Path, output: Path, target: Submission, seed: int) -> None:
    """Write crystals for another program.

    ``genbench``: `output`/cif with 2,500 CIFs, drawn at random from `units`, and structures.txt with their paths,
    either of which is its ``--cifs``.  ``mattergen``: `output`/generated_crystals.extxyz with every
    crystal, for ``mattergen-evaluate --structures_path``.  ``xtalmet``: `output`/structures.json.gz with every crystal
    as pymatgen writes it; its Evaluator takes ``[Structure.from_dict(d) for d in json.load(gzip.open(path, "rt"))]``.

    Raises:
        InputError: fewer crystals than LeMat-GenBench asks for, or an `output` that cannot be written.
    """
    from symmcd.metrics import oversampling
    from symmcd.storage import read_units

    crystals = read_units(units)
    if target == "genbench":
        if len(crystals) < GENBENCH:
            raise InputError(
                f"{units}: {len(crystals)} crystals, and LeMat-GenBench takes exactly {GENBENCH}; set sampling.number"
            )
        written = _write_genbench(crystals, output, seed)
    else:
        written = _write_extxyz(crystals, output) if target == "mattergen" else _write_json(crystals, output)
    remove_other_results(output, RESULTS["export"], written)
    if crystals.best_of is not None:  # the other program cannot know
        print(f"say beside every figure over them: {oversampling.chosen(crystals.best_of)}")


def _write_extxyz(crystals: AsymmetricUnits, output: Path) -> list[Path]:
    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.structures.write import write_extxyz

    path = output / "generated_crystals.extxyz"
    write_extxyz(path, replicate_flat(crystals), crystals)
    print(f"wrote {path} ({len(crystals)} crystals)")
    return [path]


def _write_json(crystals: AsymmetricUnits, output: Path) -> list[Path]:
    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.storage import atomic_path
    from symmcd.structures.convert import crystals_to_structures

    path = output / "structures.json.gz"
    structures = [s.as_dict() for s in crystals_to_structures(replicate_flat(crystals))]
    with atomic_path(path) as temporary, gzip.open(temporary, "wt", encoding="utf-8") as file:
        json.dump(structures, file)
    print(f"wrote {path} ({len(crystals)} crystals)")
    return [path]


def _write_genbench(crystals: AsymmetricUnits, output: Path, seed: int) -> list[Path]:
    import numpy as np

    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.storage import atomic_path
    from symmcd.structures.write import write_cifs

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
