"""A generator from weights by their name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from symmcd.diffusion.abilities import read_abilities, weights_path
from symmcd.threads import let_threads_sleep

if TYPE_CHECKING:  # it loads torch
    from symmcd.diffusion.generator import Generator

SHIPPED = "mp20"  # weights that come with the package


def load_pretrained(name: str | Path = SHIPPED, device: str = "auto") -> Generator:
    """A generator from weights shipped with the package, or from a file.

    Where torch is not loaded yet, threads that wait are told to sleep (`symmcd.threads`).

    Args:
        name: ``mp20``, or the path of a denoiser.safetensors that `symmcd train` wrote.
        device: ``auto``, ``cuda`` or ``cpu``.

    Raises:
        InputError: no such weights.
    """
    path = weights_path(str(name))
    read_abilities(path)  # refuses what is no file of weights before torch is loaded
    let_threads_sleep()
    from symmcd.diffusion.generator import Generator

    return Generator.load(path, device)
