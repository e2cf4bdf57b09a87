"""Detection of reference crystals of a hull that are the very crystals to be judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pymatgen.core import Composition

from symmcd.stability.hull import HullEntry

SAME_ID = 1e-3  # eV/atom, greatest difference of the energies of one crystal under one id, whatever computed them
SAME_CRYSTAL = 1e-5  # eV/atom, the same where ids differ: what single precision and six digits leave


@dataclass(frozen=True)
class Judged:
    """A crystal to be judged."""

    id: str
    formula: str
    energies: tuple[float, ...]  # eV/atom, as generated and relaxed, as far as known


@dataclass(frozen=True)
class Own:
    """Crystals to be judged that are themselves entries of the hull."""

    entry: Mapping[str, HullEntry]  # crystal's id -> the entry that is this crystal
    alone: bool
    """Half of the crystals or more are entries, and those in their systems that come from elsewhere are elements."""


def own_entries(judged: Sequence[Judged], entries: Iterable[HullEntry]) -> Own:
    """Find the entries that are crystals to be judged: of the same formula and energy, under the same id.

    Where half of the crystals or more have such an entry under any id, these count too; a few may be materials that
    were found again, whose energies meet by chance.

    Args:
        judged: crystals; those without any energy can be no entry.
        entries: of one hull; only total energies can be those of a crystal.
    """
    energies = [entry for entry in entries if entry.kind == "energy"]
    compounds = [entry for entry in energies if len(_elements(entry.formula)) > 1]
    by_formula: dict[frozenset[tuple[str, float]], list[HullEntry]] = {}
    for entry in compounds:
        by_formula.setdefault(_reduced(entry.formula), []).append(entry)
    known = [crystal for crystal in judged if crystal.energies and len(_elements(crystal.formula)) > 1]
    own: dict[str, HullEntry] = {}
    alike: dict[str, HullEntry] = {}
    for crystal in known:
        for entry in by_formula.get(_reduced(crystal.formula), []):
            apart = min(abs(entry.energy_per_atom - energy) for energy in crystal.energies)
            if entry.id == crystal.id and apart <= SAME_ID:
                own[crystal.id] = entry
            elif apart <= SAME_CRYSTAL:
                alike[crystal.id] = entry
    if 2 * len(alike | own) >= len(known):
        own = alike | own
    origins = {entry.origin for entry in own.values()}
    systems = {_elements(crystal.formula) for crystal in known}
    elsewhere = {_elements(entry.formula) for entry in compounds if entry.origin not in origins}
    independent = any(theirs <= system for theirs in elsewhere for system in systems)
    return Own(own, bool(own) and 2 * len(own) >= len(known) and not independent)


def _elements(formula: str) -> frozenset[str]:
    return frozenset(Composition(formula).get_el_amt_dict())


def _reduced(formula: str) -> frozenset[tuple[str, float]]:
    """Shares of the elements: the same for all multiples of a formula; pymatgen's spelling warns of noble gases."""
    amounts = Composition(formula).get_el_amt_dict()
    total = sum(amounts.values())
    return frozenset((element, round(amount / total, 9)) for element, amount in amounts.items())
