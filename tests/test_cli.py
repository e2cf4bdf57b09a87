"""The command line: each subcommand reaches its stage with checked settings; errors are one line and exit code 2."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from symmcd import cli
from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.errors import InputError
from symmcd.extensions import CONSTRAINTS, POTENTIALS, ConstraintKind
from symmcd.settings import SECTIONS, RelaxSettings, SamplingSettings, TrainingSettings

# the smallest arguments of each command
ARGUMENTS = {
    "discover": "--output found",
    "generate": "--output crystals",
    "predict": "TiO2 --output crystals",
    "evaluate": "cifs --output scored",
    "compare": "runs/a runs/b --output page.html",
    "export": "units.npz --output out --format genbench",
    "surrogate": "units.npz --hull hull.csv --output stability.safetensors",
    "download": "--output raw",
    "reduce": "raw.csv.gz --output units.npz",
    "train": "train.npz val.npz --output out",
    "draft": "denoiser.safetensors --output out.npz",
    "choose": "a.npz b.npz --output chosen.npz",
    "sample": "denoiser.safetensors --output out.npz",
    "replicate": "a.npz b.npz --output crystals",
    "score": "units.npz --output out.csv",
    "fingerprint": "units.npz --output out.npz",
    "summarise": "a.csv b.csv --units u --train t --reference r --fingerprints f --reference-fingerprints g --output o",
    "relax": "units.npz --output out.csv --output-crystals out.extxyz",
    "judge": "a.csv b.csv --relaxed a.extxyz b.extxyz --potential sevennet-0 --output out.csv",
    "reference": "a.npz b.npz --output out.csv",
    "hull": "a.csv b.csv --reference reference.csv --output hull.csv",
    "sun": "hull.csv --crystals units.npz --relaxed a.extxyz b.extxyz --train train.npz --output sun.csv"
    " --output-per-crystal per_crystal.csv",
    "candidates": "per_crystal.csv --relaxed a.extxyz b.extxyz --output candidates.csv --output-cifs candidates.zip",
    "predictor": "train.npz val.npz test.npz --output out",
    "report": "results --output out",
    "spread": "runs/seed0 runs/seed1 --output seeds.csv",
    "init": "my_run",
    "show": "results",
    "settings": "",
}
COMMANDS = list(cli.SUMMARIES)
COMMAND_OF = cli.command_of


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Every command's function replaced by one that records how it is called."""
    monkeypatch.chdir(tmp_path)
    recorded = []
    command_of = cli.command_of

    def recording(name):
        return lambda **values: recorded.append((name, values)), command_of(name)[1]

    monkeypatch.setattr(cli, "command_of", recording)
    return recorded


def test_every_command_is_tried_here():
    assert list(ARGUMENTS) == [name for group in cli.GROUPS for name in group.commands] == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_arguments_are_those_of_the_stage(name, calls):
    run, _ = COMMAND_OF(name)
    assert cli.main([name, *ARGUMENTS[name].split()]) == 0
    ((called, values),) = calls
    assert called == name
    inspect.signature(run).bind(**values)  # TypeError: one too many, or one that is needed and not there


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_parses(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: symmcd {name} ")
    words = said.split("example:\n")[1].split()
    assert words[:2] == ["symmcd", name]
    cli.command_of(name)[1].parse_args(words[2:])


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_written_is_called_output(name):
    """One rule for all: `--output`, further ones `--output-…`; no list swallows what a usage puts behind it."""
    _, parser = cli.command_of(name)
    outputs = [word for action in parser._actions for word in action.option_strings if word.startswith("--output")]
    if name not in ("init", "show", "settings"):  # `init` takes its folder as `git init` does
        assert outputs[0] == "--output"
    assert not any(word in ("--output-dir", "--rejects") for word in parser.format_help().split())
    positional = [action.nargs for action in parser._actions if not action.option_strings]
    assert "+" not in positional[:-1]


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("replicate a.npz --output-dir o", "--output-dir: it is --output now"),
        ("summarise a.csv --output-dir=o", "--output-dir: it is --output now"),
        ("reduce raw.csv --output u.npz --rejects r.csv", "--rejects: it is --output-rejects now"),
        ("score crystals.extxyz scores.csv", "--output names the file or folder to write"),
        ("hull relaxed.csv reference.csv hull.csv", "--output names the file or folder to write"),
        ("report results report", "--output names the file or folder to write"),
    ],
)
def test_spellings_of_earlier_versions_are_refused_with_advice(words, advice, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words.split())
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert advice in error
    assert error.count("\n") == 1


def test_two_outputs_of_one_name_are_refused(capsys):
    """The second would take the place of the first without a word."""
    assert cli.main(["relax", "units.npz", "--output", "r.csv", "--output-crystals", "./r.csv"]) == 2
    assert "--output and --output-crystals name the same file" in capsys.readouterr().err


def test_stages_get_what_was_said(calls):
    def said(words):
        cli.main(words.split())

    words = ["sample", "d", "--output", "o", "--shard", "3/8", "--seed", "5", "--device", "cpu"]
    cli.main([*words, "--settings", '{"number": 9}'])
    (_, values) = calls.pop()
    assert values == {
        "denoiser": Path("d"),
        "output": Path("o"),
        "shard": 3,
        "shards": 8,
        "settings": SamplingSettings(number=9),
        "seed": 5,
        "device": "cpu",
        "drafts": None,
    }
    said("hull a.csv b.csv --reference reference.csv --output hull.csv")
    (_, values) = calls.pop()
    assert values["relaxed"] == [Path("a.csv"), Path("b.csv")]
    assert values["reference"] == [Path("reference.csv")]
    said("sun h --crystals c --relaxed r --train t --known a b --known c --output o --output-per-crystal p")
    (_, values) = calls.pop()
    assert values["known"] == [Path("a"), Path("b"), Path("c")]
    said("evaluate c --output o --train t --relax --judge a --judge b --set relax.steps=7 --set sun.thresholds=[0.05]")
    (_, values) = calls.pop()
    assert (values["relax"], values["judges"], values["relax_settings"].steps) == (True, ["a", "b"], 7)
    assert (values["sun"].thresholds, values["judge"].potentials) == ((0.05,), ())
    said("evaluate c --output o")
    assert not calls.pop()[1]["relax"]
    said("report results --output o --no-table-5")
    (_, values) = calls.pop()
    assert values["relax"] is None
    assert not values["table_5"]
    cli.main(["report", "results", "--output", "o", "--relax-settings", '{"steps": 7}'])
    (_, values) = calls.pop()
    assert values["relax"] == RelaxSettings(steps=7)


def test_settings_come_from_three_places(calls, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("training: {epochs: 3}\nmodel: {width: 8}\nseed: 4\n")
    train = ["train", "t", "v", "--output", "o"]

    def settings():
        _, values = calls.pop()
        return values["model"], values["settings"]

    cli.main([*train, "--config", str(config), "--set", "training.batch_size=2"])
    assert settings() == (StagedSettings(width=8), TrainingSettings(epochs=3, batch_size=2))
    cli.main([*train, "--model-settings", '{"width": 8}', "--settings", json.dumps({"epochs": 3})])
    assert settings() == (StagedSettings(width=8), TrainingSettings(epochs=3))
    cli.main(train)
    assert settings() == (StagedSettings(), TrainingSettings())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "sampling.numbr=3"], "sampling.numbr is not a setting; did you mean 'number'?"),
        (["--set", "number"], "'number': write section.key=value"),
        (["--config", "none.yaml"], "none.yaml: cannot read it"),
        (["--settings", "{}", "--set", "sampling.number=3"], "leave out --config and --set"),
        (["--settings", "{"], "not valid JSON"),
    ],
)
def test_bad_settings_are_one_line(calls, capsys, arguments, message):
    assert cli.main(["sample", "d", "--output", "o", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("symmcd sample: ")
    assert message in error
    assert error.count("\n") == 1
    assert not calls


@pytest.mark.parametrize("shard", ["4/4", "1", "-1/2", "a/b", "0/0", ""])
def test_shards_that_are_none(shard, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["score", "c", "--output", "o", f"--shard={shard}"])
    assert stop.value.code == 2
    assert "write I/N" in capsys.readouterr().err


def test_how_a_stage_ends(monkeypatch, capsys):
    def ending(error, *options):
        def run(*_args, **_kwargs):
            raise error

        monkeypatch.setattr("symmcd.stages.show.run", run)
        return cli.main(["show", "results", *options])

    assert ending(InputError("a.csv: row 3 has no cif; remove it")) == 2
    assert capsys.readouterr().err == "symmcd show: a.csv: row 3 has no cif; remove it\n"
    assert ending(KeyboardInterrupt()) == 130
    with pytest.raises(ZeroDivisionError):  # a mistake of ours keeps its traceback
        ending(ZeroDivisionError())
    with pytest.raises(InputError):
        ending(InputError("a.csv: row 3"), "--debug")


def test_settings_are_printed(capsys):
    assert cli.main(["settings"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n{section}:" in text for section in SECTIONS)
    assert cli.main(["settings", "hull", "--set", "hull.source=table"]) == 0
    assert 'source: "table"' in capsys.readouterr().out
    assert cli.main(["settings", "hul"]) == 2
    assert cli.main(["settings", "--set", "hull.source=mp"]) == 2


def test_a_closed_pipe_is_no_error():
    script = "import sys, symmcd.cli; sys.exit(symmcd.cli.main(['settings']))"
    command = f'(sleep 0.3; exec "{sys.executable}" -c "{script}") | true; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", "0\n")


def test_results_that_are_not_there(tmp_path, capsys):
    assert cli.main(["show", str(tmp_path)]) == 2
    assert "no files of a symmcd command here" in capsys.readouterr().err


def test_without_a_stage_there_is_the_help(capsys):
    assert cli.main([]) == 2
    said = capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == said
    own, chain, looking = (said.index(f"\n{group.title}:\n") for group in cli.GROUPS)
    assert own < said.index("  predict ") < chain < said.index("  download ") < looking < said.index("  settings ")
    assert said.count("  example: ") == 3


def test_examples_of_the_overview_parse():
    for group in cli.GROUPS:
        program, name, *words = group.example.split()
        if program == "symmcd":
            cli.command_of(name)[1].parse_args(words)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["trian"], "train"),
        (["evalute", "a"], "evaluate"),
        (["export", "u", "--output", "o", "--format", "matergen"], "mattergen"),
    ],
)
def test_the_nearest_word_is_suggested(words, meant, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(f"; did you mean {meant!r}?\n")


def test_a_word_like_no_stage_gets_the_list(capsys):
    with pytest.raises(SystemExit):
        cli.main(["xyzzy"])
    assert "choose from" in capsys.readouterr().err


def test_generate_needs_no_checkpoint(capsys):
    with pytest.raises(SystemExit):
        cli.main(["generate", "--help"])
    text = capsys.readouterr().out
    assert "--checkpoint" not in text.partition("example:")[2]
    assert "shipped ones: mp20 (default)" in " ".join(text.split())


def test_a_constraint_with_the_name_of_another_option_is_refused(capsys):
    CONSTRAINTS.add("max_steps", ConstraintKind("some", read=str, metavar="N"))
    CONSTRAINTS.add("seed", ConstraintKind("some", read=str, metavar="N"))
    try:
        assert cli.main(["generate", "--output", "o"]) == 2
    finally:
        CONSTRAINTS.remove("seed")
        CONSTRAINTS.remove("max_steps")
    assert (
        "symmcd generate: constraint 'seed': `symmcd generate` has an option --seed already" in capsys.readouterr().err
    )


def test_a_constraint_of_a_broken_package_stops_only_who_asks_for_it(capsys, monkeypatch, tmp_path):
    point = EntryPoint("by_moon", "no_such_module:X", "symmcd.constraints")
    monkeypatch.setattr(CONSTRAINTS, "_offered", {"by_moon": [point]})
    with pytest.raises(SystemExit) as end:
        cli.main(["generate", "--help"])
    assert end.value.code == 0
    assert "cannot be used: constraint 'by_moon'" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit) as end:
        cli.main(["generate", "--output", "o", "--by-moon", "3"])
    assert end.value.code == 2
    assert "--by-moon: constraint 'by_moon' of the package no_such_module:X" in capsys.readouterr().err
    missing = str(tmp_path / "none.safetensors")
    assert cli.main(["generate", "--output", str(tmp_path / "o"), "--checkpoint", missing]) == 2
    assert missing in capsys.readouterr().err, "it went on to what it was asked for"


def test_settings_say_what_can_be_chosen(capsys):
    assert cli.main(["settings", "model", "predictor"]) == 0
    text = capsys.readouterr().out
    assert 'kind: "staged"  # one of: staged, joint, unit_cell, pyxtal; ours' in text
    assert 'd_e: "multigraph"  # one of: multigraph, multigraph_site_symmetry, ' in text
    assert "]  # of: multigraph, " in text


def test_settings_list_what_packages_offer(capsys, monkeypatch):
    monkeypatch.setattr(POTENTIALS, "_offered", {"emt": [EntryPoint("emt", "no_such_module:X", "symmcd.potentials")]})
    assert cli.main(["settings", "relax", "hull"]) == 0
    text = capsys.readouterr().out
    names = "chgnet, chgnet-r2scan, sevennet-0, sevennet-l3i5, emt"
    assert f'potential: "chgnet"  # one of: {names}' in text
    assert f'source: "chgnet"  # one of: table, matbench-discovery, {names}' in text
