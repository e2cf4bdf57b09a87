"""Checkpoints: weights and statistics as safetensors, everything else as JSON in the file's metadata."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from symmcd import __version__
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.abilities import weights_path  # noqa: F401  (as it is looked for here)
from symmcd.diffusion.checkpoint_format import FORMAT, json_of, settings_of
from symmcd.diffusion.data_statistics import AXES, CLASSES, ELEMENTS, DataStatistics
from symmcd.errors import InputError
from symmcd.provenance import git_commit
from symmcd.settings import ModelSettings
from symmcd.storage import read_tensors, write_tensors

PART_FORMAT = "symmcd part 1"


_SHAPES: dict[str, tuple[int | None, ...]] = {  # shapes of the fields of DataStatistics; None: any length
    "space_group_count": (230,),
    "orbit_count": (230, None),
    "element_marginal": (ELEMENTS,),
    "site_symmetry_marginal": (230, AXES, CLASSES),
    **dict.fromkeys(("lattice_mean", "lattice_std", "lattice_low", "lattice_high"), (6,)),
}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained denoiser with all that sampling needs."""

    statistics: DataStatistics
    settings: Any  # settings of the section `model`, in the class of its kind
    metadata: dict[str, Any]  # seed, data_sha256, commit, versions, training settings, …
    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]  # statistics of other kinds


class MisfitError(InputError):
    """Tensors of a checkpoint that its settings make no room for."""


def load_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give `network` its weights.

    Raises:
        MisfitError: they are those of another network.
    """
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise MisfitError(" ".join(str(error).split())[:500]) from None


def write_checkpoint(
    path: Path,
    weights: Mapping[str, Tensor],
    statistics: Mapping[str, Tensor],
    settings: ModelSettings,
    provenance: Mapping[str, Any],
) -> None:
    """Write the weights of a denoiser with the statistics of its training set.

    Args:
        path: denoiser.safetensors.
        weights: its state dict; of a staged model ``wyckoff.…`` and ``geometry.…``.
        statistics: of the training set: those of `DataStatistics`; of a staged model also ``lattice_scale.…`` and
            ``templates.…``.
        settings: of the network.
        provenance: JSON values to keep beside them; versions and commit are added.
    """
    tensors = {f"weights/{name}": value for name, value in weights.items()}
    tensors |= {f"statistics/{name}": value for name, value in statistics.items()}
    metadata = {
        "versions": {"symmcd": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "commit": git_commit(),
        **provenance,
        "model": dataclasses.asdict(settings),  # last: of an older checkpoint `provenance` names settings that are gone
    }
    text = {"format": FORMAT, "symmcd": json.dumps(metadata)}
    write_tensors(path, {name: value.detach().cpu().numpy() for name, value in tensors.items()}, text)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read what `write_checkpoint` wrote, on `device`.

    Raises:
        InputError: missing, cut short, or no denoiser of ours.
    """
    arrays, text = read_tensors(Path(path))
    settings, metadata = settings_of(Path(path), text)
    tensors = {name: torch.from_numpy(value).to(device) for name, value in arrays.items()}
    kept = under("statistics/", tensors)
    names = {field.name for field in dataclasses.fields(DataStatistics)}
    wrong = [name for name, shape in _SHAPES.items() if not _fits(kept.get(name), shape)]
    if wrong:
        raise InputError(f"{path}: its tensors do not fit its settings: no {wrong[0]} of shape {_SHAPES[wrong[0]]}")
    statistics = DataStatistics(**{name: kept[name] for name in names})
    others = {name: value for name, value in kept.items() if name not in names}
    return Checkpoint(statistics, settings, metadata, under("weights/", tensors), others)


def _fits(value: Tensor | None, shape: tuple[int | None, ...]) -> bool:
    """Return whether there is such a tensor, of finite numbers."""
    if value is None or value.ndim != len(shape) or not value.is_floating_point():
        return False
    return all(n in (None, m) for n, m in zip(shape, value.shape, strict=True)) and bool(value.isfinite().all())


def write_part(path: Path, weights: Mapping[str, Tensor], done: Mapping[str, Any], settings_hash: str) -> None:
    """Write one trained part of a model; `done` tells how long it was trained."""
    text = {"format": PART_FORMAT, "fingerprint": settings_hash, "done": json.dumps(done)}
    write_tensors(path, {name: value.detach().cpu().numpy() for name, value in weights.items()}, text)


def read_part(path: Path, settings_hash: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read what `write_part` wrote; None if there is nothing or it belongs to other data or settings.

    Raises:
        InputError: the file is cut short.
    """
    if not path.exists():
        return None
    arrays, text = read_tensors(path)
    if text.get("format") != PART_FORMAT or text.get("fingerprint") != settings_hash:
        return None
    return {name: torch.from_numpy(value) for name, value in arrays.items()}, json_of(path, text, "done")


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def data_sha256(units: AsymmetricUnits) -> str:
    """Hash of the crystals that a denoiser learnt from, the same on every machine."""
    digest = hashlib.sha256()
    for name in ("space_group", "k", "start", "element", "wyckoff", "position"):
        values = getattr(units, name)
        kind = "<i8" if np.issubdtype(values.dtype, np.integer) else "<f8"
        digest.update(np.ascontiguousarray(values.astype(kind)).tobytes())
    return digest.hexdigest()
