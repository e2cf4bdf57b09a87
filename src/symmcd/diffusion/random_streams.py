"""Random numbers: every crystal has a stream of its own, independent of the batch or shard in which it is sampled.

Counter-based: number i of draw d of crystal c is a hash of (seed, c, d, i) by the finaliser of SplitMix64 (Steele, Lea
& Flood 2014), so a batch is drawn at once, on any device, and nothing has to be stored to continue from a given step.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from math import prod

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _signed(value: int) -> int:
    """The int64 with the bits of a 64-bit number."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Logical right shift of int64."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def mix(bits: Tensor) -> Tensor:
    """Finaliser of SplitMix64 on int64 tensors, whose products wrap around."""
    bits = bits + _signed(_GOLDEN)
    bits = (bits ^ _shifted(bits, 30)) * _signed(_FIRST)
    bits = (bits ^ _shifted(bits, 27)) * _signed(_SECOND)
    return bits ^ _shifted(bits, 31)


def mixed_seed(*numbers: int) -> int:
    """One seed in [0, 2⁶³) that depends on all of `numbers`, for a `torch.Generator`."""
    state = torch.zeros((), dtype=torch.int64)
    for number in numbers:
        state = mix(state ^ _signed(number))
    return int(state) & ((1 << 63) - 1)


class CrystalStreams:
    """The streams of some crystals, named by their global numbers (B,) int64."""

    def __init__(self, seed: int, crystal: Tensor) -> None:
        self.key = mix(mix(torch.full_like(crystal, _signed(seed))) ^ crystal)

    def take(self, rows: Tensor) -> CrystalStreams:
        """The streams of the crystals `rows`."""
        return self.with_key(self.key[rows])

    @classmethod
    def concatenate(cls, parts: Sequence[CrystalStreams]) -> CrystalStreams:
        """The streams of all `parts`, one after the other."""
        return parts[0].with_key(torch.cat([part.key for part in parts]))

    def branch(self, number: int) -> CrystalStreams:
        """Other streams of the same crystals, apart from all draws, whose counters are not negative; 0 is these."""
        if not number:
            return self
        return self.with_key(mix(self.key ^ mix(torch.full_like(self.key, -number))))

    def with_key(self, key: Tensor) -> CrystalStreams:
        """Streams of these keys (B,)."""
        made = copy(self)
        made.key = key
        return made

    def uniform(self, draw: int, shape: tuple[int, ...] = ()) -> Tensor:
        """(B, *shape) uniform in (0, 1), float32; a longer `shape` along its first dimension only adds numbers."""
        counter = torch.arange(prod(shape), device=self.key.device) + (draw << 32)
        bits = mix(self.key[:, None] ^ mix(counter))
        return (((_shifted(bits, 41).to(torch.float32)) + 0.5) * 2.0**-23).reshape(-1, *shape)

    def normal(self, draw: int, shape: tuple[int, ...] = ()) -> Tensor:
        """(B, *shape) standard normal, float32, within ±5.2."""
        return torch.special.ndtri(self.uniform(draw, shape))
