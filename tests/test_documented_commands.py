"""Commands in the README, in docs/ and in bench/ are commands that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from symmcd import cli

ROOT = Path(__file__).parents[1]


def commands() -> list[tuple[str, str]]:
    """File and words of each ``symmcd …`` in an indented block; remarks stand behind # or three blanks.

    Of a synopsis what has to be given, of several words the first: ``[--seed S]`` is left out, ``a|b`` is a.
    """
    found = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "bench").rglob("*.md"))):
        text = re.sub(r" *\\\n *", " ", path.read_text(encoding="utf-8"))
        for line in re.findall(r"^    symmcd (\w+ .*(?:\n        .*)*)", text, re.MULTILINE):
            said = " ".join(re.split(r"   |\s#", part.strip())[0] for part in line.splitlines())
            said = re.sub(r"\[[^\]]*\]|…|\|\S*", "", said).replace(" I/N", " 0/1")
            found.append((str(path.relative_to(ROOT)), said))
    return found


@pytest.mark.parametrize(("file", "words"), commands())
def test_a_documented_command_parses(file, words):
    name, *arguments = shlex.split(words)
    assert name in cli.SUMMARIES
    cli.command_of(name)[1].parse_args(arguments)


def test_there_are_some():
    assert len({file for file, _ in commands()}) >= 3
    assert {words.split()[0] for _, words in commands()} >= {"generate", "predict", "evaluate", "compare", "export"}
