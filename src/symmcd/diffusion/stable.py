"""Drafts that a stability model chooses, of several for each crystal that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from symmcd.crystallography.drafts import Drafts
from symmcd.diffusion.constraints.constraint import Constraint
from symmcd.diffusion.constraints.together import named_elements
from symmcd.diffusion.pool import BLOCK, pool_size
from symmcd.stability.hull import ConvexHull
from symmcd.stability_model.choosing import Choice, choose
from symmcd.stability_model.known_hull import known_hull
from symmcd.stability_model.materials import arrangements_of
from symmcd.stability_model.model import SHIPPED, StabilityModel, model_path


def stable_drafts(
    draw: Callable[[np.ndarray], Drafts],
    number: int,
    stable: int,
    model: StabilityModel | Path | str | None,
    hull: ConvexHull | Path | str | None,
    asked: Sequence[Constraint],
    leave_out: Sequence[str | Path] = ("train",),
    weights: Collection[str] = (),
) -> tuple[Drafts, Choice]:
    """`number` of the first ``stable * number`` drafts, and how they were chosen (`stability_model.choosing`).

    Fewer than `pool.pool_size` are taken at random from so many chosen ones.

    Args:
        draw: the drafts of some numbers.
        number: wanted.
        stable: drafts for each.
        model: that predicts energies, its file or its name; None: the shipped one.
        hull: of what is known, or its file; None: all materials of MP-20.
        asked: constraints, whose elements may be radioactive.
        leave_out: splits of MP-20 and files of asymmetric units, whose positions and elements are not made again.
        weights: SHA-256 of the generator's file, and of those it was made of (`Generator.hashes`); the choice says
            where the model was fitted to drafts of others.

    Raises:
        InputError: a file that cannot be used, or too few drafts that may be chosen.
    """
    fitted = model if isinstance(model, StabilityModel) else StabilityModel.read(model_path(model or SHIPPED))
    known = hull if isinstance(hull, ConvexHull) else known_hull(hull).hull
    numbers = np.arange(stable * (number if stable == 1 else pool_size(number, asked)))
    blocks = [numbers[first : first + BLOCK] for first in range(0, len(numbers), BLOCK)]
    drafts = Drafts.concatenate([draw(block) for block in blocks])
    return chosen_of(drafts, number, stable, fitted, known, asked, leave_out, weights)


def chosen_of(
    drafts: Drafts,
    number: int,
    stable: int,
    model: StabilityModel,
    hull: ConvexHull,
    asked: Sequence[Constraint],
    leave_out: Sequence[str | Path] = ("train",),
    weights: Collection[str] = (),
) -> tuple[Drafts, Choice]:
    """The choice of `stable_drafts` among all `drafts`, ``stable`` for each of `pool.pool_size` crystals.

    Raises:
        InputError: a file that cannot be used, or too few drafts that may be chosen.
    """
    pool = number if stable == 1 else pool_size(number, asked)
    choice = choose(drafts, pool, model, hull, asked=named_elements(asked), known=arrangements_of(leave_out))
    choice = choice.part(number, drafts.seed)
    fitted_to = model.card.get("weights_sha256")
    others = bool(weights) and fitted_to is not None and fitted_to not in weights
    choice = replace(choice, best_of=model.best_of(stable) if stable > 1 else None, of_other_weights=others)
    return drafts.take(choice.index), choice
