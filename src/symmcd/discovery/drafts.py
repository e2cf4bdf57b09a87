"""Drafts kept block by block, so that a killed run continues; and which of them are made into crystals."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symmcd.crystallography.drafts import Drafts
from symmcd.discovery.course import Course
from symmcd.errors import InputError
from symmcd.journal import Journal
from symmcd.stability.hull import ConvexHull
from symmcd.stability_model.choosing import GUARDS, choose, guards
from symmcd.stability_model.model import StabilityModel

BLOCK = 256  # drafts drawn together and kept together; a draft depends on its block by rounding
SHARE = 0.4  # share of a budget that drafts may take
STAGE = "drafts"
ARRAYS = ("space_group", "start", "element", "wyckoff", "log_probability")


def drawn(
    draw: Callable[[np.ndarray], Drafts],
    wanted: int,
    like: Drafts,
    journal: Journal,
    course: Course,
    enough: int,
) -> Drafts:
    """The first `wanted` drafts, whatever of them the journal lacks drawn now.

    Fewer where a budget ends this stage, but at least `enough`.

    Args:
        draw: drafts of some numbers.
        wanted: how many.
        like: has the seed of these drafts and the constraints of their geometries, whatever else.
        journal: of these drafts.
        course: told how far it is.
        enough: fewest.

    Raises:
        InputError: as `draw`.
    """
    blocks = {line["block"]: line for line in journal.done}
    number = -(-wanted // BLOCK)
    there = sum(block in blocks for block in range(number))
    course.expect(STAGE, wanted, course.stages[STAGE].expected, min(there * BLOCK, wanted))
    course.begin()
    for block in range(number):
        if block in blocks:
            continue
        numbers = np.arange(block * BLOCK, (block + 1) * BLOCK)
        if block * BLOCK >= enough and not course.fits(course.stages[STAGE].rate() * BLOCK, SHARE):
            number = block
            break
        made = draw(numbers)
        arrays = {name: getattr(made, name).tolist() for name in ARRAYS}
        took = course.advance(STAGE, min(BLOCK, wanted - block * BLOCK))
        blocks[block] = {"block": block, "seconds": took, **arrays}
        journal.append(blocks[block])
    whole = Drafts.concatenate([_drafts(blocks[block], like) for block in range(number)])
    course.stages[STAGE].total = course.stages[STAGE].done = min(len(whole), wanted)
    return whole.take(np.arange(min(len(whole), wanted)))


def _drafts(line: dict[str, Any], like: Drafts) -> Drafts:
    """A block as it was drawn."""
    kind = {"log_probability": float}
    arrays: dict[str, Any] = {name: np.array(line[name], kind.get(name, int)) for name in ARRAYS}
    first = line["block"] * BLOCK
    number = np.arange(first, first + len(arrays["space_group"]))
    return Drafts(number=number, seed=like.seed, asked=like.asked, **arrays)


@dataclass(frozen=True, eq=False)
class Chosen:
    """Drafts to be made, the most promising first."""

    row: list[int]  # among all drafts
    predicted: list[float | None]  # eV/atom above the hull; None if the model abstains or does not choose
    sentence: str  # how they were chosen, for people
    version: str = ""  # version of symmcd that chose

    def as_json(self) -> dict[str, Any]:
        """A line of a journal."""
        return vars(self).copy()


def chosen(
    drafts: Drafts,
    number: int,
    model: StabilityModel | None,
    hull: ConvexHull,
    asked: Collection[int],
    left_out: Collection[str],
) -> Chosen:
    """`number` of the drafts, by a model of their energy above the hull, no arrangement twice while there are others.

    Where there are fewer arrangements than crystals wanted, each is made again with other geometries.

    Args:
        drafts: all of them.
        number: wanted; fewer where not as many may be chosen.
        model: that predicts energies; None: the first ones, as they were drawn.
        hull: of what is known, on which energies depend.
        asked: atomic numbers that were asked for, radioactive or not.
        left_out: arrangements not to be made, as `materials.fingerprint`.

    Raises:
        InputError: no draft may be chosen.
    """
    copy = copies(drafts.arrangement)
    distinct = int((copy == 0).sum())
    if model is None:
        order = np.lexsort((np.arange(len(drafts)), copy))[:number]
        rows = [int(row) for row in np.sort(order)]
        return Chosen(rows, [None] * len(rows), f"took {len(rows)} of {len(drafts)} drafts ({distinct} different ones)")
    fails = guards(drafts, asked, left_out)
    if not (passed := int((fails == 0).sum())):
        reasons = ", ".join(f"{(fails == code).sum()} with {text}" for code, text in enumerate(GUARDS.values(), 1))
        raise InputError(f"none of {len(drafts)} drafts passes the guards: {reasons}; use --stable=1 to make no choice")
    number = min(number, passed)
    most = next(m for m in range(1, int(copy.max()) + 2) if ((fails == 0) & (copy < m)).sum() >= number)
    among = np.flatnonzero(copy < most)
    choice = choose(drafts.take(among), number, model, hull, asked=asked, known=left_out)
    order = np.argsort(np.where(np.isnan(choice.energy), np.inf, choice.energy), kind="stable")
    predicted = [None if np.isnan(choice.energy[i]) else round(float(choice.energy[i]), 4) for i in order]
    rows = [int(row) for row in among[choice.index[order]]]
    return Chosen(rows, predicted, f"{choice.sentence()}; {distinct} of {len(drafts)} drafts differ in arrangement")


def copies(arrangement: list[str]) -> np.ndarray:
    """(B,) how many of the drafts before each have its arrangement."""
    seen: dict[str, int] = {}
    found = np.zeros(len(arrangement), int)
    for index, text in enumerate(arrangement):
        found[index] = seen.get(text, 0)
        seen[text] = found[index] + 1
    return found


def journal_of(folder: Path, identity: dict[str, Any]) -> Journal:
    """Journal of drafts in a work folder."""
    return Journal(folder / "drafts", identity)
