"""Stage ``train``: asymmetric units → the weights of a denoiser, with a row of losses an epoch."""

from __future__ import annotations

import copy
import csv
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symmcd.batch import OrbitBatch
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.checkpoint import data_sha256, write_checkpoint
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.denoiser import Denoiser
from symmcd.diffusion.device import choose_device
from symmcd.diffusion.forward_process import ForwardProcess, Target
from symmcd.diffusion.loss import NAMES, batch_losses, corrupted
from symmcd.diffusion.progress import Progress
from symmcd.diffusion.random_streams import mixed_seed
from symmcd.diffusion.training_state import TrainingState, average, read_state, write_state
from symmcd.errors import InputError, SymmcdError
from symmcd.settings import ModelSettings, TrainingSettings, read_section
from symmcd.storage import atomic_path, read_units, write_tensors

CPU_FLOPS = 1e11  # a generous guess of what two cores do in a second
VALIDATION_SEED = 20_260_101  # the same noise in every epoch and every training, so that validation losses compare
COLUMNS = ("epoch", "seconds", *(f"{split}_{name}" for split in ("train", "val") for name in NAMES))


def run(
    train: Path,
    val: Path,
    output_dir: Path,
    model: ModelSettings,
    settings: TrainingSettings,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Train a denoiser, going on from ``checkpoint.safetensors`` in `output_dir` if there is one.

    Batches, noise and initial weights follow from `seed` and the step number alone, so a training that was killed at
    any moment and started again ends with the same weights as one that was not, bit for bit on a CPU (but for
    ``max_minutes``, which makes the schedule depend on the clock).

    Raises:
        InputError: unusable data, no CUDA device, or a network that a CPU would train for more than a day.
        SymmcdError: the loss became infinite or NaN; the batch is saved and named.
    """
    units, validation_units = read_units(train), read_units(val)
    if not len(units) or not len(validation_units):
        raise InputError(f"{train if not len(units) else val}: no crystals to train on")
    where = choose_device(device)
    if device == "auto" and where.type == "cpu":
        refuse_paper_scale(model, settings, units)

    statistics = DataStatistics.of(units).to(where)
    process = ForwardProcess(model, statistics)
    data = OrbitBatch.from_units(units).to(where)
    validation = OrbitBatch.from_units(validation_units).to(where)
    torch.manual_seed(mixed_seed(seed))
    denoiser = Denoiser(model).to(where)
    averaged = copy.deepcopy(denoiser).requires_grad_(requires_grad=False)
    optimiser = torch.optim.Adam(denoiser.parameters(), lr=settings.learning_rate, fused=True)

    hashes = {"data_sha256": data_sha256(units), "validation_sha256": data_sha256(validation_units)}
    print_ = fingerprint(model, settings, seed, hashes)
    state_path = output_dir / "checkpoint.safetensors"
    state = resume(state_path, print_, denoiser, averaged, optimiser)
    steps_per_epoch = math.ceil(len(data) / settings.batch_size)
    total_steps = settings.epochs * steps_per_epoch
    progress = Progress("training, step", total_steps, state.step)
    parameters = sum(p.numel() for p in denoiser.parameters())
    progress.line(
        f"{len(data)} crystals, {int(data.mask.sum())} orbits; {parameters / 1e6:.2f} M parameters on {where}; "
        f"{settings.epochs} epochs of {steps_per_epoch} steps"
    )
    clock, saved = time.monotonic(), time.monotonic()

    while state.step < total_steps and not is_out_of_time(settings, state):
        epoch, step_in_epoch = divmod(state.step, steps_per_epoch)
        order = epoch_order(seed, epoch, len(data), where)
        crystals = order[step_in_epoch * settings.batch_size :][: settings.batch_size]
        batch = data.select(crystals)
        noisy, target, times = corrupted(process, batch, mixed_seed(seed, state.step))

        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(settings, state, total_steps)
        losses = batch_losses(denoiser, noisy, target, times, settings.loss_weights, backward=True)
        norm = torch.nn.utils.clip_grad_norm_(denoiser.parameters(), settings.gradient_norm)
        if not math.isfinite(losses["total"]) or not bool(norm.isfinite()):
            raise SymmcdError(explained_divergence(output_dir, state.step, noisy, target, times, losses, float(norm)))
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        average(list(denoiser.parameters()), list(averaged.parameters()), settings.ema_decay, state.step)

        for name in NAMES:
            state.sums[name] = state.sums.get(name, 0.0) + losses[name] * len(crystals)
        state.step += 1
        now = time.monotonic()
        state.seconds, state.epoch_seconds, clock = state.seconds + now - clock, state.epoch_seconds + now - clock, now
        progress.update(state.step, f"loss {losses['total']:.3f}")

        if state.step % steps_per_epoch == 0:
            last = state.step == total_steps or is_out_of_time(settings, state)
            validated = (epoch + 1) % settings.validate_every == 0 or last
            row: dict[str, Any] = {"epoch": epoch + 1, "seconds": round(state.epoch_seconds, 3)}
            row |= {f"train_{name}": state.sums[name] / len(data) for name in NAMES}
            if validated:
                found = validation_losses(averaged, process, validation, settings)
                row |= {f"val_{name}": found[name] for name in NAMES}
            state.rows.append(row)
            state.sums, state.epoch_seconds = {}, 0.0
            write_losses(output_dir / "losses.csv", state.rows)
            progress.line(described(row, settings.epochs))
        if time.monotonic() - saved >= 60 * settings.checkpoint_minutes:
            write_state(state_path, state, print_, denoiser, averaged, optimiser)
            saved = time.monotonic()

    progress.close()
    if state.rows and "val_total" not in state.rows[-1]:  # stopped in mid-epoch by the clock
        found = validation_losses(averaged, process, validation, settings)
        state.rows[-1] |= {f"val_{name}": found[name] for name in NAMES}
    write_losses(output_dir / "losses.csv", state.rows)
    provenance = {
        "seed": seed,
        "device": where.type,
        **hashes,
        "crystals": len(data),
        "training": dataclasses.asdict(settings),
        "steps_done": state.step,
        "steps_planned": total_steps,
        "seconds": round(state.seconds, 1),
    }
    path = output_dir / "denoiser.safetensors"
    write_checkpoint(path, averaged.state_dict(), statistics, model, provenance)
    state_path.unlink(missing_ok=True)
    epochs = state.step / steps_per_epoch
    print(f"wrote {path} ({parameters} parameters, {epochs:.1f} epochs, {state.seconds / 60:.1f} minutes)")
    print(f"wrote {output_dir / 'losses.csv'} ({len(state.rows)} rows)")


# --- batches and losses ----------------------------------------------------------------------------------------------


def epoch_order(seed: int, epoch: int, crystals: int, device: torch.device) -> Tensor:
    """Order of all crystals in an epoch, (crystals,)."""
    generator = torch.Generator().manual_seed(mixed_seed(seed, 1, epoch))
    return torch.randperm(crystals, generator=generator).to(device)


def validation_losses(
    averaged: Denoiser, process: ForwardProcess, validation: OrbitBatch, settings: TrainingSettings
) -> dict[str, float]:
    """Losses of the averaged weights on all validation crystals, with noise and times that never change."""
    order = torch.argsort(validation.count, stable=True)
    sums = dict.fromkeys(NAMES, 0.0)
    for number, crystals in enumerate(order.split(settings.batch_size)):
        batch = validation.select(crystals)
        parts = corrupted(process, batch, mixed_seed(VALIDATION_SEED, number))
        losses = batch_losses(averaged, *parts, settings.loss_weights, backward=False)
        for name in NAMES:
            sums[name] += losses[name] * len(crystals)
    return {name: value / len(validation) for name, value in sums.items()}


# --- schedule --------------------------------------------------------------------------------------------------------


def schedule(settings: TrainingSettings, state: TrainingState, total_steps: int) -> float:
    """Factor of the learning rate: rises over the warm-up, then falls along half a cosine to 1 % at the end.

    The end is the last epoch, or `max_minutes` where that comes first.
    """
    warm = min(1.0, (state.step + 1) / max(settings.warmup_steps, 1))
    done = state.step / total_steps
    if settings.max_minutes:
        done = max(done, min(1.0, state.seconds / (60 * settings.max_minutes)))
    return warm * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def is_out_of_time(settings: TrainingSettings, state: TrainingState) -> bool:
    """Whether `max_minutes` have been spent in this training, earlier runs of it counted in."""
    return bool(settings.max_minutes) and state.seconds >= 60 * settings.max_minutes


def refuse_paper_scale(model: ModelSettings, settings: TrainingSettings, units: AsymmetricUnits) -> None:
    """Stop a training that would take two CPU cores more than a day, unless the user set a limit of time.

    Raises:
        InputError: naming the configuration that fits.
    """
    count = np.diff(units.start).astype(float)
    width, pair = model.width, 6 * model.frequencies
    multiply_adds = model.layers * ((count**2).sum() * (pair + width) * width + count.sum() * 5 * width**2)
    days = 6 * multiply_adds * settings.epochs / CPU_FLOPS / 86_400  # forward and backward, two operations each
    if days > 1 and not settings.max_minutes:
        raise InputError(
            f"training at this size takes about {days:.0f} days on a CPU, and there is no CUDA device here. "
            "Use config/cpu.yaml (MP-20, about an hour), or config/quickstart.yaml (minutes); "
            "with --device cpu, or `device: cpu` in the configuration, it trains here all the same"
        )


# --- state and tables ------------------------------------------------------------------------------------------------


def fingerprint(model: ModelSettings, settings: TrainingSettings, seed: int, hashes: Mapping[str, str]) -> str:
    """Hash of everything that the weights depend on; a state of another fingerprint is not gone on from."""
    # read again, so that 0 and 0.0 are one value whether they come from Python, JSON or the defaults
    read = {
        "model": read_section("model", dataclasses.asdict(model)),
        "training": read_section("training", dataclasses.asdict(settings)),
    }
    values = {
        "model": dataclasses.asdict(read["model"]),
        "training": dataclasses.asdict(read["training"]) | {"checkpoint_minutes": None},
        "seed": seed,
        **hashes,
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def resume(
    path: Path, fingerprint: str, denoiser: Denoiser, averaged: Denoiser, optimiser: torch.optim.Adam
) -> TrainingState:
    """The state in `path`, loaded; a new one if there is none, or one of another training, which is set aside."""
    if not path.exists():
        return TrainingState()
    state = read_state(path, fingerprint, denoiser, averaged, optimiser)
    if state is None:
        aside = path.with_name("checkpoint.old.safetensors")
        path.replace(aside)
        print(f"{path} belongs to other data or settings: training from the start (it is now {aside.name})")
        return TrainingState()
    print(f"going on from {path}, step {state.step}")
    return state


def write_losses(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``losses.csv``; validation columns are empty in epochs without validation."""
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def described(row: Mapping[str, Any], epochs: int) -> str:
    """One line for the log."""
    parts = [f"epoch {row['epoch']}/{epochs}, {row['seconds']:.1f} s"]
    for split in ("train", "val"):
        if f"{split}_total" in row:
            values = ", ".join(f"{name} {row[f'{split}_{name}']:.4f}" for name in NAMES)
            parts.append(f"{split}: {values}")
    return "; ".join(parts)


def explained_divergence(
    output_dir: Path,
    step: int,
    noisy: OrbitBatch,
    target: Target,
    times: Tensor,
    losses: Mapping[str, float],
    norm: float,
) -> str:
    """Save the batch that broke the training and say where it is."""
    path = output_dir / f"diverged_step{step}.safetensors"
    tensors = {"times": times} | {
        f"{kind}/{field.name}": getattr(part, field.name)
        for kind, part in (("state", noisy), ("target", target))
        for field in dataclasses.fields(part)
    }
    write_tensors(path, {k: v.cpu().numpy() for k, v in tensors.items()}, {"step": str(step)})
    values = ", ".join(f"{name} {losses[name]:.3g}" for name in NAMES)
    return (
        f"the loss or its gradient is not finite at step {step} ({values}, gradient norm {norm:.3g}). "
        f"The batch is in {path}; lower training.learning_rate and start again"
    )
