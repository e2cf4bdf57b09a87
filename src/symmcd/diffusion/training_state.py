"""Training state, to resume exactly: weights, their average, Adam's moments and the counters."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from symmcd.diffusion.distributed import Process
from symmcd.errors import InputError
from symmcd.storage import read_tensors, write_tensors

FORMAT = "symmcd training state 2"


@dataclass
class TrainingState:
    """Counters of a training; the tensors live in the network and its optimiser."""

    step: int = 0  # optimiser steps done
    seconds: float = 0.0  # spent in this training so far, over all its runs
    epoch_seconds: float = 0.0  # seconds spent in the current epoch
    sums: dict[str, float] = field(default_factory=dict)  # losses of the epoch under way, summed over its crystals
    rows: list[dict[str, Any]] = field(default_factory=list)  # rows of losses.csv
    best_epoch: int = 0  # validated epoch with the lowest loss; 0 before the first
    best_total: float = 0.0  # that loss


@dataclass(frozen=True, eq=False)
class Networks:
    """The same network with its weights of now, averaged, and averaged at the best epoch."""

    current: nn.Module
    averaged: nn.Module
    best: nn.Module

    @classmethod
    def of(cls, network: nn.Module) -> Networks:
        """`network` and two copies."""
        return cls(network, *(copy.deepcopy(network).requires_grad_(requires_grad=False) for _ in range(2)))

    def parts(self) -> tuple[tuple[str, nn.Module], ...]:
        """Each with its name in a training state."""
        return ("weights/", self.current), ("averaged/", self.averaged), ("best/", self.best)


def average(weights: Sequence[Tensor], averaged: Sequence[Tensor], decay: float, step: int) -> None:
    """Exponential moving average in place; the first steps count more, or the random start would stay visible."""
    torch._foreach_lerp_(list(averaged), list(weights), 1 - min(decay, (1 + step) / (10 + step)))


def write_state(
    path: Path,
    state: TrainingState,
    settings_hash: str,
    networks: Networks,
    optimiser: torch.optim.AdamW,
) -> None:
    """Write everything to `path`; an existing file is replaced only once the new one is complete."""
    tensors = {prefix + name: v for prefix, module in networks.parts() for name, v in module.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"adam/{index}/{name}": value for name, value in moments.items()}
    text = {"format": FORMAT, "fingerprint": settings_hash, "state": json.dumps(vars(state))}
    write_tensors(path, {name: value.detach().cpu().numpy() for name, value in tensors.items()}, text)


def read_state(
    path: Path, settings_hash: str, networks: Networks, optimiser: torch.optim.AdamW
) -> TrainingState | None:
    """Load what `write_state` wrote; None if it belongs to a training with other data or settings.

    Raises:
        InputError: the file is cut short or no training state.
    """
    arrays, text = read_tensors(path)
    if text.get("format") != FORMAT:
        raise InputError(f"{path}: not a training state of this version; delete it to train from the start")
    if text["fingerprint"] != settings_hash:
        return None
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    for prefix, module in networks.parts():
        module.load_state_dict({name: tensors[prefix + name] for name in module.state_dict()})
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("adam/"):
            _, index, moment = name.split("/")
            moments.setdefault(int(index), {})[moment] = value
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    return TrainingState(**json.loads(text["state"]))


def resume(
    path: Path,
    settings_hash: str,
    networks: Networks,
    optimiser: torch.optim.AdamW,
    process: Process,
) -> TrainingState:
    """The state in `path`, loaded; a new one if there is none, or one of another training, which is set aside."""
    if not path.exists():
        return TrainingState()
    state = read_state(path, settings_hash, networks, optimiser)
    if state is None and not process.writes:
        return TrainingState()
    if state is None:
        set_aside(path)
        return TrainingState()
    if process.writes:
        print(f"continuing from {path}, step {state.step}")
    return state


def set_aside(path: Path) -> None:
    """Keep a file that belongs to another training under another name, and say so."""
    aside = path.with_name(f"{path.stem}.old{path.suffix}")
    path.replace(aside)
    print(f"{path} belongs to other data or settings; training from the start (the old file is now {aside.name})")
