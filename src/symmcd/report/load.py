"""Everything that the report reads from a finished results folder, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.best_of import BestOf
from symmcd.errors import InputError
from symmcd.extensions import MODELS, ModelKind
from symmcd.metrics.oversampling import TEXTS, best_of_rows
from symmcd.report.candidate_cifs import read_candidate_cifs
from symmcd.report.consistency import check_crystals
from symmcd.report.stage_times import Stage, stages
from symmcd.stability.judge_words import judge_name
from symmcd.stability.judges import judges_of
from symmcd.stability.rate_names import MORE_RATES, RATES
from symmcd.storage import read_units
from symmcd.tables import check_numbers, read_rows, without_nan

SUN_RATES = ("initially_stable", "relaxed_stable", "sun")  # compared with the published ones
OPTIONAL_RATES = (*MORE_RATES, "symmetry_kept")  # where the stage was told enough

# file -> stage that writes it, columns that the report needs
TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "losses": ("train", ("epoch", "seconds")),
    "metrics/per_crystal.csv": (
        "summarise",
        ("id", "space_group_found", "structurally_valid", "compositionally_valid"),
    ),
    "metrics/summary.csv": ("summarise", ("metric", "protocol", "value", "low", "high", "n", "note")),
    "relaxed/relaxed.csv": ("relax", ("id", "status", "space_group_relaxed")),
    "hull.csv": ("hull", ("id", "hull", "e_above_hull_initial", "e_above_hull_relaxed")),
    "sun.csv": (
        "sun",
        ("protocol", "hull", "threshold", "n", *(f"{r}{end}" for r in RATES for end in ("", "_low", "_high"))),
    ),
    "sun_per_crystal.csv": ("sun", ("id", "hull", "formula", "e_above_hull_initial", "e_above_hull_relaxed")),
    "candidates.csv": (
        "candidates",
        ("id", "hull", "formula", "space_group", "space_group_relaxed", "e_above_hull", "doubts", "file"),
    ),
}

MAY_BE_EMPTY = {"train", "candidates"}  # nothing was trained where weights were given; no crystal may be S.U.N.
NO_NUMBERS = frozenset(
    {
        "id", "status", "metric", "protocol", "note", "hull", "formula", "structurally_valid", "compositionally_valid",
        "variant", "train_crystals", "doubts", "file",
    }
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Results:
    """A finished run.  Tables are pandas data frames, `id` as text."""

    folder: Path
    seed: int
    source: Mapping[str, Any]  # raw/source.json
    training: Mapping[str, Any]  # metadata of the checkpoint
    train: AsymmetricUnits
    test: AsymmetricUnits
    generated: AsymmetricUnits
    losses: Any
    per_crystal: Any
    summary: Any
    relaxed: Any
    hull: Any
    sun: Any
    sun_per_crystal: Any
    candidates: Any
    candidate_cifs: Mapping[str, str]  # id → text
    stages: Sequence[Stage]

    @property
    def model(self) -> str:
        """Name of the kind of model; the first checkpoints name none."""
        return str(self.training["model"].get("kind", "joint"))

    @property
    def kind(self) -> ModelKind | None:
        """Description of the kind of model; None if its package is not installed here."""
        return MODELS[self.model] if self.model in MODELS else None  # noqa: SIM401  (a registry has no get)

    @property
    def best_of(self) -> BestOf | None:
        """Choice of the crystals by a stability model; None if there was none."""
        return self.generated.best_of

    @property
    def potential(self) -> str:
        """The potential of the relaxations, as it is written; relaxed.csv names those that are not CHGNet."""
        return judge_name(_potential(self.relaxed))

    @property
    def judges(self) -> list[str]:
        """Names of the potentials that judged the crystals, that which relaxed them first."""
        return list(dict.fromkeys(self.hull["judge"]))

    def metric(self, name: str, protocol: str | None = None) -> Any:
        """The row of summary.csv of a metric; of the first protocol unless one is named.

        Raises:
            InputError: there is none.
        """
        rows = self.summary[self.summary["metric"] == name]
        if protocol is not None:
            rows = rows[rows["protocol"] == protocol]
        if not len(rows):
            which = f"{name!r}" + (f" of the protocol {protocol!r}" if protocol else "")
            raise InputError(
                f"{self.folder / 'metrics/summary.csv'}: lacks the metric {which}; run `symmcd summarise` again"
            )
        return rows.iloc[0]

    def floor(self, name: str) -> float:
        """Lowest value that as many real crystals score by the paper's protocol; nan if it is not a distance."""
        return floor_of(self.summary, name)


def floor_of(summary: Any, name: str) -> float:
    """`Results.floor` of a table as in summary.csv."""
    rows = summary[(summary["metric"] == name) & (summary["protocol"] == "paper_floor")]
    return float(rows["low"].iloc[0]) if len(rows) else math.nan


def load(folder: Path, seed: int) -> Results:
    """Read a results folder.

    Raises:
        InputError: a file is missing, unreadable, empty or lacks a column; the message names the stage that writes it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the results folder of the chain, usually `results`")
    training = folder / f"training/seed{seed}"
    candidates = _table(folder / "candidates.csv", *TABLES["candidates.csv"])
    files = zip(candidates["id"], candidates["file"].astype(str), strict=True)
    results = Results(
        folder=folder,
        seed=seed,
        source=_json(folder / "raw/source.json", "download"),
        training=_checkpoint(training / "denoiser.safetensors"),
        train=_units(folder / "asymmetric_units/train.npz", "reduce"),
        test=_units(folder / "asymmetric_units/test.npz", "reduce"),
        generated=_units(folder / "crystals/units.npz", "replicate"),
        losses=_losses(training / "losses.csv"),
        per_crystal=_table(folder / "metrics/per_crystal.csv", *TABLES["metrics/per_crystal.csv"]),
        summary=_table(folder / "metrics/summary.csv", *TABLES["metrics/summary.csv"]),
        relaxed=_table(folder / "relaxed/relaxed.csv", *TABLES["relaxed/relaxed.csv"]),
        hull=_judged(folder / "hull.csv"),
        sun=read_sun(folder / "sun.csv"),
        sun_per_crystal=_judged(folder / "sun_per_crystal.csv"),
        candidates=candidates,
        candidate_cifs=read_candidate_cifs(folder / "candidates.zip", files),
        stages=stages(folder / "benchmarks", folder / "logs"),
    )
    check_crystals(results)
    if read_best_of(folder, results.summary, results.sun) != results.best_of:
        raise InputError(
            f"{folder / 'metrics/summary.csv'}: its column oversample does not agree with "
            "crystals/units.npz; the files come from different runs"
        )
    return results


def _losses(path: Path) -> Any:
    """losses.csv, in which each loss has a column of training and one of validation.

    Raises:
        InputError: as in `load`.
    """
    table = _table(path, *TABLES["losses"])
    for part, other in (("train", "val"), ("val", "train")):
        for name in table:
            if name.startswith(f"{part}_") and (pair := other + name.removeprefix(part)) not in table:
                raise InputError(f"{path}: has the column {name} and lacks {pair}; run `symmcd train` again")
    return table


def read_best_of(folder: Path, summary: Any, sun: Any = None) -> BestOf | None:
    """Choice by a stability model of the crystals of a folder's tables; None if there was none.

    Args:
        folder: that the tables are from.
        summary: as `read_summary` reads it.
        sun: as `read_sun` does; None if there is none.

    Raises:
        InputError: rows or tables that do not say the same.
    """
    best_of = best_of_rows(summary.to_dict("records"), _summary_of(folder), "summarise")
    if sun is not None and best_of_rows(sun.to_dict("records"), folder / "sun.csv", "sun") != best_of:
        raise InputError(
            f"{folder / 'sun.csv'}: its column oversample does not agree with "
            "summary.csv; the files come from different runs"
        )
    return best_of


def read_summary(folder: Path) -> Any:
    """summary.csv, as `load` reads it; of `symmcd evaluate` it lies in the folder itself.

    Raises:
        InputError: as in `load`.
    """
    return _table(_summary_of(folder), *TABLES["metrics/summary.csv"])


def _summary_of(folder: Path) -> Path:
    own = folder / "summary.csv"
    return own if own.exists() else folder / "metrics/summary.csv"


def read_table_5(folder: Path, columns: Sequence[str] = ()) -> Any:
    """predictor/table5.csv of a results folder, with these columns at least; None if no predictor was trained.

    Raises:
        InputError: as in `load`.
    """
    path = folder / "predictor/table5.csv"
    return _table(path, "predictor", columns) if path.exists() else None


def read_sun(path: Path) -> Any:
    """sun.csv of a results folder, as `load` reads it.

    Raises:
        InputError: as in `load`.
    """
    table = _judged(path)
    for rate in (name for name in OPTIONAL_RATES if name in table):
        if lost := [name for name in (f"{rate}_low", f"{rate}_high") if name not in table]:
            raise InputError(f"{path}: has the column {rate} and lacks {lost[0]}; run `symmcd sun` again")
    return table


def _judged(path: Path) -> Any:
    """A table with a judge and a hull in each row; one of an earlier version has the judge that there was.

    Raises:
        InputError: as in `load`, or a row that names none.
    """
    stage, columns = TABLES[path.name]
    table = _table(path, stage, columns)
    if "judge" not in table:
        relaxed = path.with_name("relaxed") / "relaxed.csv"
        potential = _potential(_table(relaxed, "relax", ("id",))) if relaxed.is_file() else "chgnet"
        table["judge"] = judges_of(table["hull"], potential)
    for name in ("judge", "hull"):
        if table[name].isna().any():
            row = int(table[name].isna().argmax()) + 1
            raise InputError(f"{path}, row {row}: no {name}; run `symmcd {stage}` again")
    return table


def _potential(relaxed: Any) -> str:
    """Name of the potential that relaxed the crystals; relaxed.csv names those that are not CHGNet."""
    return str(relaxed["potential"].iloc[0]) if "potential" in relaxed else "chgnet"


def _there(path: Path, stage: str) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: missing; run `symmcd {stage}` first (or `snakemake {path}`)")
    return path


def _table(path: Path, stage: str, columns: Sequence[str]) -> Any:
    import pandas as pd

    rows = read_rows(_there(path, stage), columns, stage)
    of_judges = [name for name in (rows[0] if rows else ()) if name.startswith(("e_above_hull_", "judges_spread"))]
    numbers = [name for name in columns if name not in NO_NUMBERS] + of_judges
    check_numbers(path, [without_nan(row) for row in rows], numbers, stage)
    try:
        # NaN is a formula, sodium nitride: only empty fields and Python's own "nan" are missing values
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys(("id", "formula", "draw", "judge", "hull", *TEXTS), str),
            keep_default_na=False,
            na_values=["", "nan"],
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable csv ({error}); delete it and run `symmcd {stage}` again") from None
    if not len(table) and stage not in MAY_BE_EMPTY:
        raise InputError(f"{path}: has no rows; run `symmcd {stage}` again")
    return table


def _units(path: Path, stage: str) -> AsymmetricUnits:
    units = read_units(_there(path, stage))
    if not len(units):
        raise InputError(f"{path}: has no crystals; run `symmcd {stage}` again")
    return units


def _json(path: Path, stage: str) -> Mapping[str, Any]:
    try:
        content = json.loads(_there(path, stage).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); run `symmcd {stage}` again") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: expected a mapping; run `symmcd {stage}` again")
    return content


def _checkpoint(path: Path) -> dict[str, Any]:
    """Metadata of a checkpoint, and the number of its ``parameters``; no tensor is read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_there(path, "train"), framework="numpy") as file:
            metadata = json.loads(file.metadata()["symmcd"])
            shapes = [file.get_slice(name).get_shape() for name in file.keys() if name.startswith("weights/")]  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a denoiser of symmcd ({error!r}); run `symmcd train` again") from None
    return {**metadata, "parameters": sum(math.prod(shape) for shape in shapes)}
