"""A stamp of the code changes with what a stage computes with, and with nothing else."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from symmcd import code_stamp
from symmcd.cli import GROUPS

CHAIN = [*next(group for group in GROUPS if group.title == "the chain").commands, "surrogate"]


@pytest.fixture
def package(tmp_path):
    """A copy that may be changed."""
    return Path(shutil.copytree(code_stamp.PACKAGE, tmp_path / "symmcd", ignore=shutil.ignore_patterns("__pycache__")))


def stamps(package: Path) -> dict[str, str]:
    for remembered in (code_stamp._parsed, code_stamp._registries, code_stamp._module, code_stamp._modules):
        remembered.cache_clear()
    return {command: code_stamp.stamp(command, package) for command in CHAIN}


def changed(package: Path, file: str, edit) -> set[str]:
    """Stages whose stamp an edit of one file changes."""
    before, path = stamps(package), package / file
    text = path.read_text(encoding="utf-8")
    path.write_text(edit(text), encoding="utf-8")
    after = stamps(package)
    path.write_text(text, encoding="utf-8")
    return {command for command in CHAIN if before[command] != after[command]}


def code(text: str) -> str:
    return f"{text}\nCHANGED = 1\n"


def other_docstring(text: str) -> str:
    return text.replace(ast.get_docstring(ast.parse(text), clean=False), "Another docstring.", 1)


def for_types(text: str) -> str:
    guarded = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import symmcd.report.page\n"
    return text.replace("from pathlib", f"{guarded}\nfrom pathlib", 1)


def test_a_stage_sees_what_it_computes_with(package):
    assert changed(package, "crystallography/wyckoff.py", code) == {*CHAIN}
    assert changed(package, "metrics/of_set/coverage.py", code) == {"score", "summarise"}, "which a registry loads"
    assert {"train", "sample"} <= changed(package, "diffusion/staged/drawing.py", code)
    assert changed(package, "diffusion/drafting.py", code) & {"reduce", "score", "relax", "hull"} == set()
    assert {"relax", "judge", "reference"} <= changed(package, "potentials/chgnet/network.py", code)
    assert changed(package, "stages/hull.py", code) == {"hull"}


def test_tables_and_templates_are_seen(package):
    assert changed(package, "crystallography/tables/wyckoff.csv", "{}\n".format) == {*CHAIN}
    assert changed(package, "report/templates/page.css", "{}\n".format) == {"report", "spread"}


def test_what_changes_no_result_is_not_seen(package):
    assert changed(package, "crystallography/wyckoff.py", "# remark\n\n{}".format) == set()
    assert changed(package, "crystallography/wyckoff.py", other_docstring) == set()
    assert changed(package, "settings.py", code) == set()
    before = {command: len(code_stamp.files(command, package)) for command in CHAIN}
    assert changed(package, "stages/hull.py", for_types) == {"hull"}, "for one import of the standard library more"
    assert {command: len(code_stamp.files(command, package)) for command in CHAIN} == before


def loaded_by(words: list[str]) -> set[Path]:
    """Modules of our packages that Python has loaded after a command, as paths without their ending."""
    program = f"import sys; from symmcd.cli import main; main({words!r}); print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names = done.stdout.partition("LOADED")[2].split()
    paths = {Path(*name.split(".")[1:]) for name in names if name.startswith("symmcd.")}
    return {path for path in paths if len(path.parts) > 1 and (code_stamp.PACKAGE / f"{path}.py").is_file()}


def test_files_have_all_modules_that_a_stage_loads(tmp_path):
    """Against Python itself; but for what reading settings loads, which are no code of a stage."""
    settings = loaded_by(["settings"])
    ran = {
        "download": ["download", "--output", f"{tmp_path}", "--settings", '{"source": "prototypes", "limit": 4}'],
        "reduce": f"reduce {tmp_path}/test.csv.gz --output {tmp_path}/u.npz --output-rejects {tmp_path}/r.csv".split(),
    }
    for command, words in ran.items():
        loaded = loaded_by(words) - settings
        found = {path.relative_to(code_stamp.PACKAGE).with_suffix("") for path in code_stamp.files(command)}
        assert len(loaded) > 10
        assert loaded <= found
