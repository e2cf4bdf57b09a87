"""``auto | cuda | cpu`` → a torch device."""

from __future__ import annotations

import torch

from symmcd.errors import InputError


def choose_device(name: str) -> torch.device:
    """The device that a setting names; ``auto`` takes CUDA where there is one.

    Raises:
        InputError: CUDA was asked for and is not there.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device = cuda, but torch sees no CUDA device; use --device cpu, or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
