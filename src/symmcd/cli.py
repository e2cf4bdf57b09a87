"""``symmcd <stage> …``: arguments in, one stage called, one line said where it went wrong.

A stage and what it imports are loaded inside its subcommand, so that ``symmcd --help`` is instant.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

from symmcd import endings
from symmcd.bounds import Bound, checked, parted
from symmcd.errors import InputError
from symmcd.extensions import CONSTRAINTS
from symmcd.output_folder import RESULTS, check_output_folder
from symmcd.provenance import version
from symmcd.settings import PREDICTOR_VARIANTS, SECTIONS, Count, Few, Seed, Steps, Temperature, read_section
from symmcd.threads import let_threads_sleep

EXIT_INPUT = 2  # what the user gave cannot be used; argparse says the same of its own complaints

EPILOG = """\
The stages above stand in the order of the chain; `generate` and `evaluate` are for crystals of your own.
`symmcd STAGE --help` has an example of each, `snakemake --cores 8` runs the whole chain."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status.

    0 where its outputs are written, also when nobody reads what it prints; 2 for input that cannot be used or a disk
    that is full; 130 when interrupted, 143 by SIGTERM, 129 by SIGHUP.
    """
    words = sys.argv[1:] if argv is None else argv
    command = "symmcd"
    with endings.tolerant_streams(), endings.ending_by_signals():
        try:
            parser = _parser()
            if not words:
                parser.print_help()
                return EXIT_INPUT
            arguments = parser.parse_args(words)
            command = f"symmcd {arguments.command}"
            arguments.run(arguments)
            sys.stdout.flush()
        except KeyboardInterrupt as interrupt:
            status, how = endings.status_of(interrupt)
            print(f"{command}: {how}", file=sys.stderr)
            return status
        except Exception as error:
            line = endings.said(error)
            if line is None or "--debug" in words:  # a mistake of ours keeps its traceback
                raise
            print(f"{command}: {line}", file=sys.stderr)
            return EXIT_INPUT
    return 0


# --- subcommands: import a stage, call it ----------------------------------------------------------------------------


def _settings(a: argparse.Namespace, section: str) -> Any:
    """Settings of `section`: from its JSON, or from --config and --set, or the defaults."""
    text = a.model_settings if section == "model" else a.settings
    if text is None:
        return _config(a)[section]
    if a.config is not None or a.set:
        raise InputError("--settings has the whole section already; leave out --config and --set")
    return read_section(section, text)


def _config(a: argparse.Namespace) -> dict[str, Any]:
    from symmcd import config

    values = config.read_config_file(a.config) if a.config is not None else {}
    return config.read_config(values | config.parse_changes(a.set))


def _download(a: argparse.Namespace) -> None:
    from symmcd.stages import download

    download.run(a.output_dir, _settings(a, "data"))


def _reduce(a: argparse.Namespace) -> None:
    from symmcd.stages import reduce

    rejects = a.rejects or a.units.with_name(f"{a.units.stem}_rejects.csv")
    reduce.run(a.raw, a.units, rejects, _settings(a, "reduce"), workers=a.workers)


def _train(a: argparse.Namespace) -> None:
    from symmcd.stages import train

    model, training = _settings(a, "model"), _settings(a, "training")
    train.run(a.train, a.val, a.output_dir, model, training, seed=a.seed, device=a.device, part=a.part)


def _sample(a: argparse.Namespace) -> None:
    from symmcd.stages import sample

    shard, shards = a.shard
    sample.run(a.denoiser, a.output, shard, shards, _settings(a, "sampling"), seed=a.seed, device=a.device)


def _replicate(a: argparse.Namespace) -> None:
    from symmcd.stages import replicate

    replicate.run(a.samples, a.output_dir, _settings(a, "replicate"))


def _score(a: argparse.Namespace) -> None:
    from symmcd.stages import score

    shard, shards = a.shard
    score.run(a.crystals, a.output, shard, shards, _settings(a, "score"))


def _summarise(a: argparse.Namespace) -> None:
    from symmcd.stages import summarise

    summarise.run(
        a.shards, a.units, a.train, a.reference, a.fingerprints, a.reference_fingerprints, a.output_dir,
        _settings(a, "score"), seed=a.seed, predictor=a.predictor, workers=a.workers,
    )  # fmt: skip


def _fingerprint(a: argparse.Namespace) -> None:
    from symmcd.stages import fingerprint

    fingerprint.run(a.units, a.output, a.cache, _settings(a, "score"), workers=a.workers)


def _relax(a: argparse.Namespace) -> None:
    from symmcd.stages import relax

    shard, shards = a.shard
    relax.run(a.crystals, a.table, a.relaxed, shard, shards, _settings(a, "relax"), seed=a.seed, device=a.device)


def _reference(a: argparse.Namespace) -> None:
    from symmcd.stages import reference

    reference.run(a.units, a.output, _settings(a, "hull"), device=a.device)


def _hull(a: argparse.Namespace) -> None:
    from symmcd.stages import hull

    hull.run(a.relaxed, a.reference, a.output, _settings(a, "hull"))


def _sun(a: argparse.Namespace) -> None:
    from symmcd.stages import sun

    sun.run(
        a.hull, a.crystals, a.relaxed, a.train, a.output, a.per_crystal, _settings(a, "sun"), known=a.known,
        workers=a.workers, scores=a.scores,
    )  # fmt: skip


def _candidates(a: argparse.Namespace) -> None:
    from symmcd.stages import candidates

    candidates.run(a.per_crystal, a.relaxed, a.table, a.archive)


def _predictor(a: argparse.Namespace) -> None:
    from symmcd.stages import predictor

    settings = _settings(a, "predictor")
    predictor.run(a.train, a.val, a.test, a.output_dir, settings, seed=a.seed, device=a.device, variant=a.variant)


def _report(a: argparse.Namespace) -> None:
    from symmcd.stages import report

    relax = read_section("relax", a.relax_settings) if a.relax_settings is not None else None
    settings = _settings(a, "report")
    report.run(a.results, a.output_dir, settings, seed=a.seed, table_5=not a.no_table_5, relax=relax)


def _generate(a: argparse.Namespace) -> None:
    from symmcd.stages import generate

    common = a.checkpoint, a.seed, a.device
    geometry = {"steps": a.steps, "proposals": a.proposals}
    constraints = {name: getattr(a, name) for name in CONSTRAINTS if getattr(a, name) not in (None, False)}
    if a.formula is None:
        if a.atoms is not None:
            raise InputError("--atoms goes with --formula")
        generate.run(a.output, a.number, *common, **geometry, temperature=a.temperature, constraints=constraints)
    else:
        if constraints.keys() - {"space_group"} or a.temperature != 1:
            raise InputError(
                "--formula goes without --temperature and constraints other than --space-group; --atoms says how many"
            )
        generate.predict(a.output, a.formula, a.number, a.space_group, *common, **geometry, atoms=a.atoms)


def _evaluate(a: argparse.Namespace) -> None:
    from symmcd.stages import evaluate

    evaluate.run(
        a.structures, a.output, a.reference, _settings(a, "score"), train=a.train, cache=a.cache, workers=a.workers
    )


def _export(a: argparse.Namespace) -> None:
    from symmcd.stages import export

    export.run(a.units, a.output, a.format, seed=a.seed)


def _compare(a: argparse.Namespace) -> None:
    from symmcd.stages import compare

    compare.run(a.runs, a.output, a.names)


def _show(a: argparse.Namespace) -> None:
    from symmcd.stages import show

    show.run(a.results)


def _print_settings(a: argparse.Namespace) -> None:
    from symmcd import config

    if a.schema:
        import yaml

        print(yaml.safe_dump(config.schema(), sort_keys=False, allow_unicode=True, width=120), end="")
    else:
        whole = _config(a)
        config.check_together(whole)
        print(config.describe(whole, only=a.section))


# --- parser ----------------------------------------------------------------------------------------------------------


def _shard(text: str) -> tuple[int, int]:
    """``I/N`` as two integers, 0 ≤ I < N."""
    index, _, number = text.partition("/")
    if not (index.isdecimal() and number.isdecimal() and int(index) < int(number)):
        raise argparse.ArgumentTypeError(f"{text!r}: write I/N with I from 0 to N - 1, for example 0/4")
    return int(index), int(number)


def _number(hint: Any) -> Callable[[str], Any]:
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


def _started(run: Callable[[argparse.Namespace], None], a: argparse.Namespace) -> None:
    """A subcommand, begun before anything that loads torch; an output folder that cannot be used is refused at once.

    Raises:
        InputError: its output folder cannot be written, or holds results and --overwrite is not given.
    """
    if a.command in RESULTS:
        check_output_folder(a.output, RESULTS[a.command], overwrite=a.overwrite)
    let_threads_sleep()
    run(a)


SHARED: dict[str, dict[str, Any]] = {
    "--shard": {"type": _shard, "default": (0, 1), "metavar": "I/N", "help": "part I of N, I from 0 (default: 0/1)"},
    "--seed": {"type": _number(Seed), "default": 0, "metavar": "S", "help": "random seed (default: 0)"},
    "--device": {
        "choices": ("auto", "cuda", "cpu"),
        "default": "auto",
        "help": "auto (default) takes CUDA where there is one",
    },
    "--workers": {
        "type": _number(Annotated[int, Bound(0, 1000)]),
        "default": 0,
        "metavar": "N",
        "help": "processes (default: one a core)",
    },
    "--overwrite": {"action": "store_true", "help": "replace results of an earlier run in the output folder"},
}


class _Version(argparse.Action):
    """Asks git only where somebody wants to know."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(version())
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest word in place of all those that there are.

    Subcommands are of this class too.
    """

    def error(self, message: str) -> NoReturn:
        found = re.fullmatch(r"(?P<said>.*invalid choice: '(?P<word>.*)') \(choose from (?P<choices>.*)\)", message)
        if found:
            near = difflib.get_close_matches(found["word"], re.findall(r"[\w-]+", found["choices"]), n=1)
            message = f"{found['said']}; did you mean {near[0]!r}?" if near else message
        if not message.endswith("?"):
            message += f" (`{self.prog} --help` says how)"
        self.exit(EXIT_INPUT, f"{self.prog}: {message}\n")


class _Commands:
    """The subcommands, each added by one call."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.commands = parser.add_subparsers(dest="command", required=True, metavar="STAGE")

    def add(
        self,
        name: str,
        run: Callable[[argparse.Namespace], None],
        summary: str,
        example: str,
        section: str = "",
        files: Mapping[str, str] | None = None,
        shared: Sequence[str] = (),
    ) -> argparse.ArgumentParser:
        """A subcommand with its section of settings; a name in `files` that ends in an ellipsis takes several."""
        parser = self.commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=f"example:\n  symmcd {name} {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(run=functools.partial(_started, run))
        for argument, text in (files or {}).items():
            several = argument.endswith("…")
            parser.add_argument(argument.rstrip("…"), type=Path, help=text, nargs="+" if several else None)
        for option in shared:
            parser.add_argument(f"--{option}", **SHARED[f"--{option}"])
        if section:
            group = parser.add_argument_group("settings", f"`symmcd settings {section}` lists them")
            group.add_argument("--settings", metavar="JSON", help=f"the section `{section}` as JSON")
            group.add_argument("--config", type=Path, metavar="FILE", help="a config file, as Snakemake reads it")
            group.add_argument(
                "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="may be repeated"
            )
        parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return parser


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="symmcd", description="Symmetry-preserving crystal generation, stage by stage.", epilog=EPILOG
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show version and commit, and exit")
    commands = _Commands(parser)

    commands.add(
        "download",
        _download,
        "fetch raw crystals, or make the embedded ones",
        "results/raw --set data.source=prototypes",
        "data",
        {"output_dir": "gets train.csv.gz, val.csv.gz, test.csv.gz and source.json"},
    )
    command = commands.add(
        "reduce",
        _reduce,
        "reduce raw crystals to asymmetric units",
        "results/raw/val.csv.gz results/asymmetric_units/val.npz --workers 4",
        "reduce",
        {"raw": "csv or csv.gz with a column cif", "units": "asymmetric units, npz"},
    )
    command.add_argument("--rejects", type=Path, metavar="CSV", help="rows not kept (default: beside the units)")
    command.add_argument("--workers", **SHARED["--workers"])
    command = commands.add(
        "train",
        _train,
        "train the denoiser, going on from a checkpoint in the output folder",
        "results/asymmetric_units/train.npz results/asymmetric_units/val.npz results/training/seed0",
        "training",
        {
            "train": "asymmetric units to learn from, npz",
            "val": "asymmetric units for the validation loss, npz",
            "output_dir": "gets denoiser.safetensors, losses.csv and the checkpoint",
        },
        shared=("seed", "device"),
    )
    command.add_argument("--model-settings", metavar="JSON", help="the section `model` as JSON")
    command.add_argument(
        "--part",
        metavar="PART",
        help="train one network of a staged model: wyckoff, wyckoff_2 …, geometry (default: all, then join)",
    )
    commands.add(
        "sample",
        _sample,
        "sample asymmetric units from a trained denoiser",
        "results/training/seed0/denoiser.safetensors results/samples/shard0.npz --shard 0/4",
        "sampling",
        {"denoiser": "denoiser.safetensors of `symmcd train`", "output": "raw output of the model, npz"},
        shared=("shard", "seed", "device"),
    )
    command = commands.add(
        "replicate",
        _replicate,
        "project samples onto Wyckoff positions and replicate them to whole crystals",
        "results/samples/shard*.npz --output-dir results/crystals",
        "replicate",
        {"samples…": "samples, all shards"},
    )
    command.add_argument("--output-dir", type=Path, required=True, help="gets units.npz, crystals.extxyz and the CIFs")
    commands.add(
        "score",
        _score,
        "score each crystal: validity, symmetry, template, density",
        "results/crystals/crystals.extxyz results/metrics/shard0.csv --shard 0/4",
        "score",
        {"crystals": "crystals.extxyz of `symmcd replicate`", "output": "one row a crystal, csv"},
        shared=("shard",),
    )
    command = commands.add(
        "fingerprint",
        _fingerprint,
        "structure and composition fingerprints, for the coverage metrics",
        "results/crystals/units.npz results/fingerprints/generated.npz --workers 4",
        "score",
        {"units": "asymmetric units, npz", "output": "fingerprints, npz"},
    )
    command.add_argument(
        "--cache", type=Path, metavar="FILE", help="known fingerprints (default: cache.sqlite beside the output)"
    )
    command.add_argument("--workers", **SHARED["--workers"])
    command = commands.add(
        "summarise",
        _summarise,
        "gather scored shards and compare them with training and test crystals",
        "results/metrics/shard*.csv --units results/crystals/units.npz --train results/asymmetric_units/train.npz\n"
        "    --reference results/asymmetric_units/test.npz --fingerprints results/fingerprints/generated.npz\n"
        "    --reference-fingerprints results/fingerprints/test.npz --output-dir results/metrics",
        "score",
        {"shards…": "csv files of `symmcd score`"},
        shared=("seed",),
    )
    command.add_argument("--units", type=Path, required=True, help="units.npz of `symmcd replicate`")
    command.add_argument("--train", type=Path, required=True, help="asymmetric units of the training set")
    command.add_argument("--reference", type=Path, required=True, help="asymmetric units of the test set")
    command.add_argument("--fingerprints", type=Path, required=True, help="of the units, by `symmcd fingerprint`")
    command.add_argument("--reference-fingerprints", type=Path, required=True, help="of the test set")
    command.add_argument("--predictor", type=Path, metavar="FILE", help="of `symmcd predictor`; without it no d_E")
    command.add_argument("--output-dir", type=Path, required=True, help="gets per_crystal.csv, summary.csv, tables")
    command.add_argument("--workers", **SHARED["--workers"])
    commands.add(
        "relax",
        _relax,
        "relax crystals with CHGNet",
        "results/crystals/crystals.extxyz results/relaxed/shard0.csv results/relaxed/shard0.extxyz --shard 0/8",
        "relax",
        {
            "crystals": "crystals.extxyz of `symmcd replicate`",
            "table": "energies and status, one row a crystal, csv",
            "relaxed": "relaxed crystals, extxyz",
        },
        shared=("shard", "seed", "device"),
    )
    commands.add(
        "reference",
        _reference,
        "energies of the reference crystals that the hull is made of",
        "results/asymmetric_units/train.npz results/asymmetric_units/val.npz results/hull/reference.csv",
        "hull",
        {"units…": "asymmetric units of the reference crystals, npz", "output": "formula and energy, csv"},
        shared=("device",),
    )
    commands.add(
        "hull",
        _hull,
        "energy above the convex hull of each crystal",
        "results/relaxed/shard*.csv results/hull/reference.csv results/hull.csv",
        "hull",
        {
            "relaxed…": "csv files of `symmcd relax`",
            "reference": "csv of `symmcd reference`",
            "output": "one row a crystal, csv",
        },
    )
    command = commands.add(
        "sun",
        _sun,
        "count stable, unique and novel crystals",
        "results/hull.csv results/crystals/crystals.extxyz results/relaxed/shard*.extxyz\n"
        "    results/asymmetric_units/train.npz results/sun.csv results/sun_per_crystal.csv",
        "sun",
        {
            "hull": "csv of `symmcd hull`",
            "crystals": "crystals.extxyz of `symmcd replicate`",
            "relaxed…": "extxyz files of `symmcd relax`",
            "train": "asymmetric units of the training set, npz",
            "output": "one row a protocol, csv",
            "per_crystal": "one row a crystal, csv",
        },
    )
    command.add_argument(
        "--known", type=Path, action="append", default=[], metavar="FILE",
        help="crystals that were not trained on: S.U.N. is counted once more without these; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--scores", type=Path, nargs="+", default=[], metavar="FILE",
        help="csv files of `symmcd score`: S.U.N. is counted once more of the valid ones",
    )  # fmt: skip
    command.add_argument("--workers", **SHARED["--workers"])
    commands.add(
        "candidates",
        _candidates,
        "stable, unique, novel crystals as a table and CIFs of the relaxed structures",
        "results/sun_per_crystal.csv results/relaxed/relaxed.extxyz results/candidates.csv results/candidates.zip",
        files={
            "per_crystal": "sun_per_crystal.csv of `symmcd sun`",
            "relaxed…": "extxyz files of `symmcd relax`",
            "table": "one row a crystal, those without doubts first, then by energy, csv",
            "archive": "one symmetrised CIF a crystal, zip",
        },
    )
    command = commands.add(
        "predictor",
        _predictor,
        "train DimeNet++ for formation energies: Table 5, and the predictor of d_E",
        "results/asymmetric_units/train.npz results/asymmetric_units/val.npz results/asymmetric_units/test.npz"
        " results/predictor",
        "predictor",
        {
            "train": "asymmetric units with formation_energy_per_atom, npz",
            "val": "the same, for the validation loss",
            "test": "the same, for the error",
            "output_dir": "gets one safetensors a variant, and table5.csv, .md, .tex",
        },
        shared=("seed", "device"),
    )
    command.add_argument(
        "--variant",
        choices=(*PREDICTOR_VARIANTS, "cdvae"),
        help="make this one alone (default: all of the settings, and Table 5)",
    )
    command = commands.add(
        "report",
        _report,
        "tables and figures as one page",
        "results results/report",
        "report",
        {"results": "folder that the chain wrote", "output_dir": "gets index.html and figures/"},
        shared=("seed",),
    )
    command.add_argument("--relax-settings", metavar="JSON", help="the section `relax` as JSON, to be shown")
    command.add_argument(
        "--no-table-5", action="store_true", help="the run has none (predictor.variants: []); show no earlier one"
    )
    commands.add(
        "show",
        _show,
        "print the tables of results and where the report is",
        "results",
        files={"results": "folder that the chain wrote"},
    )
    command = commands.add(
        "compare",
        _compare,
        "several runs and the published systems side by side",
        "results results-cpu --output comparison.html",
        files={"runs…": "folders that the chain or `symmcd evaluate` wrote"},
    )
    command.add_argument("--output", type=Path, required=True, metavar="HTML", help="page; .md and .tex lie beside it")
    command.add_argument("--names", nargs="+", default=[], metavar="NAME", help="of the runs (default: of the folders)")
    command = commands.add(
        "generate",
        _generate,
        "make crystals from trained weights",
        "--space-group 225 --number 100 --output crystals/",
        shared=("seed", "device", "overwrite"),
    )
    count: dict[str, Any] = {"type": _number(Count), "metavar": "N"}
    command.add_argument("--number", **count, default=10, help="crystals to make (default: 10)")
    command.add_argument("--output", type=Path, required=True, metavar="DIR", help="gets CIFs and crystals.extxyz")
    command.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="denoiser.safetensors of `symmcd train` (default: the shipped weights)",
    )
    group = command.add_argument_group("constraints", "crystals are as frequent as without them, if they fulfil all")
    for name in CONSTRAINTS:
        kind = CONSTRAINTS[name]
        value: dict[str, Any] = {"metavar": kind.metavar} if kind.metavar else {"action": "store_true"}
        group.add_argument(f"--{name.replace('_', '-')}", **value, help=kind.help.replace("%", "%%"))
    command.add_argument(
        "--temperature",
        type=_number(Temperature),
        default=1.0,
        metavar="T",
        help="above 1: more new templates, fewer valid crystals (default: 1)",
    )
    command.add_argument(
        "--formula", metavar="F", help="of this composition, as LiFePO4: different crystals, the likeliest first"
    )
    command.add_argument("--atoms", **count, help="of the primitive cell, with --formula (default: any)")
    command.add_argument("--steps", type=_number(Steps), metavar="N", help="reverse steps of a geometry (default: 50)")
    command.add_argument(
        "--proposals", type=_number(Few), metavar="N", help="geometries a crystal, the likeliest is kept (default: 4)"
    )
    command = commands.add(
        "evaluate",
        _evaluate,
        "score crystals of your own",
        "my_cifs/ --output scored/ --reference results/asymmetric_units/test.npz",
        "score",
        {"structures": "a folder or zip of CIFs, a csv, an extxyz, JSON of structures; or what `generate` wrote"},
        shared=("overwrite",),
    )
    command.add_argument("--output", type=Path, required=True, metavar="DIR", help="gets per_crystal.csv, summary.csv")
    command.add_argument(
        "--reference", type=Path, metavar="FILE", help="test crystals; without them neither coverage nor distances"
    )
    command.add_argument(
        "--train", type=Path, metavar="FILE", help="training crystals; without them neither novelty nor new templates"
    )
    command.add_argument(
        "--cache", type=Path, metavar="FILE", help="known fingerprints (default: fingerprints.sqlite in the output)"
    )
    command.add_argument("--workers", **SHARED["--workers"])
    command = commands.add(
        "export",
        _export,
        "write generated crystals as other programs want them",
        "results/crystals/units.npz submission/ --format genbench",
        files={"units": "units.npz of `symmcd replicate`", "output": "folder to write"},
        shared=("seed", "overwrite"),
    )
    command.add_argument(
        "--format",
        choices=("genbench", "mattergen", "xtalmet"),
        required=True,
        help="LeMat-GenBench: 2,500 CIFs; mattergen-evaluate: one extxyz; xtalmet: JSON of pymatgen structures",
    )
    command = commands.add(
        "settings",
        _print_settings,
        "print every setting with its meaning, or check a config file",
        "--config config/cpu.yaml training",
    )
    command.add_argument("section", nargs="*", help=f"only these sections, of: run, {', '.join(SECTIONS)}")
    command.add_argument("--config", type=Path, metavar="FILE", help="check this file, print it with all defaults")
    command.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="may be repeated")
    command.add_argument("--schema", action="store_true", help="the JSON schema of a config file, as YAML")
    return parser
