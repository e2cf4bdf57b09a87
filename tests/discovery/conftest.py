"""A small network and a toy potential for `symmcd discover`."""

from __future__ import annotations

import pytest

from symmcd.extensions import POTENTIALS
from tests.diffusion.conftest import staged  # noqa: F401  (a fixture)
from tests.discovery.toys import TOYS


@pytest.fixture
def toys(monkeypatch):
    """Names of two judges whose energies count as the Materials Project's."""
    for name, entry in TOYS.items():
        monkeypatch.setitem(POTENTIALS._added, name, entry)
    return tuple(TOYS)
