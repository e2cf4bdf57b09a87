"""Symmetry-preserving crystal generation with diffusion models.

The public names are found on first use (PEP 562), so that ``import symmcd`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

# Public name -> module that defines it.
_HOME = {
    "AsymmetricUnit": "symmcd.crystallography.asymmetric_unit",
    "AsymmetricUnits": "symmcd.crystallography.asymmetric_unit",
    "InputError": "symmcd.errors",
    "SymmcdError": "symmcd.errors",
    "discover": "symmcd.stages.discover",
    "evaluate": "symmcd.stages.evaluate",
    "generate": "symmcd.diffusion.pretrained",
    "load_pretrained": "symmcd.diffusion.pretrained",
    "predict": "symmcd.diffusion.pretrained",
    "rank": "symmcd.stages.predict",
    "reduce": "symmcd.structures.units",
    "relax": "symmcd.stages.relax",
    "replicate": "symmcd.structures.units",
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604  (strings all the same)


def __getattr__(name: str) -> Any:
    """The public name `name`, imported from its module and kept."""
    if name not in _HOME:
        raise AttributeError(f"module 'symmcd' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
