"""The staged model: Wyckoff positions and elements of a crystal first, then its geometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from symmcd.diffusion.checkpoint import Checkpoint, MisfitError, load_weights, under
from symmcd.diffusion.precision import choose_precision, lowered
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import STAGED_PROPOSALS, Sampler
from symmcd.diffusion.staged.arrangements import from_templates
from symmcd.diffusion.staged.drawing import draw_crystals
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.geometry_network import GeometryNetwork
from symmcd.diffusion.staged.geometry_process import GeometryProcess
from symmcd.diffusion.staged.lattice_scale import LatticeScale
from symmcd.diffusion.staged.proposals import likeliest_geometry
from symmcd.diffusion.staged.tables import symmetry_tables
from symmcd.diffusion.staged.wyckoff_ensemble import WyckoffEnsemble
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.settings import Precision

Network = TypeVar("Network", bound=nn.Module)


class StagedModel:
    """Trained networks, those for positions and elements as one, and the scales of the geometry."""

    def __init__(self, checkpoint: Checkpoint, precision: Precision = "auto") -> None:
        device = checkpoint.statistics.lattice_mean.device
        *wyckoff, geometry = checkpoint.settings.parts
        self.wyckoff = WyckoffEnsemble(trained(WyckoffNetwork(checkpoint.settings), checkpoint, p) for p in wyckoff)
        self.geometry = trained(GeometryNetwork(checkpoint.settings), checkpoint, geometry)
        self.precision = choose_precision(precision, device, checkpoint.settings.width)
        lowered(self.geometry, self.precision)
        try:
            scale = LatticeScale(**under("lattice_scale.", checkpoint.tensors))
        except TypeError as error:
            raise MisfitError(str(error)) from None
        self.process = GeometryProcess(checkpoint.settings, scale, self.precision)
        known = under("templates.", checkpoint.tensors)
        self.templates = from_templates(known) if known else None  # of the training set; older checkpoints have none

    @property
    def elements(self) -> set[int]:
        """Atomic numbers of the training set."""
        return set((self.wyckoff.seen.nonzero()[:, 0] + 1).tolist())

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
        sequences, _ = draw_crystals(self.wyckoff, space_group, orbits, padded, streams, sampler)
        return self.geometries(sequences, times, streams, sampler, on_step)

    def geometries(
        self,
        sequences: WyckoffSequences,
        times: Sequence[int],
        streams: CrystalStreams,
        sampler: Sampler,
        on_step: Callable[[int], None] = lambda _: None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The same four of crystals whose positions and elements are known."""
        crystals = likeliest_geometry(
            self.process,
            self.geometry,
            flat(sequences),  # all sizes at once: a batch of each would multiply the calls of the network
            times,
            streams,
            on_step,
            corrector=sampler.corrector,
            proposals=sampler.proposals or STAGED_PROPOSALS,
        )
        tables = symmetry_tables(crystals.k.device)
        position = tables.positions(crystals.u, crystals.wyckoff) % 1.0
        return crystals.k, crystals.element, position, tables.site_symmetry[crystals.wyckoff]


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
