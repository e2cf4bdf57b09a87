"""CHGNet's own StructOptimizer: FIRE on one crystal, cell relaxed, as its package runs it."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from ase.optimize import FIRE
from chgnet.model.dynamics import CHGNetCalculator, StructOptimizer
from pymatgen.core import Structure

from symmcd.potentials.chgnet.model import check_request
from symmcd.potentials.chgnet.potential import ChgnetPotential
from symmcd.potentials.potential import Point, Request, UnusableCrystalError, Watcher


class _WatchedCalculator(CHGNetCalculator):
    """CHGNet's calculator, which looks at each crystal before it is computed and at each result after."""

    def __init__(self, potential: ChgnetPotential, watcher: Watcher) -> None:
        model = potential.network.model
        with contextlib.redirect_stdout(io.StringIO()):  # it prints the device
            super().__init__(model, use_device=str(next(model.parameters()).device), on_isolated_atoms="error")
        self.elements, self.watcher = potential.elements, watcher

    def calculate(
        self, atoms: Any = None, properties: Any = None, system_changes: Any = None, task: Any = "efsm"
    ) -> None:
        """One energy call, unless the watcher or the check of the crystal raises."""
        request = Request(atoms.cell.array, atoms.get_scaled_positions(wrap=False), atoms.numbers)
        self.watcher.before(request)
        check_request(request, self.elements)
        super().calculate(atoms, properties, system_changes, task)
        if not all(np.isfinite(self.results[name]).all() for name in ("energy", "forces", "stress")):
            raise UnusableCrystalError("nan_forces")
        self.watcher.after(request, Point(float(self.results["energy"]) / len(request.element)))


def optimise(potential: ChgnetPotential, start: Request, steps: int, fmax: float, watcher: Watcher) -> float:
    """Relax one crystal; see `symmcd.potentials.potential.OwnOptimiser`.

    Raises:
        UnusableCrystalError: CHGNet cannot take it, or gives no numbers.
        Exception: whatever the watcher, ASE or CHGNet raise.
    """
    calculator = _WatchedCalculator(potential, watcher)
    optimizers: list[FIRE] = []  # StructOptimizer keeps its own to itself, and with it the forces on atoms and cell

    def fire(atoms: Any, **options: Any) -> FIRE:
        optimizers.append(FIRE(atoms, **options))
        return optimizers[-1]

    crystal = Structure(start.lattice, start.element.tolist(), start.position)
    StructOptimizer(calculator, optimizer_class=fire).relax(
        crystal, fmax=fmax, steps=steps, assign_magmoms=False, logfile=None
    )
    return float(np.linalg.norm(optimizers[0].atoms.get_forces(), axis=1).max())
