"""Stage ``reduce``: raw crystals of one split → asymmetric units, and a table of the rows that could not be used."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from symmcd.command import Parser
from symmcd.settings import ReduceSettings

SHOWN = 10  # rejects in an error
ALWAYS = 3  # rejects that do not stop a run, whatever their share, if at most a quarter of the rows are
EXAMPLE = "results/raw/val.csv.gz --output results/asymmetric_units/val.npz --workers 4"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("raw", type=Path, help="csv or csv.gz with a column cif")
    parser.add_output("asymmetric units, npz")
    parser.add_output("rows not kept, csv (default: beside the units)", what="rejects", required=False)
    parser.add_workers()
    parser.add_settings("reduce")
    parser.add_moved("--rejects", "it is --output-rejects now")


def run(raw: Path, output: Path, output_rejects: Path | None, settings: ReduceSettings, workers: int = 0) -> None:
    """Reduce every crystal of a table; write the units, and a csv of rejected rows with their reasons.

    Args:
        raw: csv with a column ``cif``.
        output: asymmetric units, npz.
        output_rejects: csv, beside `output` where None; where too many rows are rejected, ``…_too_many_rejects.csv``
            beside it.
        settings: tolerance and limits.
        workers: processes; 0 = one per core.

    Raises:
        InputError: an unreadable or empty table, or more rejects than `settings.max_rejected_share`.
    """
    import numpy as np

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
    from symmcd.errors import InputError
    from symmcd.storage import write_units
    from symmcd.structures.read import read_rows
    from symmcd.structures.reduction import reduced, write_rejects

    # no output of the rule: those are deleted when it fails
    rejects = output_rejects or output.with_name(f"{output.stem}_rejects.csv")
    too_many = rejects.with_name(f"{output.stem}_too_many_rejects.csv")
    parts, rejected, total = [], [], 0
    limits = {"symprec": settings.symprec, "max_orbits": settings.max_orbits, "max_atoms": settings.max_atoms}
    for part, bad, count in reduced(read_rows(raw), limits, workers, settings.seconds):
        parts.append(part)
        rejected.extend(bad)
        total += count
    if total == 0:
        raise InputError(f"{raw}: no rows; expected a csv with the columns material_id and cif")
    reasons = ", ".join(f"{reason} {count}" for reason, count in Counter(r.reason for r in rejected).most_common())
    if len(rejected) > tolerated(total, settings.max_rejected_share):
        write_rejects(too_many, rejected)
        first = sorted(rejected, key=lambda r: r.row)[:SHOWN]
        raise InputError(
            f"{raw}: {len(rejected)} of {total} rows rejected ({reasons}), more than reduce.max_rejected_share = "
            f"{settings.max_rejected_share:g}. "
            + "".join(f"\n  row {r.row} ({r.material_id}): {r.reason}: {r.detail}" for r in first)
            + f"\nAll of them: {too_many}"
        )
    too_many.unlink(missing_ok=True)
    write_rejects(rejects, rejected)
    result = AsymmetricUnits.concatenate(parts)
    write_units(output, result)
    groups = len(np.unique(result.space_group))
    print(f"wrote {output} ({len(result)} crystals, {len(result.element)} orbits, {groups} space groups)")
    print(f"wrote {rejects} ({len(rejected)} of {total} rows rejected{': ' + reasons if reasons else ''})")


def tolerated(total: int, share: float) -> float:
    """Number of `total` rows that may be rejected: that share; of few rows up to `ALWAYS`, but no more than a quarter.

    One broken file in a split of six is 17 %, and no reason to stop.  A share of 0 allows none.
    """
    return max(share * total, min(ALWAYS, total / 4)) if share else 0
