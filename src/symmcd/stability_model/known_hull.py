"""Hull of known materials among the features of a stability model: MP-20's materials, or a user's own entries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from symmcd.errors import InputError
from symmcd.stability.hull import ConvexHull
from symmcd.stability.hull_entries import read_entries
from symmcd.stability_model import materials


@dataclass(frozen=True, eq=False)
class KnownHull:
    """A hull with a name for people."""

    name: str
    hull: ConvexHull


def known_hull(reference: Path | str | None = None, splits: str = ",".join(materials.SPLITS)) -> KnownHull:
    """The hull of the features.

    Args:
        reference: reference.csv of `symmcd reference`, of which the first hull counts; None: MP-20's materials.
        splits: of MP-20, with commas between them; all materials are what is known, those of training what a model
            may be told that is to find the others again.

    Raises:
        InputError: no such splits, or a table that cannot be used.
    """
    if reference is None:
        wanted = tuple(name.strip() for name in splits.split(",") if name.strip())
        return KnownHull(f"MP-20 {'+'.join(wanted)}", materials.hull(wanted))
    name, entries = next(iter(read_entries(Path(reference)).items()))
    try:
        return KnownHull(f"{name} of {Path(reference).name}", ConvexHull(entries))
    except ValueError as error:
        raise InputError(f"{reference}: {error}; run `symmcd reference` again") from None
