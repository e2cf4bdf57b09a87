"""New crystals from a checkpoint: groups and numbers of orbits from the prior, sampling in batches, decoding."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.composition import formula_unit_of
from symmcd.crystallography.drafts import Drafts
from symmcd.crystallography.flat_orbits import FlatOrbits
from symmcd.crystallography.space_group import number_of
from symmcd.device import choose_device
from symmcd.diffusion.abilities import NEEDED, Abilities
from symmcd.diffusion.batches import Batch, OnBatch, OnProgress, Watch, ignored
from symmcd.diffusion.checkpoint import Checkpoint, MisfitError, read_checkpoint
from symmcd.diffusion.constraints.constraint import read_constraints, space_groups_of
from symmcd.diffusion.drafting import Drafting
from symmcd.diffusion.model import ComposingModel, Model, Plan, checked_sample
from symmcd.diffusion.planning import check_whole, numbers_of, plans
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.diffusion.staged.arrangements import Arrangements, Composition
from symmcd.diffusion.staged.drawing import AT_ONCE
from symmcd.errors import InputError
from symmcd.extensions import MODELS
from symmcd.settings import Precision

if TYPE_CHECKING:  # they load pymatgen
    from symmcd.stability.hull import ConvexHull
    from symmcd.stability_model.choosing import Choice
    from symmcd.stability_model.model import StabilityModel

CHEAP_STEPS = 25  # of each of several geometries that are relaxed: relaxation makes up for steps, not for one basin
POOL = 2000  # sets of Wyckoff positions drawn beside those of the training set, for a composition to fit


@dataclass(frozen=True, eq=False)
class Candidate:
    """A crystal that a composition may form."""

    unit: AsymmetricUnit
    log_probability: float  # natural logarithm, of its space group, positions and elements, not of its geometry
    others: tuple[AsymmetricUnit, ...] = ()  # further geometries of the same positions and elements


class Generator:
    """Makes crystals from trained weights (see `symmcd.load_pretrained`)."""

    def __init__(self, checkpoint: Checkpoint, precision: Precision = "auto") -> None:
        self.checkpoint = checkpoint
        self.path: Path | None = None  # file of the weights, if they are from a file
        self.settings = checkpoint.settings
        self.device = checkpoint.statistics.lattice_mean.device
        self._model: Model = MODELS[self.settings.kind].load()(checkpoint, precision)
        self._drafts_by: Drafting | None = None  # it keeps the list of the last composition
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
            generator = cls(checkpoint, precision)
        except MisfitError as error:
            raise InputError(
                f"{path}: its tensors do not fit its settings. Weights of another version of symmcd (commit "
                f"{checkpoint.metadata.get('commit')})? Train again, or use that version. {error}"
            ) from None
        generator.path = Path(path)
        return generator

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the file of the weights; empty if they do not come from a file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest() if self.path else ""

    @property
    def hashes(self) -> tuple[str, ...]:
        """`sha256`, and that of the weights it was taught from (`staged.teaching`); empty if it has no file."""
        taught = self.checkpoint.metadata.get("taught")
        before = taught.get("weights_sha256") if isinstance(taught, dict) else None
        return tuple(filter(None, (self.sha256, before))) if self.path else ()

    def generate(
        self,
        number: int = 10,
        space_group: int | str | Sequence[int | str] | None = None,
        *,
        seed: int = 0,
        steps: int | None = None,
        corrector: bool = True,
        proposals: int | None = None,
        temperature: float = 1.0,
        batch_size: int = 256,
        on_batch: OnBatch = ignored,
        on_progress: OnProgress = ignored,
        stable: int = 1,
        stability_model: StabilityModel | Path | str | None = None,
        hull: ConvexHull | Path | str | None = None,
        leave_out: Sequence[str | Path] = ("train",),
        **constraints: Any,
    ) -> list[AsymmetricUnit]:
        """New crystals, decoded: every orbit lies exactly on a Wyckoff position of its group.

        Args:
            number: how many.
            space_group: 1 to 230 or its symbol (`space_group.number_of`), or several to choose from; None draws groups
                as frequent as in the training set.
            seed: the same seed gives the same crystals; a larger number begins with the same ones.  On CUDA this needs
                the same batches, because a last digit may depend on the other crystals of a batch.
            steps: reverse steps, at most the T of training; None takes those of `ModelKind.default_steps`.
            corrector: a Langevin step at each noise level, which doubles the time.
            proposals: geometries made for each crystal; the model keeps the likeliest one.  The time grows with their
                number.  None takes `ModelKind.default_proposals`.
            temperature: of Wyckoff positions and elements; above 1 there are more new templates, fewer valid crystals.
            batch_size: crystals at once.
            on_batch: called with the crystals of each batch as soon as they are finished, those with few orbits first;
                they remain if an interrupt ends the rest.
            on_progress: called with the number of crystals done, the work done, and the whole work.
            stable, stability_model, hull, leave_out: if `stable` is above 1, so many drafts are drawn per crystal, and
                those that the model finds most stable are completed (`draft_stable`).  A larger number then does not
                begin with the same crystals.
            constraints: by their names in `symmcd.extensions.CONSTRAINTS`, such as ``elements=["Li", 26, "O"]``,
                ``exclude``, ``chemical_system="Li-Fe-O"``, ``atoms="4-8"``, ``polar=True`` and ``density=(4, 6)``;
                `symmcd generate --help` lists all.
                Crystals follow the model's distribution given these, within the limits of `symmcd.diffusion.drafting`.

        Raises:
            InputError: a number below 1, no such constraint, space group or element, what the model cannot do (see
                `sample`), or no crystal found that fulfils the constraints.
        """
        check_whole(number=number, stable=stable)
        if stable > 1:
            what = {"seed": seed, "temperature": temperature, "hull": hull, "leave_out": leave_out, **constraints}
            chosen, _ = self.draft_stable(number, stable, stability_model, space_group, **what)
            return self.with_geometries(
                chosen, steps=steps, corrector=corrector, proposals=proposals, batch_size=batch_size,
                on_batch=on_batch, on_progress=on_progress,
            )  # fmt: skip
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
            with torch.inference_mode():
                drafts = self._drafting.draft(np.arange(number), sampler, seed, groups)
                return self._drafting.with_geometries(drafts, self.abilities.filled(sampler), on_batch, on_progress)
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
        together = apart or self._model.one_size
        yield from plans(self.checkpoint.statistics, number, sampler.batch_size, seed, space_groups, apart=together)

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
        geometries: int = 1,
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
            geometries: of each candidate, for `symmcd.rank`, which keeps the one that relaxes to the lowest energy.
                Those beyond the first are the candidate's `others`.
            steps, corrector, proposals, batch_size, on_batch, on_progress: of the geometries, as in `generate`; the
                likeliest crystals come first.  Of several geometries each has by default at most 25 steps and one
                proposal.

        Raises:
            InputError: no formula, or the pool has no positions for it, or an element that the training set lacks, no
                such space group, a number below 1, or a model that is not of kind ``staged``.
        """
        check_whole(geometries=geometries)
        sampler = self._for_geometries(
            geometries, Sampler(steps=steps, proposals=proposals, corrector=corrector, batch_size=batch_size)
        )
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
        ranks = torch.arange(len(found), device=self.device)
        drafts = found.sequences.drafts(ranks, found.log_probability, seed)
        log_probability = drafts.log_probability

        def with_probabilities(batch: Batch) -> None:
            on_batch(dataclasses.replace(batch, log_probability=log_probability[batch.number]))

        options = self.abilities.filled(sampler)
        made = self._drafting.several_geometries(
            drafts, geometries, options, with_probabilities, on_progress, by_size=False
        )
        return [
            Candidate(unit, probability, tuple(others))
            for (unit, *others), probability in zip(made, log_probability.tolist(), strict=True)
        ]

    def _for_geometries(self, number: int, sampler: Sampler) -> Sampler:
        """`sampler`, with few steps and one proposal for each of several geometries where it has no wish."""
        if number == 1:
            return sampler
        steps = sampler.steps or min(CHEAP_STEPS, self.abilities.default_steps)
        return dataclasses.replace(sampler, steps=steps, proposals=sampler.proposals or 1)

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
        """The likeliest positions and elements of each composition, from one pool for all; see `predict`.

        Raises:
            InputError: as `predict`, but for compositions that nothing was found for.
        """
        model = self._composing
        check_whole(number=number, pool=pool)
        for composition in compositions:
            self.abilities.check_elements(tuple(composition.formula_unit))
        groups = () if space_group is None else (number_of(space_group),)
        plans = list(self.plan(np.arange(pool), Sampler(batch_size=AT_ONCE), seed, groups, apart=True))
        streams = [CrystalStreams(seed, self._whole(plan.number)) for plan in plans]
        return model.arrangements(compositions, number, list(zip(plans, streams, strict=True)), groups)

    @torch.inference_mode()
    def draft(
        self,
        number: int | Sequence[int] | np.ndarray = 10,
        space_group: int | str | Sequence[int | str] | None = None,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        **constraints: Any,
    ) -> Drafts:
        """Positions and elements of new crystals, without geometries: what `with_geometries` completes.

        They are those of `generate`: ``with_geometries(draft(n, seed=s))`` are the crystals of ``generate(n, seed=s)``.
        Draft k is drawn with the random numbers k of `seed`, so the first n of any number are the same drafts, as
        large and as small as any others.

        Args:
            number: how many, from 0 on; or which, by their numbers.
            space_group, seed, temperature, constraints: as in `generate`.

        Returns:
            The drafts in the order of their numbers.  Their log-probabilities are those of the model itself, whatever
            `temperature`, `space_group` and `constraints`: comparable between requests, and with those of `predict`
            where no space group is asked for.  A group without training crystals counts as if it had one.

        Raises:
            InputError: as `generate`, or a model that is not of kind ``staged``.
        """
        numbers = numbers_of(number)
        asked = read_constraints({"space_group": space_group, **constraints})
        sampler = Sampler(temperature=temperature, constraints=asked)
        return self.drafts(numbers, sampler, seed, space_groups_of(asked))

    @torch.inference_mode()
    def drafts(self, number: np.ndarray, sampler: Sampler, seed: int, space_groups: Sequence[int] = ()) -> Drafts:
        """The drafts `number` (B,), ascending, as `sampler` asks for them; see `draft`."""
        drafting = self._drafting
        self.abilities.check(sampler)
        return drafting.draft(number, sampler, seed, space_groups)

    def draft_stable(
        self,
        number: int,
        stable: int,
        stability_model: StabilityModel | Path | str | None,
        space_group: int | str | Sequence[int | str] | None = None,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        hull: ConvexHull | Path | str | None = None,
        leave_out: Sequence[str | Path] = ("train",),
        **constraints: Any,
    ) -> tuple[Drafts, Choice]:
        """Positions and elements of which a model says that they will be stable, and how they were chosen.

        They are chosen among the first ``stable * number`` drafts of `draft`; with ``stable=1`` they are those of
        `draft`.  `symmcd.stability_model.choosing` states the method and the resulting distribution exactly.

        Args:
            number: how many.
            stable: drafts for each.
            stability_model: of `symmcd surrogate`, or its file; None: the shipped one, `mp20`.
            space_group, seed, temperature, constraints: as in `generate`; elements that are asked for may be
                radioactive.
            hull: of what is known, or a reference.csv of `symmcd reference`; None: all materials of MP-20.
            leave_out: splits of MP-20 (``train``, ``val``, ``test``) and files of asymmetric units, whose positions and
                elements are not chosen again.

        Raises:
            InputError: as `draft`, no such stability model or hull, or too few drafts that may be chosen.
        """
        from symmcd.diffusion.stable import stable_drafts  # loads pymatgen

        check_whole(number=number, stable=stable)
        asked = read_constraints({"space_group": space_group, **constraints})

        def draw(numbers: np.ndarray) -> Drafts:
            return self.draft(numbers, space_group, seed=seed, temperature=temperature, **constraints)

        return stable_drafts(draw, number, stable, stability_model, hull, asked, leave_out, self.hashes)

    @torch.inference_mode()
    def log_probability(self, crystals: FlatOrbits) -> np.ndarray:
        """(B,) natural logarithm of the model's p(space group, orbits, positions, elements), of any crystals.

        For drafts it equals their own ``log_probability``, up to rounding.

        Args:
            crystals: drafts, or asymmetric units, whose geometries are not looked at.

        Raises:
            InputError: two orbits on a position that has room for one, or a model that is not of kind ``staged``.
        """
        return self._drafting.log_probability(crystals)

    @torch.inference_mode()
    def with_geometries(
        self,
        drafts: Drafts,
        *,
        steps: int | None = None,
        corrector: bool = True,
        proposals: int | None = None,
        batch_size: int = 256,
        on_batch: OnBatch = ignored,
        on_progress: OnProgress = ignored,
    ) -> list[AsymmetricUnit]:
        """A geometry for each of `drafts`, by the random numbers of its own number and their seed.

        A draft has the same geometry whatever others are with it, up to the rounding of matrix products.

        Args:
            drafts: of `draft`, or a choice of them (`Drafts.take`).
            steps, corrector, proposals, batch_size, on_batch, on_progress: as in `generate`; the numbers of a batch
                are indices into `drafts`.

        Returns:
            One crystal per draft, in the order of `drafts`.

        Raises:
            InputError: what the model cannot do.
            SymmcdError: the networks have come to numbers that are not finite.
        """
        sampler = Sampler(steps=steps, proposals=proposals, corrector=corrector, batch_size=batch_size)
        return self._drafting.with_geometries(drafts, self.abilities.filled(sampler), on_batch, on_progress)

    @torch.inference_mode()
    def several_geometries(
        self, drafts: Drafts, number: int, *, steps: int | None = None, proposals: int | None = None
    ) -> list[list[AsymmetricUnit]]:
        """`number` geometries for each of `drafts`, as `predict` makes them; see `with_geometries`."""
        check_whole(number=number)
        options = self.abilities.filled(self._for_geometries(number, Sampler(steps=steps, proposals=proposals)))
        return self._drafting.several_geometries(drafts, number, options, ignored, ignored)

    @property
    def _drafting(self) -> Drafting:
        """The model as one that draws positions and elements, and completes them.

        Raises:
            InputError: it cannot.
        """
        if self._drafts_by is None:
            self._drafts_by = Drafting(self._composing, self.checkpoint.statistics)
        return self._drafts_by

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
