"""Local order parameters of one coordination shell: the 'ops' preset of matminer's CrystalNNFingerprint, vectorised.

Zimmermann & Jain, RSC Adv. 10, 6063 (2020).  Motifs and their constants are those of matminer 0.10
(``cn_target_motif_op.yaml``); formulas are those of pymatgen's LocalStructOrderParams, one array expression each in
place of its loops over poles, meridians and third neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import eval_legendre

COLLINEAR = 1e-12
"""A neighbour whose direction differs less from the pole's axis has no azimuth (pymatgen's `very_small`)."""
TETRAHEDRAL = 0.6081734479693927  # tetrahedral angle over 180°
SOUTH = 0.75 * math.pi  # polar angle from which a neighbour counts as opposite to the pole


@dataclass(frozen=True)
class Shell:
    """Angles of n neighbours around an atom; axis 0 is the one put at the north pole."""

    distance: np.ndarray  # (n,) Å
    cosine: np.ndarray  # (n, n) between directions
    theta: np.ndarray  # (n, n) polar angle, radians
    polar: np.ndarray  # (n, n) the same in units of π
    other: np.ndarray  # (n, n) bool: two different neighbours
    third: np.ndarray  # (n, n, n) bool: pole, meridian and third neighbour differ, and the meridian has an azimuth
    phi: np.ndarray  # (n, n, n) azimuth of the third neighbour from the meridian, radians
    azimuthal: np.ndarray  # (n, n, n) bool: `third`, and the third neighbour has an azimuth

    @classmethod
    def of(cls, vectors: np.ndarray) -> Shell:
        """The shell of (n, 3) vectors from the atom to its neighbours, Å."""
        n = len(vectors)
        distance = np.sqrt((vectors**2).sum(axis=1))
        unit = vectors / distance[:, None]
        cosine = np.clip(unit @ unit.T, -1.0, 1.0)
        theta = np.arccos(cosine)
        across = unit - cosine[:, :, None] * unit[:, None, :]  # part of neighbour k perpendicular to pole j
        length = np.sqrt((across**2).sum(axis=2))
        bent = length >= COLLINEAR
        across /= np.where(bent, length, 1.0)[:, :, None]
        phi = np.arccos(np.clip(across @ across.transpose(0, 2, 1), -1.0, 1.0))
        other = ~np.eye(n, dtype=bool)
        third = other[:, :, None] & other[:, None, :] & other[None] & bent[:, :, None]
        return cls(distance, cosine, theta, theta / math.pi, other, third, phi, third & bent[:, None, :])


def single_bond(shell: Shell) -> float:
    """1 for one neighbour; else how much nearer the nearest is than the next."""
    if len(shell.distance) == 1:
        return 1.0
    nearest = np.sort(shell.distance)
    return float(1 - nearest[0] / nearest[1])


def bent(shell: Shell, target: float, width: float) -> float:
    """Mean agreement of all angles with `target` (of 180°)."""
    return float(_gauss(width * (shell.polar - target))[shell.other].mean())


def tilted(shell: Shell, target: float, width: float, fold: float) -> float:
    """Neighbours at one polar angle, `fold` azimuths: triangles, tetrahedra, T shapes, pyramids."""
    agreement = _gauss(width * (shell.polar - target))
    return _best(shell, agreement, shell.other, agreement[:, None, :] * np.cos(fold * shell.phi) ** 2, shell.azimuthal)


def pentagon(shell: Shell, split: float, width: float) -> float:
    """Five neighbours in a plane with the atom: 72° or 144° from the pole."""
    agreement = _gauss(width * (shell.polar - np.where(shell.theta <= split * math.pi, 0.4, 0.8)))
    return _best(shell, agreement, shell.other, agreement[:, None, :] * np.cos(shell.phi) ** 2, shell.azimuthal)


def opposed(
    shell: Shell, pole_width: float, width: float, fold: float, *,
    south: float = SOUTH, tilt: float = 0.0, widest: float = math.inf,
) -> float:  # fmt: skip
    """A neighbour opposite to the pole and the others around the equator: planes, bipyramids, octahedra, see-saws.

    Args:
        shell: the neighbours.
        pole_width: of the agreement with 180°.
        width: of the agreement with 90°, or with 90° ± `tilt` (of 180°).
        fold: azimuths of the others.
        south: polar angle from which a neighbour counts as opposite.
        tilt: from the equator, of 180°.
        widest: azimuths beyond it are not looked at.
    """
    agreement = _gauss(width * (np.abs(shell.polar - 0.5) - tilt if tilt else shell.polar - 0.5))
    north = shell.theta < south
    first = shell.other & north
    opposite = shell.third & ~north[:, None, :]
    around = shell.azimuthal & north[:, None, :] & north[:, :, None] & (shell.phi < widest)
    value = np.where(
        opposite,
        _gauss(pole_width * (shell.polar - 1.0))[:, None, :],
        agreement[:, None, :] * np.cos(fold * shell.phi) ** 2,
    )
    return _best(shell, agreement, first, value, opposite | around)


def body_centred(shell: Shell, south: float, pole_width: float, pole_weight: float) -> float:
    """Eight neighbours on the corners of a cube (Peters 2009); 0 for fewer than four.

    As in pymatgen each pair is taken once, so the value depends on the order of the neighbours where they are not
    equivalent.
    """
    n = len(shell.distance)
    if n <= 3:
        return 0.0
    once = np.triu(np.ones((n, n), bool), 1)
    total = (pole_weight * _gauss(pole_width * (shell.polar - 1.0)))[once & (shell.theta >= south)].sum()
    tilt = (shell.theta - math.pi / 2) / math.asin(1 / 3)
    around = math.exp(0.5) * tilt * _gauss(tilt)
    side = np.where(shell.theta > math.pi / 2, 1.0, -1.0)
    chosen = shell.azimuthal & (once & (shell.theta < south))[:, :, None]
    total += (side[:, :, None] * np.cos(3 * shell.phi) * around[:, None, :])[chosen].sum()
    return float(total / (0.5 * n * (6 + (n - 2) * (n - 3))))


def cuboctahedral(
    shell: Shell, south: float, pole_width: float, pole_weight: float, upper: float, lower: float,
    width: float, width_off: float,
) -> float:  # fmt: skip
    """Twelve neighbours of a cubic close packing: 60°, 90°, 120° and 180° from the pole."""
    theta, polar = shell.theta, shell.polar
    north, equator = theta < south, (theta > lower) & (theta < upper)
    weight = np.where(shell.other & ~north, pole_weight, 0.0)
    value = weight * _gauss(pole_width * (polar - 1.0))
    on, above, below = (
        (shell.azimuthal & (equator[:, :, None] & (north & where)[:, None, :]))
        for where in (equator, theta < lower, theta > upper)
    )
    flat = np.cos(shell.phi) ** 2 * _gauss(width * (polar - 0.5))[:, None, :]
    turn = _gauss(0.0556 * (np.cos(shell.phi - 0.5 * math.pi) - 0.81649658))
    high = turn * _gauss(width_off * (polar - 1 / 3))[:, None, :]
    low = turn * _gauss(width_off * (polar - 2 / 3))[:, None, :]
    value = value + np.where(on, flat, np.where(above, high, np.where(below, low, 0.0))).sum(axis=2)
    return _largest(value, weight + (on | above | below).sum(axis=2), shell.other)


def steinhardt(shell: Shell, degree: int) -> float:
    """Bond-orientational order parameter q_l; by the addition theorem the root of the mean of P_l over all pairs."""
    return math.sqrt(max(0.0, float(eval_legendre(degree, shell.cosine).mean())))


def _gauss(x: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * x * x)


def _best(shell: Shell, first: np.ndarray, counts: np.ndarray, value: np.ndarray, third: np.ndarray) -> float:
    """Largest mean over poles and meridians: of the meridian's own agreement and those of the third neighbours."""
    total = np.where(counts, first, 0.0) + np.where(third, value, 0.0).sum(axis=2)
    return _largest(total, counts + third.sum(axis=2), shell.other)


def _largest(total: np.ndarray, count: np.ndarray, other: np.ndarray) -> float:
    if len(total) < 2:
        return 0.0
    return float(np.where(count > 1e-12, total / np.maximum(count, 1e-12), 0.0)[other].max())


def _tilted(*constants: float) -> Callable[[Shell], float]:
    return lambda shell: tilted(shell, *constants)


def _bent(*constants: float) -> Callable[[Shell], float]:
    return lambda shell: bent(shell, *constants)


def _opposed(*constants: float, **options: float) -> Callable[[Shell], float]:
    return lambda shell: opposed(shell, *constants, **options)


_Q = tuple((f"q{degree}", lambda shell, degree=degree: steinhardt(shell, degree)) for degree in (2, 4, 6))
_BIPYRAMID = _opposed(12, 16.6, 1.5)
MOTIFS: dict[int, tuple[tuple[str, Callable[[Shell], float]], ...]] = {
    1: (("sgl_bd", single_bond),),
    2: (
        ("L-shaped", _bent(0.5, 15.15)),
        ("water-like", _bent(0.5802777777777778, 13.95)),
        ("bent 120 degrees", _bent(0.666666666667, 13.25)),
        ("bent 150 degrees", _bent(0.833333333333333, 12.45)),
        ("linear", _bent(1, 8.667)),
    ),
    3: (
        ("trigonal planar", _tilted(0.66666666667, 17.5, 1)),
        ("trigonal non-coplanar", _tilted(TETRAHEDRAL, 18.33, 1.5)),
        ("T-shaped", _tilted(0.5, 15.5, 1)),
    ),
    4: (
        ("square co-planar", _opposed(13.5, 17.7, 1)),
        ("tetrahedral", _tilted(TETRAHEDRAL, 18.5, 1.5)),
        ("rectangular see-saw-like", _opposed(11.5, 27, 2, widest=0.75 * math.pi)),
        ("see-saw-like", _opposed(12.75, 15.75, 1.5)),
        ("trigonal pyramidal", _tilted(0.5, 15.5, 1.5)),
    ),
    5: (
        ("pentagonal planar", lambda shell: pentagon(shell, 0.6, 19.333)),
        ("square pyramidal", _tilted(0.5, 14.9, 2)),
        ("trigonal bipyramidal", _BIPYRAMID),
    ),
    6: (
        ("hexagonal planar", _opposed(7.5, 25, 1, south=2.6179938779914944, tilt=0.16666667)),
        ("octahedral", _opposed(15, 18, 2)),
        ("pentagonal pyramidal", _tilted(0.5, 13.8, 2.5)),
    ),
    7: (
        ("hexagonal pyramidal", _tilted(0.5, 12.5, 3)),
        ("pentagonal bipyramidal", _opposed(12.5, 14.75, 2.5)),
    ),
    8: (
        ("body-centered cubic", lambda shell: body_centred(shell, 2.5261129449194057, 15, 6)),
        ("hexagonal bipyramidal", _opposed(14.1, 13.6, 3)),
    ),
    9: _Q,
    10: _Q,
    11: _Q,
    12: (
        (
            "cuboctahedral",
            lambda shell: cuboctahedral(
                shell, 2.792526803190927, 28.75, 1.8, 1.8325957145940461, 1.3089969389957472, 25.5, 31.25
            ),
        ),
        *_Q,
    ),
}
"""Name and function of each order parameter, by coordination number."""

HIGHEST = 24
"""Largest coordination number that the fingerprint looks at."""
LABELS = tuple(
    f"{name} CN_{cn}" for cn in range(1, HIGHEST + 1) for name in ("wt", *(name for name, _ in MOTIFS.get(cn, ())))
)
"""The 61 entries of a fingerprint, matminer's `feature_labels`."""
FIRST = {cn: LABELS.index(f"wt CN_{cn}") for cn in range(1, HIGHEST + 1)}
"""Entry of each coordination number's weight; its order parameters follow."""
