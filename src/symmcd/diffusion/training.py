"""The training loop: one network, its objective and AdamW, which can be killed and continued at any step."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from symmcd.diffusion.distributed import Process, add_up
from symmcd.diffusion.loss_table import described, write_losses
from symmcd.diffusion.objective import Objective
from symmcd.diffusion.optimisation import Optimisation, is_out_of_time, is_stale, schedule
from symmcd.diffusion.progress import StepProgress
from symmcd.diffusion.random_streams import mixed_seed
from symmcd.diffusion.training_state import Networks, TrainingState, average, resume, write_state
from symmcd.errors import InputError, SymmcdError
from symmcd.storage import write_tensors

STATE = "checkpoint.safetensors"  # removed by who has written the weights


def minimise(
    objective: Objective,
    output_dir: Path,
    settings: Optimisation,
    seed: int,
    settings_hash: str,
    process: Process,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Train the network of `objective`; its averaged weights of the best validated epoch, and how long it took.

    Several processes (see `diffusion.distributed`) take shares of every batch and the same steps; the first one keeps
    the time, validates and writes.

    Raises:
        SymmcdError: the loss became infinite or NaN; the batch is saved and named.
    """
    training = Training(objective, output_dir, settings, seed, settings_hash, process)
    while not training.is_done and training.step():
        if training.state.step % training.steps_per_epoch == 0:
            training.end_epoch()
        training.save_if_due()
    return training.finished()


class Training:
    """A training under way: the network and its averages, the optimiser, the counters, and where they are written."""

    def __init__(
        self,
        objective: Objective,
        output_dir: Path,
        settings: Optimisation,
        seed: int,
        settings_hash: str,
        process: Process,
    ) -> None:
        self.objective, self.output_dir, self.settings = objective, output_dir, settings
        self.seed, self.settings_hash, self.process = seed, settings_hash, process
        self.precision = str(objective.precision).removeprefix("torch.")
        self.parameters = list(objective.network.parameters())
        self.device = self.parameters[0].device
        self.networks = Networks.of(objective.network)
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.state = resume(output_dir / STATE, settings_hash, self.networks, self.optimiser, process)
        self.steps_per_epoch = math.ceil(objective.crystals / settings.batch_size)
        self.total_steps = settings.epochs * self.steps_per_epoch
        self.progress = StepProgress("training, step", self.total_steps, self.state.step, quiet=not process.writes)
        self.progress.line(
            f"{objective.crystals} crystals; {self.size / 1e6:.2f} M parameters on {self.device} in {self.precision}"
            + (f", {process.number} processes" if process.number > 1 else "")
            + f"; {settings.epochs} epochs of {self.steps_per_epoch} steps"
        )
        self.board = tensorboard(output_dir / "tensorboard") if settings.tensorboard and process.writes else None
        self._clock = self._saved = time.monotonic()

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.parameters)

    @property
    def is_done(self) -> bool:
        """Return whether all steps are done, or the time is up."""
        return self.state.step >= self.total_steps or is_out_of_time(self.settings, self.state)

    def step(self) -> bool:
        """Take one step with the next batch; False, with nothing changed, where `patience` ends the training.

        Raises:
            SymmcdError: the loss became infinite or NaN; the batch is saved and named.
        """
        objective, settings, state = self.objective, self.settings, self.state
        epoch, step_in_epoch = divmod(state.step, self.steps_per_epoch)
        order = epoch_order(self.seed, epoch, objective.crystals, self.device)
        rows = order[step_in_epoch * settings.batch_size :][: settings.batch_size]
        step_seed = mixed_seed(self.seed, state.step)

        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(settings, state, self.total_steps)
        own = accumulated(objective, objective.network, rows, step_seed, settings.crystals_at_once, self.process)
        losses, seconds, stale = self._agreed(own)
        if stale:
            self.progress.line(f"no lower validation loss for {settings.patience} epochs: training ends")
            return False
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, settings.gradient_norm)
        if not math.isfinite(losses["total"]) or not bool(norm.isfinite()):
            inputs = objective.inputs(rows, step_seed)
            raise SymmcdError(explained_divergence(self.output_dir, state.step, inputs, losses, float(norm)))
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        average(self.parameters, list(self.networks.averaged.parameters()), settings.ema_decay, state.step)

        for name in objective.names:
            state.sums[name] = state.sums.get(name, 0.0) + losses[name] * len(rows)
        state.step += 1
        state.seconds, state.epoch_seconds = state.seconds + seconds, state.epoch_seconds + seconds
        most_left = 60 * settings.max_minutes - state.seconds if settings.max_minutes else math.inf
        self.progress.update(state.step, f"loss {losses['total']:.3f}", most_left)
        return True

    def _agreed(self, losses: Mapping[str, float]) -> tuple[dict[str, float], float, bool]:
        """Losses of the batch, seconds since the step before, and whether patience is over: the same in all processes.

        The first process measures the last two, or they would stop apart.
        """
        now = time.monotonic()
        seconds, self._clock = now - self._clock, now
        own = (seconds, float(is_stale(self.settings, self.state))) if self.process.writes else (0.0, 0.0)
        *sums, seconds, stale = add_up(self.parameters, [*losses.values(), *own], self.process)
        return dict(zip(losses, sums, strict=True)), seconds, bool(stale)

    def end_epoch(self) -> None:
        """Write the epoch's row of losses.csv, validated where it is time to, and start the next epoch's sums."""
        settings, state, names = self.settings, self.state, self.objective.names
        if self.process.writes:
            epoch = state.step // self.steps_per_epoch
            row: dict[str, Any] = {"epoch": epoch, "seconds": round(state.epoch_seconds, 3)}
            row |= {f"train_{name}": state.sums[name] / self.objective.crystals for name in names}
            if epoch % settings.validate_every == 0 or self.is_done:
                row |= validated_losses(self.objective, self.networks, state, epoch, settings.batch_size)
            state.rows.append(row)
            write_losses(self.output_dir / "losses.csv", state.rows, names)
            if self.board is not None:
                for name, value in row.items():
                    self.board.add_scalar(name.replace("_", "/", 1), value, epoch)
                self.board.flush()
            self.progress.line(described(row, settings.epochs, names))
        state.sums, state.epoch_seconds = {}, 0.0

    def save_if_due(self) -> None:
        """Write the state from which a training resumes, every `checkpoint_minutes`."""
        if self.process.writes and time.monotonic() - self._saved >= 60 * self.settings.checkpoint_minutes:
            write_state(self.output_dir / STATE, self.state, self.settings_hash, self.networks, self.optimiser)
            self._saved = time.monotonic()

    def finished(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights to keep, and a record of the training; the last row of losses.csv is validated."""
        state, names = self.state, self.objective.names
        self.progress.close()
        done = {
            "steps_done": state.step,
            "steps_planned": self.total_steps,
            "seconds": round(state.seconds, 1),
            "precision": self.precision,
            "loss_rows": len(state.rows),
        }
        if not self.process.writes:
            return self.networks.averaged.state_dict(), done
        if state.rows and "val_total" not in state.rows[-1]:  # stopped in mid-epoch by the clock
            epoch, batch_size = state.rows[-1]["epoch"], self.settings.batch_size
            state.rows[-1] |= validated_losses(self.objective, self.networks, state, epoch, batch_size)
        path = self.output_dir / "losses.csv"
        write_losses(path, state.rows, names)
        epochs, minutes = state.step / self.steps_per_epoch, state.seconds / 60
        print(f"{self.size} parameters, {epochs:.1f} epochs, {minutes:.1f} minutes")
        print(f"wrote {path} ({len(state.rows)} rows)")
        if state.best_epoch:
            print(f"kept the weights of epoch {state.best_epoch}, validation loss {state.best_total:.4f}")
            return self.networks.best.state_dict(), done | {"kept_epoch": state.best_epoch}
        return self.networks.averaged.state_dict(), done


def validated_losses(
    objective: Objective, networks: Networks, state: TrainingState, epoch: int, batch_size: int
) -> dict[str, float]:
    """Validation columns of losses.csv for the averaged weights, which become the best ones if they are."""
    losses = objective.validation_losses(networks.averaged, batch_size)
    if math.isfinite(losses["total"]) and (not state.best_epoch or losses["total"] < state.best_total):
        state.best_epoch, state.best_total = epoch, losses["total"]
        networks.best.load_state_dict(networks.averaged.state_dict())
    return {f"val_{name}": losses[name] for name in objective.names}


def accumulated(
    objective: Objective, network: nn.Module, rows: Tensor, seed: int, crystals_at_once: int, process: Process
) -> dict[str, float]:
    """Losses of this process' share of a batch; its gradient is added in the network.

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


def tensorboard(folder: Path) -> Any:
    """A writer of curves for TensorBoard.

    Raises:
        InputError: the package is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "training.tensorboard: the package tensorboard is not installed; run `pip install tensorboard`"
        ) from None
    return SummaryWriter(str(folder))


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
