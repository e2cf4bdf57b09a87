"""The command line: each subcommand reaches its stage with checked settings; errors are one line and exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from symmcd import cli
from symmcd.errors import InputError
from symmcd.settings import SECTIONS, ModelSettings, SamplingSettings, TrainingSettings

# the smallest arguments of each stage
ARGUMENTS = {
    "download": ["raw"],
    "reduce": ["raw.csv.gz", "units.npz"],
    "train": ["train.npz", "val.npz", "out"],
    "sample": ["denoiser.safetensors", "out.npz"],
    "replicate": ["a.npz", "b.npz", "--output-dir", "crystals"],
    "score": ["crystals.extxyz", "out.csv"],
    "summarise": ["a.csv", "b.csv", "--units", "u", "--train", "t", "--reference", "r", "--fingerprints", "f"]
    + ["--reference-fingerprints", "g", "--output-dir", "o"],
    "relax": ["crystals.extxyz", "out.csv", "out.extxyz"],
    "reference": ["a.npz", "b.npz", "out.csv"],
    "hull": ["a.csv", "b.csv", "reference.csv", "hull.csv"],
    "sun": ["hull.csv", "crystals.extxyz", "a.extxyz", "b.extxyz", "train.npz", "sun.csv", "per_crystal.csv"],
    "candidates": ["sun_per_crystal.csv", "a.extxyz", "b.extxyz", "candidates.csv", "candidates.zip"],
    "report": ["results", "out"],
    "show": ["results"],
    "generate": ["--output", "crystals"],
    "evaluate": ["cifs", "--output", "scored"],
    "fingerprint": ["units.npz", "out.npz"],
    "export": ["units.npz", "out", "--format", "genbench"],
}
STAGES = list(ARGUMENTS)


@pytest.fixture
def calls(monkeypatch):
    """Every stage replaced by one that records how it is called."""
    recorded = []
    for stage in STAGES:
        module = types.ModuleType(f"symmcd.stages.{stage}")

        def run(*args, stage=stage, **kwargs):
            recorded.append((stage, args, kwargs))

        module.run = run
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr("symmcd.stages." + stage, module, raising=False)
    return recorded


@pytest.mark.parametrize("stage", STAGES)
def test_each_subcommand_calls_its_stage(stage, calls):
    assert cli.main([stage, *ARGUMENTS[stage]]) == 0
    assert [name for name, _, _ in calls] == [stage]


@pytest.mark.parametrize("stage", STAGES)
def test_help_has_an_example_that_parses(stage, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([stage, "--help"])
    assert stop.value.code == 0
    example = capsys.readouterr().out.split("example:\n")[1]
    arguments = cli._parser().parse_args(example.split()[1:])
    assert arguments.command == stage


def test_stages_get_what_was_said(calls):
    cli.main(["sample", "d", "o", "--shard", "3/8", "--seed", "5", "--device", "cpu", "--settings", '{"number": 9}'])
    (_, args, kwargs) = calls.pop()
    assert args == (Path("d"), Path("o"), 3, 8, SamplingSettings(number=9))
    assert kwargs == {"seed": 5, "device": "cpu"}

    cli.main(["hull", "a.csv", "b.csv", "reference.csv", "hull.csv"])
    (_, args, _) = calls.pop()
    assert args[:3] == ([Path("a.csv"), Path("b.csv")], Path("reference.csv"), Path("hull.csv"))

    cli.main(["reduce", "raw.csv", "units.npz", "--workers", "3"])
    (_, args, kwargs) = calls.pop()
    assert args[2] == Path("units_rejects.csv")
    assert kwargs == {"workers": 3}


def test_settings_come_from_three_places(calls, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("training: {epochs: 3}\nmodel: {width: 8}\nseed: 4\n")
    train = ["train", "t", "v", "o"]
    cli.main([*train, "--config", str(config), "--set", "training.batch_size=2"])
    assert calls.pop()[1][3:] == (ModelSettings(width=8), TrainingSettings(epochs=3, batch_size=2))
    cli.main([*train, "--model-settings", '{"width": 8}', "--settings", json.dumps({"epochs": 3})])
    assert calls.pop()[1][3:] == (ModelSettings(width=8), TrainingSettings(epochs=3))
    cli.main(train)
    assert calls.pop()[1][3:] == (ModelSettings(), TrainingSettings())


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
    assert cli.main(["sample", "d", "o", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("symmcd sample: ")
    assert message in error
    assert error.count("\n") == 1
    assert not calls


@pytest.mark.parametrize("shard", ["4/4", "1", "-1/2", "a/b", "0/0", ""])
def test_shards_that_are_none(shard, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["score", "c", "o", f"--shard={shard}"])
    assert stop.value.code == 2
    assert "write I/N" in capsys.readouterr().err


def test_how_a_stage_ends(calls, monkeypatch, capsys):
    def ending(error, *options):
        def run(*_args, **_kwargs):
            raise error

        monkeypatch.setattr("symmcd.stages.show.run", run, raising=False)
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
    assert "run `symmcd summarise` first" in capsys.readouterr().err


def test_without_a_stage_there_is_the_help(capsys):
    assert cli.main([]) == 2
    assert "print every setting with its meaning" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["trian"], "train"), (["evalute", "a"], "evaluate"), (["export", "u", "o", "--format", "matergen"], "mattergen")],
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
    assert "default: the shipped weights" in " ".join(text.split())


def test_settings_say_what_can_be_chosen(capsys):
    assert cli.main(["settings", "model", "predictor"]) == 0
    text = capsys.readouterr().out
    assert 'kind: "staged"  # one of: staged, joint, unit_cell; ours' in text
    assert 'd_e: "multigraph"  # one of: multigraph, multigraph_site_symmetry, ' in text
    assert "]  # of: multigraph, " in text
