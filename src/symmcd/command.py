"""Building blocks of a subcommand: a parser with the options that several share, and its words as arguments of `run`.

A stage says beside its ``run`` what the command line takes::

    EXAMPLE = "units.npz --output scores.csv --shard 0/4"

    def arguments(parser: Parser) -> None:
        parser.add_argument("crystals", type=Path, help="units.npz of `symmcd replicate`")
        parser.add_output("one row for each crystal, csv")
        parser.add_shard()
        parser.add_settings("score")

    def run(crystals: Path, output: Path, shard: int, shards: int, settings: ScoreSettings) -> None: ...

Each argument has the name of the parameter of ``run`` that it becomes.  ``--output`` names the main file to write, and
``--output-…`` any others; nothing else is written.  Standard library only, because the help has to be instant.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

from symmcd.bounds import Bound, checked, parted
from symmcd.errors import InputError
from symmcd.output_folder import check_output_folder

EXIT_INPUT = 2  # what the user gave cannot be used; argparse says the same of its own complaints


class Parser(argparse.ArgumentParser):
    """Parser of a subcommand; an error is one line with the nearest valid word, not a list of all."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **options)
        self.sections: dict[str, tuple[str, bool]] = {}  # parameter of `run` -> its section, and whether it may be None
        self.gathered: dict[str, tuple[str, ...]] = {}  # parameter of `run` -> options that it is a mapping of
        self.results: tuple[str, ...] = ()  # what it writes to its output folder and must not overwrite

    def error(self, message: str) -> NoReturn:
        found = re.fullmatch(r"(?P<said>.*invalid choice: '(?P<word>.*)') \(choose from (?P<choices>.*)\)", message)
        if found:
            near = difflib.get_close_matches(found["word"], re.findall(r"[\w-]+", found["choices"]), n=1)
            message = f"{found['said']}; did you mean {near[0]!r}?" if near else message
        if re.search(r"required:.*--output", message):
            message += "; --output names the file or folder to write"
        if not message.endswith("?"):
            message += f" (`{self.prog} --help` says how)"
        self.exit(EXIT_INPUT, f"{self.prog}: {message}\n")

    def needed(self) -> str:
        """Required arguments as the usage shows them: positional arguments first, as lists swallow what follows.

        Positional arguments get capitals here, in the rest of the help and in messages.
        """
        words = []
        for action in sorted(self._actions, key=lambda action: bool(action.option_strings)):
            if not action.option_strings and action.metavar is None:
                action.metavar = action.dest.upper()
            name = str(action.metavar or ("|".join(action.choices) if action.choices else action.dest))
            if not action.option_strings:
                words.append({"+": f"{name} …", "*": f"[{name} …]"}.get(str(action.nargs), name))
            elif action.required:
                words.append(f"{action.option_strings[0]} {name}" + (" …" if action.nargs == "+" else ""))
        return " ".join(words)

    def add_output(self, text: str, *, what: str = "", metavar: str = "FILE", required: bool = True) -> None:
        """``--output``, or ``--output-WHAT`` for a further file; a folder's metavar is DIR."""
        option = f"--output-{what}" if what else "--output"
        self.add_argument(option, type=Path, required=required, metavar=metavar, help=text)

    def add_overwrite(self, results: Iterable[str]) -> None:
        """``--overwrite``; without it an output folder that holds one of `results` is refused."""
        self.results = tuple(results)
        text = "replace results of an earlier run in the output folder"
        self.add_argument("--overwrite", action="store_true", help=text)

    def add_shard(self) -> None:
        """``--shard I/N``, which becomes the parameters `shard` and `shards`."""
        text = "part I of N, I from 0 (default: 0/1)"
        self.add_argument("--shard", type=shard, default=(0, 1), metavar="I/N", help=text)

    def add_seed(self) -> None:
        from symmcd.settings import Seed  # not for `symmcd --help`, a fifth of whose time it would take

        self.add_argument("--seed", type=number(Seed), default=0, metavar="S", help="random seed (default: 0)")

    def add_device(self) -> None:
        text = "device to compute on; auto (default): CUDA if available"
        self.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help=text)

    def add_workers(self) -> None:
        text = "number of processes (default: one for each core)"
        read = number(Annotated[int, Bound(0, 1000)])
        self.add_argument("--workers", type=read, default=0, metavar="N", help=text)

    def add_gathered(self, parameter: str, text: str, names: Iterable[str]) -> argparse._ArgumentGroup:
        """A group of options for the caller to add, which become one parameter: a mapping of those that are given."""
        self.gathered[parameter] = tuple(names)
        return self.add_argument_group(parameter, text)

    def add_moved(self, option: str, advice: str) -> None:
        """An option of an earlier version, which is refused with advice and not in the help."""
        hidden: dict[str, Any] = {"help": argparse.SUPPRESS, "default": argparse.SUPPRESS}
        self.add_argument(option, action=_Moved, nargs="?", advice=advice, **hidden)

    def add_unusable(self, group: argparse._ArgumentGroup, option: str, why: str) -> None:
        """An option that the help names and that is refused, with the reason."""
        text = f"cannot be used: {why}".replace("%", "%%")
        group.add_argument(option, action=_Moved, nargs="?", advice=why, help=text, default=argparse.SUPPRESS)

    def add_settings(
        self, section: str, *further: str, shown: Sequence[str] = (), named: Mapping[str, str] | None = None
    ) -> None:
        """Options for the settings of a stage, which become the parameter `settings`.

        Args:
            section: its section of a config file, from ``--settings``, or ``--config`` and ``--set``.
            further: other sections, as the parameters of their names, from ``--SECTION-settings`` or the same file.
            shown: sections that it only shows; None if they are not given.
            named: the parameter that a section becomes where another option has its name.
        """
        parameter = {name: (named or {}).get(name, name) for name in (*further, *shown)}
        group = self.add_argument_group("settings", f"`symmcd settings {section}` lists them")
        group.add_argument("--settings", metavar="JSON", help=f"the section `{section}` as JSON")
        for name in (*further, *shown):
            note = ", to be shown" if name in shown else ""
            group.add_argument(
                f"--{name}-settings", dest=parameter[name], metavar="JSON", help=f"the section `{name}` as JSON{note}"
            )
        group.add_argument("--config", type=Path, metavar="FILE", help="a config file, as Snakemake reads it")
        group.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="may be repeated")
        self.sections = {"settings": (section, False)}
        self.sections |= {parameter[name]: (name, name in shown) for name in (*further, *shown)}


def parser_of(name: str, summary: str, example: str, declare: Callable[[Parser], None]) -> Parser:
    """The parser of one subcommand, whose arguments `declare` adds."""
    parser = Parser(
        prog=f"symmcd {name}",
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  symmcd {name} {example}",
    )
    declare(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.usage = f"{parser.prog} {parser.needed()} [options]"
    return parser


def values_of(parser: Parser, given: argparse.Namespace) -> dict[str, Any]:
    """Arguments of the stage's `run`: settings read and checked, an output folder looked at; nothing heavy is loaded.

    Raises:
        InputError: settings that cannot be used, two outputs of one name, or an output folder that cannot be written or
            holds results.
    """
    values = dict(vars(given))
    del values["debug"]
    if parser.sections:
        config, changes = values.pop("config"), values.pop("set")
        for parameter, (section, shown) in parser.sections.items():
            text = values[parameter]
            if text is not None or not shown:
                values[parameter] = read_settings(section, text, config, changes)
    for parameter, names in parser.gathered.items():
        all_of_them = {name: values.pop(name, None) for name in names}  # None of what cannot be used
        values[parameter] = {name: value for name, value in all_of_them.items() if value not in (None, False)}
    if "shard" in values:
        values["shard"], values["shards"] = values["shard"]
    _check_outputs({name: value for name, value in values.items() if name.split("_")[0] == "output" and value})
    if "overwrite" in values:
        check_output_folder(values["output"], parser.results, overwrite=values.pop("overwrite"))
    return values


def _check_outputs(outputs: Mapping[str, Path]) -> None:
    """Refuse two outputs of one name, of which the second would take the place of the first.

    Raises:
        InputError: naming both options.
    """
    options: dict[Path, str] = {}
    for parameter, path in outputs.items():
        option = f"--{parameter.replace('_', '-')}"
        if (before := options.setdefault(path.absolute(), option)) != option:
            raise InputError(f"{path}: {before} and {option} name the same file; give each a different one")


def read_settings(section: str, text: str | None, config: Path | None, changes: Sequence[str]) -> Any:
    """Settings of `section`: from its JSON, or from a config file and changes to it, or the defaults.

    Raises:
        InputError: settings that cannot be used, or both ways at once.
    """
    from symmcd.settings import read_section

    if text is None:
        return read_config(config, changes)[section]
    if config is not None or changes:
        raise InputError("--settings already has the whole section; leave out --config and --set")
    return read_section(section, text)


def read_config(path: Path | None, changes: Sequence[str]) -> dict[str, Any]:
    """Settings of all sections, from a config file and ``section.key=value`` texts.

    Raises:
        InputError: they cannot be used.
    """
    from symmcd import config

    values: Mapping[str, Any] = config.read_config_file(path) if path is not None else {}
    return config.read_config({**values, **config.parse_changes(changes)})


def shard(text: str) -> tuple[int, int]:
    """``I/N`` as two integers, 0 ≤ I < N."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r}: write I/N with I from 0 to N - 1, for example 0/4")
    return int(index), int(count)


def number(hint: Any) -> Callable[[str], Any]:
    """Reader of a number with the type and bound of a setting."""

    def read(text: str) -> Any:
        try:
            return checked("it", text, hint, texts=True)
        except InputError:
            kind, rules = parted(hint)
            noun = "a whole number" if kind is int else "a number"
            words = ", ".join(["expected " + noun, *map(str, rules)])
            raise argparse.ArgumentTypeError(f"{text[:40]!r}: {words}") from None

    return read


class _Moved(argparse.Action):
    def __init__(self, *arguments: Any, advice: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.advice = advice

    def __call__(self, parser: argparse.ArgumentParser, _given: Any, _values: Any, option: str | None = None) -> None:
        parser.error(f"{option}: {self.advice}")
