"""Summary of any folder that a command of ours wrote, as plain text: `symmcd show`.

A kind of folder is told by its files.  A new command adds a line to `KINDS`.
"""

from __future__ import annotations

import csv
import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from symmcd.crystallography.composition import SYMBOLS, parse_formula
from symmcd.crystallography.space_group import symbol
from symmcd.errors import InputError
from symmcd.report.terminal import columns, terminal_summary
from symmcd.stability.doubts import WORDS
from symmcd.stability.judge_words import judge_name
from symmcd.tables import read_rows

FIRST = 10  # rows of a ranked list
OF_JUDGE = "e_above_hull_"
CHAIN = ("raw", "asymmetric_units", "training", "samples", "metrics", "hull.csv", "sun.csv", "summary.csv")
RELAXED = ("id", "status", "energy_initial", "energy_relaxed")
Row = Mapping[str, str]


def folder_summary(folder: Path) -> str:
    """Summarise a folder of `symmcd generate`, `predict`, `relax`, `evaluate`, `discover`, `export` or the chain.

    Args:
        folder: or a table that `symmcd relax` wrote.

    Raises:
        InputError: nothing of ours is there, or a table is damaged or missing; the message says what to do.
    """
    if folder.is_file():
        if is_relaxed(folder):
            return relaxed_summary(folder)
        raise InputError(f"{folder}: not a table of `symmcd relax`; give the output folder of a symmcd command")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the output folder of a symmcd command")
    for is_kind, summary in KINDS:
        if is_kind(folder):
            return summary(folder)
    if (folder / "Snakefile").exists():
        raise InputError(
            f"{folder}: this is a workflow, not its results; run it, then `symmcd show {folder / 'results'}`"
        )
    raise InputError(
        f"{folder}: no files of a symmcd command here; give the output of `symmcd generate`, `predict`,"
        " `relax`, `evaluate`, `discover` or `export`, or the results folder of the chain"
    )


def generated_summary(folder: Path) -> str:
    """Number, sizes, space groups and elements of the crystals of crystals.csv; those of `predict` are ranked."""
    rows = read_rows(folder / "crystals.csv", ("id", "formula", "space_group", "atoms_primitive"), "generate")
    lines = [f"{counted(rows)} of `symmcd {'predict' if rows and 'log_probability' in rows[0] else 'generate'}`"]
    if not rows:
        return lines[0]
    drafts = {row["oversample"] for row in rows if row.get("oversample")}
    if drafts:
        lines.append(
            f"chosen for stability by a model: the best of {', '.join(sorted(drafts))} drafts for each crystal"
        )
    lines += ["", *about(rows, "atoms_primitive", "space_group"), ""]
    if "log_probability" in rows[0]:
        lines.append(ranking(rows))
    lines.append(f"CIFs are in {folder / 'cif'}{'.zip' if (folder / 'cif.zip').exists() else ''}")
    return "\n".join(lines)


def ranking(rows: Sequence[Row]) -> str:
    """The first predicted structures, in the order of the table."""
    relaxed = "score" in rows[0]
    head = ["", "id", "formula", "space group", "share of probability"]
    head += ["relaxation", "energy, eV/atom", "score, eV/atom"] if relaxed else []
    table = [head]
    for place, row in enumerate(rows[:FIRST], 1):
        line = [str(place), row["id"], row["formula"], group(row["space_group"]), row["share"]]
        table.append([*line, *([row["status"], row["energy_relaxed"], row["score"]] if relaxed else [])])
    how = "best score (relaxed energy - β log probability) first" if relaxed else "most probable first"
    return f"{how}:\n{columns(table)}\n{left_out(rows)}"


def relaxed_summary(path: Path) -> str:
    """Statuses of the relaxations of a table of `symmcd relax`, or of all tables of a folder."""
    tables = relaxed_tables(path) if path.is_dir() else [path]
    rows = [row for table in tables for row in read_rows(table, RELAXED, "relax")]
    by = f" by {judge_name(rows[0].get('potential') or 'chgnet')}" if rows else ""
    lines = [f"{counted(rows)} of `symmcd relax`{by}", ""]
    table = [["what became of them", "crystals", "share"]]
    for status, count in Counter(row["status"] for row in rows).most_common():
        table.append([status, f"{count:,}", f"{100 * count / len(rows):.1f} %"])
    lines += [columns(table), ""]
    gained = [float(row["energy_initial"]) - float(row["energy_relaxed"]) for row in rows if both(row)]
    moved = [float(row["rms_displacement"]) for row in rows if row.get("rms_displacement")]
    kept = [row for row in rows if row.get("space_group_relaxed")]
    same = sum(row["space_group_initial"] == row["space_group_relaxed"] for row in kept)
    if gained:
        lines.append(f"energy gained in relaxation: median {statistics.median(gained):.3f} eV/atom")
    if moved:
        lines.append(f"displacement of the atoms: median {statistics.median(moved):.3f} Å (root mean square)")
    if kept:
        lines.append(f"space group kept: {100 * same / len(kept):.1f} % of {len(kept):,}")
    lines.append("energies above the hull: `symmcd hull`, or all at once by `symmcd evaluate --relax`")
    return "\n".join(lines)


def candidates_summary(folder: Path) -> str:
    """Numbers of each verdict in the list of `symmcd discover`, and its first crystals with their energies."""
    rows = read_rows(folder / "candidates.csv", ("id", "formula", "verdict"), "discover")
    lines = [f"{counted(rows)} of `symmcd discover`", ""]
    verdicts = Counter(row["verdict"].replace("_", " ") for row in rows)
    lines += [columns([["verdict", "crystals"], *([name, f"{n:,}"] for name, n in verdicts.items())]), ""]
    judges = [name for name in (rows[0] if rows else ()) if name.startswith(OF_JUDGE)]
    table = [
        ["", "id", "formula", "verdict", "space group", *(judge_name(name.removeprefix(OF_JUDGE)) for name in judges)]
    ]
    for place, row in enumerate(rows[:FIRST], 1):
        energies = [f"{float(row[name]):.3f}" if row[name] else "–" for name in judges]
        where = group(row.get("space_group_relaxed") or row.get("space_group", ""))
        table.append([str(place), row["id"], row["formula"], row["verdict"], where, *energies])
    lines += ["energies in eV/atom above the hull, after relaxation:", columns(table), left_out(rows)]
    used = {word for row in rows[:FIRST] for word in row.get("doubts", "").split(";")}
    lines += [f"{word}: {meaning}" for word, meaning in WORDS.items() if word in used]
    if (folder / "index.html").exists():
        lines.append(f"page: {(folder / 'index.html').resolve()}")
    return "\n".join(lines)


def exported_summary(folder: Path) -> str:
    """Files of `symmcd export`, and the program that reads each."""
    lines = []
    for name, what in EXPORTED.items():
        if (folder / name).exists():
            lines.append(f"{folder / name}: {what}")
    return "\n".join(["of `symmcd export`:", *lines])


EXPORTED = {
    "generated_crystals.extxyz": "crystals for MatterGen's `mattergen-evaluate --structures_path`",
    "structures.json.gz": "structures of pymatgen for xtalmet",
    "structures.txt": "paths of the CIFs in cif/, for GenBench",
}


def about(rows: Sequence[Row], atoms: str, space_group: str) -> list[str]:
    """Sizes, space groups and elements of crystals, a line each."""
    sizes = [int(row[atoms]) for row in rows]
    groups = Counter(row[space_group] for row in rows).most_common(6)
    elements = [parse_formula(row["formula"]) for row in rows]
    numbers = Counter(len(found) for found in elements)
    frequent = Counter(SYMBOLS[number - 1] for found in elements for number in found).most_common(8)
    return [
        f"atoms in the primitive cell: {min(sizes)} to {max(sizes)}, median {statistics.median(sizes):g}",
        f"elements in a crystal: {', '.join(f'{n} in {count:,}' for n, count in sorted(numbers.items()))}",
        f"space groups: {', '.join(f'{group(number)} {count:,}' for number, count in groups)}"
        + (", …" if len({row[space_group] for row in rows}) > len(groups) else ""),
        f"elements, % of crystals: {', '.join(f'{name} {100 * n / len(rows):.0f}' for name, n in frequent)}",
    ]


def group(number: str) -> str:
    """``Pnma (62)``; a dash if there is none."""
    return f"{symbol(int(number))} ({number})" if number else "–"


def counted(rows: Sequence[Row]) -> str:
    return "1 crystal" if len(rows) == 1 else f"{len(rows):,} crystals"


def left_out(rows: Sequence[Row]) -> str:
    more = len(rows) - FIRST
    return f"… and {more:,} more in the table" if more > 0 else ""


def both(row: Row) -> bool:
    """Return whether a row has both energies."""
    return all(row[name] and math.isfinite(float(row[name])) for name in ("energy_initial", "energy_relaxed"))


def relaxed_tables(folder: Path) -> list[Path]:
    """Tables of `symmcd relax` in a folder: relaxed.csv of the whole set, or its shards."""
    found = sorted(path for path in folder.glob("*.csv") if is_relaxed(path))
    return [path for path in found if path.name == "relaxed.csv"] or found


def is_relaxed(path: Path) -> bool:
    """Return whether the first line of a file is that of a table of `symmcd relax`."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            head = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return set(RELAXED) <= set(head)


def is_discovered(folder: Path) -> bool:
    """Return whether candidates.csv is a list of `symmcd discover`, which has a verdict for every crystal."""
    path = folder / "candidates.csv"
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return "verdict" in file.readline().strip().split(",")


def of_page(folder: Path) -> str:
    """The numbers of the run that a report belongs to."""
    return f"{terminal_summary(folder.parent)}\n\npage: {(folder / 'index.html').resolve()}"


KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path], str]], ...] = (  # the first that fits
    (is_discovered, candidates_summary),
    (lambda folder: (folder / "crystals.csv").is_file(), generated_summary),
    (lambda folder: any((folder / name).exists() for name in EXPORTED), exported_summary),
    (lambda folder: (folder / "index.html").is_file() and (folder / "figures").is_dir(), of_page),
    (lambda folder: any((folder / name).exists() for name in CHAIN), terminal_summary),
    (lambda folder: bool(relaxed_tables(folder)), relaxed_summary),
)
