"""Structure fingerprints of crystals: mean CrystalNN 'ops' fingerprint of the sites, one site computed per orbit.

Sites of an orbit have equal environments, so the mean over all atoms is the mean over orbits weighted by multiplicity.
matminer's own mean over all atoms differs from it by rounding: neighbours at equal distance whose weights round to
different thousandths, and one order parameter that depends on the order of equal neighbours (see `TOLERANCE`).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.content import amounts
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.metrics.coordination import SEARCH, FingerprintError, site_fingerprint
from symmcd.metrics.fingerprint_cache import Cache
from symmcd.metrics.magpie import WIDTH, composition_fingerprints, in_tables
from symmcd.metrics.order_parameters import LABELS
from symmcd.npz import Expected, fitted
from symmcd.storage import read_arrays, write_arrays
from symmcd.structures.cell import Cell, cells_of
from symmcd.workers import Outcome, work

TOLERANCE = 2e-3
"""Accepted difference of any entry to matminer's mean over all sites, in real crystals (cutoffs are 0.4): nearly all
agree to 1e-8 (bench/fingerprints.md).  In distorted generated ones the order-dependent entry can differ by 0.01."""
METHOD = "CrystalNN ops 1"  # part of the key of cached fingerprints: change it with the method
COMPUTED_BY = ("numpy", "pymatgen", "scipy", "spglib")  # so are the versions of these
SAME_ORBIT = 1e-3
"""Å, tolerance of the orbits of crystals that come without: below what changes a fingerprint."""
MOST_POINTS = 5_000_000  # atoms looked at around one site; only a cell far smaller than an atom needs more


def representatives(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """One atom (R,) of each orbit, and how many atoms (R,) it stands for; all atoms where orbits are not known."""
    orbit = np.arange(len(cell)) if cell.orbit is None else cell.orbit
    _, first, count = np.unique(orbit, return_index=True, return_counts=True)
    return first, count


def content_key(cell: Cell) -> bytes:
    """Hash of the content, to 1e-6 Å and 1e-6 of the cell, and of what computes its fingerprint."""
    digest = hashlib.sha256(_computed_by())
    for array in (cell.lattice, cell.position):
        digest.update((np.round(array, 6) + 0.0).astype("<f8").tobytes())  # + 0.0: no negative zeros
    for array in (cell.element, *representatives(cell)):
        digest.update(np.asarray(array, "<i8").tobytes() + b"|")
    return digest.digest()


@functools.cache
def _computed_by() -> bytes:
    return "; ".join([METHOD, *(f"{name} {metadata.version(name)}" for name in COMPUTED_BY)]).encode()


def structure_fingerprint(cell: Cell) -> np.ndarray:
    """(61,) mean CrystalNN 'ops' fingerprint.

    Raises:
        FingerprintError: a broken or absurdly small cell, or one of `site_fingerprint`'s.
    """
    if not (np.isfinite(cell.lattice).all() and np.isfinite(cell.position).all()):
        raise FingerprintError("bad_cell", "lattice or positions are not finite")
    volume = abs(np.linalg.det(cell.lattice))
    if not volume > 1e-3 or len(cell) / volume * (2 * SEARCH) ** 3 > MOST_POINTS:
        raise FingerprintError("bad_cell", f"{len(cell)} atoms in {volume:.3g} Å³")
    atoms, count = representatives(cell)
    vectors = [site_fingerprint(cell.lattice, cell.position, cell.element, int(i)) for i in atoms]
    return np.average(vectors, axis=0, weights=count)


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Fingerprints of a set of crystals; rows of nan where one is missing."""

    label: np.ndarray  # (B,) str
    structure: np.ndarray  # (B, 61)
    composition: np.ndarray  # (B, 132) Magpie, not standardised
    outcome: np.ndarray  # (B,) str: ok, timed_out, crashed, no_magpie_data, or a `FingerprintError` reason
    detail: np.ndarray  # (B,) str

    @property
    def ok(self) -> np.ndarray:
        """(B,) bool: both fingerprints are there."""
        return self.outcome == "ok"

    def spread(self, rows: np.ndarray, label: Sequence[str], reasons: Sequence[str]) -> Fingerprints:
        """The same crystals as the `rows` of a larger set; the others have their reason for an outcome."""
        structure = np.full((len(label), self.structure.shape[1]), np.nan)
        composition = np.full((len(label), self.composition.shape[1]), np.nan)
        structure[rows], composition[rows] = self.structure, self.composition
        outcome, detail = np.array(reasons, object), np.full(len(label), "", object)
        outcome[rows], detail[rows] = self.outcome, self.detail
        names, outcomes, details = (np.array(values, np.str_) for values in (label, outcome, detail))
        return Fingerprints(names, structure, composition, outcomes, details)

    def write(self, path: Path) -> None:
        """Write an npz."""
        write_arrays(path, {name: getattr(self, name) for name in self.__dataclass_fields__})

    @classmethod
    def read(cls, path: Path) -> Fingerprints:
        """Read what `write` wrote.

        Raises:
            InputError: missing, unreadable, another kind of file, or fingerprints that are lacking.
        """
        texts = Expected("texts", ("B",))
        fields = {
            "label": texts,
            "structure": Expected("numbers", ("B", len(LABELS)), finite=False),
            "composition": Expected("numbers", ("B", WIDTH), finite=False),
            "outcome": texts,
            "detail": texts,
        }
        read = cls(**fitted(path, read_arrays(path), fields, "`symmcd fingerprint`"))
        # Magpie lacks some values, as the electronegativity of argon; none lacks for a whole crystal
        lacking = np.isinf(read.composition).any(axis=1) | np.isnan(read.composition).all(axis=1)
        broken = read.ok & (lacking | ~np.isfinite(read.structure).all(axis=1))
        if broken.any():
            label = read.label[broken.argmax()]
            raise InputError(
                f"{path}: crystal {label} has the status ok but no fingerprint; delete the file and rerun its stage"
            )
        return read


def fingerprints_of_units(
    units: AsymmetricUnits,
    cache: Path | None,
    workers: int,
    seconds: float,
    advance: Callable[[int], None] = lambda _: None,
) -> Fingerprints:
    """`fingerprint_set` of asymmetric units."""
    return fingerprint_set(
        units.label, cells_of(replicate_flat(units)), amounts(units), cache, workers, seconds, advance
    )


def fingerprint_set(
    label: Sequence[str] | np.ndarray,
    cells: Sequence[Cell],
    counts: np.ndarray,
    cache: Path | None,
    workers: int,
    seconds: float,
    advance: Callable[[int], None] = lambda _: None,
) -> Fingerprints:
    """Fingerprints of crystals.

    Args:
        label: (B,) names.
        cells: B crystals, one site computed per orbit where the orbits are known.
        counts: (B, 119) atoms of each element.
        cache: file of fingerprints already known, made if it is not there; None for none.
        workers: processes.
        seconds: wall-clock limit per crystal; one that takes longer is `timed_out`, and is tried again next time.
        advance: called with the number of crystals just finished.
    """
    structure = np.full((len(cells), len(LABELS)), np.nan)
    outcome, detail = ["ok"] * len(cells), [""] * len(cells)
    rows: dict[bytes, list[int]] = {}  # equal crystals are computed once
    for row, crystal in enumerate(cells):
        rows.setdefault(content_key(crystal), []).append(row)

    def keep(key: bytes, result: Outcome) -> None:
        for row in rows[key]:
            outcome[row], detail[row] = result.status, result.detail
            if result.status == "ok":
                structure[row] = result.value
        advance(len(rows[key]))

    with Cache(cache) as known:
        left = []
        for key in rows:
            if (seen := known.get(key)) is not None:
                keep(key, seen)
            else:
                left.append(key)
        todo = [cells[rows[key][0]] for key in left]
        for index, result in work("symmcd.metrics.fingerprints:structure_fingerprint", todo, workers, seconds):
            known.put(left[index], result)
            keep(left[index], result)
    composition = np.full((len(cells), WIDTH), np.nan)
    listed = in_tables(counts)
    composition[listed] = composition_fingerprints(counts[listed])
    for row in np.flatnonzero(~listed).tolist():
        outcome[row], detail[row] = "no_magpie_data", f"atomic numbers {np.flatnonzero(counts[row]).tolist()}"
    names, outcomes, details = (np.array(values, np.str_) for values in (label, outcome, detail))
    return Fingerprints(names, structure, composition, outcomes, details)
