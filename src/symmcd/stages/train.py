"""Stage ``train``: asymmetric units → the weights of a denoiser, with a row of losses an epoch.

The paper's joint denoiser is one network; a staged model is two, which do not need each other to be trained: one after
the other, or each by a process of its own (`part`), after which a call without `part` puts them together.
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.checkpoint import data_sha256, read_part, write_checkpoint, write_part
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.device import choose_device
from symmcd.diffusion.objective import JointObjective, Objective
from symmcd.diffusion.progress import Progress
from symmcd.diffusion.random_streams import mixed_seed
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.lattice_scale import LatticeScale
from symmcd.diffusion.staged.objectives import GeometryObjective, WyckoffObjective
from symmcd.diffusion.training_state import TrainingState, average, read_state, write_state
from symmcd.errors import InputError, SymmcdError
from symmcd.settings import ModelSettings, TrainingSettings, read_section
from symmcd.storage import atomic_path, read_units, write_tensors

CPU_FLOPS = 1e11  # a generous guess of what two cores do in a second
SURROUNDINGS = 4.0  # what a staged model spends on distances to images and its second network, over its matrix products
STAGED_PARTS = ("wyckoff", "geometry")


def run(
    train: Path,
    val: Path,
    output_dir: Path,
    model: ModelSettings,
    settings: TrainingSettings,
    seed: int = 0,
    device: str = "auto",
    part: str | None = None,
) -> None:
    """Train a denoiser, going on from ``checkpoint.safetensors`` in `output_dir` if there is one.

    Batches, noise and initial weights follow from `seed` and the step number alone, so a training that was killed at
    any moment and started again ends with the same weights as one that was not, bit for bit on a CPU (but for
    ``max_minutes``, which makes the schedule depend on the clock).

    Args:
        train, val: asymmetric units.
        output_dir: gets ``denoiser.safetensors`` and ``losses.csv``; the parts of a staged model have folders in it.
        model, settings, seed, device: as in the configuration.
        part: ``wyckoff`` or ``geometry`` of a staged model, to train it alone; None trains what is not trained yet.

    Raises:
        InputError: unusable data, no CUDA device, or a network that a CPU would train for more than a day.
        SymmcdError: the loss became infinite or NaN; the batch is saved and named.
    """
    units, validation = read_units(train), read_units(val)
    if not len(units) or not len(validation):
        raise InputError(f"{train if not len(units) else val}: no crystals to train on")
    if part is not None and (model.kind != "staged" or part not in STAGED_PARTS):
        raise InputError(f"--part {part}: only a model of kind 'staged' has parts: {', '.join(STAGED_PARTS)}")
    where = choose_device(device)
    if device == "auto" and where.type == "cpu":
        refuse_paper_scale(model, settings, units)
    hashes = {"data_sha256": data_sha256(units), "validation_sha256": data_sha256(validation)}
    provenance = {
        "seed": seed,
        "device": where.type,
        **hashes,
        "crystals": len(units),
        "training": dataclasses.asdict(settings),
    }
    path = output_dir / "denoiser.safetensors"

    if model.kind != "staged":
        torch.manual_seed(mixed_seed(seed))
        objective = JointObjective(model, units, validation, settings.loss_weights, where)
        print_ = fingerprint(model, settings, seed, hashes)
        weights, done = minimise(objective, output_dir, settings, settings.epochs, seed, print_, where)
        write_checkpoint(path, weights, objective.statistics.tensors(), model, provenance | done)
        print(f"wrote {path} ({sum(w.numel() for w in weights.values())} values)")
        return

    joined: dict[str, Tensor] = {}
    for name in STAGED_PARTS if part is None else (part,):
        folder = output_dir / name
        print_ = fingerprint(model, settings, seed, hashes | {"part": name})
        finished = read_part(folder / "weights.safetensors", print_)
        if finished is None:
            torch.manual_seed(mixed_seed(seed, STAGED_PARTS.index(name)))
            staged: Objective
            if name == "wyckoff":
                staged, epochs = WyckoffObjective(model, units, validation, where), settings.wyckoff_epochs
            else:
                staged, epochs = GeometryObjective(model, units, validation, where), settings.epochs
            finished = minimise(staged, folder, settings, epochs, seed, print_, where)
            write_part(folder / "weights.safetensors", *finished, print_)
            print(f"wrote {folder / 'weights.safetensors'}")
        weights, done = finished
        joined |= {f"{name}.{key}": value for key, value in weights.items()}
        provenance[name] = done
    if part is None:
        statistics = DataStatistics.of(units).tensors() | {
            f"lattice_scale.{name}": value
            for name, value in vars(LatticeScale.of(FlatCrystals.from_units(units))).items()
        }
        write_checkpoint(path, joined, statistics, model, provenance)
        join_losses([output_dir / name / "losses.csv" for name in STAGED_PARTS], output_dir / "losses.csv")
        print(f"wrote {path} ({sum(w.numel() for w in joined.values())} values)")


def minimise(
    objective: Objective,
    output_dir: Path,
    settings: TrainingSettings,
    epochs: int,
    seed: int,
    print_: str,
    where: torch.device,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train the network of `objective`; the averaged weights, and how long they took.

    Raises:
        SymmcdError: the loss became infinite or NaN; the batch is saved and named.
    """
    network, names = objective.network, objective.names
    averaged = copy.deepcopy(network).requires_grad_(requires_grad=False)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    state_path = output_dir / "checkpoint.safetensors"
    state = resume(state_path, print_, network, averaged, optimiser)
    steps_per_epoch = math.ceil(objective.crystals / settings.batch_size)
    total_steps = epochs * steps_per_epoch
    progress = Progress("training, step", total_steps, state.step)
    parameters = sum(p.numel() for p in network.parameters())
    progress.line(
        f"{objective.crystals} crystals; {parameters / 1e6:.2f} M parameters on {where}; "
        f"{epochs} epochs of {steps_per_epoch} steps"
    )
    clock, saved = time.monotonic(), time.monotonic()

    while state.step < total_steps and not is_out_of_time(settings, state):
        epoch, step_in_epoch = divmod(state.step, steps_per_epoch)
        order = epoch_order(seed, epoch, objective.crystals, where)
        rows = order[step_in_epoch * settings.batch_size :][: settings.batch_size]
        step_seed = mixed_seed(seed, state.step)

        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(settings, state, total_steps)
        losses = objective.losses(network, rows, step_seed, backward=True)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
        if not math.isfinite(losses["total"]) or not bool(norm.isfinite()):
            inputs = objective.inputs(rows, step_seed)
            raise SymmcdError(explained_divergence(output_dir, state.step, inputs, losses, float(norm)))
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        average(list(network.parameters()), list(averaged.parameters()), settings.ema_decay, state.step)

        for name in names:
            state.sums[name] = state.sums.get(name, 0.0) + losses[name] * len(rows)
        state.step += 1
        now = time.monotonic()
        state.seconds, state.epoch_seconds, clock = state.seconds + now - clock, state.epoch_seconds + now - clock, now
        progress.update(state.step, f"loss {losses['total']:.3f}")

        if state.step % steps_per_epoch == 0:
            last = state.step == total_steps or is_out_of_time(settings, state)
            validated = (epoch + 1) % settings.validate_every == 0 or last
            row: dict[str, Any] = {"epoch": epoch + 1, "seconds": round(state.epoch_seconds, 3)}
            row |= {f"train_{name}": state.sums[name] / objective.crystals for name in names}
            if validated:
                found = objective.validation_losses(averaged, settings.batch_size)
                row |= {f"val_{name}": found[name] for name in names}
            state.rows.append(row)
            state.sums, state.epoch_seconds = {}, 0.0
            write_losses(output_dir / "losses.csv", state.rows, names)
            progress.line(described(row, epochs, names))
        if time.monotonic() - saved >= 60 * settings.checkpoint_minutes:
            write_state(state_path, state, print_, network, averaged, optimiser)
            saved = time.monotonic()

    progress.close()
    if state.rows and "val_total" not in state.rows[-1]:  # stopped in mid-epoch by the clock
        found = objective.validation_losses(averaged, settings.batch_size)
        state.rows[-1] |= {f"val_{name}": found[name] for name in names}
    write_losses(output_dir / "losses.csv", state.rows, names)
    state_path.unlink(missing_ok=True)
    done = {"steps_done": state.step, "steps_planned": total_steps, "seconds": round(state.seconds, 1)}
    print(f"{parameters} parameters, {state.step / steps_per_epoch:.1f} epochs, {state.seconds / 60:.1f} minutes")
    print(f"wrote {output_dir / 'losses.csv'} ({len(state.rows)} rows)")
    return averaged.state_dict(), done


def epoch_order(seed: int, epoch: int, crystals: int, device: torch.device) -> Tensor:
    """Order of all crystals in an epoch, (crystals,)."""
    generator = torch.Generator().manual_seed(mixed_seed(seed, 1, epoch))
    return torch.randperm(crystals, generator=generator).to(device)


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
    width, staged = model.width, model.kind == "staged"
    pair = 0 if staged else 6 * model.frequencies
    multiply_adds = model.layers * ((count**2).sum() * (pair + width) * width + count.sum() * 5 * width**2)
    days = 6 * multiply_adds * settings.epochs / CPU_FLOPS / 86_400  # forward and backward, two operations each
    days *= SURROUNDINGS if staged else 1
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
    path: Path, fingerprint: str, network: nn.Module, averaged: nn.Module, optimiser: torch.optim.AdamW
) -> TrainingState:
    """The state in `path`, loaded; a new one if there is none, or one of another training, which is set aside."""
    if not path.exists():
        return TrainingState()
    state = read_state(path, fingerprint, network, averaged, optimiser)
    if state is None:
        aside = path.with_name("checkpoint.old.safetensors")
        path.replace(aside)
        print(f"{path} belongs to other data or settings: training from the start (it is now {aside.name})")
        return TrainingState()
    print(f"going on from {path}, step {state.step}")
    return state


def write_losses(path: Path, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Write ``losses.csv``; validation columns are empty in epochs without validation."""
    columns = ("epoch", "seconds", *(f"{split}_{name}" for split in ("train", "val") for name in names))
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def join_losses(parts: Sequence[Path], path: Path) -> None:
    """One table of the losses of several parts, epoch by epoch; seconds add up, totals stay with the parts."""
    rows: dict[int, dict[str, Any]] = {}
    names: list[str] = []
    for part in parts:
        with part.open(newline="") as file:
            reader = csv.DictReader(file)
            of_part = [column for column in reader.fieldnames or () if column.startswith("train_")]
            names += [column.removeprefix("train_") for column in of_part if column != "train_total"]
            for row in reader:
                joined = rows.setdefault(int(row["epoch"]), {"epoch": row["epoch"], "seconds": 0.0})
                joined["seconds"] += float(row["seconds"])
                joined |= {k: v for k, v in row.items() if k not in ("epoch", "seconds") and not k.endswith("_total")}
    write_losses(path, [rows[epoch] for epoch in sorted(rows)], names)


def described(row: Mapping[str, Any], epochs: int, names: Sequence[str]) -> str:
    """One line for the log."""
    parts = [f"epoch {row['epoch']}/{epochs}, {row['seconds']:.1f} s"]
    for split in ("train", "val"):
        if f"{split}_total" in row:
            values = ", ".join(f"{name} {row[f'{split}_{name}']:.4f}" for name in names)
            parts.append(f"{split}: {values}")
    return "; ".join(parts)


def explained_divergence(
    output_dir: Path, step: int, inputs: Mapping[str, Tensor], losses: Mapping[str, float], norm: float
) -> str:
    """Save the batch that broke the training and say where it is."""
    path = output_dir / f"diverged_step{step}.safetensors"
    write_tensors(path, {k: v.cpu().numpy() for k, v in inputs.items()}, {"step": str(step)})
    values = ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
    return (
        f"the loss or its gradient is not finite at step {step} ({values}, gradient norm {norm:.3g}). "
        f"The batch is in {path}; lower training.learning_rate and start again"
    )
