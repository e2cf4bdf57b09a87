"""Checkpoints: weights and statistics as safetensors, everything else as JSON in the file's metadata."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symmcd import __version__
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.denoiser import Denoiser
from symmcd.diffusion.forward_process import ForwardProcess
from symmcd.errors import InputError
from symmcd.settings import ModelSettings, read_section
from symmcd.storage import read_tensors, write_tensors

FORMAT = "symmcd denoiser 1"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained denoiser with all that sampling needs."""

    denoiser: Denoiser  # in eval mode
    process: ForwardProcess
    statistics: DataStatistics
    settings: ModelSettings
    metadata: dict[str, Any]  # seed, data_sha256, commit, versions, training settings, …


def write_checkpoint(
    path: Path,
    weights: Mapping[str, Tensor],
    statistics: DataStatistics,
    settings: ModelSettings,
    provenance: Mapping[str, Any],
) -> None:
    """Write the weights of a `Denoiser` with the statistics of its training set.

    Args:
        path: denoiser.safetensors.
        weights: its state dict.
        statistics: of the training set.
        settings: of the network.
        provenance: JSON values to keep beside them; versions and commit are added.
    """
    tensors = {f"weights/{name}": value for name, value in weights.items()}
    tensors |= {f"statistics/{name}": value for name, value in statistics.tensors().items()}
    metadata = {
        "model": dataclasses.asdict(settings),
        "versions": {"symmcd": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "commit": git_commit(),
        **provenance,
    }
    text = {"format": FORMAT, "symmcd": json.dumps(metadata)}
    write_tensors(path, {name: value.detach().cpu().numpy() for name, value in tensors.items()}, text)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """A denoiser written by `write_checkpoint`, on `device`.

    Raises:
        InputError: missing, cut short, no denoiser of ours, or tensors that do not fit the settings it names.
    """
    arrays, text = read_tensors(Path(path))
    if text.get("format") != FORMAT:
        raise InputError(f"{path}: not a denoiser of symmcd (format {text.get('format')!r}, expected {FORMAT!r})")
    metadata = json.loads(text["symmcd"])
    settings = read_section("model", metadata["model"])
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    denoiser = Denoiser(settings)
    try:
        statistics = DataStatistics(**_under("statistics/", tensors))
        denoiser.load_state_dict(_under("weights/", tensors))
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{path}: its tensors do not fit its settings: {error}") from None
    statistics = statistics.to(device)
    denoiser = denoiser.to(device).eval().requires_grad_(requires_grad=False)
    return Checkpoint(denoiser, ForwardProcess(settings, statistics), statistics, settings, metadata)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def data_sha256(units: AsymmetricUnits) -> str:
    """Hash of the crystals that a denoiser learnt from, the same on every machine."""
    digest = hashlib.sha256()
    for name in ("space_group", "lattice", "start", "element", "wyckoff", "position"):
        values = getattr(units, name)
        kind = "<i8" if np.issubdtype(values.dtype, np.integer) else "<f8"
        digest.update(np.ascontiguousarray(values.astype(kind)).tobytes())
    return digest.hexdigest()


def git_commit() -> str | None:
    """Commit of the working tree this code runs from, with ``+`` if it has changes; None outside of one."""
    folder = Path(__file__).resolve().parent
    try:
        head = _git(folder, "rev-parse", "HEAD")
        tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
        return head + ("+" if _git(folder, "status", "--porcelain", "--", ".") else "") if tracked else None
    except (OSError, subprocess.CalledProcessError):
        return None  # installed from a wheel, or no git here


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
