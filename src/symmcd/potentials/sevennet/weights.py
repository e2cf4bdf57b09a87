"""SevenNet's weights as the package sevenn ships them: read without running anything that stands in the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from symmcd.potentials.weights import Weights

SEVENNET_0 = Weights(
    "SevenNet-0",
    "sevenn",
    "0.13.0",
    "pretrained_potentials/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36",
)
SEVENNET_L3I5 = Weights(
    "SevenNet-l3i5",
    "sevenn",
    "0.13.0",
    "pretrained_potentials/SevenNet_l3i5/checkpoint_l3i5.pth",
    "a7ff190d41efe5b8317a03d20a468e4036a1a3e64e0b14fdbab64ac3f4bfc09d",
)


def network(weights: Weights) -> torch.nn.Module:
    """The network in evaluation mode on the CPU, a sequence of modules that pass a dictionary on.

    `sevenn.checkpoint` would unpickle the file; here it may hold tensors, numbers and arrays of numpy alone.

    Raises:
        InputError: the file is missing, damaged or of another version.
    """
    checkpoint = weights.read(_numpy_arrays())  # first: it says which package is missing
    from sevenn.checkpoint import _config_cp_routine
    from sevenn.model_build import build_E3_equivariant_model
    from sevenn.scripts.backward_compatibility import patch_state_dict_if_old

    config = _config_cp_routine(checkpoint["config"])
    model = build_E3_equivariant_model(config)
    model.load_state_dict(patch_state_dict_if_old(checkpoint["model_state_dict"], config, model), strict=True)
    return model.eval().requires_grad_(requires_grad=False)


def _numpy_arrays() -> list[Any]:
    """Names in a pickled array of numpy, under numpy 1 as the files have them."""
    from numpy._core import multiarray

    kinds = [getattr(np.dtypes, name) for name in dir(np.dtypes) if name.endswith("DType")]
    names = [
        (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),  # noqa: SLF001
        (multiarray.scalar, "numpy.core.multiarray.scalar"),
    ]
    return [*names, np.ndarray, np.dtype, *kinds]
