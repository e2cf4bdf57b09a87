"""Stage ``replicate``: sampled asymmetric units → exact ones → conventional cells as extxyz and CIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, labels_of
from symmcd.crystallography.decode import decode
from symmcd.crystallography.orbit import replicate_flat
from symmcd.diffusion.samples import read_samples
from symmcd.errors import InputError
from symmcd.settings import ReplicateSettings
from symmcd.structures.write import write_crystals


def run(samples: Sequence[Path], output_dir: Path, settings: ReplicateSettings) -> None:
    """Decode and replicate all shards; write units.npz, crystals.extxyz and one CIF a crystal.

    Crystals are named by the number that the sampler gave them, so a missing shard leaves a gap, not a shift.

    Raises:
        InputError: no samples, or two shards that hold the same crystal.
    """
    units = _decoded(samples)
    if not len(units):
        raise InputError(
            f"{', '.join(map(str, samples)) or 'no shards given'}: no sampled crystals; sampling.number must be above 0"
        )
    crystals = replicate_flat(units)
    for path in write_crystals(output_dir, crystals, units, settings.cif_folder_limit):
        print(f"wrote {path} ({len(units)} crystals)")


def _decoded(samples: Sequence[Path]) -> AsymmetricUnits:
    parts = [read_samples(path) for path in samples]
    number = np.concatenate([part.number for part in parts]) if parts else np.zeros(0, int)
    if len(np.unique(number)) != len(number):
        raise InputError(
            f"{', '.join(map(str, samples))}: two shards hold the same crystal; delete them and sample again"
        )
    largest = int(number.max(initial=0))
    decoded = [
        decode(p.space_group, p.lattice, p.element, p.position, p.site_symmetry, p.start, labels_of(p.number, largest))
        for p in parts
    ]
    return AsymmetricUnits.concatenate(decoded).take(np.argsort(number))
