"""Choosing drafts by their predicted energy above the hull, without changing what a set is made of.

Which distribution results.  Let p be the model's distribution of drafts, G the guards (`GUARDS`), and s a stratum
(`strata`).  n crystals are wanted of N n drafts, so each stratum is to give n p(s) crystals: as many as there would be
of it without any choice.  A chosen draft of it is then distributed as

    p'(x | s)  ∝  p(x) [x passes G] [x is among the best n p(s) of those of s that pass],      p'(s) = p(s),

up to rounding to whole crystals, and but for strata of which too few drafts pass: those give all that pass, and the
others in proportion more.  No draft becomes more than N times as frequent as it was.  "Best" is by score: the
predicted energy, at least -0.1 eV/atom, plus 0.05 eV/atom for each better draft of the same composition in the
stratum.  Of equal scores the lower number is better.

Over a hull with few competitors everything looks stable.  So drafts in whose chemical system it has fewer than 12
entries are strata of their own: nothing gains by lying in a system that is hardly known.  With fewer than 4 all scores
are equal: there the model abstains, and drafts stay as frequent and as they were.
What is measured over a set that was chosen so is no property of the generator alone: say N beside it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from symmcd.crystallography import content
from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.drafts import Drafts
from symmcd.errors import InputError
from symmcd.stability.doubts import RADIOACTIVE
from symmcd.stability.hull import ConvexHull
from symmcd.stability_model.chemistry import chemistry, has_lanthanides
from symmcd.stability_model.features import features
from symmcd.stability_model.materials import fingerprint
from symmcd.stability_model.model import StabilityModel

REWARDED = -0.1  # eV/atom; nothing gains by a prediction below it, where potentials have holes
FEWEST_ENTRIES = 4  # of the hull in a chemical system; with fewer its energy there means nothing
FEW_ENTRIES = 12  # with fewer it lacks competitors, and all is too stable
REPEATED = 0.05  # eV/atom, for each better draft of the same composition in the stratum
SMACT_SECONDS = 10.0  # a composition
GUARDS = {  # why a draft is left out
    "one_element": "fewer than two elements",
    "radioactive": "a radioactive element",
    "composition": "no valid composition by SMACT",
    "known": "positions and elements of a known material",
}


@dataclass(frozen=True, eq=False)
class Choice:
    """Drafts that were chosen, and why others were not."""

    index: np.ndarray  # (n,) of the chosen among the drafts, ascending
    energy: np.ndarray  # (n,) predicted eV/atom above the hull; nan where the model abstains
    left_out: dict[str, int]  # drafts by the first of `GUARDS` that they fail
    abstained: int  # drafts that pass the guards, of systems with too few entries
    drawn: int
    best_of: BestOf | None = None  # what is to be said of the crystals; None where nothing was chosen, or not yet known

    def sentence(self) -> str:
        """What was done, for people."""
        reasons = ", ".join(f"{count} with {GUARDS[name]}" for name, count in self.left_out.items())
        return (
            f"chose {len(self.index)} of {self.drawn} drafts; left out: {reasons or 'none'}; not judged, as the hull "
            f"has fewer than {FEWEST_ENTRIES} entries in their systems: {self.abstained}"
        )


def choose(
    drafts: Drafts,
    number: int,
    model: StabilityModel,
    hull: ConvexHull,
    *,
    asked: Collection[int] = (),
    known: Collection[str] = (),
) -> Choice:
    """`number` of `drafts`, as the text of this module says.

    Args:
        drafts: at least `number`; of exactly as many all are taken, whatever they are.
        number: how many are wanted.
        model: that predicts energies.
        hull: of what is known, on which they depend.
        asked: atomic numbers that were asked for, radioactive or not.
        known: arrangements to leave out, such as those of the training set, as `materials.fingerprint`.

    Raises:
        InputError: fewer drafts, or fewer that pass the guards.
    """
    if not 1 <= number <= len(drafts):
        raise InputError(f"{number} crystals of {len(drafts)} drafts: draw at least as many drafts as crystals")
    if number == len(drafts):
        every = np.arange(number)
        return Choice(every, np.full(number, np.nan), {}, 0, number)
    fails = guards(drafts, asked, known)
    left_out = {name: int((fails == code).sum()) for code, name in enumerate(GUARDS, 1) if (fails == code).any()}
    passed = np.flatnonzero(fails == 0)
    if len(passed) < number:
        reasons = ", ".join(f"{count} with {GUARDS[name]}" for name, count in left_out.items())
        raise InputError(
            f"{number} crystals are wanted, and {len(passed)} of {len(drafts)} drafts may be chosen ({reasons}); "
            "draw more drafts a crystal, or do not choose (--stable=1)"
        )
    rest = drafts.take(passed)
    values = features(rest, rest.log_probability, hull)
    energy = model.predict(values).energy
    entries = entries_in(drafts, hull)
    sparse, stratum = entries[passed] < FEWEST_ENTRIES, strata(drafts, entries)
    wanted = quotas(np.bincount(stratum), number, np.bincount(stratum[passed], minlength=stratum.max() + 1))
    rows = best(energy, stratum[passed], sparse, rest.formula, rest.number, wanted)
    energy = np.where(sparse, np.nan, energy)
    return Choice(passed[rows], energy[rows], left_out, int(sparse.sum()), len(drafts))


def guards(drafts: Drafts, asked: Collection[int] = (), known: Collection[str] = ()) -> np.ndarray:
    """(B,) 0 for a draft that may be chosen, else 1 + the index of the first of `GUARDS` that it fails.

    A composition is valid as in the tables: by SMACT's rules of the CDVAE era (`metrics.validity`).
    """
    from symmcd.metrics.validity import composition_verdict

    counts = content.amounts(drafts)
    unwanted = sorted(RADIOACTIVE - set(asked))
    left_out = frozenset(known)
    found = [
        (counts > 0).sum(axis=1) < 2,
        (counts[:, unwanted] > 0).any(axis=1),
        np.array([composition_verdict(formula, SMACT_SECONDS) != "valid" for formula in drafts.formula], bool),
        np.array([fingerprint(a) in left_out for a in drafts.arrangement] if left_out else [False] * len(drafts), bool),
    ]
    fails = np.stack([np.zeros(len(drafts), bool), *found])
    return np.where(fails.any(axis=0), fails.argmax(axis=0), 0)


def entries_in(drafts: Drafts, hull: ConvexHull) -> np.ndarray:
    """(B,) entries that the hull has in the chemical system of each draft."""
    counts = content.amounts(drafts)
    return np.array([hull.entries_in({z: int(row[z]) for z in np.flatnonzero(row).tolist()}) for row in counts], int)


def strata(drafts: Drafts, entries: np.ndarray) -> np.ndarray:
    """(B,) stratum of each draft: class of chemistry, lanthanides or none, how well known, number of orbits.

    In this order, so that neighbours differ in the number of orbits (`quotas`).

    Args:
        drafts: B of them.
        entries: (B,) of the hull in the chemical system of each.
    """
    counts = content.amounts(drafts)
    known = np.searchsorted((FEWEST_ENTRIES, FEW_ENTRIES), entries, side="right")
    keys = np.stack([chemistry(counts), has_lanthanides(counts), known, drafts.orbits], axis=1)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)


def best(
    energy: np.ndarray,
    stratum: np.ndarray,
    sparse: np.ndarray,
    formula: list[str],
    names: np.ndarray,
    wanted: np.ndarray,
) -> np.ndarray:
    """Indices of the chosen of C drafts, ascending by name.

    Args:
        energy: (C,) predicted, eV/atom.
        stratum: (C,).
        sparse: (C,) where all scores are equal.
        formula: (C,) of each draft.
        names: (C,) numbers of the drafts, which tell equal scores apart.
        wanted: (S,) of each stratum, at most as many as there are.
    """
    score = np.where(sparse, 0.0, np.maximum(energy, REWARDED))
    kinds = np.unique(formula, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((names, score, kinds, stratum))
    same = (np.diff(stratum[order], prepend=-1) == 0) & (np.diff(kinds[order], prepend=-1) == 0)
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    earlier = np.empty(len(order), int)  # better drafts of the same composition in the stratum
    earlier[order] = np.arange(len(order)) - first
    score = score + np.where(sparse, 0.0, REPEATED * earlier)
    order = np.lexsort((names, score, stratum))
    size = np.bincount(stratum, minlength=len(wanted))
    place = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
    taken = order[place < wanted[stratum[order]]]
    return taken[np.argsort(names[taken])]


def quotas(size: np.ndarray, number: int, room: np.ndarray | None = None) -> np.ndarray:
    """(S,) of `number` to each stratum, in proportion to `size` (S,), but no more than its `room` (S,).

    Sums over the first strata are rounded, not each stratum, so that what one loses goes to the next: largest
    remainders would never take one of the many strata below half a crystal, which are of large crystals.  What has no
    room goes to the others in proportion.

    Args:
        size: of each stratum.
        number: at most the sum of `room`.
        room: None: as `size`.
    """
    room = size if room is None else room
    given = np.zeros(len(size), np.int64)
    while left := int(number - given.sum()):
        weight = np.where(given < room, np.maximum(size, 1), 0)
        total = int(weight.sum())
        ends = (2 * left * np.cumsum(weight) + total) // (2 * total)
        given = np.minimum(room, given + np.diff(ends, prepend=0))
    return given
