"""What a training needs to go on exactly where it was: weights, their average, Adam's moments and the counters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from symmcd.errors import InputError
from symmcd.storage import read_tensors, write_tensors

FORMAT = "symmcd training state 1"


@dataclass
class TrainingState:
    """Counters of a training; the tensors live in the network and its optimiser."""

    step: int = 0  # optimiser steps done
    seconds: float = 0.0  # spent in this training so far, over all its runs
    epoch_seconds: float = 0.0  # of these, in the epoch under way
    sums: dict[str, float] = field(default_factory=dict)  # losses of the epoch under way, summed over its crystals
    rows: list[dict[str, Any]] = field(default_factory=list)  # of losses.csv


def average(weights: Sequence[Tensor], averaged: Sequence[Tensor], decay: float, step: int) -> None:
    """Exponential moving average in place; the first steps count more, or the random start would stay visible."""
    torch._foreach_lerp_(list(averaged), list(weights), 1 - min(decay, (1 + step) / (10 + step)))


def write_state(
    path: Path,
    state: TrainingState,
    fingerprint: str,
    model: nn.Module,
    averaged: nn.Module,
    optimiser: torch.optim.AdamW,
) -> None:
    """Write everything to `path`, replacing what stood there only once it is complete."""
    tensors = {f"weights/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"averaged/{name}": value for name, value in averaged.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"adam/{index}/{name}": value for name, value in moments.items()}
    text = {"format": FORMAT, "fingerprint": fingerprint, "state": json.dumps(vars(state))}
    write_tensors(path, {name: value.detach().cpu().numpy() for name, value in tensors.items()}, text)


def read_state(
    path: Path, fingerprint: str, model: nn.Module, averaged: nn.Module, optimiser: torch.optim.AdamW
) -> TrainingState | None:
    """Load what `write_state` wrote; None if it belongs to a training with another fingerprint.

    Raises:
        InputError: the file is cut short or no training state.
    """
    arrays, text = read_tensors(path)
    if text.get("format") != FORMAT:
        raise InputError(f"{path}: not a training state of this version; delete it to train from the start")
    if text["fingerprint"] != fingerprint:
        return None
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    for prefix, module in (("weights/", model), ("averaged/", averaged)):
        module.load_state_dict({name: tensors[prefix + name] for name in module.state_dict()})
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("adam/"):
            _, index, moment = name.split("/")
            moments.setdefault(int(index), {})[moment] = value
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    return TrainingState(**json.loads(text["state"]))
