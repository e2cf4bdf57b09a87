"""Crystals of one shard: sampled in batches, each kept as soon as it is finished, and resumed after a kill."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, labels_of
from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.drafts import Drafts
from symmcd.diffusion.constraints.constraint import (
    Constraint,
    identity,
    of_geometries,
    read_constraints,
    space_groups_of,
)
from symmcd.diffusion.constraints.space_group import SpaceGroup
from symmcd.diffusion.draft_files import DraftFile
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.model import OnStep
from symmcd.diffusion.planning import batches_by_size, padded_to
from symmcd.diffusion.progress import StepProgress
from symmcd.diffusion.sampler import Sampler
from symmcd.errors import InputError
from symmcd.settings import OF_CHOICE, SamplingSettings
from symmcd.storage import read_units, write_units
from symmcd.writing import delete

FORMAT = "asymmetric units"  # format of kept batches; earlier versions kept something else under similar names


def sample_shard(
    generator: Generator,
    output: Path,
    shard: int,
    shards: int,
    settings: SamplingSettings,
    prefix: str,
    seed: int,
    chosen: Path | None = None,
) -> int:
    """Sample the crystals ``shard::shards`` of `settings.number` and write them to `output`; how many.

    Args:
        generator: of trained weights.
        output: asymmetric units, labelled by their numbers over all shards.
        shard, shards: which of how many.
        settings: as in the configuration.
        prefix: names what the crystals depend on (`settings_hash`); batches of another one are not used.
        seed: of the random numbers.
        chosen: drafts that `symmcd choose` chose of `settings.oversample` for each crystal, which are completed; None
            where that is 1.

    Raises:
        InputError: more steps than it was trained with, an illegal space group, a shard without crystals, or chosen
            drafts that are missing, of other weights or another seed, or more or fewer than `settings.number`.
    """
    asked = read_constraints(settings.constraints)
    sampler = Sampler(
        steps=settings.steps,
        proposals=settings.proposals,
        corrector=settings.corrector,
        corrector_step=settings.corrector_step,
        batch_size=settings.batch_size,
        temperature=settings.temperature,
        constraints=asked,
    )
    numbers = np.arange(settings.number)[shard::shards]
    if not len(numbers):
        raise InputError(f"shard {shard} of {shards} has none of the {settings.number} crystals; use fewer shards")
    partial = output.with_name(f"{output.name}.partial")
    steps = generator.steps(sampler)
    groups = groups_asked(settings, asked)
    if settings.oversample > 1:
        batches = _chosen(generator, numbers, sampler, _drafts(generator, chosen, settings, seed))
    elif sampler.chooses:
        batches = _drafted(generator, numbers, generator.drafts(numbers, sampler, seed, groups), sampler)
    else:
        batches = _planned(generator, numbers, sampler, groups, seed)
    progress = StepProgress(f"sampling shard {shard}/{shards}, crystal", len(numbers))
    paths = [partial / f"{prefix}-{index}.npz" for index in range(len(batches))]
    labels = [labels_of(batch.number, settings.number - 1) for batch in batches]
    kept = [_finished(path, names) for path, names in zip(paths, labels, strict=True)]
    work = [
        0.0 if part is not None else float((batch.orbits**2).sum()) for part, batch in zip(kept, batches, strict=True)
    ]  # pairs
    parts, done, spent = [], 0, 0.0
    for batch, path, names, part, pairs in zip(batches, paths, labels, kept, work, strict=True):
        if part is None:

            def on_step(
                step: int, size: int = len(batch.number), d: int = done, s: float = spent, p: float = pairs
            ) -> None:
                progress.update(d + size * step // steps, work=(s + p * step / steps, sum(work)))

            made = batch.make(on_step)
            part = dataclasses.replace(made, label=np.array(names, dtype=np.str_))  # noqa: PLW2901
            write_units(path, part)
        parts.append(dataclasses.replace(part, best_of=batch.best_of))
        done, spent = done + len(part), spent + pairs
    progress.close()
    units = AsymmetricUnits.concatenate(parts)
    write_units(output, units.take(np.argsort(units.label)))
    delete(partial)
    return done


@dataclasses.dataclass(frozen=True, eq=False)
class _Batch:
    """Crystals to be made together."""

    number: np.ndarray  # (B,) over all shards
    orbits: np.ndarray  # (B,)
    make: Callable[[OnStep], AsymmetricUnits]  # in this order
    best_of: BestOf | None = None  # how they were chosen


def _planned(
    generator: Generator, numbers: np.ndarray, sampler: Sampler, groups: Sequence[int], seed: int
) -> list[_Batch]:
    """The crystals `numbers` (B,) as the model draws them."""
    generator.abilities.check(sampler)
    plans = generator.plan(numbers, sampler, seed, groups)
    return [
        _Batch(plan.number, plan.orbits, functools.partial(generator.sample, plan, sampler, seed)) for plan in plans
    ]


def groups_asked(settings: SamplingSettings, asked: Sequence[Constraint]) -> tuple[int, ...]:
    """Space groups that settings and constraints agree to; none: any.

    Raises:
        InputError: no group is left.
    """
    listed = (SpaceGroup(settings.space_groups),) if settings.space_groups else ()
    return space_groups_of((*listed, *asked))


def _drafts(generator: Generator, path: Path | None, settings: SamplingSettings, seed: int) -> DraftFile:
    """The chosen drafts of the whole set.

    Raises:
        InputError: none, of other weights or another seed, or more or fewer than crystals are wanted.
    """
    if path is None:
        raise InputError(
            f"sampling.oversample = {settings.oversample}: give the drafts that `symmcd choose` chose (--drafts), or "
            "let the workflow run all three; `symmcd generate --stable` does all at once"
        )
    file = DraftFile.read(path)
    if file.best_of is None or len(file.drafts) != settings.number:
        raise InputError(
            f"{path}: {len(file.drafts)} drafts, {'chosen' if file.best_of else 'not chosen'}; expected "
            f"{settings.number} chosen ones (sampling.number); run `symmcd choose` with these settings"
        )
    if file.weights != generator.hashes or file.drafts.seed != seed:
        raise InputError(
            f"{path}: drafts of other weights, or of seed {file.drafts.seed} instead of {seed}; run `symmcd draft` and "
            "`symmcd choose` with these weights and this seed"
        )
    return file


def _chosen(generator: Generator, numbers: np.ndarray, sampler: Sampler, file: DraftFile) -> list[_Batch]:
    """The crystals `numbers` (B,) of chosen drafts."""
    drafts = dataclasses.replace(file.drafts, asked=of_geometries(sampler.constraints))
    return _drafted(generator, numbers, drafts.take(numbers), sampler, file.best_of)


def _drafted(
    generator: Generator, numbers: np.ndarray, own: Drafts, sampler: Sampler, best_of: BestOf | None = None
) -> list[_Batch]:
    """The crystals `numbers` (B,) whose positions and elements are those of `own`, in this order."""

    def batch(rows: np.ndarray) -> _Batch:
        return _Batch(numbers[rows], own.orbits[rows], lambda on_step: made(own.take(rows), on_step), best_of)

    def made(drafts: Drafts, on_step: OnStep) -> AsymmetricUnits:
        units = generator.with_geometries(
            drafts, steps=sampler.steps, corrector=sampler.corrector, proposals=sampler.proposals,
            batch_size=len(drafts),
        )  # fmt: skip
        on_step(generator.steps(sampler))
        return AsymmetricUnits.from_units(units)

    return [batch(rows) for rows in batches_by_size(padded_to(own.orbits), sampler.batch_size)]


def _finished(path: Path, labels: list[str]) -> AsymmetricUnits | None:
    """The crystals of a batch that an earlier run finished; None if there are none, or another version's."""
    part = read_units(path) if path.exists() else None
    return part if part is not None and part.label.tolist() == labels else None


def settings_hash(
    denoiser: Path, settings: SamplingSettings, shard: int, shards: int, seed: int, chosen: Path | None = None
) -> str:
    """Short hash of everything that the samples of a shard depend on.

    Raises:
        InputError: no file of chosen drafts.
    """
    # of a choice its result counts, the file of chosen drafts
    values = {name: value for name, value in dataclasses.asdict(settings).items() if name not in OF_CHOICE}
    # what a file says counts, not its name; nothing asked for leaves the hash as it was
    if asked := values.pop("constraints"):
        values["constraints"] = identity(read_constraints(asked))
    if chosen is not None and not chosen.is_file():
        raise InputError(f"{chosen}: no such file; `symmcd choose` writes it")
    content = b"".join(file.read_bytes() for file in (denoiser, chosen) if file is not None)
    text = json.dumps([FORMAT, values, shard, shards, seed], sort_keys=True)
    return hashlib.sha256(hashlib.sha256(content).digest() + text.encode()).hexdigest()[:16]
