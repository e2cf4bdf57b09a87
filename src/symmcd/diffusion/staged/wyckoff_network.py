"""p(Wyckoff positions, elements | space group, number of orbits): a transformer over the sequence of a crystal.

The transformer is causal.  Place m of the first half sees the positions before it and predicts the next one; place m of
the second half sees all positions and the elements before it and predicts the element there.  One pass gives the
likelihood of a whole crystal.  The embedding of a position is its own vector plus vectors of its properties (site
symmetry, multiplicity, degrees of freedom), so that rarely occupied positions are not unknown; elements are embedded in
the same way.  Every place also sees the composition so far, weighted by multiplicities, because charges balance in that
sum and not in a sum over orbits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, scaled_dot_product_attention

from symmcd.crystallography.space_group import space_group_codes
from symmcd.diffusion.data_statistics import AXES, CLASSES, ELEMENTS
from symmcd.diffusion.denoiser import AXIS_FEATURES, GROUP_WIDTH, mlp
from symmcd.diffusion.staged.element_embedding import ElementEmbedding
from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables
from symmcd.diffusion.staged.wyckoff_sequence import (
    WyckoffSequences,
    legal_elements,
    legal_positions,
    reduced_multiplicity,
    rows_of_group,
    shifted,
)

LONGEST = 64  # numbers of orbits with an embedding of their own; more share the last
MOST_UNITS = 48  # likewise reduced multiplicities
SPREAD = 0.3  # standard deviation of embeddings at the start, so that their sum is about 1


@dataclass(frozen=True)
class Logits:
    """Log-odds of the next position and element, illegal ones at -inf."""

    wyckoff: Tensor  # (B, N, R) of the group's positions, letter a first
    element: Tensor  # (B, N, 118)


@dataclass(frozen=True, eq=False)
class PositionVectors:
    """Embeddings of all Wyckoff positions, (1731, width), the same at every place."""

    before: Tensor  # vector of the position before a place
    here: Tensor  # vector of the position at a place whose element is predicted
    key: Tensor  # vector of a position that may be taken


class Memory:
    """Keys and values of the places that a network has read, so that the next one is all it has to read."""

    def __init__(self, vectors: PositionVectors) -> None:
        self.vectors = vectors
        self.read: dict[int, tuple[Tensor, Tensor]] = {}

    def with_more(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Those of all places so far, (B, heads, places, width of a head) each, with new ones."""
        if layer in self.read:
            k, v = (torch.cat(pair, dim=2) for pair in zip(self.read[layer], (k, v), strict=True))
        self.read[layer] = k, v
        return k, v


class WyckoffNetwork(nn.Module):
    """Autoregressive transformer over Wyckoff positions, then elements."""

    seen: Tensor  # (118,) elements of the training set

    def __init__(self, settings: StagedSettings) -> None:
        super().__init__()
        width = settings.wyckoff_width
        positions = len(symmetry_tables().multiplicity)
        self.own = nn.Embedding(positions, width)
        self.axis = nn.Embedding(CLASSES, AXIS_FEATURES)
        self.kind = mlp(AXES * AXIS_FEATURES + 2, width, width)
        self.before, self.here = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width)
        self.group = nn.Embedding(230, width)
        self.group_code = mlp(space_group_codes().shape[1], GROUP_WIDTH, width)
        self.count, self.place = nn.Embedding(LONGEST + 1, width), nn.Embedding(LONGEST + 1, width)
        self.which_half = nn.Embedding(2, width)
        self.element = ElementEmbedding(width)
        self.composition = nn.Linear(width, width, bias=False)
        self.units = nn.Embedding(MOST_UNITS + 1, width)
        self.share = nn.Linear(3, width)
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.ModuleList(
            Block(width, settings.wyckoff_heads, settings.dropout) for _ in range(settings.wyckoff_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.element_head, self.element_query = nn.Linear(width, ELEMENTS), nn.Linear(width, width)
        self.register_buffer("seen", torch.ones(ELEMENTS, dtype=torch.bool))
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=SPREAD)

    def forward(self, crystals: WyckoffSequences) -> Logits:
        """Logits of every place given what stands before it; places beyond a crystal's count mean nothing."""
        vectors, mask, places = self.position_vectors(), crystals.mask, slice(None)
        common = self._before_positions(crystals, places, vectors)
        elements = self._before_elements(crystals, places, vectors, common)
        x = torch.cat([common + self.which_half.weight[0], elements], dim=1)
        x, x_of_elements = self._attended(x, torch.cat([mask, mask], dim=1)).chunk(2, dim=1)
        return Logits(
            self._position_logits(crystals, places, x, vectors),
            self._element_logits(crystals, places, x_of_elements),
        )

    def positions(self, crystals: WyckoffSequences) -> Tensor:
        """The logits of positions of `forward` alone, which elements have no part in: half the work."""
        vectors, places = self.position_vectors(), slice(None)
        x = self._before_positions(crystals, places, vectors) + self.which_half.weight[0]
        return self._position_logits(crystals, places, self._attended(x, crystals.mask), vectors)

    def begin(self) -> Memory:
        """Memory of `next_position` and `next_element` for some crystals, all positions before all elements."""
        return Memory(self.position_vectors())

    def next_position(self, crystals: WyckoffSequences, place: int, memory: Memory) -> Tensor:
        """(B, R) the logits of positions of `forward` at `place` alone; asked of one place after the other."""
        vectors, here = memory.vectors, slice(place, place + 1)
        x = self._before_positions(crystals, here, vectors) + self.which_half.weight[0]
        x = self._attended_next(x, crystals.mask[:, :place], memory)
        return self._position_logits(crystals, here, x, vectors)[:, 0]

    def next_element(self, crystals: WyckoffSequences, place: int, memory: Memory) -> Tensor:
        """(B, 118) the same of elements; `memory` has been shown all positions."""
        vectors, here, mask = memory.vectors, slice(place, place + 1), crystals.mask
        x = self._before_elements(crystals, here, vectors, self._before_positions(crystals, here, vectors))
        x = self._attended_next(x, torch.cat([mask, mask[:, :place]], dim=1), memory)
        return self._element_logits(crystals, here, x)[:, 0]

    def _before_elements(
        self, crystals: WyckoffSequences, places: slice, vectors: PositionVectors, common: Tensor
    ) -> Tensor:
        """(B, n, width) what `_before_positions` says, all multiplicities, and the elements before each place."""
        wyckoff, (start, stop, _) = crystals.wyckoff, places.indices(crystals.wyckoff.shape[1])
        multiplicity = symmetry_tables(wyckoff.device).multiplicity[wyckoff] * crystals.mask
        share = multiplicity / multiplicity.sum(dim=1, keepdim=True)
        assigned = share.cumsum(dim=1) - share  # share of the atoms assigned to orbits before this one
        sizes = torch.stack([multiplicity.clamp_min(1).log(), share.clamp_min(1e-6).log(), assigned], dim=-1)
        reduced = reduced_multiplicity(crystals).clamp_max(MOST_UNITS)
        of_element = common + vectors.here[wyckoff[:, places]] + self.units(reduced[:, places])
        of_element = of_element + one_later(self.units, reduced, places) + self.share(sizes[:, places])
        given, first = self.element()[crystals.element[:, : stop - 1]], max(start - 1, 0)
        composition = (share[:, : stop - 1, None] * given).cumsum(dim=1)
        before = given[:, first:] + self.composition(composition[:, first:])
        return of_element + pad(before, (0, 0, int(not start), 0)) + self.which_half.weight[1]

    def _before_positions(self, crystals: WyckoffSequences, places: slice, vectors: PositionVectors) -> Tensor:
        """(B, n, width) the crystal's group and size, the place, and the position before it."""
        wyckoff, count, group = crystals.wyckoff, crystals.count, crystals.space_group - 1
        place = torch.arange(wyckoff.shape[1], device=wyckoff.device)[places]
        left = (count[:, None] - place).clamp(0, LONGEST)
        code = self.group_code(symmetry_tables(wyckoff.device).codes[group])
        context = self.group(group) + code + self.count(count.clamp_max(LONGEST))
        common = context[:, None] + self.place(place.clamp_max(LONGEST)) + self.count(left)
        return common + one_later(vectors.before.__getitem__, wyckoff, places)

    def _attended(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, S, width) after all blocks, in which a place sees itself and what exists (`mask`, (B, S)) before it."""
        x = self.dropout(x)
        ones = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device)
        visible = ones.tril() & mask[:, None] | torch.eye(x.shape[1], device=x.device).bool()
        for block in self.blocks:
            x = block(x, visible[:, None])
        return self.norm(x)

    def _attended_next(self, x: Tensor, exists: Tensor, memory: Memory) -> Tensor:
        """`_attended` at one place more, x (B, 1, width), beside those in `memory` that exist, (B, S)."""
        visible = pad(exists, (0, 1), value=True)[:, None, None]
        for layer, block in enumerate(self.blocks):
            x = block(x, visible, memory, layer)
        return self.norm(x)

    def _position_logits(
        self, crystals: WyckoffSequences, places: slice, x: Tensor, vectors: PositionVectors
    ) -> Tensor:
        """(B, N, R) of the candidates at `places`, illegal ones at -inf."""
        rows, exist = rows_of_group(crystals.space_group)
        scores = torch.einsum("bnd,brd->bnr", x, vectors.key[rows]) / math.sqrt(x.shape[2])
        legal = legal_positions(rows, exist, shifted(crystals.wyckoff, -1)[:, places])
        return scores.float().masked_fill(~legal, -torch.inf)

    def _element_logits(self, crystals: WyckoffSequences, places: slice, x: Tensor) -> Tensor:
        """(B, N, 118) at `places`, illegal ones at -inf."""
        alike = self.element_query(x) @ self.element()[1:].T / math.sqrt(x.shape[2])  # as an element's kin
        legal = legal_elements(crystals.wyckoff, crystals.element, self.seen)
        return (self.element_head(x) + alike).float().masked_fill(~legal[:, places], -torch.inf)

    def position_vectors(self) -> PositionVectors:
        """Vectors of all Wyckoff positions."""
        tables = symmetry_tables(self.own.weight.device)
        axes = self.axis(tables.site_symmetry).flatten(1)
        multiplicity, freedom = tables.multiplicity[:, None].log() / 2, tables.degrees_of_freedom[:, None]
        table = self.own.weight + self.kind(torch.cat([axes, multiplicity, freedom.to(axes.dtype)], dim=1))
        return PositionVectors(self.before(table), self.here(table), self.key(table))


def one_later(vectors: Callable[[Tensor], Tensor], values: Tensor, places: slice) -> Tensor:
    """(B, n, width) `vectors` of what `values` (B, N) are one place before each of `places`; 0 at the first place."""
    start, stop, _ = places.indices(values.shape[1])
    return pad(vectors(values[:, max(start - 1, 0) : stop - 1]), (0, 0, int(not start), 0))


class Block(nn.Module):
    """Attention and MLP, normalised before each (Vaswani et al. 2017; Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, visible: Tensor, memory: Memory | None = None, layer: int = 0) -> Tensor:
        """x (B, S, width), visible (B, 1, S, S) bool; S by those remembered and S more with a memory."""
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if memory is not None:
            k, v = memory.with_more(layer, k, v)
        attended = scaled_dot_product_attention(q, k, v, attn_mask=visible)
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(batch, length, width)))
        return x + self.dropout(self.narrow(gelu(self.wide(self.norm_mlp(x)))))
