"""Version and commit of the symmcd that made a file.  Standard library only."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from importlib import metadata
from pathlib import Path

from symmcd import __version__

SAID = re.compile(r"symmcd (?P<version>\d\S*)(?: \(commit (?P<commit>[0-9a-f]{7,}\+?)\))?")


def git_commit() -> str | None:
    """Commit of the working tree this code runs from, with ``+`` if it has changes; None outside of one."""
    folder = Path(__file__).resolve().parent
    try:
        head = _git(folder, "rev-parse", "HEAD")
        tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
        return head + ("+" if _git(folder, "status", "--porcelain", "--", ".") else "") if tracked else None
    except (OSError, subprocess.SubprocessError):
        return None  # installed from a wheel, no git here, or a file system too slow for it


def version() -> str:
    """Text of ``symmcd --version``, with which the log of every rule begins; `maker` reads it."""
    commit = git_commit()
    return f"symmcd {__version__}" + (f" (commit {commit})" if commit else "")


def maker(line: str) -> str | None:
    """Short commit in a line of `version`, or the version if the commit is unknown; None for other lines."""
    match = SAID.fullmatch(line.strip())
    if not match:
        return None
    commit = match["commit"]
    return f"{commit[:7]}{'+' if commit.endswith('+') else ''}" if commit else match["version"]


def requirement() -> str:
    """Words that ``pip install`` needs to install this symmcd into another environment, as words of a shell."""
    package = Path(__file__).resolve().parent
    checkout = package.parent.parent
    if (checkout / "pyproject.toml").is_file() and package.parent.name == "src":
        return f"--editable {shlex.quote(str(checkout))}"
    try:
        source = json.loads(metadata.distribution("symmcd").read_text("direct_url.json") or "{}")  # none: from an index
    except metadata.PackageNotFoundError:
        source = {}
    url, vcs = source.get("url", ""), source.get("vcs_info", {})
    if vcs:
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return shlex.quote(f"symmcd @ {url}" if url else f"symmcd=={__version__}")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
