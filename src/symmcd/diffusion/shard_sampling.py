"""Crystals of one shard: sampled in batches, each kept as soon as it is finished, and resumed after a kill."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, labels_of
from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.drafts import Drafts
from symmcd.diffusion.constraints.constraint import read_constraints, space_groups_of
from symmcd.diffusion.constraints.space_group import SpaceGroup
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.model import OnStep
from symmcd.diffusion.planning import batches_by_size, padded_to
from symmcd.diffusion.progress import StepProgress
from symmcd.diffusion.sampler import Sampler
from symmcd.errors import InputError
from symmcd.settings import OF_CHOICE, SamplingSettings, path_of
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

    With `settings.oversample` above 1 every shard draws all drafts and chooses among them, so that shards do not change
    what is chosen, and completes its own.

    Raises:
        InputError: more steps than it was trained with, an illegal space group, a shard without crystals, or a
            stability model that cannot be used.
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
        raise InputError(f"shard {shard} of {shards} has none of the {settings.number} crystals; take fewer shards")
    partial = output.with_name(f"{output.name}.partial")
    steps = generator.steps(sampler)
    listed = (SpaceGroup(settings.space_groups),) if settings.space_groups else ()
    groups = space_groups_of((*listed, *asked))
    if settings.oversample > 1:
        batches = _chosen(generator, numbers, sampler, settings, groups, seed)
    elif sampler.chooses:
        batches = _drafted(generator, numbers, generator.drafts(numbers, sampler, seed, groups), sampler)
    else:
        batches = _planned(generator, numbers, sampler, groups, seed)
    prefix = f"{prefix}{batches[0].choice}"
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
    choice: str = ""  # names the drafts chosen, so that batches of another choice are not continued


def _planned(
    generator: Generator, numbers: np.ndarray, sampler: Sampler, groups: Sequence[int], seed: int
) -> list[_Batch]:
    """The crystals `numbers` (B,) as the model draws them."""
    generator.abilities.check(sampler)
    plans = generator.plan(numbers, sampler, seed, groups)
    return [
        _Batch(plan.number, plan.orbits, functools.partial(generator.sample, plan, sampler, seed)) for plan in plans
    ]


def _chosen(
    generator: Generator,
    numbers: np.ndarray,
    sampler: Sampler,
    settings: SamplingSettings,
    groups: Sequence[int],
    seed: int,
) -> list[_Batch]:
    """The crystals `numbers` (B,) of those that a stability model chooses, whichever others are made here.

    Raises:
        InputError: a stability model that cannot be used, or a generator that draws no positions beforehand.
    """
    from symmcd.diffusion.stable import stable_drafts

    def draw(names: np.ndarray) -> Drafts:
        return generator.drafts(names, sampler, seed, groups)

    chosen, choice = stable_drafts(
        draw,
        settings.number,
        settings.oversample,
        *_files(settings),
        sampler.constraints,
        _left_out(settings),
        generator.sha256,
    )
    print(choice.sentence(), file=sys.stderr)
    names = f"-{hashlib.sha256(chosen.number.astype(np.int64).tobytes()).hexdigest()[:8]}"
    return _drafted(generator, numbers, chosen.take(numbers), sampler, choice.best_of, names)


def _drafted(
    generator: Generator,
    numbers: np.ndarray,
    own: Drafts,
    sampler: Sampler,
    best_of: BestOf | None = None,
    choice: str = "",
) -> list[_Batch]:
    """The crystals `numbers` (B,) whose positions and elements are those of `own`, in this order."""

    def batch(rows: np.ndarray) -> _Batch:
        return _Batch(numbers[rows], own.orbits[rows], lambda on_step: made(own.take(rows), on_step), best_of, choice)

    def made(drafts: Drafts, on_step: OnStep) -> AsymmetricUnits:
        units = generator.with_geometries(
            drafts, steps=sampler.steps, corrector=sampler.corrector, proposals=sampler.proposals,
            batch_size=len(drafts),
        )  # fmt: skip
        on_step(generator.steps(sampler))
        return AsymmetricUnits.from_units(units)

    return [batch(rows) for rows in batches_by_size(padded_to(own.orbits), sampler.batch_size)]


def _finished(path: Path, labels: list[str]) -> AsymmetricUnits | None:
    """The crystals of a batch that an earlier run finished; None where there are none, or another version's."""
    part = read_units(path) if path.exists() else None
    return part if part is not None and part.label.tolist() == labels else None


def settings_hash(denoiser: Path, settings: SamplingSettings, shard: int, shards: int, seed: int) -> str:
    """Short hash of everything that the samples of a shard depend on.

    Raises:
        InputError: no file of the stability model, or of what it is told is known.
    """
    values, files = dataclasses.asdict(settings), [denoiser]
    if settings.oversample > 1:
        files += [file for file in (*_files(settings), *_left_out(settings)) if isinstance(file, Path)]
    else:  # they choose nothing
        values = {name: value for name, value in values.items() if name not in OF_CHOICE}
    # what a file says counts, not its name; nothing asked for leaves the hash as it was
    asked = values.pop("constraints")
    if asked:
        values["constraints"] = [
            [str(c), dataclasses.asdict(c) if dataclasses.is_dataclass(c) else ""] for c in read_constraints(asked)
        ]
    content = b"".join(file.read_bytes() for file in files)
    text = json.dumps([FORMAT, values, shard, shards, seed], sort_keys=True)
    return hashlib.sha256(hashlib.sha256(content).digest() + text.encode()).hexdigest()[:16]


def _left_out(settings: SamplingSettings) -> list[str | Path]:
    """Splits by their names, and files, of which each is there."""
    from symmcd.stability_model.materials import SPLITS

    found = [name if name in SPLITS else path_of(name) for name in settings.leave_out]
    for path in found:
        if isinstance(path, Path) and not path.is_file():
            raise InputError(f"{path}: no such file (sampling.leave_out), nor one of {', '.join(SPLITS)}")
    return found


def _files(settings: SamplingSettings) -> tuple[Path, Path | None]:
    """Files of the stability model and of what it is told is known; None: MP-20's materials.

    Raises:
        InputError: one that is not there.
    """
    from symmcd.stability_model.model import SHIPPED, model_path

    name = settings.stability_model
    if name == "fit":
        raise InputError(
            "sampling.stability_model = fit: the workflow fits it (Snakemake); to a single stage give its file, "
            "results/stability_model/round3/model.safetensors"
        )
    known = path_of(settings.known) if settings.known else None
    if known and not known.is_file():
        raise InputError(f"{known}: no such file (sampling.known); `symmcd reference` writes one")
    return model_path(name if name == SHIPPED else path_of(name)), known
