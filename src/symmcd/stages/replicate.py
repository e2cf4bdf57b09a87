"""Stage ``replicate``: asymmetric units of all shards → conventional cells as extxyz and CIF."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.settings import ReplicateSettings

if TYPE_CHECKING:
    from symmcd.crystallography.asymmetric_unit import AsymmetricUnits

EXAMPLE = "results/samples/shard*.npz --output results/crystals"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("samples", type=Path, nargs="+", help="asymmetric units of `symmcd sample`, all shards")
    parser.add_output("folder for units.npz, crystals.extxyz and the CIFs", metavar="DIR")
    parser.add_settings("replicate")
    parser.add_moved("--output-dir", "it is --output now")


def run(samples: Sequence[Path], output: Path, settings: ReplicateSettings) -> None:
    """Replicate all shards; write units.npz, crystals.extxyz and one CIF per crystal.

    Crystals are named by the number that the sampler gave them, so a missing shard leaves a gap, not a shift.

    Raises:
        InputError: no samples, crystals that are not named by numbers, or two shards that hold the same crystal.
    """
    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.structures.write import write_crystals

    units = gathered(samples)
    if not len(units):
        raise InputError(
            f"{', '.join(map(str, samples)) or 'no shards given'}: no sampled crystals; sampling.number must be above 0"
        )
    crystals = replicate_flat(units)
    for path in write_crystals(output, crystals, units, settings.cif_folder_limit):
        print(f"wrote {path} ({len(units)} crystals)")


def gathered(samples: Sequence[Path]) -> AsymmetricUnits:
    """Crystals of all shards in the order of their numbers.

    Raises:
        InputError: as `run`.
    """
    import numpy as np

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, labels_of
    from symmcd.storage import read_units

    parts = [read_units(path) for path in samples]
    for path, part in zip(samples, parts, strict=True):
        if part.best_of != parts[0].best_of:
            raise InputError(
                f"{samples[0]} and {path}: their crystals were chosen in different ways (sampling.oversample, "
                "sampling.stability_model); delete them and sample again"
            )
    units = AsymmetricUnits.concatenate(parts)
    names, where = units.label.tolist(), ", ".join(map(str, samples))
    others = [name for name in names if not (name.isascii() and name.isdecimal() and len(name) < 19)]
    if others:
        raise InputError(f"{where}: crystal {others[0][:80]!r} is not named by a number, as `symmcd sample` names them")
    number = np.array([int(name) for name in names], dtype=np.int64)
    if len(np.unique(number)) != len(number):
        raise InputError(f"{where}: two shards hold the same crystal; delete them and sample again")
    labels = np.array(labels_of(number, int(number.max(initial=0))), dtype=np.str_)
    return dataclasses.replace(units, label=labels).take(np.argsort(number))
