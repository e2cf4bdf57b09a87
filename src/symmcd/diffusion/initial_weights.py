"""Weights that a training starts from in place of random ones (the setting `training.init`)."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

import torch
from torch import nn

from symmcd.diffusion.abilities import weights_path
from symmcd.diffusion.checkpoint import Checkpoint, read_checkpoint, under
from symmcd.errors import InputError
from symmcd.extensions import MODELS
from symmcd.settings import ModelSettings, path_of


@dataclass(frozen=True, eq=False)
class InitialWeights:
    """Networks of a trained model, to start a training from."""

    name: str  # as the setting has it
    checkpoint: Checkpoint
    sha256: str  # SHA-256 of the file

    @classmethod
    def read(cls, name: str, model: ModelSettings) -> InitialWeights:
        """Weights called `name` for a model with these settings.

        Raises:
            InputError: no such weights, a damaged file, or those of another kind of model.
        """
        path = weights_path(str(path_of(name)))
        checkpoint = read_checkpoint(path)
        if checkpoint.settings.kind != model.kind:
            raise InputError(
                f"training.init = {name}: weights of a {checkpoint.settings.kind!r} model, and this one is of kind "
                f"{model.kind!r}; give weights of the same kind"
            )
        return cls(name, checkpoint, hashlib.sha256(path.read_bytes()).hexdigest())

    @torch.no_grad()
    def give(self, part: str, network: nn.Module, model: ModelSettings) -> None:
        """Put the weights of `part` into `network`; its buffers, which describe its training set, stay.

        Args:
            part: of the model.
            network: with random weights.
            model: its settings.

        Raises:
            InputError: weights of another shape.
        """
        weights = self.checkpoint.weights
        weights = under(f"{part}.", weights) if len(MODELS[model.kind].parts) > 1 else weights
        parameters = dict(network.named_parameters())
        known = set(weights) - {name for name, _ in network.named_buffers()}
        wrong = sorted(set(parameters) ^ known) or [
            name for name, value in parameters.items() if value.shape != weights[name].shape
        ]
        if wrong:
            raise InputError(
                f"training.init = {self.name}: its network for {part} does not fit this model: {self._why(part, model)}"
                f" (tensor {wrong[0]}); take its settings in the section model, or leave init empty"
            )
        for name, value in parameters.items():
            value.copy_(weights[name])

    def _why(self, part: str, model: ModelSettings) -> str:
        """Settings of the part that are not those of the weights, in words."""
        theirs, ours = dataclasses.asdict(self.checkpoint.settings), dataclasses.asdict(model)
        without = MODELS[model.kind].part(part).independent_of.get("model", ())
        other = [
            f"model.{name} is {theirs[name]} there and {value} here"
            for name, value in ours.items()
            if name not in without and theirs[name] != value
        ]
        return ", ".join(other) or f"it was made at another version of symmcd ({self.checkpoint.metadata['commit']})"
