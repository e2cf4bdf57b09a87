"""``symmcd COMMAND …``: list of the commands, arguments of each for its stage, exit status.

A command is a module `symmcd.stages.COMMAND`, which declares its arguments (`symmcd.command`).  Only the module of the
given command is imported, so that ``symmcd --help`` is instant.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from symmcd import endings
from symmcd.command import EXIT_INPUT, Parser, parser_of, values_of
from symmcd.provenance import version
from symmcd.threads import let_threads_sleep


@dataclass(frozen=True)
class Group:
    """Commands of one group, each with a line that says what it does."""

    title: str
    example: str
    commands: dict[str, str]


GROUPS = (
    Group(
        "for your own crystals",
        "symmcd generate --space-group Pnma --number 100 --output crystals/",
        {
            "discover": "generate, relax and judge crystals: one ranked list of candidates",
            "generate": "generate crystals from trained weights",
            "predict": "predict crystals that a composition may form, the likeliest first",
            "evaluate": "score crystals of your own",
            "compare": "compare several runs with each other and with published systems",
            "export": "write generated crystals in the formats of other programs",
            "surrogate": "fit a model of the energy above the hull, for `generate --stable`",
        },
    ),
    Group(
        "the chain",
        "snakemake --cores 8        runs all of these, in this order",
        {
            "download": "download raw crystals, or make the embedded ones",
            "reduce": "reduce raw crystals to asymmetric units",
            "train": "train the model, resuming from checkpoints in the output folder",
            "draft": "draw space groups, positions and elements, for a stability model to choose from",
            "choose": "choose the drafts that a stability model finds most stable",
            "sample": "sample asymmetric units from a trained model",
            "replicate": "replicate sampled asymmetric units to whole crystals",
            "score": "score each crystal: validity, symmetry, template, density",
            "fingerprint": "compute structure and composition fingerprints, for the coverage metrics",
            "summarise": "gather scored shards and compare them with training and test crystals",
            "relax": "relax crystals with a machine-learned potential",
            "judge": "compute energies of relaxed crystals by another potential",
            "reference": "compute energies of the reference crystals that make up the hull",
            "hull": "compute the energy of each crystal above the convex hull",
            "sun": "count stable, unique and novel crystals",
            "candidates": "write the stable, unique, novel crystals as a table and as CIFs, relaxed",
            "predictor": "train DimeNet++ for formation energies: Table 5, and the predictor of d_E",
            "report": "write the report: tables and figures on one page",
            "spread": "show how much the numbers of runs with different seeds vary",
        },
    ),
    Group(
        "setting up and looking",
        "symmcd init my_run",
        {
            "init": "write the workflow and its configuration into a folder",
            "show": "print what a folder of results holds",
            "settings": "print every setting with its meaning, or check a config file",
        },
    ),
)
SUMMARIES = {name: summary for group in GROUPS for name, summary in group.commands.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    0 where its outputs are written, also when nobody reads what it prints; 2 for input that cannot be used or a disk
    that is full; 130 when interrupted, 143 by SIGTERM, 129 by SIGHUP.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    command = "symmcd"
    with endings.tolerant_streams(), endings.ending_by_signals():
        try:
            if not words:
                overview().print_help()
                return EXIT_INPUT
            if words[0] not in SUMMARIES:
                overview().parse_args(words[:1])
            command = f"symmcd {words[0]}"
            run, parser = command_of(words[0])
            values = values_of(parser, parser.parse_args(words[1:]))
            let_threads_sleep()  # before anything that loads torch
            run(**values)
            sys.stdout.flush()
        except KeyboardInterrupt as interrupt:
            status, how = endings.status_of(interrupt)
            print(f"{command}: {how}", file=sys.stderr)
            return status
        except Exception as error:
            line = endings.line_for_user(error)
            if line is None or "--debug" in words:  # a mistake of ours keeps its traceback
                raise
            print(f"{command}: {line}", file=sys.stderr)
            return EXIT_INPUT
    return 0


def command_of(name: str) -> tuple[Callable[..., None], Parser]:
    """The function of a command, and the parser of its arguments."""
    stage = importlib.import_module(f"symmcd.stages.{name}")
    return stage.run, parser_of(name, SUMMARIES[name], stage.EXAMPLE, stage.arguments)


def overview() -> Parser:
    """The parser of `symmcd --help`, which lists the commands and refuses other words."""
    parser = _Overview(prog="symmcd", usage="symmcd COMMAND …")
    parser.add_argument("--version", action=_Version, nargs=0, help="show version and commit, and exit")
    parser.add_argument("command", choices=SUMMARIES, help=argparse.SUPPRESS)
    return parser


class _Overview(Parser):
    def format_help(self) -> str:
        lines = [self.format_usage(), "Symmetry-preserving crystal generation.", ""]
        for group in GROUPS:
            lines += [f"{group.title}:", *(f"  {name:<12} {text}" for name, text in group.commands.items())]
            lines += [f"  example: {group.example}", ""]
        lines += ["`symmcd COMMAND --help` has an example of each; `symmcd --version` tells version and commit."]
        return "\n".join(lines) + "\n"


class _Version(argparse.Action):
    """Print the version; git is asked only here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(version())
        parser.exit()
