"""Several runs and the published systems side by side, as a page, Markdown and LaTeX."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from symmcd import __version__
from symmcd.errors import InputError
from symmcd.metrics import oversampling
from symmcd.metrics.paper_tables import Run, comparable, paper_tables, predictor_table
from symmcd.metrics.typeset_tables import latex, markdown
from symmcd.report.explain import known
from symmcd.report.load import read_best_of, read_summary, read_sun, read_table_5
from symmcd.report.page import Section, Table, Text, write_page
from symmcd.report.side_by_side import paper_section
from symmcd.report.values import label_html, shown
from symmcd.stability.judge_words import judge_name, listed, naming, side_by_side
from symmcd.stability.judges import ALL
from symmcd.storage import atomic_path

PREDICTORS = ("variant", "mae", "low", "high", "n", "train_crystals", "note")  # columns of predictor/table5.csv


def write_comparison(output: Path, folders: Sequence[Path], names: Sequence[str] = ()) -> list[Path]:
    """Write `output` (.html) and beside it the same tables as .md and .tex; their paths.

    Args:
        output: the page.
        folders: of whole runs, or of `symmcd evaluate`.
        names: one a folder; the folders' own names where not given.

    Raises:
        InputError: an output that is no .html, a folder without summary.csv, or names that do not tell runs apart.
    """
    if output.suffix != ".html":
        raise InputError(f"{output}: the page is an .html file; its tables are written beside it as .md and .tex")
    labels = list(names) or [folder.resolve().name for folder in folders]
    if len(labels) != len(folders) or len(set(labels)) != len(labels):
        raise InputError(f"{len(folders)} folders named {', '.join(labels)}: give one name each with --names")
    runs = [_read(folder, name) for folder, name in zip(folders, labels, strict=True)]
    over = naming(row["judge"] for of in runs for row in of.sun)
    tables = [*paper_tables(runs, naming=over), predictor_table(runs)]
    sections = [_about(folders, runs), paper_section(tables), _all_metrics(runs)]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    lead = "Every number of each run, in the columns of Levy et al. (ICLR 2025)."
    if comparable(runs):
        lead = (
            "Every number of each run beside those of the systems in Levy et al. (ICLR 2025), in the paper's columns."
        )
    warning = unlike(runs)
    lead = f"{lead} {warning}".rstrip()
    write_page(output, "Runs side by side", lead, sections, f"Made by symmcd {__version__}, {now}.")
    before = {".md": f"{warning}\n\n", ".tex": f"% {warning}\n\n"} if warning else {".md": "", ".tex": ""}
    for suffix, text in ((".md", markdown(tables)), (".tex", latex(tables))):
        with atomic_path(output.with_suffix(suffix)) as temporary:
            temporary.write_text(before[suffix] + text, encoding="utf-8")
    return [output, output.with_suffix(".md"), output.with_suffix(".tex")]


def unlike(runs: Sequence[Run]) -> str:
    """A warning where the crystals of some runs were chosen, or chosen in other ways; empty if none were."""
    ways = {run.name: run.best_of for run in runs}
    if not any(ways.values()):
        return ""
    each = "; ".join(
        f"{name}: {'one draft per crystal' if best_of is None else oversampling.chosen_by(best_of)}"
        for name, best_of in ways.items()
    )
    if len(set(ways.values())) == 1:
        return f"The crystals were chosen ({each}). {oversampling.OF_BOTH}"
    return (
        f"The crystals of these runs were chosen in different ways ({each}). A difference between the runs may come"
        " from the choice alone, not from the generators."
    )


def _read(folder: Path, name: str) -> Run:
    """Tables of a run; of `symmcd evaluate`, summary.csv lies in the folder itself, and there are no others."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give results folders of the chain or of `symmcd evaluate`")
    summary, path = read_summary(folder), folder / "sun.csv"
    sun = read_sun(path) if path.exists() else None
    read_best_of(folder, summary, sun)  # what they say is the same
    table_5 = read_table_5(folder, PREDICTORS)
    return Run(
        name,
        summary.to_dict("records"),
        [] if sun is None else side_by_side(sun).to_dict("records"),
        [] if table_5 is None else table_5.to_dict("records"),
    )


def _about(folders: Sequence[Path], runs: Sequence[Run]) -> Section:
    facts: list[tuple[Text, Text]] = []
    for folder, of in zip(folders, runs, strict=True):
        size = next((int(row["n"]) for row in of.summary if row["metric"] == "structural_validity"), 0)
        data = _source(folder / "raw/source.json")
        judges = [judge_name(judge) for judge in dict.fromkeys(row["judge"] for row in of.sun) if judge != ALL]
        by = f" by {listed(judges)}" if len(judges) > 1 else ""
        how = "" if of.best_of is None else f", {oversampling.chosen(of.best_of)}"
        judged = f", {int(of.sun[0]['n']):,} judged for stability{by}" if of.sun else ", stability not judged"
        facts.append((of.name, f"{size:,} crystals{how}{judged}{data} ({folder.resolve()})"))
    paragraph = (
        "Numbers can be compared where sizes, data, protocol and hull are the same: counts of templates grow with the"
        " number of crystals, distances between distributions shrink with it. Two runs differ where their 95 "
        "% intervals do not overlap; where they overlap, no difference is claimed. A run is one training: "
        "another seed changes the numbers too, and the intervals do not include that."
    )
    return Section("runs", "The runs", paragraphs=(paragraph,), facts=facts)


def _source(path: Path) -> str:
    if not path.exists():
        return ""
    try:
        return f", data {json.loads(path.read_text(encoding='utf-8'))['source']}"
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not a source.json of this package ({error!r}); run `symmcd download` again"
        ) from None


def _all_metrics(runs: Sequence[Run]) -> Section:
    """Every row that any run has, one column per run."""
    by_metric: list[dict[tuple[str, str], Any]] = [{(r["metric"], r["protocol"]): r for r in of.summary} for of in runs]
    rows: list[Sequence[Text]] = []
    for metric, protocol in dict.fromkeys(key for own in by_metric for key in own):
        words = known(metric)
        cells: list[Text] = []
        for own in by_metric:
            row = own.get((metric, protocol))
            unit = words.unit if words else ""
            cells.append("–" if row is None else _small(*shown(row["value"], row["low"], row["high"], unit)))
        name = _small(label_html(words), words.sentence) if words else metric
        rows.append((name, protocol, *cells))
    table = Table(
        caption="Every metric of summary.csv, 95 % intervals below the values; – where a run lacks it.",
        head=("metric", "protocol", *(of.label for of in runs)),
        rows=rows,
        numbers=frozenset(range(2, 2 + len(runs))),
        kind="stack",
    )
    return Section("metrics", "Every metric", tables=(table,))


def _small(text: Text, below: Text) -> Text:
    return Markup("{}<small>{}</small>").format(text, below)
