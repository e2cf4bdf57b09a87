"""Arrangements of a composition: possible Wyckoff positions and elements of a crystal, and how likely each of them is.

The network draws positions before elements, so it cannot be conditioned on a composition directly.  Instead the
elements are placed in every possible way on sets of positions whose multiplicities allow it: those of the training set
(2,464 up to the choice of origin and axes; 96 % of the validation crystals have one of them) and newly drawn ones.
The network gives the exact probability of a crystal, so these can be compared: p(arrangement | composition) ∝
p(G) p(M | G) p(positions | G, M) p(elements | positions).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symmcd.crystallography.normaliser import canonical_arrangement
from symmcd.diffusion.staged.likelihood import log_probabilities, position_log_probabilities
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.errors import InputError

MOST_RATED = 4000  # crystals of a composition of which the network is asked; some have tens of thousands


@dataclass(frozen=True)
class Composition:
    """Composition of a crystal.

    Raises:
        InputError: no elements, or a number below 1.
    """

    formula_unit: Mapping[int, int]  # atomic number → atoms of it
    atoms: int | None = None  # number in the primitive cell; None: any number of formula units

    def __post_init__(self) -> None:
        per_unit = sum(self.formula_unit.values())
        if not self.formula_unit or min(*self.formula_unit, *self.formula_unit.values()) < 1:
            raise InputError(
                f"a composition of {dict(self.formula_unit)}: atomic numbers and numbers of atoms must be at least 1"
            )
        if self.atoms is not None and (self.atoms < 1 or self.atoms % per_unit):
            raise InputError(f"{self.atoms} atoms are not a multiple of the {per_unit} atoms of the formula unit")

    def __str__(self) -> str:
        atoms = f" with {self.atoms} atoms in the primitive cell" if self.atoms else ""
        return " ".join(f"{n} × {number}" for number, n in self.formula_unit.items()) + atoms


@dataclass(frozen=True, eq=False)
class Arrangements:
    """Crystals without geometry, the likeliest first, each described in one way only."""

    sequences: WyckoffSequences
    log_probability: Tensor  # (B,) natural logarithm of p(G) p(M | G) p(positions) p(elements)

    def __len__(self) -> int:
        return len(self.sequences)


def fillings(
    wyckoff: Sequence[int], multiplicity: Sequence[int], composition: Mapping[int, int]
) -> Iterator[tuple[int, ...]]:
    """Every way to put the elements of a composition onto orbits, as one atomic number per orbit.

    Args:
        wyckoff: position of each orbit, ascending; elements ascend where positions repeat, or crystals came twice.
        multiplicity: atoms of each orbit.
        composition: atomic number → atoms of a formula unit, of which the orbits hold any whole number.
    """
    units, rest = divmod(sum(multiplicity), sum(composition.values()))
    if rest:
        return
    elements, last = sorted(composition), len(wyckoff)

    def taken(left: tuple[int, ...], which: int, place: int) -> tuple[int, ...]:
        return tuple(n - multiplicity[place] * (i == which) for i, n in enumerate(left))

    def lowest(place: int, before: int) -> int:
        return before if place < last and wyckoff[place] == wyckoff[place - 1] else 0

    def choices(place: int, left: tuple[int, ...], first: int) -> Iterator[tuple[int, tuple[int, ...], int]]:
        for which in range(first, len(elements)):
            if left[which] >= multiplicity[place]:
                following = taken(left, which, place), lowest(place + 1, which)
                if possible(place + 1, *following):
                    yield which, *following

    @functools.cache
    def possible(place: int, left: tuple[int, ...], first: int) -> bool:
        return place == last or any(True for _ in choices(place, left, first))

    def walk(place: int, left: tuple[int, ...], first: int) -> Iterator[tuple[int, ...]]:
        if place == last:
            yield ()
            return
        for which, remaining, following in choices(place, left, first):
            for others in walk(place + 1, remaining, following):
                yield (elements[which], *others)

    yield from walk(0, tuple(composition[number] * units for number in elements), 0)


class Pool:
    """Different sets of Wyckoff positions for compositions to be put onto, laid out once for all of them.

    Args:
        drawn: crystals on these positions, whose elements are not looked at; positions that come again are left out.
    """

    def __init__(self, drawn: WyckoffSequences) -> None:
        self.drawn = drawn
        tables = symmetry_tables(drawn.count.device)
        multiplicity = (tables.multiplicity[drawn.wyckoff] * drawn.mask).tolist()
        rows = zip(drawn.count.tolist(), drawn.wyckoff.tolist(), multiplicity, strict=True)
        first: dict[tuple[int, ...], tuple[int, list[int]]] = {}
        for row, (count, wyckoff, of_orbit) in enumerate(rows):
            first.setdefault(tuple(wyckoff[:count]), (row, of_orbit[:count]))
        atoms = drawn.primitive_atoms.tolist()
        # row of `drawn`, positions, their multiplicities, atoms of the primitive cell
        self.sets = [(row, positions, of_orbit, atoms[row]) for positions, (row, of_orbit) in first.items()]


def with_composition(pool: Pool, composition: Composition, most: int = MOST_RATED) -> WyckoffSequences:
    """Crystals of a composition on the positions of `pool`, each once.

    All of them where there are no more than `most`, else those on the first positions.
    """
    drawn = pool.drawn
    longest = drawn.wyckoff.shape[1]
    rows: list[int] = []
    filled: list[list[int]] = []
    # `fillings` looks at multiplicities, and at which positions repeat: many sets have these in common
    known: dict[tuple[tuple[int, ...], tuple[bool, ...]], list[tuple[int, ...]]] = {}
    for row, positions, multiplicity, atoms in pool.sets:
        if composition.atoms and atoms != composition.atoms:
            continue
        alike = tuple(multiplicity), tuple(v == w for v, w in itertools.pairwise(positions))
        if alike not in known:
            every = fillings(positions, multiplicity, composition.formula_unit)
            known[alike] = list(itertools.islice(every, most - len(rows)))  # later ones need no more
        found = known[alike][: most - len(rows)]
        rows += [row] * len(found)
        filled += [[*elements, *[0] * (longest - len(positions))] for elements in found]
        if len(rows) == most:
            break
    crystals = drawn.select(torch.tensor(rows, dtype=torch.int64, device=drawn.count.device))
    element = torch.tensor(filled, dtype=torch.int64, device=crystals.count.device).reshape(crystals.wyckoff.shape)
    return WyckoffSequences(crystals.space_group, crystals.count, crystals.wyckoff, element)


def template_tensors(crystals: WyckoffSequences) -> dict[str, Tensor]:
    """The different sets of Wyckoff positions of `crystals`, as small tensors of a checkpoint."""
    table = torch.cat([crystals.space_group[:, None], crystals.count[:, None], crystals.wyckoff], dim=1)
    group, count, *wyckoff = torch.unique(table, dim=0).to(torch.int16).unbind(dim=1)
    return {"space_group": group, "count": count, "wyckoff": torch.stack(wyckoff, dim=1)}


def from_template_tensors(tensors: Mapping[str, Tensor]) -> WyckoffSequences:
    """The sets of positions that `template_tensors` made tensors of, as crystals without elements."""
    group, count, wyckoff = (tensors[name].long() for name in ("space_group", "count", "wyckoff"))
    return WyckoffSequences(group, count, wyckoff, torch.zeros_like(wyckoff))


def likeliest_first(network: WyckoffNetwork, drawn: WyckoffSequences, log_prior: Tensor) -> WyckoffSequences:
    """The positions of `drawn` by their probability, those that `log_prior` (see `likeliest`) forbids left out."""
    prior = log_prior[drawn.space_group - 1, drawn.count]
    drawn = drawn.select((prior > -torch.inf).nonzero()[:, 0])
    log_probability = position_log_probabilities(network, drawn) + log_prior[drawn.space_group - 1, drawn.count]
    return drawn.select(log_probability.argsort(descending=True, stable=True))


def likeliest(network: WyckoffNetwork, crystals: WyckoffSequences, log_prior: Tensor, number: int) -> Arrangements:
    """The `number` likeliest of `crystals`; of several descriptions of the same one, the likeliest.

    `log_prior` (230, M + 1) is the logarithm of p(G) p(M | G), -inf for groups that are not wanted.
    """
    if not len(crystals):
        return Arrangements(crystals, log_prior.new_zeros(0))
    log_probability = log_probabilities(network, crystals).sum(dim=(1, 2))
    log_probability = log_probability + log_prior[crystals.space_group - 1, crystals.count]
    letters, elements = crystals.letter.tolist(), crystals.element.tolist()
    groups, counts = crystals.space_group.tolist(), crystals.count.tolist()
    seen: set[tuple[int, ...]] = set()
    kept: list[int] = []
    for row in log_probability.argsort(descending=True, stable=True).tolist():
        if len(kept) == number:
            break
        group, count = groups[row], counts[row]
        name = group, *canonical_arrangement(group, letters[row][:count], elements[row][:count])
        if name not in seen:
            seen.add(name)
            kept.append(row)
    rows = torch.tensor(kept, device=log_probability.device)
    return Arrangements(crystals.select(rows), log_probability[rows])
