"""Stage ``export``: generated crystals as the files that another program reads."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.output_folder import RESULTS, remove_other_results

if TYPE_CHECKING:
    from symmcd.crystallography.asymmetric_unit import AsymmetricUnits

Submission = Literal["genbench", "mattergen", "xtalmet", "optimade"]

GENBENCH = 2500
"""LeMat-GenBench's leaderboard takes exactly so many structures, scored as submitted (no relaxation)."""


EXAMPLE = "results/crystals/units.npz --output submission/ --format genbench"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    text = "units.npz of `symmcd replicate`, or the folder of `symmcd discover` or `symmcd generate` that has one"
    parser.add_argument("units", type=Path, help=text)
    parser.add_output("folder to write", metavar="DIR")
    text = "LeMat-GenBench: 2,500 CIFs; mattergen-evaluate: one extxyz; xtalmet: JSON of pymatgen structures; "
    text += "optimade: JSON as of an OPTIMADE API, with all that discover's table says"
    parser.add_argument("--format", dest="target", choices=get_args(Submission), required=True, help=text)
    parser.add_seed()
    parser.add_overwrite(RESULTS["export"])


def run(units: Path, output: Path, target: Submission, seed: int) -> None:
    """Write crystals for another program.

    ``genbench``: `output`/cif with 2,500 CIFs, drawn at random from `units`, and structures.txt with their paths,
    either of which is its ``--cifs``.  ``mattergen``: `output`/generated_crystals.extxyz with every
    crystal, for ``mattergen-evaluate --structures_path``.  ``xtalmet``: `output`/structures.json.gz with every crystal
    as pymatgen writes it; its Evaluator takes ``[Structure.from_dict(d) for d in json.load(gzip.open(path, "rt"))]``.
    ``optimade``: `output`/structures.json, what an OPTIMADE API answers to ``/structures``; of a folder of `symmcd
    discover` with the columns of its table.

    Args:
        units: units.npz, or a folder that has one.
        output: folder.
        target: the other program.
        seed: of the draw for LeMat-GenBench.

    Raises:
        InputError: fewer crystals than LeMat-GenBench asks for, two of the same name for OPTIMADE, a table that does
            not fit its crystals, or an `output` that cannot be written.
    """
    from symmcd.metrics import oversampling
    from symmcd.storage import read_units

    if units.is_dir():
        units = units / "units.npz"
        if not units.is_file():
            raise InputError(f"{units}: no such file; give a folder of `symmcd discover` or `symmcd generate`")
    crystals = read_units(units)
    if target == "genbench":
        if len(crystals) < GENBENCH:
            raise InputError(
                f"{units}: {len(crystals)} crystals, but LeMat-GenBench takes exactly {GENBENCH}; set sampling.number"
            )
        written = _write_genbench(crystals, output, seed)
    elif target == "optimade":
        written = _write_optimade(crystals, units, output)
    else:
        written = _write_extxyz(crystals, output) if target == "mattergen" else _write_json(crystals, output)
    remove_other_results(output, RESULTS["export"], written)
    if crystals.best_of is not None:  # the other program cannot know
        print(f"state with every figure of these crystals: {oversampling.chosen(crystals.best_of)}")


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


def _write_optimade(crystals: AsymmetricUnits, units: Path, output: Path) -> list[Path]:
    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.discovery.files import TABLE, read_table
    from symmcd.storage import atomic_path
    from symmcd.structures import optimade
    from symmcd.structures.cell import cells_of

    names = crystals.label.tolist()
    if twice := sorted(name for name, times in Counter(names).items() if times > 1):
        raise InputError(f"{units}: {len(twice)} names appear twice ({twice[0]!r:.40} …); OPTIMADE's ids are unique")
    table = units.with_name(TABLE)
    rows = read_table(table) if table.exists() else {}
    if rows and (missing := [name for name in names if name not in rows]):
        raise InputError(f"{table}: has no row {missing[0]!r:.40} of {units.name}; run `symmcd discover` again")
    modified = datetime.fromtimestamp(units.stat().st_mtime, UTC)
    chosen = {} if crystals.best_of is None else {"best_of_drafts": crystals.best_of.drafts}
    entries = []
    for index, (name, cell) in enumerate(zip(names, cells_of(replicate_flat(crystals)), strict=True)):
        own = {key: values[index] for key, values in crystals.properties.items()}
        said = {key: value for key, value in rows.get(name, {}).items() if key not in ("id", "formula", "file")}
        entries.append(optimade.entry(name, crystals[index], cell, modified, {**chosen, **own, **said}))
    path = output / "structures.json"
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(optimade.response(entries), allow_nan=False) + "\n", encoding="utf-8")
    left = f"; {len(rows) - len(names)} of the table have no geometry" if len(rows) > len(names) else ""
    print(f"wrote {path} ({len(names)} crystals{left})")
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
