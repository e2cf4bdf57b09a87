"""The training loop: one network, its objective and AdamW, killed and gone on with at any step."""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from symmcd.diffusion.distributed import Process, add_up
from symmcd.diffusion.objective import Objective
from symmcd.diffusion.progress import Progress
from symmcd.diffusion.random_streams import mixed_seed
from symmcd.diffusion.training_state import Networks, TrainingState, average, read_state, write_state
from symmcd.errors import InputError, SymmcdError
from symmcd.storage import atomic_path, write_tensors

STATE = "checkpoint.safetensors"  # removed by who has written the weights


@dataclass(frozen=True)
class Optimisation:
    """How a network is trained; the settings of `symmcd.settings.TrainingSettings` of the same names."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    gradient_norm: float = 1.0  # clip by global norm
    ema_decay: float = 0.999
    warmup_steps: int = 100
    validate_every: int = 10  # epochs
    patience: int = 0  # epochs without a lower validation loss; 0: it does not end
    crystals_at_once: int = 0  # of a batch; 0: all
    max_minutes: float = 0.0  # 0: no limit
    checkpoint_minutes: float = 2.0
    tensorboard: bool = False

    @classmethod
    def of(cls, settings: Any, epochs: int) -> Optimisation:
        """Those of a settings object that has all of these, for `epochs`."""
        names = (field.name for field in dataclasses.fields(cls))
        return cls(**{name: getattr(settings, name) for name in names} | {"epochs": epochs})


def minimise(
    objective: Objective,
    output_dir: Path,
    settings: Optimisation,
    seed: int,
    print_: str,
    process: Process,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train the network of `objective`; its averaged weights of the best validated epoch, and how long it took.

    Several processes (see `diffusion.distributed`) take shares of every batch and the same steps; the first one keeps
    the time, validates and writes.

    Raises:
        SymmcdError: the loss became infinite or NaN; the batch is saved and named.
    """
    network, names = objective.network, objective.names
    precision = str(objective.precision).removeprefix("torch.")
    parameters = list(network.parameters())
    where = parameters[0].device
    networks = Networks.of(network)
    averaged = networks.averaged
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    state_path = output_dir / STATE
    state = resume(state_path, print_, networks, optimiser, process)
    steps_per_epoch = math.ceil(objective.crystals / settings.batch_size)
    total_steps = settings.epochs * steps_per_epoch
    progress = Progress("training, step", total_steps, state.step, quiet=not process.writes)
    size = sum(p.numel() for p in parameters)
    progress.line(
        f"{objective.crystals} crystals; {size / 1e6:.2f} M parameters on {where} in {precision}"
        + (f", {process.number} processes" if process.number > 1 else "")
        + f"; {settings.epochs} epochs of {steps_per_epoch} steps"
    )
    board = tensorboard(output_dir / "tensorboard") if settings.tensorboard and process.writes else None
    clock, saved = time.monotonic(), time.monotonic()

    while state.step < total_steps and not is_out_of_time(settings, state):
        epoch, step_in_epoch = divmod(state.step, steps_per_epoch)
        order = epoch_order(seed, epoch, objective.crystals, where)
        rows = order[step_in_epoch * settings.batch_size :][: settings.batch_size]
        step_seed = mixed_seed(seed, state.step)

        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(settings, state, total_steps)
        sums = accumulated(objective, network, rows, step_seed, settings.crystals_at_once, process)
        elapsed, clock = time.monotonic() - clock, time.monotonic()
        told = {"seconds": elapsed, "stale": float(is_stale(settings, state))}  # by one, or they would stop apart
        losses = add_up(parameters, sums | (told if process.writes else dict.fromkeys(told, 0.0)), process)
        elapsed = losses.pop("seconds")
        if losses.pop("stale"):
            progress.line(f"no lower validation loss for {settings.patience} epochs: training ends")
            break
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.gradient_norm)
        if not math.isfinite(losses["total"]) or not bool(norm.isfinite()):
            inputs = objective.inputs(rows, step_seed)
            raise SymmcdError(explained_divergence(output_dir, state.step, inputs, losses, float(norm)))
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        average(parameters, list(averaged.parameters()), settings.ema_decay, state.step)

        for name in names:
            state.sums[name] = state.sums.get(name, 0.0) + losses[name] * len(rows)
        state.step += 1
        state.seconds, state.epoch_seconds = state.seconds + elapsed, state.epoch_seconds + elapsed
        most_left = 60 * settings.max_minutes - state.seconds if settings.max_minutes else math.inf
        progress.update(state.step, f"loss {losses['total']:.3f}", most_left)

        if state.step % steps_per_epoch == 0 and process.writes:
            last = state.step == total_steps or is_out_of_time(settings, state)
            validated = (epoch + 1) % settings.validate_every == 0 or last
            row: dict[str, Any] = {"epoch": epoch + 1, "seconds": round(state.epoch_seconds, 3)}
            row |= {f"train_{name}": state.sums[name] / objective.crystals for name in names}
            if validated:
                row |= validated_losses(objective, networks, state, epoch + 1, settings.batch_size)
            state.rows.append(row)
            write_losses(output_dir / "losses.csv", state.rows, names)
            if board is not None:
                for name, value in row.items():
                    board.add_scalar(name.replace("_", "/", 1), value, epoch + 1)
                board.flush()
            progress.line(described(row, settings.epochs, names))
        if state.step % steps_per_epoch == 0:
            state.sums, state.epoch_seconds = {}, 0.0
        if process.writes and time.monotonic() - saved >= 60 * settings.checkpoint_minutes:
            write_state(state_path, state, print_, networks, optimiser)
            saved = time.monotonic()

    progress.close()
    done = {
        "steps_done": state.step,
        "steps_planned": total_steps,
        "seconds": round(state.seconds, 1),
        "precision": precision,
        "loss_rows": len(state.rows),
    }
    if not process.writes:
        return averaged.state_dict(), done
    if state.rows and "val_total" not in state.rows[-1]:  # stopped in mid-epoch by the clock
        state.rows[-1] |= validated_losses(objective, networks, state, state.rows[-1]["epoch"], settings.batch_size)
    write_losses(output_dir / "losses.csv", state.rows, names)
    print(f"{size} parameters, {state.step / steps_per_epoch:.1f} epochs, {state.seconds / 60:.1f} minutes")
    print(f"wrote {output_dir / 'losses.csv'} ({len(state.rows)} rows)")
    if state.best_epoch:
        print(f"kept the weights of epoch {state.best_epoch}, validation loss {state.best_total:.4f}")
        return networks.best.state_dict(), done | {"kept_epoch": state.best_epoch}
    return averaged.state_dict(), done


def validated_losses(
    objective: Objective, networks: Networks, state: TrainingState, epoch: int, batch_size: int
) -> dict[str, float]:
    """Validation columns of losses.csv for the averaged weights, which become the best ones if they are."""
    found = objective.validation_losses(networks.averaged, batch_size)
    if math.isfinite(found["total"]) and (not state.best_epoch or found["total"] < state.best_total):
        state.best_epoch, state.best_total = epoch, found["total"]
        networks.best.load_state_dict(networks.averaged.state_dict())
    return {f"val_{name}": found[name] for name in objective.names}


def accumulated(
    objective: Objective, network: nn.Module, rows: Tensor, seed: int, crystals_at_once: int, process: Process
) -> dict[str, float]:
    """What this process' share of a batch adds to its losses; the gradient likewise, in the network.

    Args:
        objective: what to minimise.
        network: gets the gradients.
        rows: crystals of the batch.
        seed: of the noise.
        crystals_at_once: the most that go through together; 0 = all.
        process: this one.
    """
    share = process.share(torch.arange(len(rows), device=rows.device))
    if len(share) == len(rows) and not crystals_at_once:
        return objective.losses(network, rows, seed, backward=True)
    sums = dict.fromkeys(objective.names, 0.0)
    for part in share.split(crystals_at_once or max(len(share), 1)):
        if len(part):
            for name, value in objective.losses(network, rows, seed, backward=True, share=part).items():
                sums[name] += value
    return sums


@functools.lru_cache(maxsize=1)
def epoch_order(seed: int, epoch: int, crystals: int, device: torch.device) -> Tensor:
    """Order of all crystals in an epoch, (crystals,)."""
    generator = torch.Generator().manual_seed(mixed_seed(seed, 1, epoch))
    return torch.randperm(crystals, generator=generator).to(device)


# --- schedule --------------------------------------------------------------------------------------------------------


def schedule(settings: Optimisation, state: TrainingState, total_steps: int) -> float:
    """Factor of the learning rate: rises over the warm-up, then falls along half a cosine to 1 % at the end.

    The end is the last epoch, or `max_minutes` where that comes first.
    """
    warm = min(1.0, (state.step + 1) / max(settings.warmup_steps, 1))
    done = state.step / total_steps
    if settings.max_minutes:
        done = max(done, min(1.0, state.seconds / (60 * settings.max_minutes)))
    return warm * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def is_out_of_time(settings: Optimisation, state: TrainingState) -> bool:
    """Whether `max_minutes` have been spent in this training, earlier runs of it counted in."""
    return bool(settings.max_minutes) and state.seconds >= 60 * settings.max_minutes


def is_stale(settings: Optimisation, state: TrainingState) -> bool:
    """Whether the validation loss has not fallen for `patience` epochs."""
    validated = next((row["epoch"] for row in reversed(state.rows) if "val_total" in row), 0)
    return bool(settings.patience and state.best_epoch) and validated - state.best_epoch >= settings.patience


def tensorboard(folder: Path) -> Any:
    """A writer of curves for TensorBoard.

    Raises:
        InputError: the package is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "training.tensorboard: the package tensorboard is not installed here (pip install it)"
        ) from None
    return SummaryWriter(str(folder))


def resume(
    path: Path,
    fingerprint: str,
    networks: Networks,
    optimiser: torch.optim.AdamW,
    process: Process,
) -> TrainingState:
    """The state in `path`, loaded; a new one if there is none, or one of another training, which is set aside."""
    if not path.exists():
        return TrainingState()
    state = read_state(path, fingerprint, networks, optimiser)
    if state is None and not process.writes:
        return TrainingState()
    if state is None:
        set_aside(path)
        return TrainingState()
    if process.writes:
        print(f"going on from {path}, step {state.step}")
    return state


def set_aside(path: Path) -> None:
    """Keep a file that belongs to another training under another name, and say so."""
    aside = path.with_name(f"{path.stem}.old{path.suffix}")
    path.replace(aside)
    print(f"{path} belongs to other data or settings: training from the start (it is now {aside.name})")


def loss_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Columns of ``losses.csv``, given the names of the losses."""
    return ("epoch", "seconds", *(f"{split}_{name}" for split in ("train", "val") for name in names))


def write_losses(path: Path, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Write ``losses.csv``; validation columns are empty in epochs without validation."""
    columns = loss_columns(names)
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


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
