"""Table 3 of any set of crystals: relaxed, judged, held against hulls, counted; in a folder laid out as a run's."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from symmcd.device import choose_device, hold_gpu
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS, check_hull
from symmcd.journal import Journal
from symmcd.metrics.evaluation import Stability
from symmcd.metrics.oversampling import TEXTS
from symmcd.metrics.paper_tables import write_stability_table
from symmcd.metrics.reference_set import KnownCrystals
from symmcd.stability.above_hull import above_hulls, write_above_hulls
from symmcd.stability.candidates import write_candidates
from symmcd.stability.hull_entries import write_entries
from symmcd.stability.hull_sources import from_table, from_units
from symmcd.stability.in_play import read_systems
from symmcd.stability.judge_set import journal_work, judge_rest, read_relaxed_rows, write_judged
from symmcd.stability.judge_words import naming, side_by_side
from symmcd.stability.outcome import Limits
from symmcd.stability.relax_run import Method, not_relaxed, relax_rest, write_relaxed
from symmcd.stability.relax_set import draw
from symmcd.stability.sun_run import Counting, count, write_counts
from symmcd.stability.sun_table import crystals_of_hull
from symmcd.structures.crystal_file import crystals_of
from symmcd.structures.frames import frames_by_id
from symmcd.structures.given_crystals import OwnCrystals

RELAXED = "relaxed/relaxed.csv", "relaxed/relaxed.extxyz"
TABLES = ("hull.csv", "sun.csv", "sun_per_crystal.csv", "candidates.csv", "candidates.zip")
GIVEN = Path("the crystals given")  # where a message names their file


@dataclass(frozen=True)
class StabilityOptions:
    """Settings for the stability of a set: crystals to relax, method, judges and hulls.

    Every judge, the potential that relaxes first of all, has a hull of its own energies of the known crystals.
    """

    method: Method = Method()  # noqa: RUF009  (frozen)
    number: int = 1000  # crystals per draw; all where there are no more
    draws: int = 1
    seed: int = 0  # seed of the draw
    judges: tuple[str, ...] = ()  # further potentials
    again: Limits | None = None  # judges relax again within these; None: energies of the crystals as they are
    table: tuple[Path, Path] | None = None  # formation energies, and elemental references: one more hull
    counting: Counting = Counting()  # noqa: RUF009  (frozen)
    device: str = "auto"

    def check(self) -> None:
        """Look at all that could end the run after hours.

        Raises:
            InputError: no such potential, its package is not installed, a judge twice, a table that cannot be read, or
                one whose energies are on no judge's scale.
        """
        potentials = [self.method.potential, *self.judges]
        for name in potentials:
            if name not in POTENTIALS:
                raise InputError(f"judge {name!r}: choose one of {', '.join(POTENTIALS)}")
            POTENTIALS[name].check_installed()
        for name, times in Counter(potentials).items():
            if times > 1:
                why = "it relaxes the crystals and judges them anyway" if name == potentials[0] else "it appears twice"
                raise InputError(f"judge {name!r}: {why}; leave it out")
        if self.table is not None:
            for name in potentials[:1] if not any(map(_corrected, potentials)) else []:
                check_hull(name, "table")
            from_table(*self.table)
        choose_device(self.device)


def _corrected(potential: str) -> bool:
    """Return whether energies of a potential are on the scale of DFT's."""
    return POTENTIALS[potential].corrected or POTENTIALS[potential].correctable


def stability_of(
    given: OwnCrystals,
    valid: Mapping[str, bool],
    known: Sequence[KnownCrystals],
    options: StabilityOptions,
    folder: Path,
    cache: Path | None,
) -> Stability:
    """Relax crystals, hold them against hulls, and count which are stable, unique and novel, as the chain's stages do.

    A crystal that cannot be relaxed is drawn like any other, and stays in the denominators with its reason.

    Args:
        given: the crystals.
        valid: whether each is valid, by its id.
        known: the training set, then sets that were not trained on; each judge's own hull is made of all of them.
        options: see `StabilityOptions`.
        folder: for journals, from which a killed run goes on, and for what is written.
        cache: SQLite file of reference energies; None for none.

    Raises:
        InputError: a hull that is made of the crystals to be judged, files that cannot be written, too few crystals for
            the draws, or another process that works in `folder`.
    """
    hold_gpu(options.device)
    device = choose_device(options.device).type
    relaxed, crystals = (folder / name for name in RELAXED)
    with contextlib.ExitStack() as journals:
        _relax(given, options, device, journals, (relaxed, crystals))
        tables = [relaxed]
        for judge in options.judges:
            tables.append(folder / f"judges/{judge}.csv")
            _judge(judge, options.again, device, journals, (relaxed, crystals, tables[-1]))
        hulls = _hulls(known, options, folder, relaxed, cache)
        hull, sun, per_crystal, candidates, cifs = (folder / name for name in TABLES)
        write_above_hulls(hull, above_hulls(tables, hulls))
        frames = frames_by_id([crystals])
        table = crystals_of_hull(hull, GIVEN, given, [crystals], frames, valid)
        training, *others = (of.crystals for of in known)
        write_counts(sun, per_crystal, *count(table, frames, training, others, options.counting), given.best_of)
        write_candidates(per_crystal, [crystals], candidates, cifs)
        rates = _read(sun)
        table_3 = write_stability_table(folder, side_by_side(rates).to_dict("records"), naming(rates["judge"]))
    written = [*tables, crystals, *hulls, hull, sun, per_crystal, candidates, cifs, *table_3]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in written}
    return Stability(rates, _read(per_crystal), _read(hull), _read(candidates), files)


def _relax(
    given: OwnCrystals, options: StabilityOptions, device: str, journals: contextlib.ExitStack, files: tuple[Path, Path]
) -> None:
    """Write relaxed.csv and relaxed.extxyz."""
    drawn = draw(len(given.ids), options.number, options.draws, options.seed)
    work = {
        "crystals": _digest(given, sorted(drawn)),
        "method": [*options.method.identity(), dataclasses.asdict(options.method)],
        "draw": [options.number, options.draws, options.seed],
    }
    journal = journals.enter_context(contextlib.closing(Journal(files[0], work)))
    relax_rest(given, [index for index in sorted(drawn) if index not in given.failure], options.method, device, journal)
    # a crystal may have been relaxed by a run that was killed and time out now, when it is scored once more
    finished = {result["id"] for result in journal.done}
    left = [index for index in sorted(drawn) if given.ids[index] not in finished]
    lost = [not_relaxed(given, index) for index in left]
    number = {given.ids[index]: which for index, which in drawn.items()}
    rows = write_relaxed(*files, [*journal.done, *lost], options.method.potential, number)
    _tell(f"{len(rows)} crystals relaxed by {options.method.potential}", rows)


def _judge(
    judge: str,
    again: Limits | None,
    device: str,
    journals: contextlib.ExitStack,
    files: tuple[Path, Path, Path],
) -> None:
    """Judge the relaxed crystals of the first two files by a further potential; write the third file."""
    relaxed, crystals, output = files
    work = journal_work((relaxed, crystals), judge, again)
    journal = journals.enter_context(contextlib.closing(Journal(output, work)))
    structures = crystals_of(frames_by_id([crystals]))
    rows = judge_rest(read_relaxed_rows([relaxed], judge), structures, judge, again, device, journal)
    write_judged(output, rows, judge)
    _tell(f"{len(rows)} crystals judged by {judge}", rows)


def _tell(what: str, rows: Sequence[Mapping[str, Any]]) -> None:
    statuses = ", ".join(f"{name} {number}" for name, number in Counter(row["status"] for row in rows).most_common())
    print(f"{what}: {statuses}", flush=True)


def _hulls(
    known: Sequence[KnownCrystals], options: StabilityOptions, folder: Path, relaxed: Path, cache: Path | None
) -> list[Path]:
    """Write the energies of every hull: that of the table, if there is one, then those of each judge's own."""
    paths = []
    if options.table is not None:
        hull = from_table(*options.table)
        paths.append(folder / "hull/reference.csv")
        write_entries(paths[-1], hull.name, hull.entries, hull.failed)
    sets, systems = [(of.name, of.crystals.units) for of in known], read_systems([relaxed])
    for judge in (options.method.potential, *options.judges):
        hull = from_units(judge, sets, options.device, cache, systems)
        paths.append(folder / f"hull/own/{judge}.csv")
        write_entries(paths[-1], hull.name, hull.entries, hull.failed)
    return paths


def _digest(given: OwnCrystals, chosen: Sequence[int]) -> str:
    """Hash of some crystals, to the last bit of their numbers."""
    digest = hashlib.sha256()
    for index in chosen:
        digest.update(json.dumps([given.ids[index], given.space_group[index]]).encode())
        if given.is_read(index):
            cell = given.cell(index)
            for array, kind in ((cell.lattice, "<f8"), (cell.element, "<i8"), (cell.position, "<f8")):
                digest.update(np.ascontiguousarray(array, kind).tobytes())
    return digest.hexdigest()


def _read(path: Path) -> pd.DataFrame:
    """A table as it was written; ids and formulas are texts, NaN among them (sodium nitride)."""
    texts = dict.fromkeys(("id", "formula", "draw", *TEXTS), str)
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=["", "nan"])
