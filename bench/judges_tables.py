"""Tables of `judges.py`: errors of each potential, by kind of crystal, and how errors of two potentials go together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pymatgen.core import Composition

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.report.symmetry_figures import CRYSTAL_SYSTEMS
from symmcd.stability.hull import ConvexHull, HullEntry

SEED = 0
SAMPLES = 2000  # of a bootstrap
FEW = 10  # crystals, of fewer the mean has no interval
LARGE = 50.0  # meV/atom; a judge that is so far off, or two that are so far apart
HEAD = (
    "| potential | MAE, meV/atom | mean error | median of the absolute | above 50, % | n | CPU, ms/atom |\n"
    "|---|---|---|---|---|---|---|"
)
# First class that fits.  Lanthanides are La to Lu, actinides Ac to Lr, the d block is groups 3 to 12 without them.
ACTINIDES, LANTHANIDES = frozenset(range(89, 104)), frozenset(range(57, 72))
D_BLOCK = frozenset([*range(21, 31), *range(39, 49), *range(72, 81), *range(104, 113)])
BLOCKS = (
    "an actinide",
    "a lanthanide, no actinide",
    "d block and oxygen, no f block",
    "d block, no oxygen, no f block",
    "s and p block with oxygen",
    "s and p block without oxygen",
)
ENTRIES = {"0 to 3": 0, "4 to 11": 4, "12 to 39": 12, "40 or more": 40}  # least number of each class


@dataclass(frozen=True)
class Grouping:
    """Crystals in classes, each in one."""

    title: str
    classes: tuple[str, ...]
    of: np.ndarray  # (n,) index of the class


def interval(statistic: Callable[[np.ndarray], float], number: int) -> tuple[float, float, float]:
    """A number of crystals by their indices, and the interval of `SAMPLES` samples of them."""
    rng = np.random.default_rng(SEED)
    low, high = np.percentile([statistic(rng.integers(0, number, number)) for _ in range(SAMPLES)], [2.5, 97.5])
    return statistic(np.arange(number)), float(low), float(high)


def shown(values: Sequence[float], form: str) -> str:
    """Value and interval."""
    value, low, high = values
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def mean_of(values: np.ndarray, form: str) -> str:
    """Mean of values (n,), with its interval if they are not `FEW`."""
    if len(values) < FEW:
        return f"{values.mean():{form}}"
    return shown(interval(lambda i: float(values[i].mean()), len(values)), form)


def row(name: str, error: np.ndarray, cost: str) -> str:
    """One line of the table; errors (n,) in meV/atom."""
    there = error[np.isfinite(error)]
    size = np.abs(there)
    cells = [
        mean_of(size, ".1f"),
        mean_of(there, "+.1f"),
        f"{np.median(size):.1f}",
        f"{100 * (size > LARGE).mean():.1f}",
    ]
    return f"| {' | '.join([name, *cells, str(len(there)), cost])} |"


def pairs(errors: Mapping[str, np.ndarray]) -> str:
    """Markdown: how errors of two potentials go together, and how often the two are far apart."""
    lines = ["| errors of | correlation | of ranks | energies more than 50 meV/atom apart, % |", "|---|---|---|---|"]
    for one, other in itertools.combinations(errors, 2):
        both = np.isfinite(errors[one]) & np.isfinite(errors[other])
        a, b = errors[one][both], errors[other][both]
        linear, ranked = correlation(a, b, lambda x: x), correlation(a, b, ranks)
        # both errors are against one known energy: their difference is that of the energies
        apart = mean_of(100.0 * (np.abs(a - b) > LARGE), ".1f")
        lines.append(f"| {one} and {other} | {shown(linear, '.2f')} | {shown(ranked, '.2f')} | {apart} |")
    return "\n".join(lines)


def correlation(a: np.ndarray, b: np.ndarray, how: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float, float]:
    """Correlation coefficient of two errors (n,), or of their ranks, with its interval."""
    return interval(lambda i: float(np.corrcoef(how(a[i]), how(b[i]))[0, 1]), len(a))


def ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values)).astype(float)


def groupings(units: AsymmetricUnits, table: Sequence[HullEntry]) -> list[Grouping]:
    """Classes of crystals: by crystal system, by block of elements, and by number of known crystals in their system."""
    elements = [frozenset(units.element[units.start[i] : units.start[i + 1]].tolist()) for i in range(len(units))]
    return [
        Grouping("crystal system", tuple(CRYSTAL_SYSTEMS), crystal_system(units.space_group)),
        Grouping("elements", BLOCKS, np.array([block(numbers) for numbers in elements])),
        Grouping(
            "other entries in the chemical system",
            tuple(ENTRIES),
            np.searchsorted(list(ENTRIES.values()), others(units, table), side="right") - 1,
        ),
    ]


def crystal_system(space_group: np.ndarray) -> np.ndarray:
    """(n,) index in `CRYSTAL_SYSTEMS`."""
    return np.searchsorted([last for _, last in CRYSTAL_SYSTEMS.values()], space_group)


def block(elements: frozenset[int]) -> int:
    """Index in `BLOCKS` of a crystal of these atomic numbers."""
    for index, of in enumerate((ACTINIDES, LANTHANIDES)):
        if elements & of:
            return index
    return 2 + 2 * (not elements & D_BLOCK) + (8 not in elements)


def others(units: AsymmetricUnits, table: Sequence[HullEntry]) -> np.ndarray:
    """(n,) entries of a table in the chemical system of each crystal, as `ConvexHull.entries_in`, but for itself."""
    hull, formulas = ConvexHull(table), {entry.id: entry.formula for entry in table}
    found = []
    for i in range(len(units)):
        formula, own = units[i].formula, formulas.get(str(units.label[i]), "")
        itself = bool(own) and Composition(own).chemical_system == Composition(formula).chemical_system
        found.append(hull.entries_in(formula) - itself)
    return np.array(found)


def by_class(grouping: Grouping, errors: Mapping[str, np.ndarray]) -> str:
    """Markdown: mean absolute and mean error of each class, meV/atom, a dash where it is empty."""
    head = [f"{name}: {what}" for name in errors for what in ("MAE", "mean error")]
    lines = [f"| {' | '.join([grouping.title, 'n', *head])} |", "|---" * (2 + len(head)) + "|"]
    for index, name in enumerate(grouping.classes):
        inside = grouping.of == index
        cells = []
        for error in errors.values():
            there = error[inside & np.isfinite(error)]
            cells += [mean_of(np.abs(there), ".1f"), mean_of(there, "+.1f")] if len(there) else ["–", "–"]
        lines.append(f"| {' | '.join([name, str(int(inside.sum())), *cells])} |")
    return "\n".join(lines)


def high_symmetry(space_group: np.ndarray, block_of: np.ndarray, errors: Mapping[str, np.ndarray]) -> str:
    """Markdown: mean error of hexagonal and cubic crystals less that of triclinic and monoclinic ones.

    Negative where energies are too low at high symmetry.  Crystals of high symmetry are of other elements than those of
    low symmetry, so that the last column compares within the classes of `BLOCKS` only.
    """
    high = space_group >= CRYSTAL_SYSTEMS["hexagonal"][0]
    either = high | (space_group <= CRYSTAL_SYSTEMS["monoclinic"][1])
    head = [
        "mean error, meV/atom",
        "hexagonal and cubic",
        "triclinic and monoclinic",
        "difference",
        "of similar elements",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, error in errors.items():
        there = either & np.isfinite(error)
        values, above, of = error[there], high[there], block_of[there]
        if min(above.sum(), (~above).sum()) < FEW:
            lines.append(f"| {name} | – | – | – | – |")
            continue
        means = [mean_of(values[above], "+.1f"), mean_of(values[~above], "+.1f")]
        differences = [difference(values, above, one) for one in (np.zeros_like(of), of)]
        lines.append(f"| {' | '.join([name, *means, *differences])} |")
    return "\n".join(lines)


def difference(values: np.ndarray, above: np.ndarray, of: np.ndarray) -> str:
    """`within`, and its interval."""
    return shown(interval(lambda i: within(values[i], above[i], of[i]), len(values)), "+.1f")


def within(values: np.ndarray, above: np.ndarray, of: np.ndarray) -> float:
    """Mean of values (n,) that are `above` less that of the others, of one class (n,) each.

    Differences of classes are weighted as least squares do that fit a constant a class and one difference.
    """
    classes = int(of.max()) + 1
    number = [np.bincount(of[where], minlength=classes) for where in (above, ~above)]
    total = [np.bincount(of[where], values[where], classes) for where in (above, ~above)]
    both = (number[0] > 0) & (number[1] > 0)
    (n, m), (a, b) = (x[:, both] for x in (np.array(number), np.array(total)))
    return float(np.average(a / n - b / m, weights=n * m / (n + m)))
