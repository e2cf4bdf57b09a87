"""Stable or not by each potential of `judges.py`, in matbench-discovery's own measures.

matbench-discovery 1.3.1 (PyPI, the extra `matbench`) brings 40 packages.  Its module `metrics` needs few of them, in
an environment of its own:

    python -m venv judges && judges/bin/pip install -r requirements.lock
    judges/bin/pip install --no-deps matbench-discovery==1.3.1 pymatviz==0.18.0 && judges/bin/pip install anywidget
    PYTHONPATH=src judges/bin/python bench/judges.py …

Its modules `data` and `energy` download when they are imported.  `metrics` of 1.3.1 imports neither (nor anything else
that uses the network, but it makes empty folders beside itself); in later versions `metrics.discovery` imports `data`,
so they are refused.

A potential's energy above the hull is the known one plus its error of the formation energy: the hull stays that of
DFT, as in Matbench Discovery.  Crystals are judged in two ways.  Against the hull that they are part of, stable ones
are at exactly 0, and a potential finds them if its error is not positive, however small it is.  Against the hull of the
other entries, as new crystals are, stable ones lie below 0 by as much as the hull would rise without them.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
from judges_tables import SAMPLES, SEED, shown
from pymatgen.core import Composition

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.stability.hull import ConvexHull, HullEntry

PACKAGE = "matbench-discovery"
Measures = Callable[..., Mapping[str, float]]
COLUMNS = {"F1": ".3f", "Precision": ".3f", "Recall": ".3f", "DAF": ".2f", "MAE": ".1f", "R2": ".2f"}
# Matbench Discovery leaderboard (github.com/janosh/matbench-discovery, models/*/*.yml), 2026-07-16: `unique_prototypes`
# of its test set WBM, relaxed by each potential.  MAE in meV/atom; 33,374 of 215,488 crystals are stable.
LEADERBOARD = {
    "chgnet": {"F1": 0.613, "Precision": 0.514, "Recall": 0.758, "DAF": 3.361, "MAE": 63, "R2": 0.689},
    "sevennet-0": {"F1": 0.724, "Precision": 0.650, "Recall": 0.818, "DAF": 4.252, "MAE": 48, "R2": 0.750},
    "sevennet-l3i5": {"F1": 0.760, "Precision": 0.708, "Recall": 0.821, "DAF": 4.629, "MAE": 44, "R2": 0.776},
}


def stable_metrics() -> Measures:
    """matbench-discovery's function of that name.

    Raises:
        InputError: it is not installed, or a version whose metrics would download.
    """
    how = "bench/judges_stability.py says how to install 1.3.1; `--without-matbench` leaves this table out"
    package = importlib.util.find_spec("matbench_discovery")  # imports nothing
    if package is None or package.origin is None:
        raise InputError(f"{PACKAGE} is not installed; {how}")
    if not Path(package.origin).with_name("metrics.py").is_file():
        raise InputError(f"{PACKAGE} {version()}: its metrics import a module that downloads; {how}")
    try:
        from matbench_discovery.metrics import stable_metrics as theirs
    except ModuleNotFoundError as error:
        raise InputError(f"{PACKAGE} {version()} lacks the package {error.name!r}; {how}") from error
    return theirs


def version() -> str:
    return metadata.version(PACKAGE)


def above_others(units: AsymmetricUnits, table: Sequence[HullEntry]) -> np.ndarray:
    """Known energy above the hull of all other entries, eV/atom; negative where the crystal itself makes the hull.

    Elements lie at 0, so that an element is compared with its own reference.

    Args:
        units: B crystals, with formation energies; labels are the ids of the table.
        table: formation energies.

    Returns:
        (B,)
    """
    systems: dict[frozenset[str], list[HullEntry]] = {}
    for entry in table:
        systems.setdefault(_elements(entry.formula), []).append(entry)
    found = np.array(units.properties["formation_energy_per_atom"], float)
    for i in range(len(units)):
        formula = units[i].formula
        elements = _elements(formula)
        around = [
            entry
            for size in range(1, len(elements) + 1)
            for system in itertools.combinations(elements, size)
            for entry in systems.get(frozenset(system), ())
            if entry.id != units.label[i]
        ]
        terminals = [HullEntry(element, 0.0, "elemental_reference", "") for element in elements]
        found[i] -= ConvexHull([*terminals, *around]).at(formula).formation_energy_per_atom
    return found


def tables(known: np.ndarray, others: np.ndarray, errors: Mapping[str, np.ndarray], measures: Measures) -> str:
    """Markdown: measures of each potential against both hulls, and the leaderboard's.

    Args:
        known: (n,) energies above the hull, eV/atom; nan where unknown, such crystals are left out.
        others: (n,) the same above the hull of the other entries.
        errors: (n,) of formation energies, meV/atom; nan where there is none, which counts as unstable.
        measures: `stable_metrics`.
    """
    there = np.isfinite(known)
    head = ["hull", "potential", "F1", "precision", "recall", "DAF", "MAE, meV/atom", "R²"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    about = []
    for hull, true in (("with the crystal itself", known[there]), ("of the other entries", others[there])):
        for name, error in errors.items():
            values = measured(true, error[there], measures)
            lines.append(f"| {' | '.join([hull, name, *(shown(values[c], form) for c, form in COLUMNS.items())])} |")
        stable, all_stable = true[true <= 0], measures(true, np.full(len(true), -1.0))["F1"]
        prevalence = len(stable) / len(true)
        about.append(
            f"Hull {hull}: {len(stable)} of {len(true)} stable (median {1000 * np.median(stable):.0f} meV/atom), "
            f"prevalence {100 * prevalence:.1f} %, so that DAF is at most {1 / prevalence:.2f}; F1 of calling all "
            f"stable {all_stable:.3f}."
        )
    for name in errors:
        cells = [f"{LEADERBOARD[name][c]:{form}}" if name in LEADERBOARD else "–" for c, form in COLUMNS.items()]
        lines.append(f"| {' | '.join(['Matbench Discovery leaderboard, 2026-07-16', name, *cells])} |")
    return "\n".join([*lines, "", *about])


def measured(true: np.ndarray, error: np.ndarray, measures: Measures) -> dict[str, tuple[float, float, float]]:
    """Each of `COLUMNS` with its interval, MAE in meV/atom; true (n,) in eV/atom, error (n,) in meV/atom."""
    predicted = true + error / 1000
    rng = np.random.default_rng(SEED)
    samples = [np.arange(len(true)), *(rng.integers(0, len(true), len(true)) for _ in range(SAMPLES))]
    with np.errstate(invalid="ignore"):  # precision and F1 are nan where nothing is called stable
        found = [measures(true[i], predicted[i]) for i in samples]
    result = {}
    for column in COLUMNS:
        values = np.array([one[column] for one in found]) * (1000 if column == "MAE" else 1)
        low, high = np.percentile(values[1:], [2.5, 97.5])
        result[column] = (float(values[0]), float(low), float(high))
    return result


def _elements(formula: str) -> frozenset[str]:
    return frozenset(Composition(formula).get_el_amt_dict())
