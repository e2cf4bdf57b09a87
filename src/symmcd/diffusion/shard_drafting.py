"""Drafts of one shard, drawn block by block, each kept as soon as it is finished, and resumed after a kill."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from symmcd.crystallography.drafts import Drafts
from symmcd.diffusion.constraints.constraint import identity, read_constraints
from symmcd.diffusion.draft_files import DraftFile
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.pool import BLOCK, pool_size
from symmcd.diffusion.progress import StepProgress
from symmcd.diffusion.sampler import Sampler
from symmcd.diffusion.shard_sampling import groups_asked
from symmcd.errors import InputError
from symmcd.settings import SamplingSettings
from symmcd.writing import delete


def draft_shard(
    generator: Generator, output: Path, shard: int, shards: int, settings: SamplingSettings, seed: int
) -> int:
    """Draw the blocks ``shard::shards`` of the drafts that `settings` asks for, and write them; how many.

    Blocks are those of `Generator.draft_stable`, so shards do not change a draft by a bit.

    Args:
        generator: of trained weights.
        output: drafts, npz.
        shard, shards: which of how many.
        settings: as in the configuration; `oversample` drafts for each of `number` crystals.
        seed: of the random numbers.

    Raises:
        InputError: nothing is chosen of one draft per crystal, or what `Generator.draft` refuses.
    """
    if settings.oversample == 1:
        raise InputError("sampling.oversample = 1: there is nothing to choose; `symmcd sample` draws by itself")
    asked = read_constraints(settings.constraints)
    sampler = Sampler(temperature=settings.temperature, constraints=asked)
    groups = groups_asked(settings, asked)
    total = settings.oversample * pool_size(settings.number, asked)
    blocks = range(0, total, BLOCK)[shard::shards]
    partial = output.with_name(f"{output.name}.partial")
    what = [generator.sha256, settings.temperature, list(groups), identity(asked), total, seed]
    prefix = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    parts = [Drafts.none(seed)]
    wanted = sum(min(BLOCK, total - first) for first in blocks)
    progress, done = StepProgress(f"drawing shard {shard}/{shards}, draft", wanted), 0
    for first in blocks:
        path = partial / f"{prefix}-{first}.npz"
        if path.exists():
            parts.append(DraftFile.read(path).drafts)
        else:
            parts.append(generator.drafts(np.arange(first, min(first + BLOCK, total)), sampler, seed, groups))
            DraftFile(parts[-1], generator.hashes).write(path)
        done += len(parts[-1])
        progress.update(done)
    progress.close()
    DraftFile(Drafts.concatenate(parts), generator.hashes).write(output)
    delete(partial)
    return done
