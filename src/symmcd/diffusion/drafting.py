"""Positions and elements of crystals drawn by a model, freely or under constraints, and completed by geometries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.drafts import Drafts
from symmcd.crystallography.flat_orbits import FlatOrbits
from symmcd.diffusion.batches import Batch, OnBatch, OnProgress, Watch
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.draws import StagedDraw
from symmcd.diffusion.model import ComposingModel
from symmcd.diffusion.planning import batches_by_size, padded_to, plans
from symmcd.diffusion.prior import log_prior
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.diffusion.staged.drawing import Drawn, resampled
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.errors import InputError

PROPOSED, ATTEMPTS = 32, 64  # proposals of positions and elements that a crystal of given elements is kept from
AT_ONCE = 2048  # crystals whose proposals are in memory together, 25 MB


@dataclass(frozen=True, eq=False)
class Drafting:
    """A model that draws positions and elements before geometries, and the statistics of its training set."""

    model: ComposingModel
    statistics: DataStatistics

    def draft(self, numbers: np.ndarray, sampler: Sampler, seed: int, space_groups: Sequence[int]) -> Drafts:
        """The drafts `numbers` (B,), ascending; see `Generator.draft`.

        Raises:
            InputError: no crystal found that fulfils the constraints of `sampler`.
        """
        names = self._whole(numbers)
        drawn = (self._chosen if sampler.chooses else self._proposed)(names, sampler, seed, space_groups)
        log_probability = drawn.log_probability + self._prior(drawn.sequences, space_groups)
        return drawn.sequences.drafts(names, log_probability, seed)

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
            options: with the numbers of steps and proposals filled in.
            on_batch, on_progress: as in `Generator.generate`.
            by_size: how they are put into batches.
        """
        if not len(drafts):
            return []
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

    def _chosen(self, names: Tensor, sampler: Sampler, seed: int, space_groups: Sequence[int]) -> Drawn:
        """Positions and elements of the crystals `names` (B,), ascending, given the constraints of `sampler`."""
        missing = torch.arange(len(names), device=names.device)
        found, order = [], []
        for attempt in range(ATTEMPTS):
            left = []
            for part in missing.split(AT_ONCE):
                first = (names[part] * ATTEMPTS + attempt) * PROPOSED  # the same for a crystal however many there are
                proposed = (first[:, None] + torch.arange(PROPOSED, device=names.device)).flatten()
                proposals = self._proposed(proposed, sampler, seed, space_groups)
                log_weight = proposals.log_weight.view(-1, PROPOSED)
                kept = resampled(log_weight, CrystalStreams(seed, first).uniform(StagedDraw.KEPT))
                rows = (kept >= 0).nonzero()[:, 0]
                found.append(proposals.select(rows * PROPOSED + kept[rows]))
                order.append(part[rows])
                left.append(part[kept < 0])
            missing = torch.cat(left)
            if not len(missing):
                return Drawn.concatenate(found).select(torch.cat(order).argsort())
        raise InputError(
            f"{len(missing)} of {len(names)} crystals: none of {ATTEMPTS * PROPOSED} drawn ones has "
            + " and ".join(map(str, sampler.constraints))
            + "; ask for less, or give a composition"
        )

    def _proposed(self, names: Tensor, sampler: Sampler, seed: int, space_groups: Sequence[int]) -> Drawn:
        """Positions and elements drawn for the crystals `names` (B,), ascending, in this order (see `drawing`)."""
        (plan,) = plans(self.statistics, names.cpu().numpy(), len(names), seed, space_groups)
        number = self._whole(plan.number)
        drawn = self.model.draft(plan, CrystalStreams(seed, number), sampler)
        return drawn.select(number.argsort())

    def _whole(self, numbers: np.ndarray) -> Tensor:
        """Whole numbers on the device."""
        return torch.as_tensor(numbers, dtype=torch.int64, device=self._device)

    @property
    def _device(self) -> torch.device:
        return self.statistics.lattice_mean.device
