"""Choice of drafts by their predicted energy above the hull, which keeps the shares of the strata in a set.

Resulting distribution.  Let p be the model's distribution of drafts, G the guards (`GUARDS`), and s a stratum
(`strata`).  n crystals are wanted from N n drafts, so each stratum should give n p(s) crystals, as many as without a
choice.  A chosen draft of the stratum is then distributed as

    p'(x | s)  ∝  p(x) [x passes G] [x is among the best n p(s) of those of s that pass],      p'(s) = p(s),

except for strata with too few passing drafts: these give all that pass, and the others give more in proportion.
Numbers of crystals are whole; the direction of rounding is drawn, so that the average is n p(s).  No draft becomes more
than N times as frequent.  "Best" refers to the score: the predicted energy, at least -0.1 eV/atom, plus 0.05 eV/atom
for each better draft of the same composition in the stratum.  Among equal scores the lower number is better.

With few drafts, strata of one or two drafts would leave nothing to choose.  So successive strata (in number of orbits
first) are joined until they hold 2 N drafts, and a set of fewer than 200 crystals is drawn at random from 200 chosen
ones (`diffusion.pool`): a small set has the same distribution as a large one.

Over a hull with few competitors everything looks stable.  So drafts in chemical systems with fewer than 12 entries are
strata of their own, if there are enough: no draft gains from lying in a system that is hardly known.  With fewer than 4
entries all scores are equal: there the model abstains, and drafts keep their frequencies and order.
A figure measured on a chosen set is not a property of the generator alone: state N beside it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from symmcd.crystallography import content
from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.drafts import Drafts
from symmcd.errors import InputError
from symmcd.stability.doubts import RADIOACTIVE
from symmcd.stability.hull import ConvexHull
from symmcd.stability_model.chemistry import chemistry, has_lanthanides
from symmcd.stability_model.features import entries_in, features
from symmcd.stability_model.materials import fingerprint
from symmcd.stability_model.model import StabilityModel

REWARDED = -0.1  # eV/atom; nothing gains by a prediction below it, where potentials have holes
FEWEST_ENTRIES = 4  # entries of the hull in a chemical system; with fewer its energy there is meaningless
FEW_ENTRIES = 12  # with fewer it lacks competitors, and all is too stable
LEAST = 2  # times as many drafts as one crystal is chosen of: what a stratum holds
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
    best_of: BestOf | None = None  # what is to be said of the crystals; None if nothing was chosen, or not yet known

    chosen: int = 0  # number of which these are a random part; 0: these are all
    of_other_weights: bool = False  # the model was fitted to drafts of another generator

    def part(self, number: int, seed: int) -> Choice:
        """Draw `number` of the chosen drafts at random."""
        if number == len(self.index):
            return self
        rng = np.random.default_rng([seed, number, 1])
        rows = np.sort(rng.permutation(len(self.index))[:number])
        return replace(self, index=self.index[rows], energy=self.energy[rows], chosen=len(self.index))

    def sentence(self) -> str:
        """Description of the choice, for people."""
        reasons = ", ".join(f"{count} with {GUARDS[name]}" for name, count in self.left_out.items())
        part = f", and took {len(self.index)} of them at random" if self.chosen else ""
        text = (
            f"chose {self.chosen or len(self.index)} of {self.drawn} drafts{part}; left out: {reasons or 'none'}; not "
            f"judged, as the hull has fewer than {FEWEST_ENTRIES} entries in their systems: {self.abstained}"
        )
        if 2 * self.abstained > self.drawn - sum(self.left_out.values()):
            text += "; most are not judged at all: give a hull with these systems"
        if self.of_other_weights:
            text += "; the stability model was fitted to drafts of other weights: fit one to yours (symmcd surrogate)"
        return text


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
        drafts: at least `number`; if there are exactly as many, all are taken.
        number: how many are wanted.
        model: that predicts energies.
        hull: of known materials; predictions depend on it.
        asked: requested atomic numbers, radioactive or not.
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
            f"{number} crystals are wanted, but only {len(passed)} of {len(drafts)} "
            f"drafts pass the guards ({reasons}); "
            "draw more drafts per crystal, or use --stable=1 to make no choice"
        )
    rest = drafts.take(passed)
    values = features(rest, rest.log_probability, hull)
    energy = model.predict(values).energy
    entries = entries_in(content.amounts(drafts), hull)
    sparse, stratum = entries[passed] < FEWEST_ENTRIES, strata(drafts, entries, LEAST * len(drafts) // number)
    offset = float(np.random.default_rng([drafts.seed, len(drafts), number]).random())
    room = np.bincount(stratum[passed], minlength=stratum.max() + 1)
    wanted = quotas(np.bincount(stratum), number, room, offset)
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


def strata(drafts: Drafts, entries: np.ndarray, least: int = 1) -> np.ndarray:
    """(B,) stratum of each draft: class of chemistry, lanthanides or none, how well known, number of orbits.

    In this order, so that neighbours differ in the number of orbits.  Those that follow one another are one, until it
    has `least` drafts; but drafts for which the model abstains are never together with others.

    Args:
        drafts: B of them.
        entries: (B,) of the hull in the chemical system of each.
        least: drafts in a stratum, where there are as many.
    """
    counts = content.amounts(drafts)
    known = np.searchsorted((FEWEST_ENTRIES, FEW_ENTRIES), entries, side="right")
    keys = np.stack([known == 0, chemistry(counts), has_lanthanides(counts), known, drafts.orbits], axis=1)
    distinct, fine, size = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    joined, held = np.zeros(len(distinct), int), 0
    for index in range(1, len(distinct)):
        held += int(size[index - 1])
        apart = distinct[index, 0] != distinct[index - 1, 0]
        new = apart or (held >= least and _left(size, distinct[:, 0], index) >= least)
        joined[index] = joined[index - 1] + new
        held = 0 if new else held
    return joined[fine.reshape(-1)]


def _left(size: np.ndarray, kind: np.ndarray, index: int) -> int:
    """Drafts from `index` on, of those that may be together with it."""
    return int(size[index:][kind[index:] == kind[index]].sum())


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


def quotas(size: np.ndarray, number: int, room: np.ndarray | None = None, offset: float = 0.5) -> np.ndarray:
    """(S,) of `number` to each stratum, in proportion to `size` (S,), but no more than its `room` (S,).

    Cumulative sums over the strata are rounded, not each stratum, so that a remainder goes to the next stratum.  The
    method of largest remainders would never take one of the many strata below half a crystal, which hold large
    crystals.  On average over all offsets a stratum gets its exact share (systematic sampling).  Crystals without room
    go to the other strata in proportion.

    Args:
        size: of each stratum.
        number: at most the sum of `room`.
        room: None: as `size`.
        offset: in [0, 1): a sum is rounded up where its fraction and this are 1 or more.
    """
    room = size if room is None else room
    given = np.zeros(len(size), np.int64)
    while left := int(number - given.sum()):
        weight = np.where(given < room, np.maximum(size, 1), 0)
        total = int(weight.sum())
        ends = np.floor(left * np.cumsum(weight) / total + offset).astype(np.int64)
        ends[-1] = left  # whatever the rounding of the line above
        given = np.minimum(room, given + np.diff(ends, prepend=0))
    return given
