"""CHGNet energies of crystals as they are, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.core import Structure

from symmcd.stability.potential import UnusableCrystalError, check_crystal


@dataclass(frozen=True)
class Energy:
    """Energy in eV/atom, or None with the reason as status ``failed:<reason>``."""

    status: str  # ok | failed:<reason>
    value: float | None = None


def energies(structures: Sequence[Structure], model: Any, batch_size: int = 16) -> list[Energy]:
    """Energy of each crystal, without forces; crystals that CHGNet cannot take get a status instead.

    Args:
        structures: any cells; primitive ones are cheaper and give the same energy an atom.
        model: what `potential.load_chgnet` returned.
        batch_size: crystals computed at once; memory grows with their atoms.
    """
    import torch

    result: list[Energy | None] = [None] * len(structures)
    graphs: dict[int, Any] = {}
    for index, structure in enumerate(structures):
        try:
            check_crystal(structure)
            graphs[index] = model.graph_converter(structure)
        except UnusableCrystalError as reason:
            result[index] = Energy(f"failed:{reason}")
    if graphs:
        with torch.no_grad():
            predicted = model.predict_graph(list(graphs.values()), task="e", batch_size=batch_size)
        for index, prediction in zip(graphs, [predicted] if len(graphs) == 1 else predicted, strict=True):
            value = float(prediction["e"])
            result[index] = Energy("ok", value) if np.isfinite(value) else Energy("failed:nan_energy")
    return [energy for energy in result if energy is not None]
