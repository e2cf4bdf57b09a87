"""The workflow where it is not started: from another folder, as a module of another workflow, with another symmcd."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import zipfile
from pathlib import Path

import pytest

import symmcd
from symmcd.provenance import requirement

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "workflow/envs").glob("*.post-deploy.sh"))
WEIGHTS = "training/seed0/denoiser.safetensors"  # the chain up to here is enough to see what runs where
MODULES = """\
module first:
    snakefile: "../check out/workflow/Snakefile"
    config: config["first"]

use rule * from first as first_*

module second:
    snakefile: "../check out/workflow/Snakefile"
    config: config["second"]

use rule * from second as second_*

rule both:
    default_target: True
    input: "results-first/training/seed0/denoiser.safetensors", "results-second/training/seed1/denoiser.safetensors"
    output: "both.txt"
    shell: "cat {input} > {output}"
"""
SETTINGS = """\
first: {results: results-first, device: cpu, data: {source: prototypes}, predictor: {variants: []}}
second: {results: results-second, device: cpu, seed: 1, training: {epochs: 7}, predictor: {variants: []}}
mine: {of: the workflow around it}
"""


@pytest.fixture
def places(tmp_path, copy_workflow):
    """A copy of the workflow with the stand-in, and another folder that it is started in."""
    (tmp_path / "check out").mkdir()
    there = copy_workflow(tmp_path / "check out", stand_in=True)
    (tmp_path / "here").mkdir()
    (tmp_path / "here/bin").symlink_to(there.folder / "bin")
    return there, type(there)(tmp_path / "here")


def test_it_runs_from_another_folder_and_plans_nothing_twice(places):
    there, here = places
    snakefile = ("--snakefile", "../check out/Snakefile")
    device = ("--config", "device=cpu")
    target = f"results/{WEIGHTS}"
    done = here.run(target, *snakefile, "--cores", "2", *device, timeout=900)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in here.folder.iterdir()} == {"bin", "calls.txt", "results", ".snakemake"}
    assert (here.folder / target).exists()
    assert not (there.folder / "results").exists()
    assert here.planned(target, *snakefile, *device) == {}
    assert there.planned(target, "--directory", str(here.folder), *device) == {}, "started where it lies"
    (here.folder / "config").mkdir()
    (here.folder / "config/config.yaml").write_text("{device: cpu, training: {epochs: 7}}")
    assert set(here.planned(target, *snakefile)) == {"train_part", "train"}, "its own settings"
    (here.folder / "config/config.yaml").write_text("samples: mine.tsv")
    refused = here.run(*snakefile, "-n").stdout
    assert "'samples' is not a section" in refused
    assert "in config/config.yaml" in refused, "which file that is"


def test_it_serves_as_a_module_of_two_data_sets(places):
    _, here = places
    (here.folder / "Snakefile").write_text(f'configfile: "settings.yaml"\n\n{MODULES}')
    (here.folder / "settings.yaml").write_text(SETTINGS)
    done = here.run("--cores", "2", timeout=900)
    assert done.returncode == 0, done.stderr
    assert "not present in the Snakefile" not in done.stderr, "names of its rules as the module has them"
    assert (here.folder / "both.txt").stat().st_size > 0
    calls = here.calls()
    assert calls.count("download") == 2
    assert here.planned() == {}
    report = here.run("--report", "own.zip")
    assert report.returncode == 0, report.stderr
    with zipfile.ZipFile(here.folder / "own.zip") as archive:
        page = archive.read("own/report.html").decode()
    categories = json.loads(re.search(r"var categories = (.*);", page)[1])
    assert set(categories["Data"]) == {"results-first", "results-second"}, "which of the two a table is of"
    (here.folder / "settings.yaml").write_text(SETTINGS.replace("epochs: 7", "epochs: 8"))
    assert set(here.planned()) == {"second_train_part", "second_train", "both"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_new_environment_gets_the_symmcd_of_snakemake(script, tmp_path):
    """Run as Snakemake does, by `sh` in any folder; the version in it makes environments anew with a release."""
    assert f"# symmcd {symmcd.__version__}\n" in script.read_text(encoding="utf-8")
    (tmp_path / "python").write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done > words\n')
    (tmp_path / "python").chmod(0o755)
    for asked in (requirement(), "'symmcd @ file:///a b'"):
        env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "SYMMCD_REQUIREMENT": asked}
        subprocess.run(["sh", str(script)], cwd=tmp_path, env=env, check=True)
        words = (tmp_path / "words").read_text().splitlines()
        assert words == ["-m", "pip", "install", "--quiet", "--no-deps", *shlex.split(asked)]
