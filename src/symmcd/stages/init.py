"""``symmcd init``: the Snakemake workflow, its profiles and a commented configuration, copied into a folder."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from symmcd.command import Parser
from symmcd.packages import EXTRAS
from symmcd.provenance import version

EXAMPLE = "my_run"
COPIED = ("Snakefile", "config", "profiles", "workflow")
VERSION_FILE = "workflow/symmcd-version.txt"
IN_PACKAGE = Path(__file__).resolve().parents[1] / "workflow_files"  # made by the wheel, see pyproject.toml
IN_CHECKOUT = Path(__file__).resolve().parents[3]


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("folder", type=Path, help="folder for the workflow; made if it does not exist")


def run(folder: Path) -> None:
    """Copy the workflow into `folder` and print how to run it.

    A file that is there already with the same content is kept, so that an interrupted copy can be finished.

    Raises:
        InputError: a file of the workflow is there already with other content, the folder cannot be written, or this
            installation has no workflow.
    """
    files = _files()
    target = folder.expanduser().resolve()
    if target.exists():
        _fill(target, folder, files)
    else:
        _make(target, files)
    print(f"{folder}: {len(files)} files, the workflow of {version()}; config/config.yaml has every setting.")
    if importlib.util.find_spec("snakemake") is None:
        print(f"It runs with Snakemake: pip install 'symmcd[{EXTRAS['snakemake']}]'")
    print("Try it on embedded crystals, in minutes and offline, then on MP-20:")
    print(f"  cd {folder}")
    print("  snakemake --configfile config/quickstart.yaml --cores 2")
    print("  snakemake --cores 8 all")


def _files() -> Mapping[str, bytes]:
    """Content by path in the folder; the Snakefile is last, because it makes the folder a workflow.

    Raises:
        InputError: neither a wheel's copy nor a checkout is beside this module.
    """
    from symmcd.errors import InputError

    source = next((place for place in (IN_PACKAGE, IN_CHECKOUT) if (place / "Snakefile").is_file()), None)
    if source is None:
        raise InputError(
            f"{IN_PACKAGE}: the workflow is missing from this installation; install symmcd again (`pip install"
            " --force-reinstall --no-deps symmcd`)"
        )
    content = {path.relative_to(source).as_posix(): path.read_bytes() for path in _paths(source)}
    content[VERSION_FILE] = f"{version()}\n".encode()
    return {name: content[name] for name in sorted(content, key=lambda name: (name == "Snakefile", name))}


def _paths(source: Path) -> Iterator[Path]:
    for name in COPIED:
        place = source / name
        if place.is_file():
            yield place
        for path in place.rglob("*"):
            hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(source).parts)
            if path.is_file() and not hidden:
                yield path


def _make(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder, which appears whole or not at all."""
    from symmcd.writing import atomic_folder

    with atomic_folder(target) as building:
        for name, content in files.items():
            path = building / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _fill(target: Path, said: Path, files: Mapping[str, bytes]) -> None:
    """Write into a folder that is there; each file appears whole.

    Raises:
        InputError: it is no folder, or has a file of the same name and other content.
    """
    from symmcd.errors import InputError
    from symmcd.writing import atomic_path

    if not target.is_dir():
        raise InputError(f"{said}: is not a folder; choose another name")
    there = {name for name in files if os.path.lexists(target / name)}
    other = sorted(name for name in there if not _same(target / name, files[name]))
    if other:
        named = ", ".join(other[:3]) + (f" and {len(other) - 3} more" if len(other) > 3 else "")
        raise InputError(
            f"{said}: already has files of these names, which are never "
            f"overwritten ({named}); choose another folder, or"
            " move them away"
        )
    for name in files:
        if name not in there:
            with atomic_path(target / name) as temporary:
                temporary.write_bytes(files[name])


def _same(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
