"""Fingerprints already known, in an SQLite file."""

from __future__ import annotations

import numpy as np

from symmcd.metrics.order_parameters import LABELS
from symmcd.sqlite_cache import SqliteCache, Stored
from symmcd.workers import OF_THE_MACHINE, Outcome


class Cache(SqliteCache[Outcome]):
    """Fingerprints by content hash; time limits and crashes depend on the machine and are not kept."""

    TABLE = "fingerprint"
    ITEMS = "fingerprints"

    def _pack(self, item: Outcome) -> Stored | None:
        if item.status in OF_THE_MACHINE or not _sound(item):
            return None
        return Stored(item.status, item.detail, None if item.value is None else item.value.astype("<f8").tobytes())

    def _unpack(self, stored: Stored) -> Outcome | None:
        value = stored.value
        array = np.frombuffer(value, "<f8") if value is not None and len(value) == 8 * len(LABELS) else None
        outcome = Outcome(stored.status, array, stored.detail)
        return outcome if _sound(outcome) and (value is None) == (array is None) else None


def _sound(outcome: Outcome) -> bool:
    """Return whether the row is consistent with its status: a whole, finite fingerprint if that is ``ok``."""
    if outcome.status != "ok":
        return outcome.value is None
    return np.shape(outcome.value) == (len(LABELS),) and bool(np.isfinite(outcome.value).all())
