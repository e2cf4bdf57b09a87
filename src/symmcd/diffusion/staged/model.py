"""The staged model: Wyckoff positions and elements of a crystal first, then its geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, numbered_labels
from symmcd.crystallography.lattice import constrain
from symmcd.crystallography.wyckoff import wrap, wyckoff_table
from symmcd.diffusion.checkpoint import Checkpoint, MisfitError, load_weights, under
from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.judged import log_factor, positions_allowed, volume_bounds
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.model import OnStep, PartObjective, Plan, Task, check_finite, statistics_of
from symmcd.diffusion.noise_schedule import reverse_times
from symmcd.diffusion.precision import choose_precision, lowered
from symmcd.diffusion.prior import log_prior
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import Sampler
from symmcd.diffusion.staged.arrangements import (
    Arrangements,
    Composition,
    Pool,
    from_template_tensors,
    likeliest,
    likeliest_first,
    template_tensors,
    with_composition,
)
from symmcd.diffusion.staged.asked_geometry import AskedGeometry, log_share
from symmcd.diffusion.staged.drawing import Drawn, draw_crystals, draw_positions
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.geometry_network import GeometryNetwork
from symmcd.diffusion.staged.geometry_process import GeometryProcess
from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.diffusion.staged.lattice_scale import LatticeScale
from symmcd.diffusion.staged.likelihood import log_probabilities
from symmcd.diffusion.staged.objectives import GeometryObjective, WyckoffObjective
from symmcd.diffusion.staged.proposals import likeliest_geometry
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.settings import Precision

Network = TypeVar("Network", bound=nn.Module)


class StagedModel:
    """Trained networks and the scales of the geometry."""

    one_size = False  # geometries lie flat; positions and elements are put into sizes where they are drawn

    def __init__(self, checkpoint: Checkpoint, precision: Precision = "auto") -> None:
        self.device = checkpoint.statistics.lattice_mean.device
        self.statistics: DataStatistics = checkpoint.statistics
        self.wyckoff = trained(WyckoffNetwork(checkpoint.settings), checkpoint, "wyckoff")
        self.geometry = trained(GeometryNetwork(checkpoint.settings), checkpoint, "geometry")
        self.precision = choose_precision(precision, self.device, checkpoint.settings.width)
        lowered(self.geometry, self.precision)
        try:
            scale = LatticeScale(**under("lattice_scale.", checkpoint.tensors))
        except TypeError as error:
            raise MisfitError(str(error)) from None
        self.process = GeometryProcess(checkpoint.settings, scale, self.precision)
        known = under("templates.", checkpoint.tensors)
        # templates of the training set; older checkpoints have none
        self.templates = from_template_tensors(known) if known else None

    @classmethod
    def objective(cls, part: str, task: Task) -> PartObjective:
        """Losses of one of the two networks, see `model.Model.objective`."""
        what = task.model, task.train, task.validation, task.device, task.training.precision
        if part == "wyckoff":
            return WyckoffObjective(*what, task.training.calibration_rounds)
        return GeometryObjective(*what)

    @classmethod
    def assemble(
        cls,
        settings: StagedSettings,  # noqa: ARG003
        parts: Mapping[str, Mapping[str, Tensor]],
        train: AsymmetricUnits,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weights and statistics of a checkpoint, see `model.Model.assemble`."""
        others = {
            "lattice_scale": vars(LatticeScale.of(FlatCrystals.from_units(train))),
            "templates": template_tensors(WyckoffSequences.from_units(train)),
        }
        statistics = statistics_of(train)
        statistics |= {f"{name}.{key}": v for name, tensors in others.items() for key, v in tensors.items()}
        return {f"{part}.{key}": v for part, values in parts.items() for key, v in values.items()}, statistics

    def sample(
        self, plan: Plan, streams: CrystalStreams, options: Sampler, on_step: OnStep = lambda _: None
    ) -> AsymmetricUnits:
        """The crystals of `plan` on the Wyckoff positions that were drawn, see `model.Model.sample`."""
        sequences = self.draft(plan, streams, options).sequences
        return self.geometries(sequences, plan.number, streams, options, on_step)

    def draft(self, plan: Plan, streams: CrystalStreams, options: Sampler) -> Drawn:
        """Wyckoff positions and elements of the crystals of `plan`, see `drawing.draw_sequences`."""
        group, orbits = self._whole(plan.space_group), self._whole(plan.orbits)
        drawn = draw_crystals(self.wyckoff, group, orbits, plan.padded.tolist(), streams, options)
        return drawn._replace(log_weight=drawn.log_weight + self.log_share(drawn.sequences, options.constraints))

    def log_share(self, sequences: WyckoffSequences, constraints: Sequence[Constraint]) -> Tensor:
        """Logarithm (B,) of the share of cells that have the volume that `constraints` ask for; 0: all of them."""
        volumes = volume_bounds(constraints, sequences)
        if volumes is None:
            return torch.zeros_like(sequences.count, dtype=torch.float32)
        return log_share(self.process.scale, flat(sequences), volumes)

    def log_probability(self, sequences: WyckoffSequences) -> Tensor:
        """(B,) natural logarithms, of positions and elements given group and number of orbits."""
        return log_probabilities(self.wyckoff, sequences).sum(dim=(1, 2))

    def geometries(
        self,
        sequences: WyckoffSequences,
        number: np.ndarray,
        streams: CrystalStreams,
        options: Sampler,
        on_step: OnStep = lambda _: None,
    ) -> AsymmetricUnits:
        """A geometry for each crystal of known positions and elements.

        Raises:
            SymmcdError: the network has come to numbers that are not finite; `number` (B,) names the crystals.
        """
        steps = self.process.steps
        without = flat(sequences)
        crystals = likeliest_geometry(
            self.process,
            self.geometry,
            without,  # all sizes at once: a batch of each would multiply the calls of the network
            reverse_times(steps, options.steps or steps),
            streams,
            on_step,
            corrector=options.corrector,
            proposals=options.proposals or 1,
            asked=AskedGeometry.of(self.process.scale, without, sequences, options.constraints),
        )
        return units_of(crystals, number)

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
        drawn = [self.templates] if self.templates is not None else []
        for plan, streams in pool:
            what = self._whole(plan.space_group), self._whole(plan.orbits), int(plan.padded[0]), streams
            drawn.append(draw_positions(self.wyckoff, *what, Sampler()).sequences)
        positions = WyckoffSequences.concatenate(drawn)
        prior = log_prior(self.statistics, space_groups)
        known = Pool(likeliest_first(self.wyckoff, positions, prior))
        return [
            likeliest(self.wyckoff, with_composition(known, composition), prior, number) for composition in compositions
        ]

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

        Returns:
            At most `MOST_RATED` crystals, on the likeliest positions first; their weights say what constraints make
            of their probabilities.
        """
        parts = [self.templates] if self.templates is not None else []
        for plan, streams in pool:
            what = self._whole(plan.space_group), self._whole(plan.orbits), int(plan.padded[0]), streams
            parts.append(draw_positions(self.wyckoff, *what, options).sequences)
        positions = WyckoffSequences.concatenate(parts)
        within = positions.count < log_prior.shape[1]
        positions = positions.select(within.nonzero()[:, 0])
        positions = positions.select(positions_allowed(options.constraints, positions).nonzero()[:, 0])
        known = Pool(likeliest_first(self.wyckoff, positions, log_prior))
        found = with_composition(known, Composition(formula_unit))
        weight = log_factor(options.constraints, found) + self.log_share(found, options.constraints)
        rows = (weight > -torch.inf).nonzero()[:, 0]
        found = found.select(rows)
        return Drawn(found, weight[rows], self.log_probability(found))

    def _whole(self, numbers: np.ndarray) -> Tensor:
        """Whole numbers on the device."""
        return torch.as_tensor(numbers, dtype=torch.int64, device=self.device)


def units_of(crystals: FlatCrystals, number: np.ndarray) -> AsymmetricUnits:
    """Crystals as asymmetric units: their Wyckoff positions as they are, x = T u + c in double precision.

    Raises:
        SymmcdError: k or u is not finite; `number` (B,) names the crystals.
    """
    table = wyckoff_table()
    k, u = crystals.k.cpu().numpy().astype(float), crystals.u.cpu().numpy().astype(float)
    check_finite(number, crystals.count.cpu().numpy(), k, u)
    group, wyckoff = crystals.space_group.cpu().numpy(), crystals.wyckoff.cpu().numpy()
    generator = table.generator[wyckoff]
    return AsymmetricUnits(
        space_group=group,
        k=constrain(k, group),
        start=crystals.start.cpu().numpy(),
        element=crystals.element.cpu().numpy(),
        wyckoff=wyckoff,
        position=wrap((generator[:, :, :3] @ u[:, :, None])[..., 0] + generator[:, :, 3]),
        label=np.array(numbered_labels(len(crystals)), dtype=np.str_),
    )


def trained(network: Network, checkpoint: Checkpoint, part: str) -> Network:
    """`network` with the weights of `part`, ready to be asked."""
    load_weights(network, under(f"{part}.", checkpoint.weights))
    return network.to(checkpoint.statistics.lattice_mean.device).eval().requires_grad_(requires_grad=False)


def flat(sequences: WyckoffSequences) -> FlatCrystals:
    """The crystals of `sequences` laid flat, without a geometry: k and u are zero."""
    mask, count = sequences.mask, sequences.count
    return FlatCrystals(
        space_group=sequences.space_group,
        k=torch.zeros(len(count), 6, device=count.device),
        start=torch.cat([count.new_zeros(1), count.cumsum(0)]),
        element=sequences.element[mask],
        wyckoff=sequences.wyckoff[mask],
        u=torch.zeros(int(count.sum()), 3, device=count.device),
    )
