"""Messages of the command before it works and when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symmcd.crystallography.composition import SYMBOLS
from symmcd.discovery import files
from symmcd.discovery.hulls import DENSER
from symmcd.discovery.plan import needed_elements
from symmcd.discovery.table import SCREENED_OUT
from symmcd.discovery.words import VERDICTS, again_sentence, verdict_sentence
from symmcd.errors import InputError
from symmcd.stability_model.choosing import FEW_ENTRIES

if TYPE_CHECKING:
    from symmcd.diffusion.abilities import Abilities
    from symmcd.discovery.run import Discovery


def announcement(discovery: Discovery, abilities: Abilities) -> str:
    """Announce the work and its limits, and name options that would improve the result.

    Raises:
        InputError: the hull lacks an element that every crystal has.
    """
    plan = discovery.plan
    wanted = " and ".join(map(str, plan.asked())) or "no wishes"
    best = f", each chosen among {plan.stable} drafts" if plan.stable > 1 else ""
    lines = [f"{plan.number} crystals with {wanted}{best}, to {discovery.folder}"]
    if abilities.most_atoms:
        lines.append(
            f"cells: the model has learnt from primitive cells of at most {abilities.most_atoms} atoms; "
            "larger crystals (olivine LiFePO4 has 28) are made rarely or never"
        )
    elements = frozenset(SYMBOLS[number - 1] for number in needed_elements(plan.asked()))
    for judge, named in discovery.hulls.items():
        if missing := sorted(elements - named.elements):
            raise InputError(
                f"hull {named.name!r}: no energy of {', '.join(missing)}, so {judge} has nothing to compare with; "
                "give a table with these elements (--hull), or leave them out"
            )
    first = discovery.hulls[plan.potentials[0]]
    lines.append(f"judges: {', '.join(plan.potentials)}; the first relaxes, within the space group")
    if elements:
        count = first.compounds_in(elements)
        few = ": too few to judge by" if count < FEW_ENTRIES else ""
        lines.append(f"hull: {first.name}; {count} compounds in {'-'.join(sorted(elements))} and its subsystems{few}")
    else:
        lines.append(f"hull: {first.name}")
    if plan.hull is None:
        lines.append(f"      it lacks many known compounds, so it calls too many crystals stable; {DENSER}")
    lines.append(f"known: {discovery.known.name}")
    if plan.filters:
        lines.append(f"kept as candidates: crystals with {', '.join(map(str, plan.filters))}")
    return "\n".join(lines)


def closing(discovery: Discovery, shown: int) -> str:
    """Verdicts, the first rows, and where everything is."""
    summary = discovery.summary
    if not summary:
        return "no crystals"
    counts, threshold = summary["verdicts"], summary["threshold"]
    lines = [""] + [f"{counts[v]:6,} {v:<12} {verdict_sentence(v, threshold)}" for v in VERDICTS if v in counts]
    if sentence := again_sentence(summary["found_again"]):
        lines.append(f"       {sentence}")
    lines += ["", *_first_rows(discovery, shown), ""]
    folder = discovery.folder
    lines += [f"wrote {folder / name}" for name in (files.TABLE, files.PAGE, files.CIFS) if (folder / name).exists()]
    if (folder / "inputs").exists():
        lines.append(f"wrote {folder / 'inputs'}")
    return "\n".join(lines)


def _first_rows(discovery: Discovery, shown: int) -> list[str]:
    """The top of the table as text."""
    judges = discovery.plan.potentials
    head = ["rank", "verdict", "formula", "group", *(f"{judge}, eV/atom" for judge in judges), "doubts or name"]
    table = [head]
    for row in discovery.rows[:shown]:
        energies = ["" if (v := row[f"e_above_hull_{j}"]) is None else f"{v:+.3f}" for j in judges]
        group = row.get("space_group_relaxed") or row["space_group"]
        about = row["known"] or row.get(SCREENED_OUT) or row["doubts"].replace(";", ", ")
        table.append([str(row["rank"]), row["verdict"], row["formula"], str(group), *energies, about])
    width = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(text.ljust(n) for text, n in zip(line, width, strict=True)).rstrip() for line in table]
