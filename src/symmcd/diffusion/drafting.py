"""Positions and elements of crystals drawn by a model, freely or under constraints, and completed by geometries.

Under constraints a crystal is found in one of three ways, all of which follow the model's distribution given them:

- A composition: all crystals of it are listed on sets of Wyckoff positions of the training set and newly drawn ones,
  and one is drawn by their exact probabilities.  A crystal on none of these positions is never found.
- Else the first of a few freely drawn crystals that fulfils the constraints (exact).
- Else one of `PROPOSED` that are drawn under the constraints, by their weights (`staged.drawing`; exact in the limit
  of many proposals), in up to `ATTEMPTS` attempts.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.drafts import Drafts
from symmcd.crystallography.flat_orbits import FlatOrbits
from symmcd.diffusion.batches import Batch, OnBatch, OnProgress, Watch, ignored
from symmcd.diffusion.categorical import draw
from symmcd.diffusion.constraints.constraint import Constraint, of_geometries
from symmcd.diffusion.constraints.judged import Judged
from symmcd.diffusion.constraints.together import Together
from symmcd.diffusion.constraints.within_reach import WithinReach
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.draws import StagedDraw
from symmcd.diffusion.model import ComposingModel
from symmcd.diffusion.planning import batches_by_size, padded_to, plans
from symmcd.diffusion.prior import log_prior, narrowed_prior
from symmcd.diffusion.random_streams import CrystalStreams, mixed_seed
from symmcd.diffusion.sampler import Sampler
from symmcd.diffusion.staged.drawing import Drawn, resampled
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.errors import InputError

LOOKED, LOOKS = 4, 2  # freely drawn crystals that are looked through first, twice: enough for one in three
PROPOSED, ATTEMPTS = 32, 64  # proposals of positions and elements that a crystal of given elements is kept from
PILOT, HOPELESS = 64, 8192  # crystals tried first; proposals of all of them that are enough where none is found
AT_ONCE = 2048  # crystals whose proposals are in memory together, 25 MB
POOL = 1000  # sets of Wyckoff positions drawn for a composition, beside those of the training set


@dataclass(frozen=True, eq=False)
class Asked:
    """A request for crystals."""

    sampler: Sampler  # as it was given
    proposing: Sampler  # with masks that keep numbers of atoms within reach
    space_groups: tuple[int, ...]  # none: any
    possible: Tensor | None  # (230, M + 1) bool, on the CPU: space groups and numbers of orbits; None: any


@dataclass(frozen=True, eq=False)
class Drafting:
    """A model that draws positions and elements before geometries, and the statistics of its training set."""

    model: ComposingModel
    statistics: DataStatistics
    lists: dict[tuple[object, ...], tuple[Drawn, Tensor]] = field(default_factory=dict)  # last composition only

    def draft(self, numbers: np.ndarray, sampler: Sampler, seed: int, space_groups: Sequence[int]) -> Drafts:
        """The drafts `numbers` (B,), ascending; see `Generator.draft`.

        Raises:
            InputError: no crystal found that fulfils the constraints of `sampler`.
        """
        names, asked = self._whole(numbers), self._asked(sampler, space_groups)
        if not sampler.chooses:
            drawn = self._proposed(names, asked, sampler, seed)
        elif any(constraint.formula_unit for constraint in sampler.constraints):
            drawn = self._of_composition(names, asked, seed)
        else:
            drawn = self._chosen(names, asked, seed)
        log_probability = drawn.log_probability + self._prior(drawn.sequences, space_groups)
        return drawn.sequences.drafts(names, log_probability, seed, of_geometries(sampler.constraints))

    def log_probability(self, crystals: FlatOrbits) -> np.ndarray:
        """(B,) natural logarithms, of any crystals; see `Generator.log_probability`.

        Raises:
            InputError: two orbits on a position that has room for one.
        """
        if not len(crystals):
            return np.zeros(0)
        sequences = WyckoffSequences.from_units(crystals).to(self._device)
        groups = np.unique(crystals.space_group).tolist()
        prior = self._prior(sequences, groups, int(np.diff(crystals.start).max()))
        return (self.model.log_probability(sequences) + prior).cpu().numpy().astype(float)

    def _prior(self, sequences: WyckoffSequences, space_groups: Sequence[int], most: int = 0) -> Tensor:
        """(B,) logarithm of p(G) p(M | G) of the model, whatever was asked for; -inf beyond its numbers of orbits."""
        seen = (self.statistics.space_group_count.nonzero()[:, 0] + 1).tolist()
        prior = log_prior(self.statistics, sorted({*seen, *space_groups}))
        prior = torch.nn.functional.pad(prior, (0, max(0, most + 1 - prior.shape[1])), value=-torch.inf)
        return prior[sequences.space_group - 1, sequences.count]

    def with_geometries(
        self, drafts: Drafts, options: Sampler, on_batch: OnBatch, on_progress: OnProgress, *, by_size: bool = True
    ) -> list[AsymmetricUnit]:
        """`Generator.with_geometries`, small crystals first or, not `by_size`, in the order of `drafts`.

        Args:
            drafts: of this model, or with elements that it knows.
            options: with the numbers of steps and proposals filled in; constraints of geometries are those of `drafts`.
            on_batch, on_progress: as in `Generator.generate`.
            by_size: how they are put into batches.
        """
        if not len(drafts):
            return []
        options = replace(options, constraints=drafts.asked)
        sequences = WyckoffSequences.from_units(drafts).to(self._device)
        sizes = padded_to(drafts.orbits) if by_size else np.zeros(len(drafts), int)
        batches = list(batches_by_size(sizes, options.batch_size))
        watch = Watch([drafts.orbits[rows] for rows in batches], options.steps or 1, on_progress)
        units: dict[int, AsymmetricUnit] = {}
        for rows in batches:
            number = drafts.number[rows]
            streams = CrystalStreams(drafts.seed, self._whole(number))
            made = self.model.geometries(sequences.select(self._whole(rows)), number, streams, options, watch.step)
            batch = Batch(rows, [made[i] for i in range(len(made))])
            units |= zip(rows.tolist(), batch.units, strict=True)
            watch.finished()
            on_batch(batch)
        return [units[row] for row in range(len(drafts))]

    def several_geometries(
        self,
        drafts: Drafts,
        number: int,
        options: Sampler,
        on_batch: OnBatch,
        on_progress: OnProgress,
        *,
        by_size: bool = True,
    ) -> list[list[AsymmetricUnit]]:
        """`number` geometries for each draft; the first one is that of `with_geometries`.

        Args:
            drafts, options, by_size: as in `with_geometries`.
            number: 1 at least.
            on_batch: called with the batches of first geometries, which come before all others.
            on_progress: as in `Generator.generate`, over all geometries; a draft counts when all of its are made.
        """
        geometries = []
        for pass_ in range(number):

            def progress(done: int, work: tuple[float, float], before: int = pass_) -> None:
                part, whole = work
                on_progress((before * len(drafts) + done) // number, (before * whole + part, number * whole))

            own = drafts if pass_ == 0 else replace(drafts, seed=mixed_seed(drafts.seed, pass_))
            batch = on_batch if pass_ == 0 else ignored
            geometries.append(self.with_geometries(own, options, batch, progress, by_size=by_size))
        return [list(those) for those in zip(*geometries, strict=True)]

    def _asked(self, sampler: Sampler, space_groups: Sequence[int]) -> Asked:
        """Constraints of `sampler`, with the Wyckoff positions that can fulfil them."""
        groups = tuple(space_groups)
        if not sampler.chooses:
            return Asked(sampler, sampler, groups, None)
        possible, reach = _possible(sampler.constraints, groups, self.statistics.orbit_count.shape[1] - 1)
        return Asked(sampler, replace(sampler, constraints=(*sampler.constraints, *reach)), groups, possible)

    def _of_composition(self, names: Tensor, asked: Asked, seed: int) -> Drawn:
        """Crystals `names` (B,) of a composition, drawn from the list of all.

        Raises:
            InputError: the list is empty.
        """
        sampler = asked.sampler
        key = (sampler.constraints, sampler.temperature, asked.space_groups, seed)
        if key not in self.lists:
            unit = next(constraint.formula_unit for constraint in sampler.constraints if constraint.formula_unit)
            possible = cast("Tensor", asked.possible)
            plan = plans(
                self.statistics, np.arange(POOL), AT_ONCE, mixed_seed(seed, POOL), asked.space_groups, apart=True,
                possible=possible,
            )  # fmt: skip
            pool = [(part, CrystalStreams(mixed_seed(seed, POOL), self._whole(part.number))) for part in plan]
            prior = narrowed_prior(self.statistics, asked.space_groups, possible.to(self._device)).log()
            drawn = self.model.listed(unit, pool, prior, asked.proposing)
            log_probability = drawn.log_probability / sampler.temperature + drawn.log_weight
            weight = log_probability + prior[drawn.sequences.space_group - 1, drawn.sequences.count]
            self.lists.clear()
            self.lists[key] = drawn, weight
        drawn, weight = self.lists[key]
        if not len(drawn.sequences) or not bool((weight > -torch.inf).any()):
            raise InputError(
                f"no set of Wyckoff positions of the training set, nor any of {POOL} drawn "
                f"ones, has {_asking(sampler)}; relax the wishes"
            )
        uniform = CrystalStreams(seed, names).uniform(StagedDraw.KEPT)
        return drawn.select(draw((weight - weight.max()).exp(), uniform))

    def _chosen(self, names: Tensor, asked: Asked, seed: int) -> Drawn:
        """Positions and elements of the crystals `names` (B,), ascending, given the constraints of `asked`.

        Where none of the first `PILOT` is found, the rest is not tried: a wish that is too rare is refused in seconds.
        """
        if len(names) > PILOT:
            parts = (names[:PILOT], names[PILOT:])
            return Drawn.concatenate([self._tried(part, asked, seed) for part in parts])
        return self._tried(names, asked, seed)

    def _tried(self, names: Tensor, asked: Asked, seed: int) -> Drawn:
        """`_chosen`, all at once."""
        missing = torch.arange(len(names), device=names.device)
        found: list[Drawn] = []
        order: list[Tensor] = []
        for attempt in range(-LOOKS if asked.sampler.looks_first else 0, ATTEMPTS):
            left = []
            for part in missing.split(AT_ONCE):
                look = self._looked if attempt < 0 else self._weighed
                proposals, kept = look(names[part], asked, seed, attempt)
                rows = (kept >= 0).nonzero()[:, 0]
                found.append(proposals.select(rows * (len(proposals.log_weight) // len(part)) + kept[rows]))
                order.append(part[rows])
                left.append(part[kept < 0])
            missing = torch.cat(left)
            if not len(missing):
                return Drawn.concatenate(found).select(torch.cat(order).argsort())
            if len(missing) == len(names) and (attempt + 1) * PROPOSED * len(names) >= HOPELESS:
                break
        raise InputError(
            f"{len(missing)} of {len(names)} crystals: none of {(attempt + 1) * PROPOSED} drawn ones has "
            f"{_asking(asked.sampler)}; relax the wishes, or give a composition"
        )

    def _looked(self, names: Tensor, asked: Asked, seed: int, attempt: int) -> tuple[Drawn, Tensor]:
        """`LOOKED` free crystals for each of `names` (B,), and which of them is the first accepted one, or -1."""
        first = (names * LOOKS + attempt + LOOKS) * LOOKED  # the same for a crystal however many there are
        numbers = (first[:, None] + torch.arange(LOOKED, device=names.device)).flatten()
        seed = mixed_seed(seed, LOOKED)
        free = replace(asked.sampler, constraints=(Judged(asked.sampler.constraints),))
        drawn = self._proposed(numbers, asked, free, seed)
        accepted = CrystalStreams(seed, numbers).uniform(StagedDraw.KEPT).log() < drawn.log_weight
        accepted = accepted.view(-1, LOOKED)
        return drawn, torch.where(accepted.any(dim=1), accepted.byte().argmax(dim=1), -1)

    def _weighed(self, names: Tensor, asked: Asked, seed: int, attempt: int) -> tuple[Drawn, Tensor]:
        """`PROPOSED` crystals for each of `names` (B,) drawn under the constraints, and which is kept, or -1."""
        first = (names * ATTEMPTS + attempt) * PROPOSED
        numbers = (first[:, None] + torch.arange(PROPOSED, device=names.device)).flatten()
        drawn = self._proposed(numbers, asked, asked.proposing, seed)
        uniform = CrystalStreams(seed, first).uniform(StagedDraw.KEPT)
        return drawn, resampled(drawn.log_weight.view(-1, PROPOSED), uniform)

    def _proposed(self, names: Tensor, asked: Asked, sampler: Sampler, seed: int) -> Drawn:
        """Positions and elements drawn for the crystals `names` (B,), ascending, in this order (see `drawing`)."""
        (plan,) = plans(
            self.statistics, names.cpu().numpy(), len(names), seed, asked.space_groups, possible=asked.possible
        )
        number = self._whole(plan.number)
        drawn = self.model.draft(plan, CrystalStreams(seed, number), sampler)
        return drawn.select(number.argsort())

    def _whole(self, numbers: np.ndarray) -> Tensor:
        """Whole numbers on the device."""
        return torch.as_tensor(numbers, dtype=torch.int64, device=self._device)

    @property
    def _device(self) -> torch.device:
        return self.statistics.lattice_mean.device


@functools.lru_cache(maxsize=8)
def _possible(
    constraints: tuple[Constraint, ...], space_groups: tuple[int, ...], most_orbits: int
) -> tuple[Tensor, tuple[WithinReach, ...]]:
    """Space groups and numbers of orbits that can have what is asked for, and masks that lead there."""
    demand = replace(Together.of(constraints), space_groups=space_groups)
    with torch.inference_mode(mode=False):
        possible = torch.as_tensor(demand.possible(most_orbits))
    reach = (WithinReach(space_groups, demand.atoms, most_orbits),) if demand.atoms is not None else ()
    return possible, reach


def _asking(sampler: Sampler) -> str:
    return " and ".join(map(str, sampler.constraints))
