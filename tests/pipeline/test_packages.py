"""pyproject.toml, the environments of the rules and the lock file agree."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENTS = sorted((ROOT / "workflow" / "envs").glob("*.yaml"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(path: Path) -> dict[str, str]:
    """Versions that an environment pins, by name."""
    *_, pip = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    return dict(requirement.split("==") for requirement in pip["pip"])


def locked() -> dict[str, str]:
    """Versions of the lock file, by normal name."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if not line.startswith("#"))
    return {normal(name): version for name, version in pins}


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environments_have_the_versions_that_are_tested(path):
    """Those of the lock file and its Python, with nothing that the project does not ask for."""
    extras = PROJECT["optional-dependencies"]
    asked = {*PROJECT["dependencies"], *extras["judge"], *extras["predictor"], *extras["surrogate"]}
    assert packages(path).keys() <= {Requirement(requirement).name for requirement in asked}
    wrong = {name: version for name, version in packages(path).items() if locked()[normal(name)] != version}
    assert not wrong, "python -m tools.pin_environments"
    python = re.search(r"on Python (\d+\.\d+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"))[1]
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"][:2] == [f"python={python}", "pip"]
    assert path.with_suffix(".post-deploy.sh").exists()


def test_environments_together_are_the_project():
    together = set().union(*map(packages, ENVIRONMENTS))
    missing = {Requirement(requirement).name for requirement in PROJECT["dependencies"]} - together
    assert missing == {"pyyaml"}  # used where Snakemake itself runs


def test_rules_use_existing_environments():
    used = set()
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        used |= set(re.findall(r'"\.\./envs/(\w+)\.yaml"', path.read_text(encoding="utf-8")))
    assert used == {path.stem for path in ENVIRONMENTS}


def test_lock_file_pins_what_the_project_asks_for():
    pins = locked()
    assert "+" not in "".join(pins.values()), "a local build such as +cpu is not to be had everywhere"
    extras = PROJECT["optional-dependencies"]
    on_demand = {"docs", "matbench", "synthesis"}
    pinned = chain.from_iterable(extras[name] for name in extras.keys() - on_demand)
    for requirement in map(Requirement, {*PROJECT["dependencies"], *pinned}):
        if requirement.name == "symmcd":  # itself, with another extra
            continue
        assert requirement.specifier.contains(pins[normal(requirement.name)]), requirement


def test_rules_pass_settings_without_yaml():
    """PyYAML is only where Snakemake runs, so `--set` and `--config` would fail in an environment of conda's."""
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        assert not re.findall(r"--set |--config \{", path.read_text(encoding="utf-8")), path.name


def test_the_image_is_made_of_the_lock_file_and_the_python_it_was_made_with():
    """Debian 12 has Python 3.11; of the tree nothing that was made here goes into an image."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "on Python 3.11" in lock.partition("\n")[0]
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == ["debian:bookworm-slim"]
    assert text.index("--requirement requirements.lock") < text.index("COPY . .")
    assert {".git", ".venv", "results*"} <= set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())
