"""Crystals of one shard: sampled in batches, each kept as soon as it is finished, and resumed after a kill."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, labels_of
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.progress import StepProgress
from symmcd.diffusion.sampler import Sampler
from symmcd.errors import InputError
from symmcd.settings import SamplingSettings
from symmcd.storage import read_units, write_units
from symmcd.writing import delete

FORMAT = "asymmetric units"  # of kept batches; earlier versions kept something else under names of the same form


def sample_shard(
    generator: Generator, output: Path, shard: int, shards: int, settings: SamplingSettings, prefix: str, seed: int
) -> int:
    """Sample the crystals ``shard::shards`` of `settings.number` and write them to `output`; how many.

    Args:
        generator: of trained weights.
        output: asymmetric units, labelled by their numbers over all shards.
        shard, shards: which of how many.
        settings: as in the configuration.
        prefix: names what the crystals depend on (`settings_hash`); batches of another one are not used.
        seed: of the random numbers.

    Raises:
        InputError: more steps than it was trained with, an illegal space group, or a shard without crystals.
    """
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
    progress = StepProgress(f"sampling shard {shard}/{shards}, crystal", len(numbers))
    steps, plans = generator.steps(sampler), list(generator.plan(numbers, sampler, seed, settings.space_groups))
    paths = [partial / f"{prefix}-{index}.npz" for index in range(len(plans))]
    labels = [labels_of(plan.number, settings.number - 1) for plan in plans]
    kept = [_finished(path, names) for path, names in zip(paths, labels, strict=True)]
    work = [
        0.0 if part is not None else float((plan.orbits**2).sum()) for part, plan in zip(kept, plans, strict=True)
    ]  # pairs
    parts, done, spent = [], 0, 0.0
    for plan, path, names, part, pairs in zip(plans, paths, labels, kept, work, strict=True):
        if part is None:

            def on_step(
                step: int, size: int = len(plan.number), d: int = done, s: float = spent, p: float = pairs
            ) -> None:
                progress.update(d + size * step // steps, work=(s + p * step / steps, sum(work)))

            made = generator.sample(plan, sampler, seed, on_step)
            part = dataclasses.replace(made, label=np.array(names, dtype=np.str_))  # noqa: PLW2901
            write_units(path, part)
        parts.append(part)
        done, spent = done + len(part), spent + pairs
    progress.close()
    units = AsymmetricUnits.concatenate(parts)
    write_units(output, units.take(np.argsort(units.label)))
    delete(partial)
    return done


def _finished(path: Path, labels: list[str]) -> AsymmetricUnits | None:
    """The crystals of a batch that an earlier run finished; None where there are none, or another version's."""
    part = read_units(path) if path.exists() else None
    return part if part is not None and part.label.tolist() == labels else None


def settings_hash(denoiser: Path, settings: SamplingSettings, shard: int, shards: int, seed: int) -> str:
    """Short hash of everything that the samples of a shard depend on."""
    values = json.dumps([FORMAT, dataclasses.asdict(settings), shard, shards, seed], sort_keys=True)
    return hashlib.sha256(hashlib.sha256(denoiser.read_bytes()).digest() + values.encode()).hexdigest()[:16]
