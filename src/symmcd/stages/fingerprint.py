"""Stage ``fingerprint``: asymmetric units → structure and composition fingerprints, for the coverage metrics."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.journal import Progress
from symmcd.settings import ScoreSettings
from symmcd.workers import cores

EXAMPLE = "results/crystals/units.npz --output results/fingerprints/generated.npz --workers 4"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("units", type=Path, help="asymmetric units, npz")
    parser.add_output("fingerprints, npz")
    text = "cache of fingerprints (default: cache.sqlite beside the output)"
    parser.add_argument("--cache", type=Path, metavar="FILE", help=text)
    parser.add_workers()
    parser.add_settings("score")


def run(units: Path, output: Path, cache: Path | None, settings: ScoreSettings, workers: int = 0) -> None:
    """Fingerprint every crystal; cached fingerprints are not computed again, so a killed run continues.

    Args:
        units: crystals.
        output: `Fingerprints`, npz.
        cache: SQLite file, created if missing; several jobs may share it.  None: cache.sqlite beside the output.
        settings: time limit per crystal.
        workers: processes; 0 = one per core.

    Raises:
        InputError: no crystals, or a file that cannot be read or written.
    """
    from symmcd.metrics.fingerprints import fingerprints_of_units
    from symmcd.storage import read_units

    crystals = read_units(units)
    if not len(crystals):
        raise InputError(f"{units}: no crystals to fingerprint")
    cache = cache or output.with_name("cache.sqlite")
    with Progress(len(crystals), 0, "fingerprints") as progress:
        fingerprints = fingerprints_of_units(
            crystals, cache, workers or cores(), settings.fingerprint_seconds, progress.advance
        )
    fingerprints.write(output)
    outcomes = ", ".join(f"{name} {count}" for name, count in Counter(fingerprints.outcome.tolist()).most_common())
    print(f"wrote {output} ({len(crystals)} crystals: {outcomes})")
