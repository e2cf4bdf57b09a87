"""A model in one file, as somebody's package could add it: it repeats its training crystals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, numbered_labels
from symmcd.diffusion.model import statistics_of
from symmcd.extensions import ModelKind
from symmcd.settings import Count, Kind, ModelSettings


@dataclass(frozen=True)
class EchoSettings(ModelSettings):
    """A model that repeats its training crystals."""

    kind: Kind = "echo"
    kept: Count = 10  # training crystals that it knows


class EchoModel:
    """Crystal `number` is the training crystal of that number, over and over."""

    one_size = False

    def __init__(self, checkpoint, precision="auto") -> None:  # noqa: ARG002
        arrays = {name: value.numpy() for name, value in checkpoint.tensors.items()}
        self.known = AsymmetricUnits(label=np.array(numbered_labels(len(arrays["space_group"]))), **arrays)

    @classmethod
    def objective(cls, part, task):  # noqa: ARG003
        raise AssertionError("there are no parts")

    @classmethod
    def assemble(cls, settings, parts, train):
        assert not parts
        kept = train.take(range(min(settings.kept, len(train))))
        names = ("space_group", "k", "start", "element", "wyckoff", "position")
        return {}, statistics_of(train) | {name: torch.from_numpy(getattr(kept, name)) for name in names}

    def sample(self, plan, streams, options, on_step=lambda _: None):  # noqa: ARG002
        assert (options.steps, options.proposals) == (1, 1)
        on_step(1)
        return self.known.take(plan.number % len(self.known))


ECHO = ModelKind(
    name="echo",
    sentence="repeats its training crystals",
    settings=EchoSettings,
    implementation=f"{__name__}:EchoModel",
)
