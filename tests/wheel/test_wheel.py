"""The wheel in a clean environment of each Python that is here, as `pip install` gives it (`make test-wheel`).

Minutes and a gigabyte a Python.  ``SYMMCD_WHEEL_PYTHONS="3.11 3.13"`` tries these alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from symmcd import __version__

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ASKED = os.environ.get("SYMMCD_WHEEL_PYTHONS", "").split()

pytestmark = [
    pytest.mark.wheel,
    pytest.mark.slow,
    pytest.mark.skipif("SYMMCD_WHEEL" not in os.environ, reason="makes environments, for minutes: make test-wheel"),
]


def interpreter(version: str) -> str | None:
    """An interpreter of this version that runs: on PATH, or one of pyenv's."""
    found = [shutil.which(f"python{version}")]
    found += sorted(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python")), reverse=True)
    # pyenv's commands are there for every version, and fail where it is not the chosen one
    runs = (name for name in found if name and not subprocess.run([name, "-c", ""], capture_output=True).returncode)
    return next(runs, None)


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and a folder to work in from which no checkout is seen."""

    programs: Path
    folder: Path

    def run(self, *words: str, status: int = 0) -> str:
        """What a program of the environment says."""
        hidden = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SYMMCD"))}
        path = f"{self.programs}{os.pathsep}{hidden['PATH']}"
        command = [str(self.programs / words[0]), *words[1:]]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=hidden | {"PATH": path, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, f"{words}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def install(self, *requirements: str) -> None:
        self.run("pip", "install", "--quiet", "--disable-pip-version-check", *requirements)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    pip = [shutil.which("python3"), "-m", "pip"]
    subprocess.run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], check=True)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module", params=PYTHONS)
def environment(request, tmp_path_factory) -> Environment:
    version = request.param
    if ASKED and version not in ASKED:
        pytest.skip(f"Python {version} is not among SYMMCD_WHEEL_PYTHONS")
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    folder = tmp_path_factory.mktemp(f"python{version}")
    subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True)
    made = Environment(folder / "venv" / "bin", folder)
    # the torch that the lock file pins for its Python, which may be a build for CPUs; else whatever pip takes
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    if f"on Python {version}." in lock:
        made.install(re.search(r"^torch==.*$", lock, re.MULTILINE)[0])
    return made


def test_the_wheel_holds_the_workflow_once(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    assert "symmcd/workflow_files/Snakefile" in names
    assert "symmcd/workflow_files/workflow/schemas/config.schema.yaml" in names
    assert "symmcd/weights/mp20.safetensors" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/")) or "__pycache__" in name]


def test_metadata_names_what_is_tried_here(wheel):
    text = zipfile.ZipFile(wheel).read(f"symmcd-{__version__}.dist-info/METADATA").decode()
    assert "Author: the symmcd developers" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {*project["optional-dependencies"]}
    assert set(re.findall(r"^Provides-Extra: (\S+)$", text, re.MULTILINE)) == extras
    assert set(re.findall(r"^Classifier: .* :: (3\.\d+)$", text, re.MULTILINE)) <= set(PYTHONS)


def test_the_base_makes_evaluates_and_relaxes_crystals(wheel, environment):
    environment.install(str(wheel))
    environment.run("pip", "check")
    run = environment.run
    assert run("symmcd", "--version") == f"symmcd {__version__}\n", "another symmcd than the wheel's"
    assert "snakemake" not in run("pip", "freeze")
    run("symmcd", "generate", "--number", "5", "--output", "made")
    run("symmcd", "predict", "TiO2", "--number", "2", "--output", "predicted")
    train = ["--train", "made/units.npz", "--reference", "made/units.npz"]
    run("symmcd", "evaluate", "made", "--output", "scored", *train)
    assert "structurally valid" in run("symmcd", "show", "scored")
    relax = ["--set", "relax.number=2", "--set", "relax.steps=5"]
    run("symmcd", "relax", "made/units.npz", "--output", "relaxed.csv", "--output-crystals", "relaxed.extxyz", *relax)
    assert len((environment.folder / "relaxed.csv").read_text().splitlines()) == 1 + 2
    units = ["made/units.npz"] * 3
    said = run("symmcd", "predictor", *units, "--output", "predictor", status=2)
    assert said.splitlines()[-1].endswith("is not installed; run `pip install 'symmcd[predictor]'`")
    assert "pip install 'symmcd[workflow]'" in run("symmcd", "init", "my_run")


def test_the_workflow_runs_from_the_wheel(wheel, environment):
    environment.install(f"symmcd[workflow] @ {wheel.as_uri()}")
    environment.run("pip", "check")
    environment.run("symmcd", "init", "chain")
    target, chain = "results-test/asymmetric_units/val.npz", environment.folder / "chain"
    snakemake = ["snakemake", "--directory", "chain", "--snakefile", "chain/Snakefile", "--cores", "1"]
    configured = ["--configfile", "chain/config/test.yaml"]  # takes every word behind it
    assert "report" in environment.run(*snakemake, "--dry-run", *configured)
    environment.run(*snakemake, target, *configured)
    assert (chain / target).stat().st_size > 0
    assert "Nothing to be done" in environment.run(*snakemake, target, *configured)
