"""Commands in the README, in docs/, in bench/ and in the rules of the workflow are commands that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from symmcd import cli
from tests.faults.chain import stages

ROOT = Path(__file__).parents[1]


def commands() -> list[tuple[str, str]]:
    """File and words of each ``symmcd …`` in a block or at the end of a row; remarks stand behind # or three blanks.

    Of a synopsis what has to be given, of several words the first: ``[--seed S]`` is left out, ``a|b`` is a.
    """
    found = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "bench").rglob("*.md"))):
        text = re.sub(r" *\\\n *", " ", path.read_text(encoding="utf-8"))
        indented = re.findall(r"^    symmcd (\w+ .*(?:\n        .*)*)", text, re.MULTILINE)
        fenced = [
            line.removeprefix("symmcd ")
            for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
            for line in block.splitlines()
            if re.match(r"symmcd \w", line) and path.name != "extending.md"  # tests/test_extending.py runs those
        ]
        cells = re.findall(r"^\|.*\| `symmcd ((?!.*--[A-Z])[^`]*)` \|$", text, re.MULTILINE)
        for line in [*indented, *fenced, *cells]:
            said = " ".join(re.split(r"   |\s#", part.strip())[0] for part in line.splitlines())
            said = re.sub(r"\[[^\]]*\]|…|\|\S*", "", said).replace(" I/N", " 0/1")
            found.append((str(path.relative_to(ROOT)), said))
    return found


@pytest.mark.parametrize(("file", "words"), commands())
def test_a_documented_command_parses(file, words):
    name, *arguments = shlex.split(words)
    assert name in cli.SUMMARIES
    cli.command_of(name)[1].parse_args(arguments)


WORDS = {"wildcards.shard": "0", "params.shards": "1", "wildcards.seed": "0", "params.seed": "0", "threads": "1"}
WORDS |= {"params.device": "cpu", "wildcards.variant": "multigraph", "params.predictor": "", "params.table_5": ""}
WORDS |= {"params.known": "", "params.curve": "--no-curve", "params.drafts": ""}


def rules() -> list[str]:
    """Words of each ``symmcd …`` in a shell directive, with something in place of what Snakemake fills in."""
    found = []
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r"    shell:\n((?:        .*\n)+)", text):
            said = "".join(re.findall(r'^        "(.*)"$', block, re.MULTILINE))
            said = re.sub(r"\$\(dirname ({[\w.]+})\)", r"\1", said)
            if said.startswith("symmcd "):
                filled = re.sub(r"{([\w.]+)(?::q)?}", lambda m: WORDS.get(m[1], "x"), said.partition(" 2>&1")[0])
                found.append(filled.removeprefix("symmcd "))
    return found


@pytest.mark.parametrize("words", rules())
def test_the_command_of_a_rule_parses(words):
    name, *arguments = shlex.split(words)
    cli.command_of(name)[1].parse_args(arguments)


@pytest.mark.parametrize("stage", stages(), ids=lambda stage: stage.name)
def test_the_commands_of_the_fault_runs_parse(stage):
    name, *arguments = stage.words
    cli.command_of(name)[1].parse_args(arguments)


def test_there_are_some():
    # a run may fit a stability model of its own, which is no part of every chain
    assert {words.split()[0] for words in rules()} == {*cli.GROUPS[1].commands, "surrogate"}
    assert len({file for file, _ in commands()}) >= 3
    assert {words.split()[0] for _, words in commands()} >= {"generate", "predict", "evaluate", "compare", "export"}
