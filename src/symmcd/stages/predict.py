"""``symmcd predict``: crystals that a composition may form, the likeliest first."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symmcd import command
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.request import GenerationRequest, Made, add_how, add_what
from symmcd.settings import Count, Few, NotNegative, RelaxSettings, read_section

if TYPE_CHECKING:
    from symmcd.diffusion.batches import Batch
    from symmcd.diffusion.generator import Candidate
    from symmcd.diffusion.progress import StepProgress
    from symmcd.stability.ranking import RankedCandidate

BETA = 0.02  # eV/atom; chosen on validation crystals (docs/prediction.md)
GEOMETRIES = 6  # of a candidate that is relaxed; chosen likewise
EXAMPLE = "LiFePO4 --number 20 --output lifepo4/"


def arguments(parser: command.Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("formula", help="composition, such as LiFePO4")
    add_what(parser)
    text = "1 to 230, or a symbol such as Pnma (default: any)"
    parser.add_argument("--space-group", metavar="G", help=text)
    text = "number of atoms in the primitive cell (default: any number of formula units)"
    parser.add_argument("--atoms", type=command.number(Count), metavar="N", help=text)
    add_how(parser)
    text = "relax within the space group by relax.potential (CHGNet), and rank by E - β log p: energy and probability"
    group = parser.add_argument_group("order by energy", text)
    text = "write relaxed crystals, best first; unrelaxed.npz keeps the crystals before relaxation"
    group.add_argument("--relax", action="store_true", help=text)
    text = f"weight β of the log probability, eV/atom; 0 ranks by energy alone, which does worse (default: {BETA})"
    group.add_argument("--beta", type=command.number(NotNegative), metavar="B", help=text)
    text = (
        "geometries of each candidate; the one that relaxes to the lowest energy is kept "
        f"(default: {GEOMETRIES}, each of 25 steps and one proposal)"
    )
    group.add_argument("--geometries", type=command.number(Few), metavar="N", help=text)
    text = "rank by the energies of another potential, such as sevennet-0, of what relax.potential relaxed"
    group.add_argument("--judge", metavar="NAME", help=text)
    parser.add_settings("relax")


def rank(
    candidates: Iterable[Candidate],
    beta: float = BETA,
    device: str = "auto",
    *,
    judge: str | None = None,
    **settings: Any,
) -> list[RankedCandidate]:
    """Candidates of one composition, relaxed and ordered as by ``symmcd predict --relax``, the best first.

    All geometries of each are relaxed within its space group, and the one of lowest energy is kept.  Candidates that
    come to no energy are the last, in the order given.

    Args:
        candidates: of `predict`, best with several `geometries`.
        beta: eV/atom, of the score E - β log p: E is the relaxed energy, p the probability of space group, positions
            and elements.
        device: auto, cuda or cpu.
        judge: another potential, whose energy of the relaxed crystal is E; `RankedCandidate.judged` has it.
        settings: of the section `relax` (``symmcd settings relax``), such as ``potential="sevennet-0"``, ``steps=100``.

    Raises:
        InputError: candidates of several compositions, whose energies do not compare, or an element that a potential
            does not know; a `judge` that is not there, or relaxes; a negative `beta`; no such setting, or one of
            another way to relax.
    """
    if drawn := {"number", "draws"} & settings.keys():
        raise InputError(f"rank({min(drawn)}=…): all candidates are relaxed; leave it out")
    how: RelaxSettings = read_section("relax", {"method": "symmetry", **settings})
    if how.method != "symmetry":
        raise InputError(f"rank(method={how.method!r}): candidates keep their space group; leave it out")
    given = list(candidates)
    if len(formulas := sorted({candidate.unit.formula for candidate in given})) > 1:
        raise InputError(
            f"candidates of {' and '.join(formulas[:3])}: only energies of one formula "
            "can be compared; rank each formula separately"
        )
    for candidate in given[:1]:
        _check_potentials(how, judge, candidate.unit.composition)
    return _ranked(given, beta, how, judge, device)


def _check_potentials(how: RelaxSettings, judge: str | None, elements: Collection[int]) -> None:
    """Refuse a potential that is not installed or does not know one of `elements`, atomic numbers.

    Raises:
        InputError: naming the element, or the package.
    """
    from symmcd.crystallography.composition import SYMBOLS

    if how.release_steps:
        raise InputError(f"relax.release_steps = {how.release_steps}: candidates keep their space group; leave it out")
    potentials = {"relax.potential": how.potential}
    if judge is not None:
        if judge not in POTENTIALS:
            raise InputError(f"judge = {judge}: choose one of {', '.join(POTENTIALS)}")
        if judge == how.potential:
            raise InputError(f"judge = {judge} relaxes the crystals; choose another potential, or leave it out")
        potentials["judge"] = judge
    for role, name in potentials.items():
        entry = POTENTIALS[name]
        entry.check_installed()
        if unknown := [SYMBOLS[number - 1] for number in elements if number not in entry.elements]:
            raise InputError(f"{role} = {name} does not know {', '.join(unknown)}; choose another potential")


def _ranked(
    candidates: Sequence[Candidate], beta: float, how: RelaxSettings, judge: str | None, device: str
) -> list[RankedCandidate]:
    """Candidates of one composition relaxed within their space groups, the best first; see `rank`."""
    from symmcd.threads import let_threads_sleep

    let_threads_sleep()  # before anything that loads torch
    from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
    from symmcd.device import choose_device
    from symmcd.stability.outcome import Limits
    from symmcd.stability.ranking import best_of_each, check_beta, judged, ranked
    from symmcd.stability.relax_set import relaxed_crystals
    from symmcd.structures.crystal_file import crystals_of

    check_beta(beta)
    where = choose_device(device).type
    units = [unit for candidate in candidates for unit in (candidate.unit, *candidate.others)]
    owner = [rank for rank, candidate in enumerate(candidates) for _ in range(1 + len(candidate.others))]
    relaxed = dict(
        relaxed_crystals(
            crystals_of(AsymmetricUnits.from_units(units)),
            list(range(len(units))),
            potential=how.potential,
            method="symmetry",
            limits=Limits(**how.limits()),
            batch_size=how.batch_size,
            device=where,
        )
    )
    best = best_of_each([relaxed[row] for row in range(len(units))], owner)
    lowest = [relaxed[row] for row in best]
    opinions = None if judge is None else judged(lowest, POTENTIALS[judge].load(where))
    log_probability = [candidate.log_probability for candidate in candidates]
    return ranked([units[row] for row in best], log_probability, lowest, beta, opinions)


def run(
    output: Path,
    formula: str,
    number: int,
    space_group: int | str | None = None,
    checkpoint: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    *,
    steps: int | None = None,
    proposals: int | None = None,
    atoms: int | None = None,
    relax: bool = False,
    beta: float | None = None,
    geometries: int | None = None,
    judge: str | None = None,
    settings: RelaxSettings | None = None,
) -> None:
    """Predict crystals of one composition, written as by `symmcd generate`; crystals.csv has the probability of each.

    `atoms` is the number in the primitive cell; see `Generator.predict` for the other arguments.  After an interrupt
    the finished crystals remain, which are the likeliest.

    With `relax` each crystal gets `geometries` (None: `GEOMETRIES`), which are relaxed within its space group by the
    section `relax`; the one of lowest energy is kept.  The crystals are ordered as by `rank` with `beta`, and written
    relaxed; ``unrelaxed.npz`` has them unrelaxed, in the same order and with the same names.  crystals.csv then also
    has the columns ``status`` (see `Relaxation`), ``energy_relaxed`` and ``score`` (E - β log p), eV/atom.  Crystals
    without an energy come last; those that could not be relaxed are written unrelaxed.  With `judge`, another
    potential, E is its energy of the relaxed crystal, and there are also ``status_judge`` and ``energy_judge``.

    Raises:
        InputError: no formula, no such space group, no weights, a number below 1, more atoms or other elements than the
            model or a potential knows, no such `judge`, nothing found, `beta`, `geometries` or `judge` without `relax`,
            or an `output` that cannot be written.
        KeyboardInterrupt: after the finished crystals have been written; during relaxation, all of them unrelaxed.
    """
    from symmcd.crystallography.composition import parse_formula
    from symmcd.crystallography.space_group import number_of
    from symmcd.diffusion.sampler import Sampler

    try:
        unit = parse_formula(formula)
    except InputError as error:
        raise InputError(f"{formula[:60]}: {error}") from None
    group = None if space_group is None else number_of(space_group)
    for option, value in (("--beta", beta), ("--geometries", geometries), ("--judge", judge)):
        if value is not None and not relax:
            raise InputError(f"{option} needs --relax; add it, or leave it out")
    how = dataclasses.replace(settings or RelaxSettings(), method="symmetry")
    if relax:
        _check_potentials(how, judge, unit)
    request = GenerationRequest(output, number, checkpoint, device)
    abilities = request.abilities()
    abilities.check_composition(unit, atoms)
    abilities.check(Sampler(steps=steps, proposals=proposals))
    generator, at_once = request.generator()
    several = (geometries or GEOMETRIES) if relax else 1
    candidates: list[Candidate] = []

    def make(finished: list[Batch], progress: StepProgress) -> None:
        candidates[:] = generator.predict(
            unit, number, group, atoms=atoms, seed=seed, geometries=several, steps=steps, proposals=proposals,
            batch_size=at_once, on_batch=finished.append,
            on_progress=lambda done, work: progress.update(done, work=work),
        )  # fmt: skip

    def relaxed(made: Made) -> Made:
        order = _ranked(candidates, BETA if beta is None else beta, how, judge, device)
        statuses = Counter(candidate.relaxation.status for candidate in order)
        print(f"relaxed by {how.potential}: " + ", ".join(f"{status} {n}" for status, n in statuses.most_common()))
        columns = {
            "status": [candidate.relaxation.status for candidate in order],
            "energy_relaxed": [_number(candidate.relaxation.energy_relaxed) for candidate in order],
            "score": [_number(candidate.score) for candidate in order],
        }
        if judge is not None:
            opinions = [candidate.judged for candidate in order if candidate.judged is not None]
            columns["status_judge"] = [one.status for one in opinions]
            columns["energy_judge"] = [_number(one.value) for one in opinions]
        return Made(
            made.number,
            [candidate.unit for candidate in order],
            [candidate.log_probability for candidate in order],
            columns,
            [candidate.predicted for candidate in order],
        )

    made = request.fulfil(make, relax=relaxed if relax else None)
    if made < number:
        print(f"{made} crystals instead of {number}: no more sets of Wyckoff positions fit {formula}")


def _number(value: float | None) -> str:
    """A field of a table, blank if there is no value."""
    return "" if value is None else f"{value:.6f}"
