"""Several Wyckoff networks, trained apart, that are drawn from as one.

Each learns the same crystals from another start, and has its own mistakes where there are few of them: the mean of
their probabilities is nearer to unseen crystals than any of them, by 0.4 nats for four.  The crystals drawn from it are
no better, though (docs/model-study.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from symmcd.diffusion.staged.wyckoff_network import Logits, Memory, WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences


class WyckoffEnsemble(nn.Module):
    """The arithmetic mean of the probabilities of its members, place by place: again one distribution over crystals."""

    def __init__(self, members: Iterable[WyckoffNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def seen(self) -> Tensor:
        """(118,) elements of the training set."""
        return cast("Tensor", self.members[0].seen)

    def forward(self, crystals: WyckoffSequences) -> Logits:
        """As `WyckoffNetwork.forward`; of several members, logarithms of probabilities."""
        said: list[Logits] = [member(crystals) for member in self.members]
        if len(said) == 1:
            return said[0]
        return Logits(
            _log_mean(torch.stack([logits.wyckoff for logits in said])),
            _log_mean(torch.stack([logits.element for logits in said])),
        )

    def positions(self, crystals: WyckoffSequences) -> Tensor:
        """As `WyckoffNetwork.positions`; of several members, logarithms of probabilities."""
        return self._mean(member.positions(crystals) for member in self._networks)

    def begin(self) -> list[Memory]:
        """What `next_position` and `next_element` remember of some crystals, all positions before all elements."""
        return [Memory(member.embedded_positions()) for member in self._networks]

    def next_position(self, crystals: WyckoffSequences, place: int, memory: Sequence[Memory]) -> Tensor:
        """As `WyckoffNetwork.next_position`; of several members, logarithms of probabilities."""
        members = zip(self._networks, memory, strict=True)
        return self._mean(member.next_position(crystals, place, of_it) for member, of_it in members)

    def next_element(self, crystals: WyckoffSequences, place: int, memory: Sequence[Memory]) -> Tensor:
        """As `WyckoffNetwork.next_element`; of several members, logarithms of probabilities."""
        members = zip(self._networks, memory, strict=True)
        return self._mean(member.next_element(crystals, place, of_it) for member, of_it in members)

    @property
    def _networks(self) -> list[WyckoffNetwork]:
        return [cast("WyckoffNetwork", member) for member in self.members]

    @staticmethod
    def _mean(said: Iterable[Tensor]) -> Tensor:
        """Logits of one member as they are."""
        logits = list(said)
        return logits[0] if len(logits) == 1 else _log_mean(torch.stack(logits))


def _log_mean(logits: Tensor) -> Tensor:
    """Logarithm of the mean over members, (…, K), of the probabilities that logits (members, …, K) stand for."""
    return logits.log_softmax(dim=-1).logsumexp(dim=0) - math.log(len(logits))
