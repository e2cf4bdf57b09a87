"""Files of drafts, which `symmcd draft` writes and `symmcd choose` selects from.  Numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.consistency import check_orbits
from symmcd.crystallography.drafts import Drafts
from symmcd.errors import InputError
from symmcd.npz import Expected, fitted
from symmcd.storage import BEST_OF, read_arrays, write_arrays

DRAFT_FIELDS = {
    "space_group": Expected("integers", ("B",)),
    "start": Expected("integers", ("B+1",)),
    "element": Expected("integers", ("A",)),
    "wyckoff": Expected("integers", ("A",)),
    "number": Expected("integers", ("B",)),
    "log_probability": Expected("numbers", ("B",), finite=False),
}
SEED, WEIGHTS = "seed", "weights"


@dataclass(frozen=True, eq=False)
class DraftFile:
    """Drafts and their origin.  Constraints on their geometries are in the settings, not here."""

    drafts: Drafts
    weights: tuple[str, ...]  # `Generator.hashes` of what drew them
    best_of: BestOf | None = None  # how they were chosen; None if they were not

    def write(self, path: Path) -> None:
        """Write it as npz."""
        arrays = {name: getattr(self.drafts, name) for name in DRAFT_FIELDS}
        arrays |= {SEED: np.array(self.drafts.seed), WEIGHTS: np.array(self.weights, np.str_)}
        if self.best_of is not None:
            arrays[BEST_OF] = np.array(self.best_of.text())
        write_arrays(path, arrays)

    @classmethod
    def read(cls, path: Path) -> DraftFile:
        """Read what `write` wrote.

        Raises:
            InputError: missing, damaged, or something else; the message names the file and the draft.
        """
        arrays = read_arrays(path)
        expected = DRAFT_FIELDS | {SEED: Expected("integers", ()), WEIGHTS: Expected("texts", ("W",))}
        if BEST_OF in arrays:
            expected[BEST_OF] = Expected("texts", ())
        fields = fitted(path, arrays, expected, "drafts")
        orbits: dict[str, Any] = {name: fields[name] for name in DRAFT_FIELDS}
        try:
            drafts = Drafts(**orbits, seed=int(fields[SEED]))
            check_orbits(
                drafts.space_group, drafts.start, drafts.element, drafts.wyckoff, lambda i: f"draft {drafts.name(i)}: "
            )
            best_of = BestOf.read(str(fields[BEST_OF])) if BEST_OF in fields else None
        except InputError as error:
            raise InputError(f"{path}: {error}; delete it and run `symmcd draft` again") from None
        return cls(drafts, tuple(map(str, fields[WEIGHTS].tolist())), best_of)


def read_together(paths: Sequence[Path]) -> DraftFile:
    """All drafts of several files, in the order of their numbers.

    Raises:
        InputError: a file that cannot be used; files of different weights or seeds; a draft that appears twice.
    """
    files = [DraftFile.read(path) for path in paths]
    for path, file in zip(paths, files, strict=True):
        if (file.weights, file.drafts.seed, file.best_of) != (files[0].weights, files[0].drafts.seed, None):
            raise InputError(
                f"{path}: its drafts are not of the weights and the seed of {paths[0]}, or chosen already; run "
                "`symmcd draft` again for all shards"
            )
    drafts = Drafts.concatenate([file.drafts for file in files])
    drafts = drafts.take(np.argsort(drafts.number, kind="stable"))
    if len(twice := drafts.number[1:][np.diff(drafts.number) == 0]):
        raise InputError(f"draft {twice[0]} is in two of {', '.join(map(str, paths))}; give each shard once")
    return replace(files[0], drafts=drafts)
