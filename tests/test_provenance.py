"""What made a file is known: `symmcd --version`, which the log of every rule begins with."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from symmcd import __version__, provenance

ROOT = Path(__file__).parents[1]


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def test_version_names_the_commit_of_a_checkout():
    head = git("rev-parse", "HEAD")
    if not head:
        pytest.skip("not a git checkout")
    changed = bool(git("status", "--porcelain", "--", "src/symmcd"))
    said = subprocess.run([sys.executable, "-m", "symmcd", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"symmcd {__version__} (commit {head}{'+' * changed})\n"
    assert provenance.maker(said.stdout) == head[:7] + "+" * changed


def test_version_without_git(monkeypatch):
    def no_git(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert provenance.git_commit() is None
    assert provenance.version() == f"symmcd {__version__}"
    assert provenance.maker(provenance.version() + "\n") == __version__


@pytest.mark.parametrize("line", ["", "wrote results/sun.csv (2 protocols)\n", "symmcd sample: no such file\n"])
def test_other_first_lines_name_nobody(line):
    assert provenance.maker(line) is None


def test_every_rule_keeps_its_log_with_the_commit():
    """A rule that calls `symmcd` and writes its log in another way would leave the report without its commit."""
    kept = 0
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for command in re.findall(r"shell:\n((?:        .*\n)+)", path.read_text(encoding="utf-8")):
            if '"symmcd ' in command:
                assert "2>&1 | keep {log}" in command, f"{path.name}: {command}"
                kept += 1
    assert kept >= 15
