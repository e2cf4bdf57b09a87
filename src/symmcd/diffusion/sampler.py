"""Options for running a reverse process, for any model."""

from __future__ import annotations

from dataclasses import dataclass

from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.errors import InputError
from symmcd.settings import LEAST_TEMPERATURE


@dataclass(frozen=True)
class Sampler:
    """Sampling options; all of them can be changed without retraining."""

    steps: int | None = None  # None: the model's default
    proposals: int | None = None  # geometries drawn for each crystal; the likeliest is kept; None: the model's default
    corrector: bool = True  # a Langevin step at each noise level, of the coordinates, in a staged model of k too
    corrector_step: float = 1e-5  # its size in a joint model, at σ_1
    batch_size: int = 256  # crystals at once: a matter of memory and speed only
    temperature: float = 1.0  # temperature of a staged model's Wyckoff positions and elements
    constraints: tuple[Constraint, ...] = ()  # on positions and elements; () = what the model likes

    @property
    def chooses(self) -> bool:
        """Return whether crystals are drawn as proposals, some of which are unwanted."""
        return any(constraint.weighs for constraint in self.constraints)

    @property
    def looks_first(self) -> bool:
        """Return whether freely drawn crystals can be accepted or refused one by one."""
        return all(constraint.looks_only for constraint in self.constraints)

    def __post_init__(self) -> None:
        """Raise InputError for what no model can do."""
        if self.batch_size < 1 or (self.steps or 0) < 0 or (self.proposals or 0) < 0:
            raise InputError(
                f"batch_size = {self.batch_size}, steps = {self.steps}, proposals = {self.proposals}: at least 1"
            )
        if not LEAST_TEMPERATURE <= self.temperature <= 1 / LEAST_TEMPERATURE:
            raise InputError(
                f"temperature {self.temperature}: must lie between {LEAST_TEMPERATURE} and {1 / LEAST_TEMPERATURE:g}"
            )
