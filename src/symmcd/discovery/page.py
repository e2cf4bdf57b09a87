"""Page of a list of candidates: the request, the hull, and every crystal to search, sort and turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from symmcd.discovery.files import SCREEN
from symmcd.discovery.judgements import SWOLLEN, VOLUME
from symmcd.discovery.table import SCREENED_OUT
from symmcd.discovery.words import VERDICTS, again_sentence, verdict_sentence
from symmcd.extensions import SCREENS
from symmcd.report.crystal_table import Column, columns_for, crystal_table
from symmcd.report.page import Section, Table, write_page
from symmcd.stability.doubts import WORDS
from symmcd.stability.judge_words import judge_name

TITLE = "Candidates"
SPARSE = (
    "The hull is made of the 45,229 materials of MP-20, with at most 20 atoms in the primitive cell. "
    "The Materials Project knows about three times as many, and not all known "
    "compounds are in it. Where a competitor is missing, a crystal seems more stable than it is."
)
SAME = (
    "“Known” means: the space group, positions and elements of a material of MP-20, and an energy within 0.05 eV/atom "
    "of it. What is not known here may well be known elsewhere: look it up before you call it new."
)

ELSEWHERE = f"{SCREEN}known_elsewhere"
WHOLE = ("dimensionality",)  # screens that are whole numbers
DETAILS = (
    Column("atoms", "atoms in the primitive cell"),
    Column("formation_energy_per_atom", "formation energy, eV/atom", "number"),
    Column("judges_spread", "judges differ by, eV/atom", "number"),
    Column("decomposition", "would fall apart into"),
    Column("predicted", "predicted above the hull, eV/atom", "number"),
    Column("density", "density, g/cm³", "number", 2),
    Column("shortest_distance", "shortest distance, Å", "number", 2),
    Column("rms_displacement", "atoms moved in relaxation by, Å", "number", 2),
    Column("same_formula", "known materials of this formula"),
    Column("same_formula_and_group", "of this space group as well"),
)


def write(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    cifs: Mapping[str, str],
    links: Mapping[str, str],
    summary: Mapping[str, Any],
) -> None:
    """Write index.html.

    Args:
        path: of the page.
        rows: of the table, in order.
        cifs: text of each relaxed crystal's CIF, by id.
        links: address of its file beside the page, by id.
        summary: of the list, as summary.json has it.
    """  # fmt: skip
    judges = list(summary["hulls"])
    shown = [{**row, "verdict": _verdict(row), "shortest_distance": row.get("min_distance")} for row in rows]
    standard = columns_for(["space_group_relaxed", *(f"e_above_hull_{judge}" for judge in judges)])
    columns = [Column("verdict", "verdict"), *(c for c in standard if c.key != "shortest_distance")]
    hull = next(iter(summary["hulls"].values()))
    paragraphs = [f"Energies above the hull “{hull}”, by each judge. {SPARSE if summary['shipped_hull'] else ''}", SAME]
    words = {**WORDS, SWOLLEN: f"volume changed by more than {VOLUME:.0%} in relaxation"}
    table = crystal_table(
        shown,
        cifs,
        columns=columns,
        details=_details(rows),
        links=links,
        words=words,
        paragraphs=paragraphs,
        title="All crystals",
    )
    write_page(path, TITLE, _lead(summary, judges), [_numbers(summary), table], summary["version"])


def _verdict(row: Mapping[str, Any]) -> Markup:
    """The verdict, and under it where it comes from."""
    why, elsewhere = note(row), row.get(ELSEWHERE)
    notes = [why] * bool(why) + [f"known elsewhere: {elsewhere}"] * bool(elsewhere)
    small = Markup("").join(Markup("<small>{}</small>").format(text) for text in notes)
    return Markup("{}{}").format(row["verdict"].replace("_", " "), small)


def _details(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Numbers and words of a crystal that are no columns, its screens among them."""
    there = dict.fromkeys(name.removeprefix(SCREEN) for row in rows for name in row if name.startswith(SCREEN))
    screens = [
        Column(
            SCREEN + name,
            f"{SCREENS[name].label}, {SCREENS[name].unit}" if SCREENS[name].unit else SCREENS[name].label,
            "text" if SCREENS[name].text or name in WHOLE else "number",
            2,
        )
        for name in there
        if SCREEN + name != ELSEWHERE
    ]
    return [*DETAILS, *screens]


def note(row: Mapping[str, Any]) -> str:
    """Explain a verdict that does not follow from energy and doubts."""
    if row["verdict"] == "duplicate":
        return f"same as {row['duplicate_of']}"
    if row["verdict"] == "invalid" and row["valid"] != "valid":
        return str(row["valid"]).replace("composition:", "composition ")
    if row["verdict"] == SCREENED_OUT:
        return str(row[SCREENED_OUT])
    return str(row["status"]) if row["verdict"] == "failed" else str(row["known"]).replace(";", ", ")


def _lead(summary: Mapping[str, Any], judges: Sequence[str]) -> Markup:
    names = ", ".join(map(judge_name, judges))
    text = Markup("Crystals that were generated, relaxed within their space groups and judged by {}: <code>{}</code>")
    return text.format(names, summary["command"])


def _numbers(summary: Mapping[str, Any]) -> Section:
    """Count each verdict, and the materials found again."""
    counts = summary["verdicts"]
    lines = [
        (verdict, f"{counts[verdict]:,}", verdict_sentence(verdict, summary["threshold"]))
        for verdict in VERDICTS
        if counts.get(verdict)
    ]
    table = Table("Verdicts on the crystals.", ("verdict", "crystals", "meaning"), lines, frozenset({1}))
    points = [f"Drafts: {summary['choice']}."]
    points += [f"Known materials: {summary['known']}."]
    if sentence := again_sentence(summary["found_again"]):
        points.append(f"{sentence[0].upper()}{sentence[1:]}.")
    return Section("numbers", "In numbers", points=points, tables=[table])
