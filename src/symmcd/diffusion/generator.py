"""From a checkpoint to new crystals: groups and numbers of orbits from the prior, sampling in batches, decoding."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.composition import formula_unit_of
from symmcd.crystallography.space_group import number_of
from symmcd.device import choose_device
from symmcd.diffusion.abilities import NEEDED, Abilities
from symmcd.diffusion.batches import Batch, OnBatch, OnProgress, Watch, ignored
from symmcd.diffusion.checkpoint import Checkpoint, MisfitError, read_checkpoint
from symmcd.diffusion.constraints.constraint import read_constraints, space_groups_of
from symmcd.diffusion.draws import Draw, StagedDraw
from symmcd.diffusion.model import ComposingModel, Model, Plan, checked_sample
from symmcd.diffusion.prior import draw_groups_and_orbits
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.diffusion.staged.arrangements import Arrangements, Composition
from symmcd.diffusion.staged.drawing import AT_ONCE, resampled
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.errors import InputError
from symmcd.extensions import MODELS
from symmcd.settings import Precision

PROPOSED, ATTEMPTS = 32, 64  # proposals of positions and elements that a crystal of given elements is kept from
POOL = 2000  # sets of Wyckoff positions drawn beside those of the training set, for a composition to fit
PAD_TO = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20)  # orbits; beyond the last, multiples of 8


@dataclass(frozen=True, eq=False)
class Candidate:
    """A crystal that a composition may form."""

    unit: AsymmetricUnit
    log_probability: float  # natural logarithm, of its space group, positions and elements, not of its geometry


class Generator:
    """Makes crystals from trained weights (see `symmcd.load_pretrained`)."""

    def __init__(self, checkpoint: Checkpoint, precision: Precision = "auto") -> None:
        self.checkpoint = checkpoint
        self.settings = checkpoint.settings
        self.device = checkpoint.statistics.lattice_mean.device
        self._model: Model = MODELS[self.settings.kind].load()(checkpoint, precision)
        tensors = {f"weights/{name}": value for name, value in checkpoint.weights.items()}
        tensors |= {f"statistics/{name}": value for name, value in checkpoint.statistics.tensors().items()}
        tensors |= {f"statistics/{name}": value for name, value in checkpoint.tensors.items()}
        known = {name: tensors[name].cpu().numpy() for name in NEEDED if name in tensors}
        self.abilities = Abilities.of(self.settings, known)

    @classmethod
    def load(cls, path: Path | str, device: str = "auto", precision: Precision = "auto") -> Generator:
        """A generator from a file that `symmcd train` wrote.

        Raises:
            InputError: missing, cut short, no denoiser of ours, or tensors that do not fit the settings it names.
        """
        checkpoint = read_checkpoint(Path(path), choose_device(device))
        try:
            return cls(checkpoint, precision)
        except MisfitError as error:
            raise InputError(
                f"{path}: its tensors do not fit its settings. Weights of another version of symmcd (commit "
                f"{checkpoint.metadata.get('commit')})? Train again, or use that version. {error}"
            ) from None

    def generate(
        self,
        number: int = 10,
        space_group: int | str | None = None,
        *,
        seed: int = 0,
        steps: int | None = None,
        corrector: bool = True,
        proposals: int | None = None,
        temperature: float = 1.0,
        batch_size: int = 256,
        on_batch: OnBatch = ignored,
        on_progress: OnProgress = ignored,
        **constraints: Any,
    ) -> list[AsymmetricUnit]:
        """New crystals, decoded: every orbit lies exactly on a Wyckoff position of its group.

        Args:
            number: how many.
            space_group: 1 to 230 or its symbol (`space_group.number_of`), for all of them; None draws groups as
                frequent as in the training set.
            seed: the same seed gives the same crystals, and more of them the same first ones.  On CUDA, for the same
                batches: there a last digit may depend on what is computed together.
            steps: reverse steps, at most the T of training; None takes those of `ModelKind.default_steps`.
            corrector: a Langevin step at each noise level, which doubles the time.
            proposals: geometries of each crystal, of which the model keeps the one that it finds likeliest; the time
                grows with them. None takes those of `ModelKind.default_proposals`.
            temperature: of Wyckoff positions and elements; above 1 there are more new templates, fewer valid crystals.
            batch_size: crystals at once.
            on_batch: called with the crystals of each batch as soon as they are finished, those with few orbits first;
                where an interrupt ends the rest, they are what there is.
            on_progress: called with the number of crystals done, the work done, and the whole work.
            constraints: by their names in `symmcd.extensions.CONSTRAINTS`, as ``elements=["Li", 26, "O"]``,
                ``exclude``, ``chemical_system="Li-Fe-O"`` and ``max_atoms=8``; `symmcd generate --help` lists all.
                Crystals follow the model's distribution given these, as far as `PROPOSED` proposals each can tell.

        Raises:
            InputError: a number below 1, no such constraint, space group or element, what the model cannot do (see
                `sample`), or no crystal found that fulfils the constraints.
        """
        _check_whole(number=number)
        asked = read_constraints({"space_group": space_group, **constraints})
        sampler = Sampler(
            steps=steps,
            proposals=proposals,
            corrector=corrector,
            batch_size=batch_size,
            temperature=temperature,
            constraints=asked,
        )
        groups = space_groups_of(asked)
        self.abilities.check(sampler)
        if sampler.chooses:
            chosen = self._chosen(number, sampler, seed, groups)
            return self.with_geometries(chosen, sampler, seed, on_batch, on_progress)
        plans = list(self.plan(np.arange(number), sampler, seed, groups))
        watch = Watch([plan.orbits for plan in plans], self.steps(sampler), on_progress)
        units: dict[int, AsymmetricUnit] = {}
        for plan in plans:
            made = self.sample(plan, sampler, seed, watch.step)
            batch = Batch(plan.number, [made[i] for i in range(len(made))])
            units |= zip(batch.number.tolist(), batch.units, strict=True)
            watch.finished()
            on_batch(batch)
        return [units[name] for name in range(number)]

    @property
    def elements(self) -> list[int]:
        """Atomic numbers of the training set, to choose from where the model can be told elements."""
        return sorted(self.abilities.elements)

    def plan(
        self, number: np.ndarray, sampler: Sampler, seed: int, space_groups: Sequence[int] = (), *, apart: bool = False
    ) -> Iterator[Plan]:
        """Space group and number of orbits of the crystals `number` (B,), put into batches, small crystals first.

        Batches are of one padded size each if they are to be `apart`, or if the model wants them so.

        How far a crystal is padded depends on its own number of orbits alone, so that it comes out the same
        (up to the rounding of matrix products) whatever it is sampled together with.
        """
        streams = CrystalStreams(seed, torch.as_tensor(number, dtype=torch.int64))
        uniform = streams.uniform(Draw.PLAN, (2,))
        statistics = self.checkpoint.statistics.to("cpu")
        group, orbits = (a.numpy() for a in draw_groups_and_orbits(statistics, uniform, space_groups))
        padded = np.array([next((p for p in PAD_TO if p >= m), -(-m // 8) * 8) for m in orbits.tolist()])
        sizes = np.unique(padded)[1:] if apart or self._model.one_size else ()
        order = np.argsort(padded, kind="stable")
        for rows in np.split(order, np.searchsorted(padded[order], sizes)):
            for first in range(0, len(rows), sampler.batch_size):
                part = rows[first : first + sampler.batch_size]
                yield Plan(number[part], group[part], orbits[part], padded[part])

    @torch.inference_mode()
    def sample(
        self, plan: Plan, sampler: Sampler, seed: int, on_step: Callable[[int], None] = lambda _: None
    ) -> AsymmetricUnits:
        """Sample the crystals of `plan`; their labels are numbers in the plan.

        With constraints, positions and elements are proposals, which `generate` weighs and this does not.

        Raises:
            InputError: more steps than the training had, or proposals, temperature or elements that the model has not.
            SymmcdError: the networks have come to numbers that are not finite.
        """
        options = self.abilities.filled(sampler)
        made = self._model.sample(plan, CrystalStreams(seed, self._whole(plan.number)), options, on_step)
        return checked_sample(made, plan, self.settings.kind)

    @torch.inference_mode()
    def predict(
        self,
        formula: str | Mapping[int, int] | Mapping[str, int],
        number: int = 10,
        space_group: int | str | None = None,
        *,
        atoms: int | None = None,
        pool: int = POOL,
        seed: int = 0,
        steps: int | None = None,
        corrector: bool = True,
        proposals: int | None = None,
        batch_size: int = 256,
        on_batch: OnBatch = ignored,
        on_progress: OnProgress = ignored,
    ) -> list[Candidate]:
        """Crystals that a composition may form, the likeliest first, no two alike in group, positions and elements.

        Args:
            formula: as ``TiO2``, {22: 1, 8: 2} or {"Ti": 1, "O": 2}.
            number: how many at most; there are fewer where the pool has no more.
            space_group: 1 to 230 or its symbol, of all of them; None: any.
            atoms: of the primitive cell; None: any number of formula units.
            pool: sets of Wyckoff positions drawn, for the composition to fit, beside those of the training set.
            seed: the same seed gives the same crystals, and more of them the same first ones.
            steps, corrector, proposals, batch_size, on_batch, on_progress: of the geometries, as in `generate`; the
                likeliest crystals come first.

        Raises:
            InputError: no formula, or the pool has no positions for it, or an element that the training set lacks, no
                such space group, a number below 1, or a model that is not of kind ``staged``.
        """
        sampler = Sampler(steps=steps, proposals=proposals, corrector=corrector, batch_size=batch_size)
        unit = formula_unit_of(formula)
        self.abilities.check(sampler)  # before the search, which takes longer than to refuse
        self.abilities.check_composition(unit, atoms)
        composition = Composition(unit, atoms)
        found = self.arrangements([composition], number, space_group, pool=pool, seed=seed)[0]
        if not len(found):
            where = f" in space group {space_group}" if space_group else ""
            raise InputError(
                f"no known set of Wyckoff positions{where} fits {composition}, nor do {pool} drawn ones; "
                "draw a larger pool"
            )
        log_probability = found.log_probability.cpu().numpy()

        def with_probabilities(batch: Batch) -> None:
            on_batch(dataclasses.replace(batch, log_probability=log_probability[batch.number]))

        units = self.with_geometries(found.sequences, sampler, seed, with_probabilities, on_progress)
        return [Candidate(*pair) for pair in zip(units, log_probability.tolist(), strict=True)]

    @torch.inference_mode()
    def arrangements(
        self,
        compositions: Sequence[Composition],
        number: int,
        space_group: int | str | None = None,
        *,
        pool: int = POOL,
        seed: int = 0,
    ) -> list[Arrangements]:
        """Of each composition the likeliest positions and elements, from one pool for all; see `predict`.

        Raises:
            InputError: as `predict`, but for compositions that nothing was found for.
        """
        model = self._composing
        _check_whole(number=number, pool=pool)
        for composition in compositions:
            self.abilities.check_elements(tuple(composition.formula_unit))
        groups = () if space_group is None else (number_of(space_group),)
        plans = list(self.plan(np.arange(pool), Sampler(batch_size=AT_ONCE), seed, groups, apart=True))
        streams = [CrystalStreams(seed, self._whole(plan.number)) for plan in plans]
        return model.arrangements(compositions, number, list(zip(plans, streams, strict=True)), groups)

    @torch.inference_mode()
    def with_geometries(
        self,
        crystals: WyckoffSequences,
        sampler: Sampler,
        seed: int = 0,
        on_batch: OnBatch = ignored,
        on_progress: OnProgress = ignored,
    ) -> list[AsymmetricUnit]:
        """A geometry for the positions and elements of each of `crystals`; see `generate` for the rest.

        Raises:
            InputError: the model cannot be told elements, or what else `sampler` asks for.
        """
        options, model = self.abilities.filled(sampler), self._composing
        batches = torch.arange(len(crystals), device=self.device).split(sampler.batch_size)
        watch = Watch([crystals.count[rows].cpu().numpy() for rows in batches], self.steps(sampler), on_progress)
        units: list[AsymmetricUnit] = []
        for rows in batches:
            number = rows.cpu().numpy()
            made = model.geometries(crystals.select(rows), number, CrystalStreams(seed, rows), options, watch.step)
            batch = Batch(number, [made[i] for i in range(len(made))])
            units += batch.units
            watch.finished()
            on_batch(batch)
        return units

    @torch.inference_mode()
    def _chosen(self, number: int, sampler: Sampler, seed: int, groups: Sequence[int]) -> WyckoffSequences:
        """Positions and elements of `number` crystals, given the constraints of `sampler`.

        Raises:
            InputError: as `generate`.
        """
        missing = torch.arange(number, device=self.device)
        found, order = [], []
        for attempt in range(ATTEMPTS):
            first = (missing * ATTEMPTS + attempt) * PROPOSED  # the same for a crystal however many there are
            names = (first[:, None] + torch.arange(PROPOSED, device=self.device)).flatten()
            proposals, log_weight = self._proposed(names.cpu().numpy(), sampler, seed, groups)
            kept = resampled(log_weight.view(-1, PROPOSED), CrystalStreams(seed, first).uniform(StagedDraw.KEPT))
            rows = (kept >= 0).nonzero()[:, 0]
            found.append(proposals.select(rows * PROPOSED + kept[rows]))
            order.append(missing[rows])
            missing = missing[kept < 0]
            if not len(missing):
                return WyckoffSequences.concatenate(found).select(torch.cat(order).argsort())
        raise InputError(
            f"{len(missing)} of {number} crystals: none of {ATTEMPTS * PROPOSED} drawn ones has "
            + " and ".join(map(str, sampler.constraints))
            + "; ask for less, or give a composition"
        )

    def _proposed(
        self, names: np.ndarray, sampler: Sampler, seed: int, groups: Sequence[int]
    ) -> tuple[WyckoffSequences, Tensor]:
        """Positions and elements drawn for the crystals `names`, in their order, and their weights (see `drawing`)."""
        (plan,) = self.plan(names, dataclasses.replace(sampler, batch_size=len(names)), seed, groups)
        number = self._whole(plan.number)
        sequences, weights = self._composing.draft(plan, CrystalStreams(seed, number), sampler)
        back = number.argsort()
        return sequences.select(back), weights[back]

    @property
    def _composing(self) -> ComposingModel:
        """The model, of which positions and elements can be asked for or given.

        Raises:
            InputError: it cannot.
        """
        self.abilities.check_can("composition")
        return cast("ComposingModel", self._model)

    def _whole(self, numbers: np.ndarray) -> Tensor:
        """Whole numbers on the device."""
        return torch.as_tensor(numbers, dtype=torch.int64, device=self.device)

    def steps(self, sampler: Sampler) -> int:
        """Reverse steps that `sampler` asks for."""
        return self.abilities.steps(sampler)


def _check_whole(**numbers: int) -> None:
    """Raise InputError where one of `numbers`, by its name, is no whole number of 1 or more."""
    for name, value in numbers.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < 1:
            raise InputError(f"{name} = {value!r}: expected a whole number, at least 1")
