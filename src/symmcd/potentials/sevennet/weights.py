"""SevenNet's weights as the package sevenn ships them: read without running anything that stands in the file."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from symmcd.errors import InputError

FOLDER = "pretrained_potentials"


@dataclass(frozen=True)
class Weights:
    """A checkpoint in the wheel of sevenn."""

    name: str  # of the network
    file: str  # in `FOLDER`
    sha256: str


SEVENNET_0 = Weights(
    "SevenNet-0",
    "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36",
)
SEVENNET_L3I5 = Weights(
    "SevenNet-l3i5",
    "SevenNet_l3i5/checkpoint_l3i5.pth",
    "a7ff190d41efe5b8317a03d20a468e4036a1a3e64e0b14fdbab64ac3f4bfc09d",
)


def network(weights: Weights) -> torch.nn.Module:
    """The network in evaluation mode on the CPU, a sequence of modules that pass a dictionary on.

    `sevenn.checkpoint` would unpickle the file; here it may hold tensors, numbers and arrays of numpy alone.

    Raises:
        InputError: the file is missing, damaged or of another version.
    """
    import sevenn
    from sevenn.checkpoint import _config_cp_routine
    from sevenn.model_build import build_E3_equivariant_model
    from sevenn.scripts.backward_compatibility import patch_state_dict_if_old

    checkpoint = _read(Path(sevenn.__file__).parent / FOLDER / weights.file, weights)
    config = _config_cp_routine(checkpoint["config"])
    model = build_E3_equivariant_model(config)
    model.load_state_dict(patch_state_dict_if_old(checkpoint["model_state_dict"], config, model), strict=True)
    return model.eval().requires_grad_(requires_grad=False)


def _read(path: Path, weights: Weights) -> dict[str, Any]:
    """Content of a checkpoint whose digest is right."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{weights.name}: cannot read its weights ({error}); {_reinstall()}") from None
    if (found := hashlib.sha256(content).hexdigest()) != weights.sha256:
        raise InputError(
            f"{path}: SHA-256 {found}, expected {weights.sha256}: weights damaged or of another version; {_reinstall()}"
        )
    with torch.serialization.safe_globals(_numpy_arrays()):
        checkpoint: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return checkpoint


def _numpy_arrays() -> list[Any]:
    """What a pickled array of numpy consists of, under the names of numpy 1 that the files have."""
    from numpy._core import multiarray

    kinds = [getattr(np.dtypes, name) for name in dir(np.dtypes) if name.endswith("DType")]
    names = [
        (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),  # noqa: SLF001
        (multiarray.scalar, "numpy.core.multiarray.scalar"),
    ]
    return [*names, np.ndarray, np.dtype, *kinds]


def _reinstall() -> str:
    again = "run `pip install --force-reinstall --no-deps sevenn==0.13.0`"
    return f"sevenn {metadata.version('sevenn')} is installed; {again}"
