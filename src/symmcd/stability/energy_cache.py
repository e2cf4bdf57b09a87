"""Energies already computed, in an SQLite file."""

from __future__ import annotations

import hashlib
import json
import math
import struct

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.sqlite_cache import SqliteCache, Stored
from symmcd.stability.energies import Energy

METHOD = "energy of the asymmetric unit 1"  # part of the key: change it with what is computed
_VALUE = struct.Struct("<d")


class EnergyCache(SqliteCache[Energy]):
    """Energies as a potential gives them, corrections, and reasons for missing energies.

    An error that nobody foresaw may be one of the machine, such as no memory, and is not kept.
    """

    TABLE = "energy"
    ITEMS = "energies"

    def _pack(self, item: Energy) -> Stored | None:
        if item.error is not None or not _sound(item):
            return None
        return Stored(item.status, "", None if item.value is None else _VALUE.pack(item.value))

    def _unpack(self, stored: Stored) -> Energy | None:
        if stored.value is not None and len(stored.value) != _VALUE.size:
            return None
        energy = Energy(stored.status, None if stored.value is None else _VALUE.unpack(stored.value)[0])
        return energy if _sound(energy) and not stored.detail else None


def _sound(energy: Energy) -> bool:
    """Return whether it is a finite energy, or none with the reason."""
    if energy.status == "ok":
        return energy.value is not None and math.isfinite(energy.value)
    return energy.value is None and bool(energy.status)


def content_keys(units: AsymmetricUnits, potential: str, version: str) -> list[bytes]:
    """Hash of all that the energy of each crystal depends on, to the last bit of each number.

    Args:
        units: crystals.
        potential: name in the registry, or of what else computes an energy.
        version: of its weights.
    """
    head = hashlib.sha256(json.dumps([METHOD, potential, version]).encode())
    letters = wyckoff_table().letter[units.wyckoff].tolist()
    numbers = units.k.astype("<f8") + 0.0, units.position.astype("<f8") + 0.0  # no negative zeros
    element = units.element.astype("<i8")
    keys = []
    for index, group in enumerate(units.space_group.tolist()):
        orbits = slice(units.start[index], units.start[index + 1])
        digest = head.copy()
        digest.update(json.dumps([group, letters[orbits]]).encode())
        for array in (numbers[0][index], element[orbits], numbers[1][orbits]):  # lengths follow from the letters
            digest.update(np.ascontiguousarray(array).tobytes())
        keys.append(digest.digest())
    return keys
