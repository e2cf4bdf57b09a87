"""Imports point one way, as the table in docs/architecture.md says, and `import symmcd` loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "symmcd"
EVERYWHERE = {"errors", "provenance", "writing", "one_writer", "registry", "extensions"}
ARRAYS = {"numpy", "torch"}
CRYSTALS = {"numpy", "pymatgen", "ase", "spglib", "gemmi"}

# package or module -> what of ours it may import, and what from outside the standard library (None: anything)
TABLE: dict[str, tuple[set[str], set[str] | None]] = {
    "crystallography": ({"crystallography"}, ARRAYS),
    "batch": ({"crystallography"}, ARRAYS),
    "npz": (set(), {"numpy"}),
    "storage": ({"crystallography", "batch", "npz"}, {"numpy", "safetensors"}),
    "output_folder": ({"structures"}, set()),
    "threads": (set(), set()),
    "device": (set(), {"torch"}),
    "tables": (set(), set()),
    "diffusion": (
        {
            "diffusion",
            "device",
            "batch",
            "crystallography",
            "storage",
            "npz",
            "settings",
            "structures",  # only where a constraint reads a file, as it loads pymatgen
            "stability",  # these two only in stable.py, and for type checkers: they load pymatgen
            "stability_model",
            "extensions",
            "threads",
            "tables",
            "workers",
        },
        ARRAYS,
    ),
    "structures": ({"structures", "crystallography", "storage", "extensions", "workers"}, CRYSTALS),
    "potentials": ({"potentials", "crystallography", "structures", "extensions"}, None),
    "metrics": (
        {"metrics", "journal", "workers", "sqlite_cache", "structures", "crystallography", "storage", "npz"},
        None,
    ),
    "journal": (set(), {"tqdm"}),
    "sqlite_cache": (set(), set()),
    "screens": ({"screens", "structures", "crystallography", "workers"}, None),
    "stability": (
        {
            "journal",
            "sqlite_cache",
            "stability",
            "potentials",
            "metrics",
            "structures",
            "crystallography",
            "storage",
            "tables",
            "device",
            "extensions",
        },
        None,
    ),
    "stability_model": (
        {"stability_model", "stability", "metrics", "crystallography", "storage", "tables"},
        {"numpy"},
    ),
    "discovery": (
        {
            "discovery",
            "diffusion",
            "stability",
            "stability_model",
            "potentials",
            "metrics",
            "structures",
            "crystallography",
            "report",
            "screens",
            "storage",
            "journal",
            "tables",
            "device",
            "extensions",
        },
        None,
    ),
    "formation_energy": (
        # the training loop is that of diffusion/; settings: those that a predictor keeps of its training
        {"formation_energy", "journal", "settings", "diffusion", "metrics", "crystallography", "storage", "npz"},
        ARRAYS | {"torch_geometric", "pandas"},
    ),
    "report": ({"report", "stability", "metrics", "structures", "crystallography", "storage", "tables"}, None),
    "stages": (
        {
            "command",
            "journal",
            "packages",
            "config",
            "extensions",
            "request",
            "settings",
            "device",
            "output_folder",
            "threads",
            "storage",
            "tables",
            "batch",
            "bounds",
            "crystallography",
            "diffusion",
            "discovery",
            "structures",
            "metrics",
            "stability",
            "potentials",
            "report",
            "formation_energy",
            "stability_model",
            "workers",
        },
        None,
    ),
    "processes": (set(), set()),
    "workers": ({"processes"}, set()),
    "errors": (set(), set()),
    "packages": (set(), set()),
    "registry": (set(), set()),
    "extensions": (
        {"bounds", "settings", "diffusion"},
        set(),
    ),  # the last two as types only; it names what it loads in texts
    "writing": (set(), set()),
    "one_writer": (set(), set()),
    "endings": ({"packages"}, set()),
    "provenance": (set(), set()),
    "code_stamp": (set(), set()),
    "bounds": (set(), set()),
    "settings": ({"bounds", "extensions", "crystallography"}, set()),  # the last for symbols of space groups
    "yaml_text": (set(), {"yaml"}),
    "config": ({"settings", "extensions", "bounds", "yaml_text"}, set()),
    "command": ({"bounds", "settings", "config", "output_folder"}, set()),
    "request": (
        {"command", "settings", "output_folder", "device", "crystallography", "diffusion", "storage", "structures"},
        {"numpy"},
    ),
    "cli": ({"command", "endings", "threads", "stages"}, set()),
    "__init__": (set(), set()),
    "__main__": ({"cli"}, set()),
}
# heavier than their package allows, and only inside a function
EXCEPTIONS = {
    ("crystallography/assignment.py", "scipy"),
    ("structures/crystal.py", "scipy"),
    ("diffusion/pyxtal_model.py", "pyxtal"),
    ("stability_model/fitting.py", "lightgbm"),
}


def imported(tree: ast.AST) -> set[str]:
    """Full names of the modules that a file imports, at its top or inside functions."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            # `from symmcd.stages import train` imports symmcd.stages.train
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


FILES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_point_one_way(file):
    names = imported(ast.parse((SOURCE / file).read_text(encoding="utf-8")))
    package = file.parts[0].removesuffix(".py")
    ours, outside = TABLE[package]
    for name in names:
        parts = name.split(".")
        if parts[0] == "symmcd":
            if len(parts) > 1 and parts[1] != "__version__":
                assert parts[1] in ours | EVERYWHERE, f"{file} imports {name}"
        elif (
            parts[0] not in sys.stdlib_module_names and (str(file), parts[0]) not in EXCEPTIONS and outside is not None
        ):
            assert parts[0] in outside, f"{file} imports {name}"


@pytest.mark.parametrize("file", [file for file in FILES if file.parts[0] == "stages"], ids=str)
def test_stages_know_nothing_of_each_other(file):
    names = imported(ast.parse((SOURCE / file).read_text(encoding="utf-8")))
    others = {name for name in names if name.startswith("symmcd.stages.")}
    assert not others


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("__init__.py")), ids=lambda p: p.parent.name)
def test_packages_import_nothing_by_themselves(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert {name.split(".")[0] for name in imported(tree)} <= set(sys.stdlib_module_names)


# what Python's own start loads: the module itself, and hooks of the environment's .pth files
OURS = {"symmcd", "__main__", "sitecustomize", "usercustomize", "distutils", "_distutils_hack"}


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after `code` ran in a fresh interpreter."""
    printed = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(printed.splitlines()[-1].split())


def test_import_loads_nothing_but_the_standard_library():
    assert loaded_by("import symmcd; dir(symmcd)") - set(sys.stdlib_module_names) - OURS == set()


@pytest.mark.parametrize("registry", ["CONSTRAINTS", "SOURCES"])
def test_registries_load_nothing_but_the_standard_library(registry):
    code = f"from symmcd.extensions import {registry} as r\n[r[name] for name in r]"
    assert loaded_by(code) - set(sys.stdlib_module_names) - OURS == set()


def test_help_loads_nothing_but_the_standard_library():
    """Of every command, one after the other in one process."""
    tried = "    try: symmcd.cli.main([*name, '--help'])\n    except SystemExit: pass"
    loaded = loaded_by(f"import symmcd.cli\nfor name in [[], *([name] for name in symmcd.cli.SUMMARIES)]:\n{tried}")
    assert loaded - set(sys.stdlib_module_names) - OURS == set()


def test_public_names_are_found():
    import symmcd

    for name in symmcd.__all__:
        assert getattr(symmcd, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'redcue'"):
        symmcd.redcue  # noqa: B018
