"""The section on the crystals found: those of candidates.csv, their CIFs from candidates.zip."""

from __future__ import annotations

from collections.abc import Sequence

from symmcd.report.crystal_table import EMBEDDED, columns_for, crystal_table
from symmcd.report.load import Results
from symmcd.report.page import Section
from symmcd.report.sections import chosen_remark
from symmcd.stability.judge_words import hull_name, judge_name, listed


def candidates(results: Results) -> list[Section]:
    """One section; none where there is no candidate."""
    table = results.candidates
    if not len(table):
        return []
    rows = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    hull, threshold = str(table["hull"].iloc[0]), float(results.sun["threshold"].max())
    own = hull_name(results.judges[0], hull) != hull
    where = f"the hull of {results.potential}’s own energies" if own else f"the hull “{hull}”"
    judges = [judge for judge in results.judges if f"e_above_hull_{judge}" in table]
    ranked = "by energy above the hull"
    if len(judges) > 1:
        ranked += " by the judge that puts a crystal highest"
    doubted = int(table["doubts"].notna().sum())
    paragraphs = [
        f"{len(table):,} crystals are stable, unique and novel (S.U.N.): relaxed by {results.potential}, they lie at"
        f" most {threshold:g} eV/atom above {where}. Those without doubts come"
        f" first, then the {doubted:,} with doubts; within each group, crystals are ordered {ranked}."
        f"{chosen_remark(results)}",
        f"Energies are in eV/atom above the hull, after relaxation{_by(judges)}. Space groups are those found after"
        " relaxation (0.1 Å). candidates.csv has more columns, and candidates.zip all CIFs"
        + (f"; this page holds the first {EMBEDDED}." if len(table) > EMBEDDED else "."),
    ]
    return [crystal_table(rows, results.candidate_cifs, columns=columns_for(table.columns), paragraphs=paragraphs)]


def _by(judges: Sequence[str]) -> str:
    return f", by {listed([judge_name(judge) for judge in judges])}" if judges else ""
