"""Frames of our extxyz files, held against what else is known of their crystals."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ase import Atoms

from symmcd.errors import InputError
from symmcd.storage import read_units
from symmcd.structures.crystal import HEAVIEST
from symmcd.structures.names import extxyz_ids
from symmcd.structures.write import read_extxyz


def read_generated(path: Path) -> list[Atoms]:
    """Frames of generated crystals, each with an id of its own.

    If `path` is called ``crystals.extxyz`` and ``units.npz`` is beside it, as `symmcd replicate` and `generate` write
    them, both must hold the same crystals in the same order; otherwise a truncated file would count as a smaller set.

    Raises:
        InputError: unreadable, an id that appears twice, an atom that is no element, or other crystals than those of
            units.npz.
    """
    frames = read_extxyz(path)
    for number, frame in enumerate(frames, 1):
        if not all(1 <= z <= HEAVIEST for z in frame.numbers.tolist()):
            raise InputError(
                f"{path}, frame {number} ({frame.info['id']}): an atom X, which is not an element; remove the frame"
            )
    beside = path.with_name("units.npz")
    if path.name == "crystals.extxyz" and beside.is_file():
        _compare(path, frames, beside)
    return frames


def _compare(path: Path, frames: list[Atoms], beside: Path) -> None:
    units = read_units(beside)
    labels, atoms = extxyz_ids(units.label.tolist()), units.number_of_atoms.tolist()
    there = {frame.info["id"] for frame in frames}
    missing = [name for name in labels if name not in there]
    advice = "run `symmcd replicate` again, or give other crystals another name than crystals.extxyz"
    if missing:
        raise InputError(
            f"{path}: crystal {missing[0]} of {beside} is missing ({len(missing)} of {len(labels)} are); {advice}"
        )
    if len(frames) != len(labels):
        foreign = next(frame.info["id"] for frame in frames if frame.info["id"] not in set(labels))
        raise InputError(f"{path}: crystal {foreign} is not in {beside}; {advice}")
    groups = units.space_group.tolist()
    for number, (frame, name, size, group) in enumerate(zip(frames, labels, atoms, groups, strict=True), 1):
        own = (frame.info["id"], len(frame), frame.info.get("space_group", group))
        if own != (name, size, group):
            raise InputError(
                f"{path}, frame {number}: crystal {own[0]} of {own[1]} atoms in space group {own[2]}, where "
                f"{beside} has {name} of {size} in {group}; the files come from different runs: {advice}"
            )


def frames_by_id(paths: Iterable[Path]) -> dict[str, Atoms]:
    """Frames of several files by their id.

    Raises:
        InputError: unreadable, or an id that appears twice.
    """
    by_id: dict[str, Atoms] = {}
    for path in paths:
        for number, frame in enumerate(read_extxyz(path), 1):
            name = frame.info["id"]
            if name in by_id:
                raise InputError(f"{path}, frame {number}: crystal {name} appears twice; give each shard once")
            by_id[name] = frame
    return by_id


def space_group_of(path: Path, frame: Atoms) -> int | None:
    """Space group in which a frame was made, as it states; None if it states none.

    Args:
        path: the frame's file.
        frame: of `read_generated`.

    Raises:
        InputError: it is no number from 1 to 230.
    """
    given = frame.info.get("space_group")
    if given is None:
        return None
    if isinstance(given, int | np.integer) and not isinstance(given, bool) and 1 <= given <= 230:
        return int(given)
    raise InputError(
        f"{path}: frame {frame.info['id']} has space_group={given!r}; expected a number from 1 to 230, or nothing"
    )
