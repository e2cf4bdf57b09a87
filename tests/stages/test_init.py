"""`symmcd init` writes a folder that Snakemake runs in, and never over a file that is there."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from symmcd import cli, provenance
from symmcd.stages import init

ROOT = Path(__file__).parents[2]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tracked() -> dict[str, bytes]:
    """What git knows of the workflow: the second source of what a copy must hold."""
    listed = subprocess.run(["git", "ls-files", "-z", *init.COPIED], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a working tree of git, so nothing to compare with")
    return {name: (ROOT / name).read_bytes() for name in listed.stdout.split("\0") if name}


def test_the_copy_is_the_workflow_and_its_version(tmp_path, capsys):
    assert cli.main(["init", str(tmp_path / "run")]) == 0
    copied = files_of(tmp_path / "run")
    assert copied.pop(init.VERSION_FILE).decode() == f"{provenance.version()}\n"
    assert tracked().items() <= copied.items()
    said = capsys.readouterr().out
    assert f"{len(copied) + 1} files" in said
    assert "snakemake --cores 8 all" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"], "something temporary is left"


def test_snakemake_plans_the_chain_in_the_copy(tmp_path):
    cli.main(["init", str(tmp_path / "run")])
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--configfile", "config/test.yaml"]
    done = subprocess.run(command, cwd=tmp_path / "run", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_configuration_that_is_copied_is_valid(tmp_path, capsys):
    cli.main(["init", str(tmp_path / "run")])
    configurations = sorted((tmp_path / "run" / "config").glob("*.yaml"))
    assert len(configurations) > 5
    for path in configurations:
        assert cli.main(["settings", "--config", str(path)]) == 0, path


def test_a_folder_with_other_files_keeps_them(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "mine.yaml").write_text("seed: 3\n")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "."]) == 0
    assert (tmp_path / "config" / "mine.yaml").read_text() == "seed: 3\n"
    assert (tmp_path / "Snakefile").is_file()


@pytest.mark.parametrize("name", ["Snakefile", "config/config.yaml", init.VERSION_FILE])
def test_a_file_that_is_there_is_refused_and_nothing_written(tmp_path, capsys, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    assert cli.main(["init", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"never overwritten ({name})" in error
    assert error.count("\n") == 1
    assert files_of(tmp_path) == {name: b"mine"}


def test_a_link_that_leads_nowhere_is_a_file_that_is_there(tmp_path, capsys):
    (tmp_path / "Snakefile").symlink_to(tmp_path / "away")
    assert cli.main(["init", str(tmp_path)]) == 2
    assert "never overwritten (Snakefile)" in capsys.readouterr().err


def test_an_interrupted_copy_is_finished(tmp_path):
    assert cli.main(["init", str(tmp_path / "run")]) == 0
    whole = files_of(tmp_path / "run")
    for name in ("Snakefile", "workflow/rules/common.smk"):
        (tmp_path / "run" / name).unlink()
    assert cli.main(["init", str(tmp_path / "run")]) == 0
    assert files_of(tmp_path / "run") == whole


def test_a_copy_that_fails_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(init, "_files", lambda: {"Snakefile": b"", "config/config.yaml": None})
    with pytest.raises(TypeError):
        init.run(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "run").write_text("")
    assert cli.main(["init", str(tmp_path / "run")]) == 2
    assert "run: is not a folder" in capsys.readouterr().err


def test_an_installation_without_the_workflow_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(init, "IN_CHECKOUT", tmp_path)
    assert cli.main(["init", str(tmp_path / "run")]) == 2
    assert "the workflow is missing from this installation" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_without_snakemake_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert cli.main(["init", str(tmp_path / "run")]) == 0
    assert "pip install 'symmcd[workflow]'" in capsys.readouterr().out


def test_the_wheel_holds_what_is_copied():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {name: f"symmcd/{init.IN_PACKAGE.name}/{name}" for name in init.COPIED}
