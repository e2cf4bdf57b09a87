"""Whether the reference crystals of a hull are the very crystals that it is to judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pymatgen.core import Composition

from symmcd.stability.hull import HullEntry

SAME_ID = 1e-3  # eV/atom, greatest difference of the energies of one crystal under one id, whatever computed them
SAME_CRYSTAL = 1e-5  # eV/atom, the same where ids differ: what single precision and six digits leave


@dataclass(frozen=True)
class Candidate:
    """A crystal to be judged."""

    id: str
    formula: str
    energies: tuple[float, ...]  # eV/atom, as generated and relaxed, as far as known


@dataclass(frozen=True)
class Own:
    """What a reference set has of the candidates."""

    entry: Mapping[str, HullEntry]  # candidate's id -> the entry that is this crystal
    alone: bool
    """Half of the candidates or more are entries, and those in their systems that come from elsewhere are elements."""


def own_entries(candidates: Sequence[Candidate], entries: Iterable[HullEntry]) -> Own:
    """Find the entries that are candidates: of the same formula and energy, under the same id.

    Where half of the candidates or more have such an entry under any id, these count too; a few may be materials that
    were found again, whose energies meet by chance.

    Args:
        candidates: those without any energy can be no entry.
        entries: of one hull; only total energies can be those of a candidate.
    """
    energies = [entry for entry in entries if entry.kind == "energy"]
    compounds = [entry for entry in energies if len(_elements(entry.formula)) > 1]
    by_formula: dict[str, list[HullEntry]] = {}
    for entry in compounds:
        by_formula.setdefault(_reduced(entry.formula), []).append(entry)
    known = [candidate for candidate in candidates if candidate.energies and len(_elements(candidate.formula)) > 1]
    own: dict[str, HullEntry] = {}
    alike: dict[str, HullEntry] = {}
    for candidate in known:
        for entry in by_formula.get(_reduced(candidate.formula), []):
            apart = min(abs(entry.energy_per_atom - energy) for energy in candidate.energies)
            if entry.id == candidate.id and apart <= SAME_ID:
                own[candidate.id] = entry
            elif apart <= SAME_CRYSTAL:
                alike[candidate.id] = entry
    if 2 * len(alike | own) >= len(known):
        own = alike | own
    origins = {entry.origin for entry in own.values()}
    systems = {_elements(candidate.formula) for candidate in known}
    elsewhere = {_elements(entry.formula) for entry in compounds if entry.origin not in origins}
    independent = any(theirs <= system for theirs in elsewhere for system in systems)
    return Own(own, bool(own) and 2 * len(own) >= len(known) and not independent)


def _elements(formula: str) -> frozenset[str]:
    return frozenset(Composition(formula).get_el_amt_dict())


def _reduced(formula: str) -> str:
    return Composition(formula).reduced_formula
