"""A trained predictor as a file, and energies predicted with it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.formation_energy.graphs import build_graphs
from symmcd.formation_energy.network import DimeNetPlusPlus, Size
from symmcd.formation_energy.objective import energies
from symmcd.npz import Expected, fitted
from symmcd.storage import read_arrays, read_tensors, write_arrays, write_tensors

FORMAT = "symmcd predictor 1"
BATCH = 128
"""Crystals predicted at once."""


_KEPT = {
    "key": Expected("texts", ()),
    "energy": Expected("numbers", ("B",), finite=False),
    "reason": Expected("texts", ("B",)),
}


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network for formation energies, and what it was trained on."""

    network: DimeNetPlusPlus
    of_asymmetric_unit: bool  # graph of the representatives alone
    metadata: Mapping[str, Any]  # variant, error on the test set, settings, data hashes, …


@dataclass(frozen=True, eq=False)
class Predictions:
    """Formation energies of crystals."""

    energy: np.ndarray  # (B,) eV/atom, nan if there is none
    reason: np.ndarray  # (B,) str, why there is none; empty if there is one


def write_predictor(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write weights, and as metadata ``variant``, ``size``, ``site_symmetry``, ``of_asymmetric_unit`` and the rest.

    A predictor that could not be trained has no weights, and ``absent`` says why.
    """
    text = {"format": FORMAT, "symmcd": json.dumps(dict(metadata))}
    write_tensors(path, {name: value.detach().cpu().numpy() for name, value in weights.items()}, text)


def read_metadata(path: Path) -> dict[str, Any]:
    """Description of a predictor by itself.

    Raises:
        InputError: missing, cut short, or no predictor of ours.
    """
    return _read(path)[1]


def read_predictor(path: Path) -> Predictor | str:
    """A predictor, or the reason why there is none.

    Raises:
        InputError: missing, cut short, or no predictor of ours.
    """
    arrays, metadata = _read(path)
    if "absent" in metadata:
        return str(metadata["absent"])
    network = DimeNetPlusPlus(Size(**metadata["size"]), metadata["site_symmetry"])
    try:
        network.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
    except RuntimeError as error:
        raise InputError(f"{path}: its tensors do not fit its settings: {error}") from None
    return Predictor(network.eval(), metadata["of_asymmetric_unit"], metadata)


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    arrays, text = read_tensors(path)
    if text.get("format") != FORMAT:
        raise InputError(f"{path}: not a predictor of symmcd (format {text.get('format')!r}, expected {FORMAT!r})")
    return arrays, json.loads(text["symmcd"])


def predict(
    predictor: Predictor,
    units: AsymmetricUnits,
    device: torch.device | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Predictions:
    """Formation energies of crystals.

    Args:
        predictor: trained.
        units: crystals.
        device: to compute on; the CPU where not given.
        advance: told how many crystals more have their graph.
    """
    device, size = device or torch.device("cpu"), predictor.network.size
    graphs, rows, reasons = build_graphs(units, predictor.of_asymmetric_unit, size.cutoff, size.nearest, advance)
    energy, reason = np.full(len(units), np.nan), np.full(len(units), "", dtype="<U32")
    energy[rows] = energies(predictor.network.to(device), graphs.to(device), BATCH).cpu().numpy()
    without = np.setdiff1d(np.arange(len(units)), rows)
    reason[without] = reasons
    broken = rows[~np.isfinite(energy[rows])]
    energy[broken], reason[broken] = np.nan, "not_finite"
    return Predictions(energy, reason)


def predict_cached(
    path: Path, weights: Path, predictor: Predictor, units: AsymmetricUnits, advance: Callable[[int], None]
) -> Predictions:
    """Formation energies from the file at `path`, if it is of these weights and crystals; else computed and kept there.

    Args:
        path: npz.
        weights: file that `predictor` was read from.
        predictor, units, advance: see `predict`.

    Raises:
        InputError: `path` is damaged.
    """
    key = _key(weights, units)
    if path.exists():
        kept = fitted(path, read_arrays(path), _KEPT, "predictions")
        if str(kept["key"]) == key and len(kept["energy"]) == len(units):
            return Predictions(kept["energy"], kept["reason"])
    predictions = predict(predictor, units, advance=advance)
    write_arrays(
        path, {"key": np.array(key), "id": units.label, "energy": predictions.energy, "reason": predictions.reason}
    )
    return predictions


def _key(weights: Path, units: AsymmetricUnits) -> str:
    """Hash of everything that predictions depend on."""
    digest = hashlib.sha256(weights.read_bytes())
    for field in dataclasses.fields(units):
        values = getattr(units, field.name)
        if isinstance(values, np.ndarray):
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
