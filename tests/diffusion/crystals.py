"""Made-up asymmetric units and a small network for the tests of the diffusion."""

from __future__ import annotations

import numpy as np
import torch

from symmcd.batch import NoisyBatch, OrbitBatch
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, numbered_labels
from symmcd.crystallography.lattice import constrain
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.staged.kind import StagedSettings

SMALL = JointSettings(width=32, layers=2, frequencies=4, steps=20)
SMALL_STAGED = StagedSettings(
    width=32, layers=2, steps=20, wyckoff_width=32, wyckoff_layers=2, wyckoff_heads=2, dropout=0.1
)


def random_units(number: int, seed: int = 0, largest: int = 7, groups=(2, 14, 62, 139, 194, 225)) -> AsymmetricUnits:
    """`number` crystals with random orbits on random Wyckoff positions."""
    rng = np.random.default_rng(seed)
    table = wyckoff_table()
    group = rng.choice(groups, number)
    count = rng.integers(1, largest + 1, number)
    start = np.concatenate([[0], np.cumsum(count)])
    owner = np.repeat(group, count)
    wyckoff = np.array([rng.integers(table.start[g - 1], table.start[g]) for g in owner])
    crystal = np.repeat(np.arange(number), count)
    _, first = np.unique(np.stack([crystal, wyckoff]), axis=1, return_index=True)
    full = ~np.isin(np.arange(len(owner)), first) & (table.degrees_of_freedom[wyckoff] == 0)
    wyckoff[full] = (
        table.start[owner[full]] - 1
    )  # one orbit on a fixed point is enough: the others on general positions
    generator = table.generator[wyckoff]
    position = (np.einsum("aij,aj->ai", generator[:, :, :3], rng.random((len(owner), 3))) + generator[:, :, 3]) % 1
    k = constrain(rng.normal(0, 0.1, (number, 6)) + [0, 0, 0, 0, 0, 1.6], group)
    element = rng.choice([8, 11, 22, 26, 38, 57], len(owner))
    return AsymmetricUnits(group, k, start, element, wyckoff, position, np.array(numbered_labels(number)))


def random_state(number: int, seed: int = 0, largest: int = 7) -> NoisyBatch:
    """A noisy batch: random units with off-position coordinates."""
    batch = OrbitBatch.from_units(random_units(number, seed, largest))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(batch.position.shape, generator=generator) * batch.mask[..., None]
    return NoisyBatch(batch.space_group, noise, batch.element, batch.site_symmetry, batch.mask, batch.k)
