"""Packages that only some commands need, and the extra of symmcd that installs each.  Standard library only."""

from __future__ import annotations

EXTRAS = {
    "lightgbm": "surrogate",
    "matsyngate": "synthesis",
    "pyxtal": "pyxtal",
    "sevenn": "judge",
    "snakemake": "workflow",
    "torch_geometric": "predictor",
}
"""Importable package → extra of pyproject.toml."""


def missing_package(error: BaseException) -> str | None:
    """The line that a user gets where a package of an extra is not installed; None for any other error."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    package = error.name.partition(".")[0]
    if package not in EXTRAS:
        return None
    return f"the Python package {package!r} is not installed; run `pip install 'symmcd[{EXTRAS[package]}]'`"
