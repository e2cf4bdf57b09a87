"""README, docs/ and bench/ keep their form: short lines, links that lead somewhere, pictures that a script draws."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documentation.examples import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "bench").rglob("*.md")),
]
WIDEST = 120


def slug(heading: str) -> str:
    """Anchor of a heading, as code hosts and the site make it."""
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
    return kept.strip().replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_are_short(path):
    """Tables of docs/ may be wider: a row cannot be broken."""
    lines = path.read_text(encoding="utf-8").splitlines()
    tables = path.parent != ROOT
    assert [line for line in lines if len(line) > WIDEST and not (tables and line.startswith("|"))] == []


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    text = prose(path.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^()\s]+)\)", text) + re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.MULTILINE)
    for target in targets:
        if re.match(r"https?:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        assert place.exists(), f"{target} is not there"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), f"{target}: no such heading"


def test_the_script_draws_the_pictures_of_concepts(tmp_path, monkeypatch):
    from tools import draw_concepts

    monkeypatch.setattr("sys.argv", ["draw_concepts.py", str(tmp_path)])
    draw_concepts.main()
    drawn = {path.name for path in tmp_path.iterdir()}
    shown = set(re.findall(r"images/([\w-]+\.svg)", (ROOT / "docs/concepts.md").read_text(encoding="utf-8")))
    assert drawn == shown
    assert all((ROOT / "docs/images" / name).is_file() for name in drawn)
