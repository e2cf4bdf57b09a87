"""How to run a reverse process, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass

STAGED_STEPS, STAGED_PROPOSALS = 50, 4  # of a staged model where none are asked for (docs/model-study.md)


@dataclass(frozen=True)
class Sampler:
    """Choices of who samples, none of which a model was trained for."""

    steps: int | None = None  # None: all T of training, or `STAGED_STEPS`
    proposals: int | None = None  # geometries a crystal, the likeliest is kept; None: 1, or `STAGED_PROPOSALS`
    corrector: bool = True  # a Langevin step of the coordinates before each reverse step
    corrector_step: float = 1e-5  # its size in a joint model, at σ_1
    batch_size: int = 256  # crystals at once: a matter of memory and speed only
    temperature: float = 1.0  # of a staged model's Wyckoff positions and elements
    elements: tuple[int, ...] = ()  # atomic numbers a staged model chooses from; () = all of the training set
