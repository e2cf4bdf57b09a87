"""A few reduced crystals of MP-20, from the folder that SYMMCD_MP20 names."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
import pytest

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.structures.read import read_rows
from symmcd.structures.reduction import reduce_chunk


@functools.cache
def mp20_units(split: str, number: int, seed: int = 0) -> AsymmetricUnits:
    """`number` random crystals of a split, reduced at 0.1 Å."""
    folder = os.environ.get("SYMMCD_MP20")
    if not folder:
        pytest.skip("SYMMCD_MP20 names no folder with MP-20")
    rows = list(read_rows(Path(folder) / f"{split}.csv.gz"))
    drawn = np.random.default_rng(seed).choice(len(rows), number, replace=False)
    units, rejects, _ = reduce_chunk([rows[i] for i in np.sort(drawn)], symprec=0.1, max_orbits=60, max_atoms=400)
    assert not rejects
    return units
