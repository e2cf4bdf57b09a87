"""Report, `symmcd show` and `symmcd compare` of crystals that a stability model chose: N is said, nothing published."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from symmcd.crystallography.best_of import BestOf
from symmcd.errors import InputError
from symmcd.metrics.oversampling import OF_BOTH, cells
from symmcd.metrics.published import systems
from symmcd.report.comparison_page import write_comparison
from symmcd.report.load import load
from symmcd.report.terminal import terminal_summary
from symmcd.settings import ReportSettings
from symmcd.stages import report
from symmcd.storage import read_units, write_units
from tests.report.conftest import make_judged_results, make_results
from tests.stages.test_report import Page

CHOICE = BestOf(20, "123456789012" + "ab" * 26, "chgnet", "table mp.csv")
WORDS = "the best of 20 drafts per crystal by a stability model, labels by CHGNet over the hull “table mp.csv”"
WARNING = "CHGNet made the labels by which these crystals were chosen, so it is not an independent judge of them"
PLAIN = ReportSettings(viewer_crystals=0, drawn_crystals=1)


def choose(folder: Path, choice: BestOf | None, *names: str) -> Path:
    """Have files of a results folder, those that are named or all, say how its crystals were chosen."""
    for name in names or ("crystals/units.npz", "metrics/summary.csv", "sun.csv"):
        if name.endswith(".npz"):
            write_units(folder / name, dataclasses.replace(read_units(folder / name), best_of=choice))
        else:
            table = pd.read_csv(folder / name, dtype={"draw": str})
            table.drop(columns=list(cells(CHOICE)), errors="ignore").assign(**cells(choice)).to_csv(
                folder / name, index=False
            )
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "results"
    make_judged_results(folder)
    source = folder / "raw/source.json"
    source.write_text(source.read_text().replace("prototypes", "mp20"))
    return folder


@pytest.fixture
def results(plain: Path, tmp_path: Path) -> Path:
    return choose(Path(shutil.copytree(plain, tmp_path / "results")), CHOICE)


def page(folder: Path) -> str:
    report.run(folder, folder / "report", PLAIN, seed=0)
    html = (folder / "report/index.html").read_text(encoding="utf-8")
    return " ".join(" ".join(Page(html).texts).split())


def sections(folder: Path) -> dict[str, str]:
    """Content of each section of the page, by its name."""
    parts = (folder / "report/index.html").read_text(encoding="utf-8").split("<section ")[1:]
    return {part.split('"')[1]: part for part in parts}


def test_the_page_says_how_the_crystals_were_chosen_and_compares_with_nothing(plain: Path, results: Path) -> None:
    text, before = page(results), page(plain)
    assert "best of" not in before
    assert before.count("Diamonds: Levy et al.") == 2
    assert f"(mp20), {WORDS}, judged for validity" in text
    where = sections(results)
    for name in ("run", "glance", "paper", "templates", "metrics", "stability", "limits"):
        assert WORDS[1:] in " ".join(where[name].split()), name
    for name in ("symmetry", "content"):
        assert "(best of 20 drafts each)" in where[name], name
    assert WORDS in text.partition(" What was run ")[0]
    assert text.count(OF_BOTH) >= 4
    assert f"{WARNING}: the choice favours its errors too. Rely on SevenNet-0, which made no labels." in text
    assert "CHGNet made the labels, no independent judge" in text
    captions = re.findall(r"Where two judges agree,.*?judges hull|By each judge and by all,.*?judge hull", text)
    assert len(captions) == 2
    assert all(WORDS in caption for caption in captions)
    assert text.count("dashed: thresholds of stability. The crystals are the best of 20") == 4
    assert "n = 60 generated (best of 20 drafts each), 120 training crystals" in text
    lines = [line for table in (1, 2, 3) for line in systems(table).values()]
    values = [value for line in lines for value in line.values() if len(value) > 4]
    shown = [value for value in values if re.search(rf"(?<![\d.]){re.escape(value)}(?![\d.])", text)]
    there = [value for value in values if re.search(rf"(?<![\d.]){re.escape(value)}(?![\d.])", before)]
    assert len(there) > 20
    assert not shown
    for name in ("CDVAE", "DiffCSP", "Diamonds", "published for", "Published lines", "no difference shown"):
        assert name in before, name
        assert name not in text, name


def test_the_figures_have_no_diamonds(plain: Path, results: Path) -> None:
    report.run(results, results / "report", PLAIN, seed=0)
    report.run(plain, plain / "report", PLAIN, seed=0)
    for name in ("sun.svg", "validity.svg"):
        assert "#a4508b" in (plain / "report/figures" / name).read_text()
        assert "#a4508b" not in (results / "report/figures" / name).read_text()


def test_the_terminal_says_it_above_the_figures(plain: Path, results: Path) -> None:
    text = terminal_summary(results)
    above = " ".join(text.partition("structurally valid")[0].split())
    assert f"T{WORDS[1:]} (stability model 123456789012). {OF_BOTH}" in above
    assert "Published systems do not choose in this way" in above
    assert WARNING in above
    before = terminal_summary(plain)
    assert re.search(r"structurally valid \[paper\] +91\.2 % +82\.1 to 97\.6 +60 +94\.32 %", before)
    assert re.search(r"structurally valid \[paper\] +91\.2 % +82\.1 to 97\.6 +60$", text, re.MULTILINE)
    assert "94.32" not in text
    assert "beside it" not in text
    assert max(map(len, text.splitlines())) <= 120
    assert "best of" not in before


def test_who_made_no_labels_is_not_warned_of(plain: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(plain, tmp_path / "results"))
    choose(folder, dataclasses.replace(CHOICE, judge="mace"))
    assert "made the labels" not in terminal_summary(folder)
    assert "made the labels" not in page(folder)


def test_a_hull_with_a_number_for_a_name_keeps_it(results: Path) -> None:
    choose(results, dataclasses.replace(CHOICE, hull="0042"))
    load(results, 0)
    assert "over the hull “0042”" in " ".join(terminal_summary(results).split())


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("crystals/units.npz", None), ("metrics/summary.csv", None), ("sun.csv", None),
        ("sun.csv", dataclasses.replace(CHOICE, drafts=4)),
        ("metrics/summary.csv", dataclasses.replace(CHOICE, stability_model="ab" * 32)),
    ],
)  # fmt: skip
def test_files_of_runs_with_different_choices_are_refused(results: Path, name: str, choice: BestOf | None) -> None:
    """As after a run with another N over the same folder, of which a stage is missing."""
    load(results, 0)
    choose(results, choice, name)
    with pytest.raises(InputError, match=r"oversample .*different runs"):
        load(results, 0)
    if name != "crystals/units.npz":
        for read in (terminal_summary, lambda folder: write_comparison(folder / "c.html", [folder])):
            with pytest.raises(InputError, match=r"sun\.csv: its column oversample"):
                read(results)


def test_rows_of_one_table_say_the_same(results: Path) -> None:
    path = results / "metrics/summary.csv"
    path.write_text(path.read_text().replace(",20,", ",4,", 1))
    for read in (lambda folder: load(folder, 0), terminal_summary):
        with pytest.raises(InputError, match=r"metrics/summary\.csv: the column oversample has '20', '4'"):
            read(results)


def compared(folders: list[Path], output: Path, names: list[str]) -> tuple[str, str, str]:
    """Text of the page, Markdown, LaTeX."""
    write_comparison(output, folders, names)
    text = " ".join(" ".join(Page(output.read_text(encoding="utf-8")).texts).split())
    return text, *(output.with_suffix(end).read_text() for end in (".md", ".tex"))


def test_compare_says_in_its_head_that_runs_were_chosen_differently(plain: Path, results: Path, tmp_path: Path) -> None:
    four = choose(Path(shutil.copytree(plain, tmp_path / "four")), dataclasses.replace(CHOICE, drafts=4))
    words = WORDS.replace("20", "4")
    html, text, tex = compared([plain, four, results], tmp_path / "c.html", ["plain", "four", "twenty"])
    model = " (stability model 123456789012)"
    each = f"(plain: one draft per crystal; four: {words}{model}; twenty: {WORDS}{model})"
    for part in (html, text.partition("\n")[0], tex.partition("\n")[0]):
        assert f"chosen in different ways {each}" in part.partition(" Every metric ")[0]
        assert "may come from the choice alone" in part
    assert tex.startswith("% ")
    assert f"60 crystals, {words}, 60 judged" in html
    assert "| twenty, best of 20, paper's protocol | 91.23" in text
    assert "| SymmCD (10 SGs) | 97.31 |" in text, "beside the run that was not chosen"
    assert "twenty, best of 20" in (tmp_path / "c.html").read_text().partition("Every metric of summary.csv")[2]
    same, text, _ = compared([results, results], tmp_path / "c.html", ["a", "b"])
    assert "in different ways" not in same
    assert f"The crystals were chosen (a: {WORDS}{model}; b: {WORDS}{model}). {OF_BOTH}" in same
    assert "SymmCD (" not in text
    choose(four, dataclasses.replace(CHOICE, stability_model="cd" * 32))
    html, _, _ = compared([results, four], tmp_path / "c.html", ["a", "b"])
    assert f"chosen in different ways (a: {WORDS}{model}; b: {WORDS} (stability model cdcdcdcdcdcd))" in html
    alone, text, tex = compared([plain], tmp_path / "c.html", ["plain"])
    assert "chosen" not in alone + text + tex


def test_evaluated_folders_say_it_too(results: Path, tmp_path: Path) -> None:
    """Those of `symmcd evaluate`: summary.csv lies in the folder itself, and there may be no sun.csv."""
    folder = tmp_path / "scored"
    folder.mkdir()
    shutil.copy(results / "metrics/summary.csv", folder / "summary.csv")
    text = terminal_summary(folder)
    assert f"T{WORDS[1:]}" in " ".join(text.split())
    assert "made the labels" not in text, "no judge is shown"
    assert "94.32" not in text


def test_a_single_judge_that_made_the_labels_is_named(tmp_path: Path) -> None:
    results = choose(make_results(tmp_path / "results"), CHOICE)
    text = page(results)
    for name in ("glance", "stability"):
        assert f"{WARNING}: the choice favours its errors too." in " ".join(sections(results)[name].split())
    assert "Rely on" not in text
    assert terminal_summary(results).splitlines()[-1].startswith("embedded prototypes")
