"""Interface of a model to the rest of the program: how it is trained, assembled, and asked for crystals.

A model is one class, named by its entry in `symmcd.extensions.MODELS`.  `stages.train` makes a checkpoint by its class
methods; `diffusion.generator` makes one of its objects of a checkpoint, and asks it for crystals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.checkpoint import Checkpoint
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.objective import Objective
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.errors import InputError, SymmcdError
from symmcd.extensions import MODELS
from symmcd.settings import Precision, TrainingSettings

if TYPE_CHECKING:
    from symmcd.diffusion.constraints.constraint import Constraint
    from symmcd.diffusion.staged.arrangements import Arrangements, Composition
    from symmcd.diffusion.staged.drawing import Drawn
    from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences

OnStep = Callable[[int], None]  # called with the number of reverse steps done


@dataclass(frozen=True, eq=False)
class Plan:
    """B crystals to be sampled together."""

    number: np.ndarray  # (B,) global numbers, by which each has random numbers of its own
    space_group: np.ndarray  # (B,)
    orbits: np.ndarray  # (B,)
    padded: np.ndarray  # (B,) orbits that each is padded to


@dataclass(frozen=True, eq=False)
class Task:
    """Training data and settings of a part of a model."""

    train: AsymmetricUnits
    validation: AsymmetricUnits
    model: Any  # the settings of the model's kind
    training: TrainingSettings
    device: torch.device


class PartObjective(Objective, Protocol):
    """Objective of the training of a part of a model."""

    def finished(self, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Trained weights as they are stored, and a record of what was done to them, for the checkpoint."""


class Model(Protocol):
    """A generative model of asymmetric units."""

    one_size: ClassVar[bool]  # batches are of one padded size each

    def __init__(self, checkpoint: Checkpoint, precision: Precision = "auto") -> None:
        """Take weights and statistics from `checkpoint`, on the device of its tensors.

        Raises:
            MisfitError: they are those of other settings.
        """

    @classmethod
    def objective(cls, part: str, task: Task) -> PartObjective:
        """Objective for the training of one part.  Weights start from torch's global random state.

        Never called for a kind without parts.
        """

    @classmethod
    def assemble(
        cls, settings: Any, parts: Mapping[str, Mapping[str, Tensor]], train: AsymmetricUnits
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weights and statistics of a checkpoint.

        Statistics are at least those of `data_statistics.DataStatistics`; others, on the CPU, come back as
        ``Checkpoint.tensors``.

        Args:
            settings: of the model.
            parts: weights of each trained part.
            train: training set.
        """

    def sample(
        self, plan: Plan, streams: CrystalStreams, options: Sampler, on_step: OnStep = lambda _: None
    ) -> AsymmetricUnits:
        """The crystals of `plan`, in its order, on their Wyckoff positions; labels are left to the caller.

        Args:
            plan: which crystals.
            streams: their random numbers, on the device of the model.
            options: with the numbers of steps and proposals filled in.
            on_step: called with the number of each finished step, of ``options.steps``.

        Raises:
            SymmcdError: the networks have come to numbers that are not finite.
        """


class ComposingModel(Model, Protocol):
    """A model that draws Wyckoff positions and elements before the geometry, and can be given either.

    What is asked of kinds that can do "elements" or "composition".
    """

    def draft(self, plan: Plan, streams: CrystalStreams, options: Sampler) -> Drawn:
        """Wyckoff positions and elements of the crystals of `plan`, in its order, with weights and probabilities.

        A weight is the logarithm of the model's probability of a crystal over that with which it was drawn;
        `log_probability` that of positions and elements given the space group and the number of orbits.
        """

    def log_probability(self, sequences: WyckoffSequences) -> Tensor:
        """(B,) natural logarithms of the positions and elements of crystals, as `draft` has them."""

    def geometries(
        self,
        sequences: WyckoffSequences,
        number: np.ndarray,
        streams: CrystalStreams,
        options: Sampler,
        on_step: OnStep = lambda _: None,
    ) -> AsymmetricUnits:
        """Crystals of these positions and elements, as `sample` makes them; `number` (B,) names them in errors."""

    def arrangements(
        self,
        compositions: Sequence[Composition],
        number: int,
        pool: Sequence[tuple[Plan, CrystalStreams]],
        space_groups: Sequence[int] = (),
    ) -> list[Arrangements]:
        """The likeliest positions and elements of each composition.

        Args:
            compositions: what the crystals are to be made of.
            number: largest number for each composition.
            pool: plans of one padded size each, for which positions are drawn, beside those of the training set.
            space_groups: allowed ones; none given: all.
        """

    def log_share(self, sequences: WyckoffSequences, constraints: Sequence[Constraint]) -> Tensor:
        """Logarithm (B,) of the share of geometries that have the volume that `constraints` ask for."""

    def listed(
        self,
        formula_unit: Mapping[int, int],
        pool: Sequence[tuple[Plan, CrystalStreams]],
        log_prior: Tensor,
        options: Sampler,
    ) -> Drawn:
        """All crystals of a composition that fulfil constraints, as far as a pool of Wyckoff positions has them.

        Args:
            formula_unit: atomic number → atoms.
            pool: as of `arrangements`; positions are drawn under the constraints.
            log_prior: (230, M + 1) logarithm of p(G) p(M | G), -inf for what is not possible.
            options: with the constraints.
        """


def statistics_of(train: AsymmetricUnits) -> dict[str, Tensor]:
    """Statistics that every checkpoint has."""
    return DataStatistics.of(train).tensors()


def checked_sample(made: AsymmetricUnits, plan: Plan, kind: str) -> AsymmetricUnits:
    """Check the crystals of a model for `plan`; correct them as `AsymmetricUnits.check` does if the model is not ours.

    Raises:
        SymmcdError: no asymmetric units, another number of crystals, or what can be no crystal: a defect of the model.
    """
    if not isinstance(made, AsymmetricUnits):
        raise SymmcdError(f"a {kind!r} model has sampled {type(made).__name__}, expected AsymmetricUnits; fix it")
    if len(made) != len(plan.number):
        raise SymmcdError(f"a {kind!r} model has sampled {len(made)} of {len(plan.number)} crystals; fix it")
    if kind in MODELS.shipped:  # tests hold them to it, and what they make stays as it is to the last bit
        return made
    try:
        return replace(made, label=plan.number.astype(str)).check()
    except InputError as error:
        raise SymmcdError(f"a {kind!r} model has sampled something that is not a crystal: {error}; fix it") from error


def check_finite(number: np.ndarray, orbits: np.ndarray, k: np.ndarray, position: np.ndarray) -> None:
    """Raise SymmcdError where a network has come to numbers that are not finite.

    Args:
        number: (B,) global numbers of the crystals.
        orbits: (B,) of each.
        k: (B, 6).
        position: (A, 3).
    """
    finite = np.isfinite(k).all(axis=1)
    finite[np.repeat(np.arange(len(orbits)), orbits)[~np.isfinite(position).all(axis=1)]] = False
    if not finite.all():
        raise SymmcdError(
            f"crystals {', '.join(map(str, number[~finite].tolist()))}: the denoiser returned infinite or "
            "undefined numbers; sample in float32 (sampling.precision), or train again with a lower learning rate"
        )
