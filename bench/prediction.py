"""Crystal structure prediction: how often a composition alone leads to the crystal of the test set.

    python bench/prediction.py --units results-cpu/asymmetric_units/test.npz --number 500 [--candidates 20] \
        [--checkpoint results-cpu/training/seed0/denoiser.safetensors] [--any-size] [--metre] [--cores 2] \
        [--steps 25 --proposals 1] [--geometries 6 [--careful 5]] [--keep FOLDER] \
        [--relax [--potential chgnet] [--judge sevennet-0] [--beta 0 0.01 0.02 0.05]]

For each of `--number` random crystals, `Generator.predict` is told the composition and, as in the literature, how many
atoms the primitive cell has (`--any-size`: not told).  Printed for the first 1, 5, 20 candidates: whether the crystal's
own Wyckoff positions and elements are among them (up to the choice of origin and axes), and whether pymatgen's matcher
finds the crystal among their geometries (stol 0.5, ltol 0.3, angle_tol 10, the settings of DiffCSP and those after it),
with the r.m.s. displacement of the best match, in (volume per atom)^⅓, and cRMSE, its mean over all crystals where one
that is not found counts as stol.

`--metre` takes random formulas with all their crystals of the file, until there are `--number` crystals, and prints
METRe too: of m crystals that are told the same, the share that one of the first m candidates matches, so that each
polymorph counts (Martirossyan et al., arXiv 2509.12178; there each crystal has one try, here they share m different
ones).  There the last order of all takes the best candidate of each space group first.

`--relax` relaxes the candidates once as `symmcd predict --relax` does, and ranks them by E - β log p for each of
`--beta` (eV/atom; 0: by energy alone).  The last column counts the crystals that this order finds and the order by
probability does not, among as many relaxed candidates, and the other way round.  `--judge` ranks by the energies of
another potential, too, at the geometries that the first one relaxed.

`--geometries` makes several of each candidate and keeps the one that relaxes to the lowest energy, as `symmcd predict
--relax` does.  `--careful N` saves time: candidates after the N likeliest get one geometry of 25 steps.

Crystals are predicted in blocks of 50, on `--cores` at once.  `--keep` writes each finished block into a folder, from
which the same command goes on after a kill.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import multiprocessing
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from symmcd import load_pretrained, relax
from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.drafts import Drafts
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.space_group import lattice_points
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.generator import CHEAP_STEPS, POOL, Generator
from symmcd.diffusion.staged.arrangements import Composition
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.extensions import POTENTIALS
from symmcd.metrics.intervals import percent
from symmcd.stability.outcome import Relaxation
from symmcd.stability.ranking import best_first, best_of_each, judged, scores
from symmcd.storage import read_units
from symmcd.structures.convert import crystals_to_structures

FIRST = (1, 5, 20)
STOL = 0.5
BLOCK = 50  # crystals predicted together


def compositions(units: AsymmetricUnits, any_size: bool) -> Iterator[Composition]:
    """What the predictor is told of each crystal."""
    multiplicity = wyckoff_table().multiplicity[units.wyckoff]
    for index, group in enumerate(units.space_group.tolist()):
        orbits = slice(units.start[index], units.start[index + 1])
        atoms: Counter[int] = Counter()
        for element, number in zip(units.element[orbits].tolist(), multiplicity[orbits].tolist(), strict=True):
            atoms[element] += number
        divisor = int(np.gcd.reduce(list(atoms.values())))
        size = None if any_size else sum(atoms.values()) // lattice_points(group)
        yield Composition({element: number // divisor for element, number in atoms.items()}, size)


def displacement(pair: tuple[Structure, Structure]) -> float:
    """R.m.s. displacement between two structures that match, else infinite."""
    found = StructureMatcher(stol=STOL, ltol=0.3, angle_tol=10).get_rms_dist(*pair)
    return np.inf if found is None else float(found[0])


def structures(units: AsymmetricUnits) -> list[Structure]:
    """Primitive cells."""
    return [s.get_primitive_structure() for s in crystals_to_structures(replicate_flat(units))]


def displacements(made: AsymmetricUnits, owner: np.ndarray, truth: Sequence[Structure]) -> np.ndarray:
    """(C,) of each candidate from the crystal it is to be, of index `owner` (C,); infinite where they do not match."""
    return np.array(
        [displacement((guess, truth[index])) for guess, index in zip(structures(made), owner.tolist(), strict=True)]
    )


@dataclass(frozen=True)
class How:
    """How candidates are made; what the results of a block depend on."""

    checkpoint: str
    candidates: int
    pool: int
    any_size: bool
    steps: int | None
    proposals: int | None
    careful: int | None
    geometries: int
    potential: str | None  # None: not relaxed
    judge: str | None  # a second potential


@dataclass(frozen=True, eq=False)
class Predicted:
    """C candidates of some crystals, with those of a crystal beside each other, the likeliest first."""

    owner: np.ndarray  # (C,) index of the crystal
    space_group: np.ndarray  # (C,)
    same: np.ndarray  # (C,) bool, whether it has the positions and elements of its crystal
    log_probability: np.ndarray  # (C,)
    distance: np.ndarray  # (C,) see `displacements`
    relaxed_distance: np.ndarray  # (C,) after relaxation
    energy: np.ndarray  # (C,) eV/atom, infinite where there is none
    second_energy: np.ndarray  # (C,) by the judge; empty if there is none
    status: np.ndarray  # (C,) of the relaxation
    seconds: np.ndarray  # (3,) CPU seconds for positions and elements, geometries, relaxation


generator_of = functools.cache(load_pretrained)
potential_of = functools.cache(lambda name: POTENTIALS[name].load("cpu"))


def judged_energies(relaxed: Sequence[Relaxation], name: str) -> np.ndarray:
    """(C,) energies of relaxed crystals by the potential `name`, eV/atom, infinite where there is none."""
    return np.array([np.inf if one.value is None else one.value for one in judged(relaxed, potential_of(name))])


def candidates_of(
    units: AsymmetricUnits, first: int, generator: Generator, number: int, any_size: bool = False, pool: int = POOL
) -> tuple[np.ndarray, np.ndarray, Drafts]:
    """The likeliest arrangements of each crystal's composition: index in `units` (C,), rank from 0 (C,), and drafts.

    Args:
        units: crystals, of which the first is the crystal `first` of all.
        first: names the random numbers of the geometries.
        generator: of a staged model.
        number: arrangements of each crystal, at most.
        any_size: do not tell the atoms of the primitive cell.
        pool: as in `Generator.predict`.
    """
    found = generator.arrangements(list(compositions(units, any_size)), number, pool=pool)
    rank = np.concatenate([np.arange(len(arrangements)) for arrangements in found])
    owner = np.repeat(np.arange(len(units)), [len(arrangements) for arrangements in found])
    crystals = WyckoffSequences.concatenate([arrangements.sequences for arrangements in found])
    log_probability = torch.cat([arrangements.log_probability for arrangements in found])
    named = torch.as_tensor((first + owner) * number + rank)
    return owner, rank, crystals.drafts(named, log_probability, seed=0)


def kept(path: Path | None, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of a file, or what `make` makes, which is then written to it; no file where `path` is None."""
    if path is not None and path.exists():
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    made = make()
    if path is not None:
        scratch = path.with_suffix(".part.npz")
        np.savez(scratch, **made)
        scratch.rename(path)
    return made


def several(
    generator: Generator, drafts: Drafts, rows: np.ndarray, number: int, steps: int | None, proposals: int | None
) -> dict[int, list[AsymmetricUnit]]:
    """`number` geometries for each of these rows of `drafts`."""
    made = generator.several_geometries(drafts.take(rows), number, steps=steps, proposals=proposals)
    return dict(zip(rows.tolist(), made, strict=True))


def predicted(units: AsymmetricUnits, first: int, how: How) -> Predicted:
    """Candidates of the crystals `units`, of which the first is the crystal `first` of all.

    `distance` is that of a candidate's first geometry; what follows relaxation is that of the lowest energy.
    """
    generator, clock = generator_of(how.checkpoint), [time.process_time()]
    owner, rank, drafts = candidates_of(units, first, generator, how.candidates, how.any_size, how.pool)
    clock.append(time.process_time())
    careful = rank < (how.candidates if how.careful is None else how.careful)
    made = several(generator, drafts, np.flatnonzero(careful), how.geometries, how.steps, how.proposals)
    made |= several(generator, drafts, np.flatnonzero(~careful), 1, CHEAP_STEPS, 1)
    tries = [unit for row in range(len(owner)) for unit in made[row]]
    place = [row for row in range(len(owner)) for _ in made[row]]
    guesses = AsymmetricUnits.from_units([made[row][0] for row in range(len(owner))])
    clock.append(time.process_time())
    relaxed: list[Relaxation] = []
    if how.potential:
        results = relax(AsymmetricUnits.from_units(tries), potential=how.potential, method="symmetry")
        best = best_of_each(results, place)
        relaxed = [results[row] for row in best]
        chosen = [tries[row] for row in best]
    clock.append(time.process_time())
    truth = structures(units)
    own, theirs = content.arrangements(units), content.arrangements(guesses)
    ended = [chosen[row] if result.unit is None else result.unit for row, result in enumerate(relaxed)]
    return Predicted(
        owner=first + owner,
        space_group=guesses.space_group,
        same=np.array([own[index] == arrangement for index, arrangement in zip(owner.tolist(), theirs, strict=True)]),
        log_probability=drafts.log_probability,
        distance=displacements(guesses, owner, truth),
        relaxed_distance=displacements(AsymmetricUnits.from_units(ended), owner, truth) if relaxed else np.empty(0),
        energy=np.array([np.inf if r.energy_relaxed is None else r.energy_relaxed for r in relaxed]),
        second_energy=judged_energies(relaxed, how.judge) if how.judge else np.empty(0),
        status=np.array([r.status for r in relaxed], dtype=str),
        seconds=np.diff(clock),
    )


def block(units: AsymmetricUnits, first: int, how: How, keep: Path | None) -> Predicted:
    """`predicted`, or what an earlier run kept of it."""
    path = None
    if keep is not None:
        crystals = hashlib.sha256(repr(content.arrangements(units)).encode()).hexdigest()
        key = hashlib.sha256(json.dumps([crystals, first, asdict(how)]).encode()).hexdigest()[:16]
        path = keep / f"{first:05}-{key}.npz"
    return Predicted(**kept(path, lambda: vars(predicted(units, first, how))))


@dataclass(frozen=True, eq=False)
class Order:
    """Candidates of all crystals, ranked one way."""

    name: str
    rows: list[np.ndarray]  # of each crystal its candidates, the best first
    distance: np.ndarray  # (C,) of each candidate, see `displacements`

    def best(self, first: int | np.ndarray) -> np.ndarray:
        """(B,) displacement of the best among so many candidates, for each crystal or for all."""
        firsts = np.broadcast_to(first, len(self.rows)).tolist()
        return np.array(
            [self.distance[some[:n]].min(initial=np.inf) for some, n in zip(self.rows, firsts, strict=True)]
        )


def print_table(orders: Sequence[Order], same: np.ndarray, candidates: int, compared: Order) -> None:
    """One row for the first 1, 5, 20 candidates of each order.

    Args:
        orders: ways to rank.
        same: (C,) whether a candidate has the positions and elements of its crystal.
        candidates: asked for.
        compared: order that crystals are won or lost beside.
    """
    print(
        "| first | ranked by | own positions and elements among them, % | matched, % | r.m.s. displacement | cRMSE "
        "| won / lost |\n|---|---|---|---|---|---|---|"
    )
    for first in (number for number in FIRST if number <= candidates):
        for order in orders:
            own = np.array([same[some[:first]].any() for some in order.rows])
            best = order.best(first)
            matched, before = np.isfinite(best), np.isfinite(compared.best(first))
            change = f"{(matched & ~before).sum()} / {(before & ~matched).sum()}"
            displaced = f"{best[matched].mean():.3f} | {np.minimum(best, STOL).mean():.3f}"
            print(f"| {first} | {order.name} | {percent(own)} | {percent(matched)} | {displaced} | {change} |")


def print_metre(orders: Sequence[Order], told: Sequence[Composition], candidates: int) -> None:
    """METRe and its cRMSE: each crystal may be met by as many candidates as there are crystals told the same."""
    key = [(tuple(sorted(one.formula_unit.items())), one.atoms) for one in told]
    alike = np.array([Counter(key)[one] for one in key])
    print(
        f"\nMETRe: {len(told)} crystals of {len(set(key))} compositions, {(alike > 1).sum()} with others of theirs"
        f"{f'; {(alike > candidates).sum()} lack candidates' if (alike > candidates).any() else ''}\n\n"
        "| ranked by | METRe, % | cRMSE | of those with polymorphs, % |\n|---|---|---|---|"
    )
    for order in orders:
        best = order.best(alike)
        found, corrected = np.isfinite(best), np.minimum(best, STOL).mean()
        print(f"| {order.name} | {percent(found)} | {corrected:.3f} | {percent(found[alike > 1])} |")


def chosen_rows(units: AsymmetricUnits, number: int, metre: bool) -> np.ndarray:
    """Crystals to predict: `number` at random, or as many random formulas as have them, with all their crystals."""
    rng = np.random.default_rng(0)
    if not metre:
        return rng.choice(len(units), min(number, len(units)), replace=False)
    formula = np.array(content.formulas(units))
    names, size = np.unique(formula, return_counts=True)
    order = rng.permutation(len(names))
    last = int(np.searchsorted(np.cumsum(size[order]), number)) + 1
    return np.flatnonzero(np.isin(formula, names[order[:last]]))


def new_groups_first(space_group: np.ndarray) -> np.ndarray:
    """(C,) indices of ranked candidates: the first one of each group, then the second one of each, and so on."""
    before = [int((space_group[:i] == group).sum()) for i, group in enumerate(space_group.tolist())]
    return np.argsort(before, kind="stable")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=Path, required=True, help="crystals to find again, npz")
    parser.add_argument("--number", type=int, default=500, help="of them, drawn at random")
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--pool", type=int, default=POOL)
    parser.add_argument("--checkpoint", default="mp20", help="of a staged model (default: the shipped weights)")
    parser.add_argument("--any-size", action="store_true", help="do not tell the atoms of the primitive cell")
    parser.add_argument("--metre", action="store_true", help="all crystals of each formula, and METRe")
    parser.add_argument("--steps", type=int, help="of a geometry (default: the model's)")
    parser.add_argument("--proposals", type=int, help="geometries that one is kept of (default: the model's)")
    parser.add_argument("--geometries", type=int, default=1, help="of each candidate; the lowest energy is kept")
    parser.add_argument("--careful", type=int, metavar="N", help="candidates after the first N: one cheap geometry")
    parser.add_argument("--relax", action="store_true", help="rank relaxed candidates by energy, too")
    parser.add_argument("--potential", default="chgnet", help="that relaxes")
    parser.add_argument("--judge", help="another potential, to rank by")
    parser.add_argument("--beta", type=float, nargs="+", default=[0, 0.01, 0.02, 0.05], help="eV/atom")
    parser.add_argument("--cores", type=int, default=1, help="blocks at once")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="finished blocks, to go on from")
    arguments = parser.parse_args()
    units = read_units(arguments.units)
    units = units.take(chosen_rows(units, arguments.number, arguments.metre))
    told = list(compositions(units, arguments.any_size))
    how = How(
        arguments.checkpoint, arguments.candidates, arguments.pool, arguments.any_size, arguments.steps,
        arguments.proposals, arguments.careful, arguments.geometries, arguments.potential if arguments.relax else None,
        arguments.judge if arguments.relax else None,
    )  # fmt: skip
    print(f"{len(told)} crystals (torch {torch.__version__}, {platform.machine()})", flush=True)
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)

    firsts = range(0, len(units), BLOCK)
    done: list[Predicted] = []
    with ProcessPoolExecutor(arguments.cores, multiprocessing.get_context("spawn")) as pool:
        began = time.monotonic()
        blocks = [units.take(np.arange(i, min(i + BLOCK, len(units)))) for i in firsts]
        for found in pool.map(functools.partial(block, how=how, keep=arguments.keep), blocks, firsts):
            done.append(found)
            print(f"{min(len(done) * BLOCK, len(units))} crystals, {time.monotonic() - began:.0f} s", flush=True)
    every = Predicted(*(np.concatenate([getattr(one, field.name) for one in done]) for field in fields(Predicted)))
    seconds = np.sum([one.seconds for one in done], axis=0) / len(units)
    print("CPU seconds a crystal: positions and elements {:.2f}, geometries {:.2f}, relaxation {:.2f}".format(*seconds))
    if arguments.relax:
        print(f"relaxed: {', '.join(f'{status} {n}' for status, n in Counter(every.status.tolist()).most_common())}")

    rows = [np.flatnonzero(every.owner == index) for index in range(len(told))]
    orders = [Order("log p", rows, every.distance)]
    if arguments.relax:
        orders.append(Order("log p, relaxed", rows, every.relaxed_distance))
        for name, energy in (("E", every.energy), (f"E by {how.judge}", every.second_energy)):
            for beta in arguments.beta if len(energy) else ():
                score = scores(energy.tolist(), every.log_probability.tolist(), beta)
                order = [some[best_first(score[some])] for some in rows]
                orders.append(Order(f"{name} - {beta:g} log p" if beta else name, order, every.relaxed_distance))
    if arguments.metre:
        last = orders[-1]
        order = [some[new_groups_first(every.space_group[some])] for some in last.rows]
        orders.append(Order(f"{last.name}, new groups first", order, last.distance))
    print()
    print_table(orders, every.same, arguments.candidates, compared=orders[min(1, len(orders) - 1)])
    if arguments.metre:
        print_metre(orders, told, arguments.candidates)


if __name__ == "__main__":
    main()
