"""A command whose package is an extra that is not installed says so in one line, and the base runs without them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from symmcd.packages import EXTRAS, missing_package

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HIDDEN = """\
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
from symmcd.cli import main
sys.exit(main({words!r}))
"""


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()


@pytest.mark.parametrize(("package", "extra"), EXTRAS.items())
def test_the_extra_brings_the_package_and_the_base_does_not(package, extra):
    extras = PROJECT["optional-dependencies"]
    assert normalised(package) in set(map(normalised, extras[extra]))
    assert normalised(package) not in set(map(normalised, PROJECT["dependencies"]))


def test_other_missing_modules_are_mistakes_of_ours():
    assert missing_package(ModuleNotFoundError("No module named 'symmcd.x'", name="symmcd.x")) is None
    assert missing_package(ModuleNotFoundError("by hand")) is None
    assert missing_package(ImportError("cannot import name", name="sevenn")) is None


def without(packages: tuple[str, ...], *words: str) -> subprocess.CompletedProcess[str]:
    """A command where `packages` cannot be imported."""
    script = HIDDEN.format(packages=packages, words=list(words))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_a_command_without_its_extra_says_so_in_one_line(tmp_path):
    units = tmp_path / "units.npz"
    made = without((), "generate", "--number", "1", "--output", str(tmp_path / "made"))
    assert made.returncode == 0, made.stderr
    (tmp_path / "made" / "units.npz").rename(units)
    done = without(("torch_geometric",), "predictor", *[str(units)] * 3, "--output", str(tmp_path / "predictor"))
    assert done.returncode == 2
    assert done.stderr == (
        "symmcd predictor: the Python package 'torch_geometric' is not installed;"
        " run `pip install 'symmcd[predictor]'`\n"
    )
    assert not (tmp_path / "predictor").exists()


def test_crystals_are_made_and_evaluated_without_any_extra(tmp_path):
    """What every extra brings is hidden, and the base commands run; `make test-wheel` tries the same for real."""
    made, extras = tmp_path / "made", tuple(EXTRAS)
    runs = [
        ["generate", "--number", "3", "--steps", "5", "--output", str(made)],
        ["evaluate", str(made / "units.npz"), "--train", str(made / "units.npz"), "--output", str(tmp_path / "scored")],
    ]
    for words in runs:
        done = without(extras, *words)
        assert done.returncode == 0, done.stderr
