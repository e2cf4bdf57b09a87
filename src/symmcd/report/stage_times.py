"""Times of each stage of a run, from Snakemake's benchmarks and the stages' logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from symmcd.provenance import maker


@dataclass(frozen=True)
class Stage:
    """Time of one stage, over its jobs."""

    name: str
    jobs: int
    seconds: float  # wall-clock time, added up over jobs
    memory: float | None  # MB, largest resident set of a job; None if the jobs were too short to measure
    makers: tuple[str, ...] = ()  # short commits that its jobs ran at, as its logs say


def stages(benchmarks: Path, logs: Path) -> list[Stage]:
    """Snakemake's benchmark of each rule, in the order in which rules ended; empty if the chain ran without it.

    That of the report itself is left out: it could only be one of an earlier report.
    """
    import pandas as pd

    by_end = []
    for rule in sorted((p for p in benchmarks.glob("*") if p.is_dir() and p.name != "report"), key=lambda p: p.name):
        files = sorted(rule.glob("*.tsv"))
        if files:
            rows = pd.concat([pd.read_csv(file, sep="\t", na_values=["-", "NA"]) for file in files])
            memory = rows["max_rss"].max()
            ended = max(file.stat().st_mtime for file in files)
            stage = Stage(
                rule.name,
                len(files),
                float(rows["s"].sum()),
                None if pd.isna(memory) else float(memory),
                _makers(logs / rule.name),
            )
            by_end.append((ended, stage))
    return [stage for _, stage in sorted(by_end, key=lambda pair: pair[0])]


def _makers(logs: Path) -> tuple[str, ...]:
    """Commits, or versions, that the logs of a rule begin with, each once."""
    makers = set()
    for path in logs.glob("*.log"):
        with path.open(encoding="utf-8", errors="replace") as log:
            makers.add(maker(log.readline()))
    return tuple(sorted(name for name in makers if name is not None))
