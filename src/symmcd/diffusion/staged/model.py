"""The staged model: Wyckoff positions and elements of a crystal first, then its geometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from symmcd.diffusion.categorical import draw
from symmcd.diffusion.checkpoint import Checkpoint, MisfitError, load_weights, under
from symmcd.diffusion.precision import choose_precision, lowered
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.sampler import STAGED_PROPOSALS, Sampler
from symmcd.diffusion.staged.arrangements import from_templates
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.geometry_network import GeometryNetwork
from symmcd.diffusion.staged.geometry_process import GeometryProcess
from symmcd.diffusion.staged.lattice_scale import LatticeScale
from symmcd.diffusion.staged.proposals import likeliest_geometry
from symmcd.diffusion.staged.tables import symmetry_tables
from symmcd.diffusion.staged.wyckoff_ensemble import WyckoffEnsemble
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences, candidates
from symmcd.settings import Precision

WYCKOFF, ELEMENT = 2, 3  # draws of random numbers; the geometry's are in `geometry_process`, the template's is 5


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
        sequences = self.by_size(draw_sequences, space_group, orbits, padded, streams, sampler)
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

    def by_size(
        self,
        draw: Callable[..., WyckoffSequences],
        space_group: Tensor,
        orbits: Tensor,
        padded: Sequence[int],
        streams: CrystalStreams,
        sampler: Sampler,
    ) -> WyckoffSequences:
        """What `draw_positions` or `draw_sequences` draws of crystals that are each padded to so many orbits, in which
        the others have no say.
        """
        sizes = torch.tensor(padded)
        wyckoff = torch.zeros(len(orbits), max(padded), dtype=torch.int64, device=orbits.device)
        element = wyckoff.clone()
        for size in sizes.unique().tolist():
            rows = (sizes == size).nonzero()[:, 0].to(orbits.device)
            drawn = draw(self.wyckoff, space_group[rows], orbits[rows], size, streams.take(rows), sampler)
            wyckoff[rows, :size], element[rows, :size] = drawn.wyckoff, drawn.element
        return WyckoffSequences(space_group, orbits, wyckoff, element)


def trained(network: Network, checkpoint: Checkpoint, part: str) -> Network:
    """`network` with the weights of `part`, ready to be asked."""
    load_weights(network, under(f"{part}.", checkpoint.weights))
    return network.to(checkpoint.statistics.lattice_mean.device).eval().requires_grad_(requires_grad=False)


def draw_sequences(
    network: WyckoffNetwork | WyckoffEnsemble,
    space_group: Tensor,
    orbits: Tensor,
    padded: int,
    streams: CrystalStreams,
    sampler: Sampler,
) -> WyckoffSequences:
    """Wyckoff positions, then elements, one after the other; always legal ones.

    Each is drawn from p^(1/temperature), normalised: 1 is the model, below 1 more of what is frequent, above 1 more
    of what is rare.  With ``sampler.elements``, each element is drawn from these, given what was drawn before it.
    """
    sequences = draw_positions(network, space_group, orbits, padded, streams, sampler)
    allowed = None
    if sampler.elements:
        allowed = torch.zeros_like(network.seen)
        allowed[torch.tensor(sampler.elements, device=allowed.device) - 1] = True
    uniform = streams.uniform(ELEMENT, (padded,))
    for place in range(padded):
        logits = network(sequences, allowed).element[:, place]
        chosen = draw(torch.softmax(logits / sampler.temperature, dim=-1), uniform[:, place]) + 1
        sequences.element[:, place] = torch.where(place < orbits, chosen, 0)
    return sequences


def draw_positions(
    network: WyckoffNetwork | WyckoffEnsemble,
    space_group: Tensor,
    orbits: Tensor,
    padded: int,
    streams: CrystalStreams,
    sampler: Sampler,
) -> WyckoffSequences:
    """The positions of `draw_sequences`; elements are 0."""
    wyckoff = torch.zeros(len(orbits), padded, dtype=torch.int64, device=orbits.device)
    element = wyckoff.clone()
    rows, _ = candidates(space_group)
    crystal = torch.arange(len(orbits), device=orbits.device)
    uniform = streams.uniform(WYCKOFF, (padded,))
    for place in range(padded):
        begun = WyckoffSequences(space_group, orbits, wyckoff[:, : place + 1], element[:, : place + 1])
        probability = torch.softmax(network.positions(begun)[:, place] / sampler.temperature, dim=-1)
        wyckoff[:, place] = torch.where(place < orbits, rows[crystal, draw(probability, uniform[:, place])], 0)
    return WyckoffSequences(space_group, orbits, wyckoff, element)


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
