"""Crystals from weights by their name: `symmcd.load_pretrained`, `symmcd.generate`, `symmcd.predict`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symmcd.diffusion.abilities import read_abilities, weights_path
from symmcd.threads import let_threads_sleep

if TYPE_CHECKING:  # it loads torch
    from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
    from symmcd.diffusion.generator import Candidate, Generator

SHIPPED = "mp20"  # weights that come with the package


def load_pretrained(checkpoint: str | Path = SHIPPED, device: str = "auto") -> Generator:
    """A generator from weights shipped with the package, or from a file.

    Where torch is not loaded yet, threads that wait are told to sleep (`symmcd.threads`).

    Args:
        checkpoint: ``mp20``, ``mp20-stable`` (taught by chosen drafts, for use with `stable`), or the path of a
            denoiser.safetensors that `symmcd train` wrote.
        device: ``auto``, ``cuda`` or ``cpu``.

    Raises:
        InputError: no such weights.
    """
    path = weights_path(str(checkpoint))
    read_abilities(path)  # refuses what is not a file of weights before torch is loaded
    let_threads_sleep()
    from symmcd.diffusion.generator import Generator

    return Generator.load(path, device)


def generate(
    number: int = 10, *, checkpoint: str | Path = SHIPPED, device: str = "auto", **options: Any
) -> list[AsymmetricUnit]:
    """Crystals as ``symmcd generate`` makes them; whoever calls it often keeps `load_pretrained`'s generator instead.

    Args:
        number: how many.
        checkpoint, device: of `load_pretrained`.
        options: of `Generator.generate`: `space_group`, `elements`, `exclude`, `chemical_system`, `max_atoms`,
            `temperature`, `steps`, `proposals`, `seed` …

    Raises:
        InputError: as `load_pretrained` and `Generator.generate`.
    """
    return load_pretrained(checkpoint, device).generate(number, **options)


def predict(
    formula: str | Mapping[str, int] | Mapping[int, int],
    number: int = 10,
    *,
    checkpoint: str | Path = SHIPPED,
    device: str = "auto",
    **options: Any,
) -> list[Candidate]:
    """Crystals that a composition may form, the likeliest first, as ``symmcd predict`` makes them.

    Args:
        formula: as ``TiO2``, {"Ti": 1, "O": 2} or {22: 1, 8: 2}.
        number: how many at most.
        checkpoint, device: of `load_pretrained`.
        options: of `Generator.predict`: `space_group`, `atoms`, `steps`, `proposals`, `seed` …

    Raises:
        InputError: as `load_pretrained` and `Generator.predict`.
    """
    return load_pretrained(checkpoint, device).predict(formula, number, **options)
