"""Stamp of the code that a command runs: a short text that differs for different code.  Standard library only.

The workflow writes the stamp of each stage into its rule, so that Snakemake sees our code change as it sees a rule
change.  A stamp covers the module of the stage and what that imports, inside functions too, of the packages that
compute.  Modules that carry settings, files, processes and messages are left out: settings reach a rule by themselves.
Comments, docstrings, the layout of the text, and weights (which are named by settings) do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent
REGISTRIES = "symmcd.extensions"
PLACE = re.compile(r"symmcd(\.\w+)+:\w+")  # what a registry loads: ``module:attribute``


def stamp(command: str, root: Path = PACKAGE) -> str:
    """Twelve hexadecimal digits for the code of ``symmcd COMMAND`` in the package at `root`.

    Raises:
        FileNotFoundError: there is no such command.
    """
    digest = hashlib.sha256()
    for file in files(command, root):
        name = file.relative_to(root).as_posix()
        content = _parsed(file)[0] if file.suffix == ".py" else hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()[:12]


def files(command: str, root: Path = PACKAGE) -> list[Path]:
    """Modules that ``symmcd COMMAND`` computes with, and the tables and templates that lie in their folders."""
    found: set[Path] = set()
    todo = [root / "stages" / f"{command}.py"]
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo += _modules(file, root)
    for folder in {file.parent for file in found} - {root / "stages", root}:
        found |= set(_data(folder))
    return sorted(found)


@functools.cache
def _modules(file: Path, root: Path) -> tuple[Path, ...]:
    """The modules that a module needs, of those that count."""
    found = (_module(name, root) for name in _needs(file, root))
    return tuple(sorted({module for module in found if module}))


def _needs(file: Path, root: Path) -> Iterator[str]:
    """Full names of what a module imports or names as ``module:attribute``."""
    for name in _parsed(file)[1]:
        registry = name.removeprefix(f"{REGISTRIES}.")
        yield from _registries(root / "extensions.py").get(registry, ()) if registry != name else (name,)


@functools.cache
def _module(name: str, root: Path) -> Path | None:
    """The file of a name such as symmcd.a.b or symmcd.a.b.function; None if it does not count."""
    parts = name.split(".")[1:]
    while parts:
        for file in (root.joinpath(*parts).with_suffix(".py"), root.joinpath(*parts, "__init__.py")):
            if file.is_file():
                # among the modules beside the packages, only batch computes
                return file if file.parent != root or file.name == "batch.py" else None
        parts.pop()
    return None


def _data(folder: Path) -> Iterator[Path]:
    """Files beside modules, and in folders that are no packages."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from _data(path)
        elif path.is_file() and path.suffix not in (".py", ".pyc"):
            yield path


@functools.cache
def _parsed(file: Path) -> tuple[str, tuple[str, ...]]:
    """A text that stands for the code of a module, and the names that it imports or loads."""
    names: set[str] = set()
    words: list[str] = []
    _write_canonical(ast.parse(file.read_bytes()), words, names)
    return hashlib.sha256("".join(words).encode()).hexdigest(), tuple(sorted(names))


def _write_canonical(node: object, words: list[str], names: set[str]) -> None:
    """Add a syntax tree to `words`, the same for all versions of Python (unlike `ast.dump`), and what it names."""
    if isinstance(node, list):
        between = "["
        for item in node:
            words.append(between)
            _write_canonical(item, words, names)
            between = ","
        words.append("]" if node else "[]")
        return
    if not isinstance(node, ast.AST):
        words.append(repr(node))
        return
    body = getattr(node, "body", None)
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        names |= {alias.name for alias in node.names if alias.name.startswith("symmcd.")}
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("symmcd"):
        names |= {f"{node.module}.{alias.name}" for alias in node.names}
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and PLACE.fullmatch(node.value):
        names.add(node.value.partition(":")[0])
    elif isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        node.body = body[1:]  # type: ignore[attr-defined]  # without the docstring
    words.append(f"{type(node).__name__}(")
    between = ""
    for name in node._fields:
        value = getattr(node, name, None)
        if value is not None and value != []:  # which fields there are depends on the version
            words.append(f"{between}{name}=")
            _write_canonical(value, words, names)
            between = ","
    words.append(")")


@functools.cache
def _registries(file: Path) -> dict[str, tuple[str, ...]]:
    """Registry -> modules that its entries come from."""
    entries = {}
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            texts = [part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
            places = [text for text in texts if isinstance(text, str) and PLACE.fullmatch(text)]
            entries[node.targets[0].id] = tuple(place.partition(":")[0] for place in places)
    return entries
