"""Everything that the report reads from a finished results folder, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.extensions import MODELS, POTENTIALS, ModelKind
from symmcd.report.stage_times import Stage, stages
from symmcd.storage import read_units
from symmcd.tables import check_ids, check_numbers, read_rows, without_nan

SUN_RATES = ("initially_stable", "relaxed_stable", "sun")  # compared with the published ones
ALL_RATES = ("initially_stable", "relaxed_stable", "stable_unique", "stable_novel", "sun")
OPTIONAL_RATES = ("sun_valid", "sun_undoubted", "sun_elsewhere_new", "symmetry_kept")  # where the stage was told enough

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
        ("protocol", "hull", "threshold", "n", *(f"{r}{end}" for r in ALL_RATES for end in ("", "_low", "_high"))),
    ),
    "sun_per_crystal.csv": ("sun", ("id", "hull", "formula", "e_above_hull_initial", "e_above_hull_relaxed")),
    "candidates.csv": (
        "candidates",
        ("id", "hull", "formula", "space_group", "space_group_relaxed", "e_above_hull", "doubts"),
    ),
}

MAY_BE_EMPTY = {"train", "candidates"}  # nothing was trained where weights were given; no crystal may be S.U.N.
NO_NUMBERS = frozenset(
    {
        "id", "status", "metric", "protocol", "note", "hull", "formula", "structurally_valid", "compositionally_valid",
        "variant", "train_crystals", "doubts",
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
    stages: Sequence[Stage]

    @property
    def model(self) -> str:
        """Name of the kind of model; the first checkpoints name none."""
        return str(self.training["model"].get("kind", "joint"))

    @property
    def kind(self) -> ModelKind | None:
        """What is known of the kind of model; None of one of a package that is not installed here."""
        return MODELS[self.model] if self.model in MODELS else None  # noqa: SIM401  (a registry has no get)

    @property
    def potential(self) -> str:
        """The potential of the relaxations, as it is written; relaxed.csv names those that are not CHGNet."""
        return self._potential[0]

    @property
    def potential_sentence(self) -> str:
        """What that potential is."""
        return self._potential[1]

    @property
    def _potential(self) -> tuple[str, str]:
        name = str(self.relaxed["potential"].iloc[0]) if "potential" in self.relaxed else "chgnet"
        if name not in POTENTIALS:  # of a package that is not installed here
            return name, f"the potential {name}"
        return POTENTIALS[name].label or name, POTENTIALS[name].sentence

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
        """Least that as many real crystals score by the paper's protocol; nan for what is no distance between sets."""
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
        raise InputError(f"{folder}: no such folder; give the folder that the chain wrote, usually `results`")
    training = folder / f"training/seed{seed}"
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
        hull=_table(folder / "hull.csv", *TABLES["hull.csv"]),
        sun=read_sun(folder / "sun.csv"),
        sun_per_crystal=_table(folder / "sun_per_crystal.csv", *TABLES["sun_per_crystal.csv"]),
        candidates=_table(folder / "candidates.csv", *TABLES["candidates.csv"]),
        stages=stages(folder / "benchmarks", folder / "logs"),
    )
    _check_crystals(results)
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


def _check_crystals(results: Results) -> None:
    """Refuse tables of which one lacks a crystal that another has.

    Raises:
        InputError: naming the table and the first such crystal.
    """
    folder = results.folder
    generated, relaxed = results.generated.label.tolist(), results.relaxed["id"].tolist()
    per_crystal = folder / "metrics/per_crystal.csv"
    check_ids(per_crystal, results.per_crystal["id"].tolist(), generated, folder / "crystals/units.npz", "summarise")
    known = set(generated)
    if foreign := [name for name in relaxed if name not in known]:
        raise InputError(
            f"{folder / 'relaxed/relaxed.csv'}: crystal {foreign[0]} is not in crystals/units.npz; the files are of "
            "different runs"
        )
    _check_sun(results)
    for name, table, stage in (
        ("hull.csv", results.hull, "hull"),
        ("sun_per_crystal.csv", results.sun_per_crystal, "sun"),
    ):
        for _, part in table.groupby("hull", sort=False):
            check_ids(folder / name, part["id"].tolist(), relaxed, folder / "relaxed/relaxed.csv", stage)
    judged = set(zip(results.hull["hull"], results.hull["id"], strict=True))
    for hull, name in zip(results.candidates["hull"], results.candidates["id"], strict=True):
        if (hull, name) not in judged:
            raise InputError(
                f"{folder / 'candidates.csv'}: crystal {name} over the hull {hull!r} is not in hull.csv; run "
                "`symmcd candidates` again"
            )


def _check_sun(results: Results) -> None:
    """Refuse a sun.csv without a row of each hull and each threshold that sun_per_crystal.csv tells of.

    Raises:
        InputError: naming the first that is missing.
    """
    thresholds = [float(name.removeprefix("sun_at_")) for name in results.sun_per_crystal if name.startswith("sun_at_")]
    rows = results.sun if "draw" not in results.sun else results.sun[results.sun["draw"] == "all"]
    there = set(zip(rows["hull"].astype(str), rows["threshold"].astype(float).round(6), strict=True))
    for hull in dict.fromkeys(results.sun_per_crystal["hull"].astype(str)):
        for threshold in thresholds:
            if (hull, round(threshold, 6)) not in there:
                raise InputError(
                    f"{results.folder / 'sun.csv'}: lacks the row of hull {hull!r} at {threshold:g} eV/atom, which "
                    "sun_per_crystal.csv has; run `symmcd sun` again"
                )


def read_summary(folder: Path) -> Any:
    """summary.csv, as `load` reads it; of `symmcd evaluate` it lies in the folder itself.

    Raises:
        InputError: as in `load`.
    """
    own = folder / "summary.csv"
    return _table(own if own.exists() else folder / "metrics/summary.csv", *TABLES["metrics/summary.csv"])


def read_table_5(folder: Path, columns: Sequence[str] = ()) -> Any:
    """predictor/table5.csv of a results folder, with these columns at least; None where no predictor was trained.

    Raises:
        InputError: as in `load`.
    """
    path = folder / "predictor/table5.csv"
    return _table(path, "predictor", columns) if path.exists() else None


def read_sun(path: Path) -> Any:
    """sun.csv, as `load` reads it.

    Raises:
        InputError: as in `load`.
    """
    table = _table(path, *TABLES["sun.csv"])
    for rate in (name for name in OPTIONAL_RATES if name in table):
        if lost := [name for name in (f"{rate}_low", f"{rate}_high") if name not in table]:
            raise InputError(f"{path}: has the column {rate} and lacks {lost[0]}; run `symmcd sun` again")
    return table


def _there(path: Path, stage: str) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: missing; run `symmcd {stage}` first (or `snakemake {path}`)")
    return path


def _table(path: Path, stage: str, columns: Sequence[str]) -> Any:
    import pandas as pd

    rows = read_rows(_there(path, stage), columns, stage)
    check_numbers(path, [without_nan(row) for row in rows], [c for c in columns if c not in NO_NUMBERS], stage)
    try:
        # NaN is a formula, sodium nitride: only empty fields and Python's own "nan" are missing values
        table = pd.read_csv(
            path,
            dtype={"id": str, "formula": str, "draw": str},
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
    """What a checkpoint says of itself, and the number of its ``parameters``; no tensor is read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_there(path, "train"), framework="numpy") as file:
            metadata = json.loads(file.metadata()["symmcd"])
            shapes = [file.get_slice(name).get_shape() for name in file.keys() if name.startswith("weights/")]  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a denoiser of symmcd ({error!r}); run `symmcd train` again") from None
    return {**metadata, "parameters": sum(math.prod(shape) for shape in shapes)}
