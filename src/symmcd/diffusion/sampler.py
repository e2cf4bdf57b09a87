"""How to run a reverse process, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass

from symmcd.errors import InputError
from symmcd.settings import LEAST_TEMPERATURE

STAGED_STEPS, STAGED_PROPOSALS = 50, 4  # of a staged model where none are asked for (docs/model-study.md)


@dataclass(frozen=True)
class Sampler:
    """Choices of who samples, none of which a model was trained for."""

    steps: int | None = None  # None: all T of training, or `STAGED_STEPS`
    proposals: int | None = None  # geometries a crystal, the likeliest is kept; None: 1, or `STAGED_PROPOSALS`
    corrector: bool = True  # a Langevin step at each noise level, of the coordinates, in a staged model of k too
    corrector_step: float = 1e-5  # its size in a joint model, at σ_1
    batch_size: int = 256  # crystals at once: a matter of memory and speed only
    temperature: float = 1.0  # of a staged model's Wyckoff positions and elements
    elements: tuple[int, ...] = ()  # atomic numbers a staged model chooses from; () = all of the training set
    every_element: bool = False  # each of `elements` must be in every crystal
    most_atoms: int | None = None  # of a crystal's primitive cell; None: as many as the model likes

    @property
    def chooses(self) -> bool:
        """Whether crystals must be of a kind, so that some that are drawn are not wanted."""
        return bool(self.elements) or self.most_atoms is not None

    def __post_init__(self) -> None:
        """Raise InputError for what no model can do."""
        if self.batch_size < 1 or (self.steps or 0) < 0 or (self.proposals or 0) < 0:
            raise InputError(
                f"batch_size = {self.batch_size}, steps = {self.steps}, proposals = {self.proposals}: at least 1"
            )
        if self.every_element and not self.elements:
            raise InputError("every one of no elements: name those that each crystal is to have")
        if self.most_atoms is not None and self.most_atoms < 1:
            raise InputError(f"at most {self.most_atoms} atoms: a crystal has at least 1")
        if not LEAST_TEMPERATURE <= self.temperature <= 1 / LEAST_TEMPERATURE:
            raise InputError(
                f"temperature {self.temperature}: it lies between {LEAST_TEMPERATURE} and {1 / LEAST_TEMPERATURE:g}"
            )
