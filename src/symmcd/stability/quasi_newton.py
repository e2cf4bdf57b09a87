"""BFGS with a trust radius, fed with values and gradients from outside, from a model Hessian given at the start."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SHRINK, GROW = 0.4, 2.0
SMALLEST_RADIUS = 1e-3  # smallest value of the largest allowed step


class QuasiNewton:
    """Minimiser of one function.

    Args:
        start: (d,) first point.
        hessian: (d, d) positive definite model of the second derivatives.
        size: length of a step relative to the largest allowed, as a function of (point, step).
        noise: rise of the value that counts as none.
    """

    def __init__(
        self,
        start: np.ndarray,
        hessian: np.ndarray,
        size: Callable[[np.ndarray, np.ndarray], float],
        noise: float,
    ) -> None:
        self.point = start  # the next to compute
        self.best = start  # the last accepted
        self._value, self._gradient = np.inf, np.zeros_like(start)
        self._hessian = hessian
        self._size, self._noise = size, noise
        self._radius = 1.0
        self._expected = 0.0

    def tell(self, value: float, gradient: np.ndarray) -> bool:
        """Take value and gradient (d,) at `point`; True if it is accepted.  Then `propose` gives the next point."""
        if np.isinf(self._value):
            self._value, self._gradient = value, gradient
            return True
        step, change = self.point - self.best, gradient - self._gradient
        self._update(step, change)
        gain = self._value - value
        if gain < -self._noise:
            self._radius = max(SHRINK * min(self._radius, self._size(self.best, step)), SMALLEST_RADIUS)
            return False
        if gain > 0.5 * self._expected:
            self._radius = min(1.0, self._radius * GROW)
        elif gain < 0.1 * self._expected - self._noise:
            self._radius = max(self._radius * 0.5, SMALLEST_RADIUS)
        self.best, self._value, self._gradient = self.point, value, gradient
        return True

    def propose(self) -> None:
        """Choose the next point: Newton's step of the model, cut to the trust radius."""
        step = -np.linalg.solve(self._hessian, self._gradient)
        size = self._size(self.best, step)
        if size > self._radius:
            step = step * (self._radius / size)
        self._expected = -float(step @ self._gradient + step @ self._hessian @ step / 2)
        self.point = self.best + step

    def _update(self, step: np.ndarray, change: np.ndarray) -> None:
        """BFGS, damped (Powell 1978) so that the model stays positive definite where the function is not convex."""
        along = self._hessian @ step
        curvature, model = float(step @ change), float(step @ along)
        if model <= 0:
            return
        if curvature < 0.2 * model:
            theta = 0.8 * model / (model - curvature)
            change = theta * change + (1 - theta) * along
            curvature = float(step @ change)
        self._hessian = self._hessian + np.outer(change, change) / curvature - np.outer(along, along) / model
