"""From a checkpoint to new crystals: templates from the prior, sampling in batches, decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from symmcd.batch import OrbitBatch
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.decode import decode
from symmcd.diffusion import reverse_process
from symmcd.diffusion.checkpoint import Checkpoint, read_checkpoint
from symmcd.diffusion.denoiser import Denoiser, Prediction
from symmcd.diffusion.device import choose_device
from symmcd.diffusion.forward_process import ForwardProcess
from symmcd.diffusion.noise_schedule import reverse_times
from symmcd.diffusion.precision import choose_precision, lowered, products
from symmcd.diffusion.prior import draw_templates
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import STAGED_STEPS, Sampler
from symmcd.diffusion.samples import Samples
from symmcd.diffusion.staged.model import StagedModel
from symmcd.errors import InputError
from symmcd.settings import Precision

PAD_TO = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20)  # orbits; beyond the last, multiples of 8


@dataclass(frozen=True, eq=False)
class Plan:
    """Some crystals to be sampled together."""

    number: np.ndarray  # (B,) global numbers
    space_group: np.ndarray  # (B,)
    orbits: np.ndarray  # (B,)
    padded: np.ndarray  # (B,) orbits that each is padded to, the same for all of a joint model


class Generator:
    """Makes crystals from trained weights (see `symmcd.load_pretrained`)."""

    def __init__(self, checkpoint: Checkpoint, precision: Precision = "auto") -> None:
        self.checkpoint = checkpoint
        self.settings = checkpoint.settings
        self.device = checkpoint.statistics.lattice_mean.device
        kind = StagedModel if self.settings.kind == "staged" else JointModel
        self._model: StagedModel | JointModel = kind(checkpoint, precision)

    @classmethod
    def load(cls, path: Path | str, device: str = "auto", precision: Precision = "auto") -> Generator:
        """A generator from a file that `symmcd train` wrote.

        Raises:
            InputError: missing, cut short, no denoiser of ours, or tensors that do not fit the settings it names.
        """
        checkpoint = read_checkpoint(Path(path), choose_device(device))
        try:
            return cls(checkpoint, precision)
        except (RuntimeError, TypeError) as error:  # of load_state_dict
            raise InputError(
                f"{path}: its tensors do not fit its settings. Weights of another version of symmcd (commit "
                f"{checkpoint.metadata.get('commit')})? Train again, or use that version. {error}"
            ) from None

    def generate(
        self,
        number: int,
        space_group: int | None = None,
        *,
        seed: int = 0,
        steps: int | None = None,
        corrector: bool = True,
        proposals: int | None = None,
        temperature: float = 1.0,
        elements: Sequence[int] = (),
        batch_size: int = 256,
    ) -> list[AsymmetricUnit]:
        """New crystals, decoded: every orbit lies exactly on a Wyckoff position of its group.

        Args:
            number: how many.
            space_group: 1 to 230, for all of them; None draws groups as frequent as in the training set.
            seed: the same seed gives the same crystals, and more of them the same first ones.
            steps: reverse steps, at most the T of training; None takes all, or 50 of a staged model.
            corrector: one Langevin step of the coordinates before each step, which doubles the time.
            proposals: geometries of each crystal, of which the model keeps the one that it finds likeliest; the time
                grows with them. None takes 4 of a staged model; a joint model makes 1.
            temperature: of Wyckoff positions and elements; above 1 there are more new templates, fewer valid crystals.
            elements: atomic numbers to choose from; none: all elements of the training set.
            batch_size: crystals at once.

        Raises:
            InputError: a number below 1, no such space group, or what the model cannot do: see `sample`.
        """
        if number < 1:
            raise InputError(f"{number=}: at least 1")
        sampler = Sampler(
            steps=steps,
            proposals=proposals,
            corrector=corrector,
            batch_size=batch_size,
            temperature=temperature,
            elements=tuple(elements),
        )
        groups = () if space_group is None else (space_group,)
        parts = [self.sample(plan, sampler, seed) for plan in self.plan(np.arange(number), sampler, seed, groups)]
        s = Samples.concatenate(parts)
        units = decode(s.space_group, s.lattice, s.element, s.position, s.site_symmetry, s.start)
        return [units[i] for i in range(len(units))]

    def plan(self, number: np.ndarray, sampler: Sampler, seed: int, space_groups: Sequence[int] = ()) -> Iterator[Plan]:
        """Space group and number of orbits of the crystals `number` (B,), put into batches, small crystals first.

        How far a crystal is padded depends on its own number of orbits alone, so that it comes out the same
        (up to the rounding of matrix products) whatever it is sampled together with.
        """
        streams = CrystalStreams(seed, torch.as_tensor(number, dtype=torch.int64))
        uniform = streams.uniform(reverse_process.TEMPLATE, (2,))
        group, orbits = (a.numpy() for a in draw_templates(self.checkpoint.statistics.to("cpu"), uniform, space_groups))
        padded = np.array([next((p for p in PAD_TO if p >= m), -(-m // 8) * 8) for m in orbits.tolist()])
        apart = np.unique(padded)[1:] if isinstance(self._model, JointModel) else ()
        order = np.argsort(padded, kind="stable")
        for rows in np.split(order, np.searchsorted(padded[order], apart)):
            for first in range(0, len(rows), sampler.batch_size):
                part = rows[first : first + sampler.batch_size]
                yield Plan(number[part], group[part], orbits[part], padded[part])

    @torch.inference_mode()
    def sample(
        self, plan: Plan, sampler: Sampler, seed: int, on_step: Callable[[int], None] = lambda _: None
    ) -> Samples:
        """Sample the crystals of `plan`.

        Raises:
            InputError: more steps than the training had, or proposals, temperature or elements that the model has not.
        """
        steps = self.steps(sampler)
        self._refuse(sampler)
        if steps > self.settings.steps:
            raise InputError(
                f"{steps} reverse steps, but the denoiser was trained with {self.settings.steps}; take no more"
            )
        streams = CrystalStreams(seed, torch.as_tensor(plan.number, dtype=torch.int64, device=self.device))
        group = torch.as_tensor(plan.space_group, dtype=torch.int64, device=self.device)
        orbits = torch.as_tensor(plan.orbits, dtype=torch.int64, device=self.device)
        padded = plan.padded.tolist()
        times = reverse_times(self.settings.steps, steps)
        k, element, position, site_symmetry = self._model.sample(
            group, orbits, padded, times, streams, sampler, on_step
        )
        return Samples(
            number=plan.number,
            space_group=plan.space_group,
            lattice=k.cpu().numpy().astype(float),
            start=np.concatenate([[0], np.cumsum(plan.orbits)]),
            element=element.cpu().numpy(),
            position=position.cpu().numpy().astype(float),
            site_symmetry=site_symmetry.cpu().numpy().astype(np.uint8),
        )

    def _refuse(self, sampler: Sampler) -> None:
        """Raise InputError for what this model cannot do."""
        kind = self.settings.kind
        if not sampler.temperature > 0 or (sampler.temperature != 1 and kind != "staged"):
            raise InputError(f"temperature {sampler.temperature}: it is above 0, and 1 for a model of kind {kind!r}")
        if (sampler.proposals or 1) != 1 and kind != "staged":
            raise InputError(f"{sampler.proposals} proposals: a model of kind {kind!r} makes one")
        if isinstance(self._model, StagedModel):
            unknown = sorted(set(sampler.elements) - self._model.elements)
            if unknown:
                raise InputError(f"elements with atomic numbers {unknown} are not in the training set of this model")
        elif sampler.elements:
            raise InputError(f"elements: a model of kind {kind!r} cannot be told which; 'staged' can")

    def steps(self, sampler: Sampler) -> int:
        """Reverse steps that `sampler` asks for."""
        fallback = min(STAGED_STEPS, self.settings.steps) if self.settings.kind == "staged" else self.settings.steps
        return sampler.steps or fallback


class JointModel:
    """The paper's denoiser: everything diffuses together."""

    def __init__(self, checkpoint: Checkpoint, precision: Precision = "auto") -> None:
        device = checkpoint.statistics.lattice_mean.device
        self.denoiser = Denoiser(checkpoint.settings)
        self.denoiser.load_state_dict(checkpoint.weights)
        self.denoiser = self.denoiser.to(device).eval().requires_grad_(requires_grad=False)
        self.precision = choose_precision(precision, device, checkpoint.settings.width)
        lowered(self.denoiser, self.precision)
        self.process = ForwardProcess(checkpoint.settings, checkpoint.statistics)

    def sample(
        self,
        space_group: Tensor,
        orbits: Tensor,
        padded: Sequence[int],
        times: Sequence[int],
        streams: CrystalStreams,
        sampler: Sampler,
        on_step: Callable[[int], None],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """k (B, 6), and of the orbits laid flat: elements, coordinates (A, 3), site-symmetry classes (A, 15)."""
        corrector_step = sampler.corrector_step if sampler.corrector else None
        mask = torch.arange(max(padded), device=orbits.device) < orbits[:, None]
        state = reverse_process.start(self.process, space_group, mask, streams)
        state = reverse_process.run(self._predict, self.process, state, times, streams, corrector_step, on_step)
        return state.lattice, state.element[mask], state.position[mask], state.site_symmetry[mask]

    def _predict(self, state: OrbitBatch, time: Tensor) -> Prediction:
        """Matrix products as in training; what the network answers is float32."""
        with products(time.device, self.precision):
            return self.denoiser(state, time)
