"""p(G) and p(M | G): space group and number of orbits of a new crystal, from the training set (paper, section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from symmcd.crystallography.space_group import check_number, family_index
from symmcd.diffusion.categorical import draw
from symmcd.diffusion.data_statistics import DataStatistics


def space_group_probability(statistics: DataStatistics, space_groups: Sequence[int] = ()) -> Tensor:
    """(230,) p(G), restricted to `space_groups` if there are any and normalised again.

    A listed group that the training set lacks counts as if it had one crystal, so that no legal request is refused.

    Raises:
        InputError: a number outside 1 … 230.
    """
    count = statistics.space_group_count
    if space_groups:
        listed = torch.zeros(230, dtype=torch.bool, device=count.device)
        listed[[check_number(number) - 1 for number in space_groups]] = True
        count = torch.where(listed, count.clamp_min(1), 0)
    return count / count.sum()


def orbit_probability(statistics: DataStatistics) -> Tensor:
    """(230, M + 1) p(M | G); for a group without training crystals that of its crystal family, or of all crystals."""
    count = statistics.orbit_count
    family = torch.tensor([family_index(number) for number in range(1, 231)], device=count.device)
    of_family = torch.zeros(int(family.max()) + 1, count.shape[1], device=count.device).index_add_(0, family, count)
    of_family = torch.where(of_family.sum(dim=1, keepdim=True) > 0, of_family, count.sum(dim=0))
    count = torch.where(count.sum(dim=1, keepdim=True) > 0, count, of_family[family])
    return count / count.sum(dim=1, keepdim=True)


def log_prior(statistics: DataStatistics, space_groups: Sequence[int] = ()) -> Tensor:
    """(230, M + 1) natural logarithm of p(G) p(M | G), with p(G) as `space_group_probability` has it."""
    return (space_group_probability(statistics, space_groups)[:, None] * orbit_probability(statistics)).log()


def narrowed_prior(statistics: DataStatistics, space_groups: Sequence[int], possible: Tensor) -> Tensor:
    """(230, M + 1) p(G) p(M | G), not normalised, where `possible` (230, M + 1) and 0 elsewhere.

    Where the training set has no crystal of what is possible, numbers of orbits are those of all its crystals, or else
    all as likely: no legal request is refused.
    """
    group = space_group_probability(statistics, space_groups)[:, None]
    whole = statistics.orbit_count.sum(dim=0).expand_as(possible)
    for of_group in (group, torch.ones_like(group)):
        for of_orbits in (orbit_probability(statistics), whole / whole.sum(), torch.ones_like(whole)):
            left = of_group * of_orbits * possible
            if bool(left.sum() > 0):
                return left
    raise ValueError("nothing is possible; `constraints.together` refuses this beforehand")


def draw_groups_and_orbits(
    statistics: DataStatistics, uniform: Tensor, space_groups: Sequence[int] = (), possible: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Space groups (B,) 1 … 230 and numbers of orbits (B,) from uniform numbers (B, 2); see `narrowed_prior`."""
    if possible is not None:
        left = narrowed_prior(statistics, space_groups, possible)
        group = draw(left.sum(dim=1), uniform[:, 0])
        return group + 1, draw(left[group], uniform[:, 1])
    group = draw(space_group_probability(statistics, space_groups), uniform[:, 0])
    return group + 1, draw(orbit_probability(statistics)[group], uniform[:, 1])
