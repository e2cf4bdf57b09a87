"""All pairs of orbits of crystals of different sizes, laid flat.

Matrix products then run over the pairs of all crystals of any size at once, nearly without padding; only the steps that
join orbits to pairs go block by block, where a block is a tensor of crystals of one size.  Gathering and
scattering by index, as graph libraries do it, would write every pair's two ends to memory first, and add up in an order
that a GPU does not repeat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


@dataclass(frozen=True)
class Blocks:
    """Crystals laid flat, block after block; a block has B crystals of N orbits, and B N² ordered pairs [b, i, j]."""

    shapes: tuple[tuple[int, int], ...]  # (B, N) of each block

    def crystals(self, flat: Tensor) -> Iterator[Tensor]:
        """Views (B, …) of each block of a tensor with a row for each crystal."""
        return iter(flat.split([crystals for crystals, _ in self.shapes]))

    def orbits(self, flat: Tensor) -> Iterator[Tensor]:
        """Views (B, N, …) of each block of a tensor with a row for each orbit."""
        parts = flat.split([crystals * orbits for crystals, orbits in self.shapes])
        return (part.unflatten(0, shape) for part, shape in zip(parts, self.shapes, strict=True))

    def pairs(self, flat: Tensor) -> Iterator[Tensor]:
        """Views (B, N, N, …) of each block of a tensor with a row for each ordered pair."""
        parts = flat.split([crystals * orbits**2 for crystals, orbits in self.shapes])
        return (part.unflatten(0, (b, n, n)) for part, (b, n) in zip(parts, self.shapes, strict=True))

    def to_orbits(self, values: Tensor) -> Tensor:
        """Values of each crystal (ΣB, …), given to its orbits: (ΣBN, …)."""
        parts = zip(self.crystals(values), self.shapes, strict=True)
        return torch.cat([part[:, None].expand(-1, n, *part.shape[1:]).flatten(0, 1) for part, (_, n) in parts])


def add_ends(message: Tensor, receiver: Tensor, sender: Tensor, blocks: Blocks) -> Tensor:
    """message_ij + receiver_i + sender_j, in the memory of `message` (pairs, W); receiver and sender (orbits, W)."""
    return _AddEnds.apply(message, receiver, sender, blocks)


def received(message: Tensor, mask: Tensor, full: tuple[bool, ...], blocks: Blocks) -> Tensor:
    """Σ_j mask_j message_ij, (orbits, W), of messages (pairs, W).

    Args:
        message: of each ordered pair.
        mask: (orbits,) 1 for real senders, 0 for padding.
        full: for each block, whether its mask is 1 throughout.
        blocks: of the pairs.
    """
    return _Received.apply(message, mask, full, blocks)


class _AddEnds(Function):
    @staticmethod
    def forward(ctx: Any, message: Tensor, receiver: Tensor, sender: Tensor, blocks: Blocks) -> Tensor:
        ctx.mark_dirty(message)
        ctx.blocks, ctx.orbits = blocks, receiver.shape
        for pairs, to, by in zip(blocks.pairs(message), blocks.orbits(receiver), blocks.orbits(sender), strict=True):
            pairs.add_(to[:, :, None]).add_(by[:, None])
        return message

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (gradient,), blocks = gradients, ctx.blocks
        receiver, sender = gradient.new_empty(ctx.orbits), gradient.new_empty(ctx.orbits)
        for pairs, to, by in zip(blocks.pairs(gradient), blocks.orbits(receiver), blocks.orbits(sender), strict=True):
            torch.sum(pairs, dim=2, out=to)
            torch.sum(pairs, dim=1, out=by)
        return gradient, receiver, sender, None


class _Received(Function):
    @staticmethod
    def forward(ctx: Any, message: Tensor, mask: Tensor, full: tuple[bool, ...], blocks: Blocks) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.full, ctx.blocks, ctx.pairs = full, blocks, message.shape
        total = message.new_empty(len(mask), message.shape[1])
        views = zip(blocks.pairs(message), blocks.orbits(mask), blocks.orbits(total), full, strict=True)
        for pairs, real, to, is_full in views:
            if is_full:
                torch.sum(pairs, dim=2, out=to)
            else:  # a product of matrices, so that no masked copy of the messages is made
                to.copy_((real[:, None, None].to(pairs.dtype) @ pairs)[:, :, 0])
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,), (mask,), blocks = gradients, ctx.saved_tensors, ctx.blocks
        message = gradient.new_empty(ctx.pairs)
        views = zip(blocks.pairs(message), blocks.orbits(mask), blocks.orbits(gradient), ctx.full, strict=True)
        for pairs, real, of, is_full in views:
            if is_full:
                pairs.copy_(of[:, :, None].expand_as(pairs))
            else:
                torch.mul(of[:, :, None], real[:, None, :, None].to(of.dtype), out=pairs)
        return message, None, None, None
