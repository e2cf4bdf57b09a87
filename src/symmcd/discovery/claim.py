"""Ownership of a folder: a command continues its own list and leaves those of others alone."""

from __future__ import annotations

import json
from pathlib import Path

from symmcd.discovery import files
from symmcd.discovery.plan import Plan
from symmcd.errors import InputError
from symmcd.writing import delete

PLAN = "plan.json"  # in the work folder


def claim(folder: Path, plan: Plan) -> None:
    """Begin in a folder, or go on in one of the same plan.

    Raises:
        InputError: it has the list of another plan.
    """
    path = folder / files.WORK / PLAN
    identity = json.loads(json.dumps(plan.identity()))
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = {}
        if names := sorted(name for name in {*before, *identity} if before.get(name) != identity.get(name)):
            raise InputError(
                f"{folder}: holds a list made with another {', '.join(names)}; choose another folder, or give "
                "--overwrite"
            )
        return
    if (folder / files.TABLE).exists():
        raise InputError(f"{folder}: holds {files.TABLE} of another command; choose another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, identity)


def start_over(folder: Path) -> None:
    """Delete the files of an earlier list in a folder; files that are not ours stay."""
    if (folder / files.WORK / PLAN).exists():
        for name in files.RESULTS:
            delete(folder / name)
