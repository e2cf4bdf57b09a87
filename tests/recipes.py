"""The recipes of docs/extending.md, and how their packages are put where symmcd finds them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@dataclass(frozen=True)
class Recipe:
    """A section of the page."""

    title: str
    name: str  # of its module
    code: str
    entries: dict[str, dict[str, str]]  # entry points by group
    commands: str


def recipes() -> list[Recipe]:
    """All of the page."""
    found = []
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        blocks = dict(re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL))
        name = re.match(r"# (\w+)\.py\n", blocks["python"])[1]
        entries = tomllib.loads(blocks["toml"])["project"]["entry-points"]
        found.append(Recipe(section.partition("\n")[0], name, blocks["python"], entries, blocks["sh"]))
    return found


def install(chosen: Iterable[Recipe], site: Path) -> None:
    """Put the package of each recipe into a folder, as `pip install --target` would."""
    for recipe in chosen:
        information = site / f"{recipe.name}-1.0.dist-info"
        information.mkdir(parents=True)
        (site / f"{recipe.name}.py").write_text(recipe.code, encoding="utf-8")
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {recipe.name}\nVersion: 1.0\n")
        lines = []
        for group, entries in recipe.entries.items():
            lines += [f"[{group}]", *map(" = ".join, entries.items())]
        (information / "entry_points.txt").write_text("\n".join(lines))
