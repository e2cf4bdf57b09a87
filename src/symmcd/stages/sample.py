"""Stage ``sample``: a trained denoiser → raw crystals of one shard."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from symmcd.device import hold_gpu
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.progress import Progress
from symmcd.diffusion.sampler import Sampler
from symmcd.diffusion.samples import Samples, read_samples, write_samples
from symmcd.errors import InputError
from symmcd.settings import SamplingSettings


def run(
    denoiser: Path,
    output: Path,
    shard: int,
    shards: int,
    settings: SamplingSettings,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Sample the crystals ``shard::shards`` of `settings.number`, numbered over all shards.

    Every crystal draws from a random stream of its own number, so shards and batch sizes do not change it (up to
    rounding).  Each finished batch is kept in ``OUTPUT.partial/`` until all are done, and not sampled again after a
    kill; batches of another denoiser, seed or setting are not used.

    Raises:
        InputError: no such denoiser, more steps than it was trained with, or an illegal space group.
    """
    hold_gpu(device)
    generator = Generator.load(denoiser, device, settings.precision)
    sampler = Sampler(
        steps=settings.steps,
        proposals=settings.proposals,
        corrector=settings.corrector,
        corrector_step=settings.corrector_step,
        batch_size=settings.batch_size,
        temperature=settings.temperature,
    )
    numbers = np.arange(settings.number)[shard::shards]
    if not len(numbers):
        raise InputError(f"shard {shard} of {shards} has none of the {settings.number} crystals; take fewer shards")
    partial = output.with_name(f"{output.name}.partial")
    prefix = fingerprint(denoiser, settings, shard, shards, seed)
    progress = Progress(f"sampling shard {shard}/{shards}, crystal", len(numbers))
    steps, done, parts = generator.steps(sampler), 0, []
    for index, plan in enumerate(generator.plan(numbers, sampler, seed, settings.space_groups)):
        path = partial / f"{prefix}-{index}.npz"
        part = read_samples(path) if path.exists() else None
        if part is None or not np.array_equal(part.number, plan.number):  # another version may batch otherwise
            before, size = done, len(plan.number)
            part = generator.sample(
                plan,
                sampler,
                seed,
                lambda step: progress.update(before + size * step // steps),  # noqa: B023
            )
            write_samples(path, part)
        parts.append(part)
        done += len(part)
    progress.close()
    write_samples(output, Samples.concatenate(parts))
    shutil.rmtree(partial)
    print(f"wrote {output} ({done} crystals)")


def fingerprint(denoiser: Path, settings: SamplingSettings, shard: int, shards: int, seed: int) -> str:
    """Short hash of everything that the samples of a shard depend on."""
    values = json.dumps([dataclasses.asdict(settings), shard, shards, seed], sort_keys=True)
    return hashlib.sha256(hashlib.sha256(denoiser.read_bytes()).digest() + values.encode()).hexdigest()[:16]
