"""The examples of README and docs/: commands and Python blocks, made small enough to be run by a test."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = (
    "README",
    "docs/tutorial",
    "docs/wishes",
    "docs/stable-crystals",
    "docs/formula",
    "docs/own-data",
    "docs/judge-crystals",
)
RUN += ("docs/concepts", "docs/reproducibility")
SMALL = {  # what a command gets in addition, so that it takes seconds; a later word wins over an earlier one
    "generate": "--number 2 --steps 3 --proposals 1",
    "discover": "--number 4 --stable 4 --steps 3 --judges chgnet",
    "predict": "--number 2 --steps 3 --proposals 1",
    "evaluate": "--workers 1 --set score.prototype_sample=2",
    "relax": "--set relax.steps=2",
    "download": "--set data.limit=30",
}


@dataclass(frozen=True)
class Example:
    """A command of ours or a block of Python, as a page has it."""

    kind: str  # symmcd, snakemake or python
    text: str

    def __str__(self) -> str:
        return self.text.splitlines()[0][:60]


def text_of(page: str) -> str:
    return (ROOT / f"{page}.md").read_text(encoding="utf-8")


def examples(page: str) -> list[Example]:
    """What a page shows, in its order: fenced blocks, then the commands of its tables."""
    found = []
    text = text_of(page)
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language == "python":
            found.append(Example("python", block))
        elif language == "sh":
            found += _commands(block)
    for cell in re.findall(r"^\|.*\| `(symmcd [^`]*)` \|$", text, re.MULTILINE):
        found += _commands(cell)
    return found


def snakemake_commands() -> list[tuple[str, str]]:
    """Each ``snakemake …`` in a block of README, docs/ or config/README.md, with the page that has it."""
    found = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "config" / "README.md"):
        text = path.read_text(encoding="utf-8")
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        indented = re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)
        blocks += [re.sub("^ {4}", "", block, flags=re.MULTILINE) for block in indented]
        blocks += re.findall(r"^\|.*\| `(snakemake [^`]*)` \|$", text, re.MULTILINE)
        commands = [example.text for block in blocks for example in _commands(block) if example.kind == "snakemake"]
        found += [(path.name, command) for command in commands]
    return found


def small(command: str) -> list[str]:
    """Words of a ``symmcd …`` command that do the same to less."""
    name, *words = shlex.split(command, comments=True)[1:]
    words = ["--stable=4" if word.startswith("--stable") else word for word in words]
    if name == "download" and not any(word.startswith("data.source=my") for word in words):
        words += ["--set", "data.source=prototypes"]
    words += shlex.split(SMALL.get(name, ""))
    if "--relax" in words:
        words += ["--set", "relax.steps=2"]
    return [name, *words]


def _commands(block: str) -> list[Example]:
    found = []
    for line in re.sub(r" *\\\n *", " ", block).splitlines():
        program = line.split(" ", 1)[0]
        if program in ("symmcd", "snakemake"):
            found.append(Example(program, line))
    return found
