"""The chain on embedded crystals, stage by stage as commands, and what each of them makes when nothing disturbs it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.processes import start

ROOT = Path(__file__).parents[2]
CONFIG = ("--config", str(ROOT / "config" / "test.yaml"))
RESULTS = "results"
CPU = ("--device", "cpu")
TWO = ("--workers", "2")
SEED0 = f"{RESULTS}/training/seed0"
SPLITS = tuple(f"{RESULTS}/asymmetric_units/{split}.npz" for split in ("train", "val", "test"))
SCORES = tuple(f"{RESULTS}/metrics/shard{i}.csv" for i in range(2))
SAMPLES = tuple(f"{RESULTS}/samples/shard{i}.npz" for i in range(2))
CRYSTALS, UNITS = f"{RESULTS}/crystals/crystals.extxyz", f"{RESULTS}/crystals/units.npz"


@dataclass
class Stage:
    """A command, run in a folder that has its inputs.

    Two runs of one output are refused where `one_writer` is set.  What it reads is found by its words, but for `reads`.
    """

    name: str
    words: tuple[str, ...]
    one_writer: bool = False
    reads: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()  # files, found by `prepare`
    outputs: tuple[str, ...] = ()
    seconds: float = 0.0  # undisturbed


@dataclass(frozen=True)
class Prepared:
    """A folder with everything that the undisturbed chain made."""

    folder: Path
    stages: dict[str, Stage] = field(default_factory=dict)

    def copy(self, stage: Stage, folder: Path) -> None:
        """Make `folder` what that stage finds."""
        for name in stage.inputs:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.folder / name, folder / name)


def stages() -> Iterator[Stage]:
    """All of them, in their order; `relax` and `predictor` are smaller than in config/test.yaml."""
    train, val, test = SPLITS
    yield Stage("download", ("download", "--output", f"{RESULTS}/raw", *CONFIG))
    for split, units in zip(("train", "val", "test"), SPLITS, strict=True):
        rejects = units.replace(".npz", "_rejects.csv")
        words = ("reduce", f"{RESULTS}/raw/{split}.csv.gz", "--output", units, "--output-rejects", rejects)
        yield Stage(f"reduce {split}", (*words, *TWO, *CONFIG))
    for part in ("wyckoff", "geometry"):
        words = ("train", train, val, "--output", SEED0, "--part", part, *CPU, *CONFIG)
        yield Stage(f"train {part}", words, one_writer=True)
    yield Stage("train", ("train", train, val, "--output", SEED0, *CPU, *CONFIG), one_writer=True)
    for i in range(2):
        words = ("sample", f"{SEED0}/denoiser.safetensors", "--output", SAMPLES[i], "--shard", f"{i}/2")
        yield Stage(f"sample {i}", (*words, *CPU, *CONFIG), one_writer=True)
    yield Stage("replicate", ("replicate", *SAMPLES, "--output", f"{RESULTS}/crystals", *CONFIG))
    for i in range(2):
        words = ("score", UNITS, "--output", SCORES[i], "--shard", f"{i}/2", *CONFIG)
        yield Stage(f"score {i}", words, one_writer=True)
    prints = {name: f"{RESULTS}/fingerprints/{name}.npz" for name in ("generated", "test")}
    for name, units in (("generated", UNITS), ("test", test)):
        yield Stage(f"fingerprint {name}", ("fingerprint", units, "--output", prints[name], *TWO, *CONFIG))
    words = ("summarise", *SCORES, "--units", UNITS, "--train", train, "--reference", test)
    words += ("--fingerprints", prints["generated"], "--reference-fingerprints", prints["test"])
    yield Stage("summarise", (*words, "--output", f"{RESULTS}/metrics", *TWO, *CONFIG))
    for i in range(2):
        table = f"{RESULTS}/relaxed/shard{i}.csv"
        words = ("relax", UNITS, "--output", table, "--output-crystals", table.replace(".csv", ".extxyz"))
        words += ("--shard", f"{i}/2", *CPU, *CONFIG)
        yield Stage(f"relax {i}", (*words, "--set", "relax.batch_size=1"), one_writer=True)
    relaxed = tuple(f"{RESULTS}/relaxed/relaxed.{suffix}" for suffix in ("csv", "extxyz"))
    judged = f"{RESULTS}/judges/sevennet-0/shard0.csv"
    words = ("judge", relaxed[0], "--relaxed", relaxed[1], "--potential", "sevennet-0", "--output", judged)
    yield Stage("judge", (*words, *CPU, *CONFIG), one_writer=True)
    references = f"{RESULTS}/hull/reference.csv", f"{RESULTS}/hull/own/sevennet-0.csv"
    for name, output in zip(("chgnet", "sevennet-0"), references, strict=True):
        words = ("reference", *SPLITS, "--in-play", relaxed[0], "--output", output, "--set", f"hull.source={name}")
        yield Stage(f"reference {name}", (*words, *CPU, *CONFIG), one_writer=True)
    hull = f"{RESULTS}/hull.csv"
    words = ("hull", relaxed[0], judged, "--reference", *references, "--output", hull)
    yield Stage("hull", words)
    per_crystal = f"{RESULTS}/sun_per_crystal.csv"
    words = ("sun", hull, "--crystals", UNITS, "--relaxed", relaxed[1], "--train", train, "--known", val, test)
    words += ("--scores", *SCORES, "--output", f"{RESULTS}/sun.csv", "--output-per-crystal", per_crystal, *TWO)
    yield Stage("sun", (*words, *CONFIG))
    words = ("candidates", per_crystal, "--relaxed", relaxed[1], "--output", f"{RESULTS}/candidates.csv")
    yield Stage("candidates", (*words, "--output-cifs", f"{RESULTS}/candidates.zip"))
    words = ("predictor", *SPLITS, "--output", f"{RESULTS}/predictor", *CPU, *CONFIG, "--variant", "multigraph")
    yield Stage("predictor", words, one_writer=True)
    yield Stage("report", ("report", RESULTS, "--output", f"{RESULTS}/report", "--no-table-5", *CONFIG))
    words = ("generate", "--checkpoint", f"{SEED0}/denoiser.safetensors", "--output", f"{RESULTS}/made", *CPU)
    yield Stage("generate", (*words, "--number", "3", "--overwrite"))
    words = ("evaluate", CRYSTALS, "--output", f"{RESULTS}/scored", "--reference", val, "--train", train)
    yield Stage("evaluate", (*words, *TWO, "--overwrite"))
    words = ("evaluate", UNITS, "--output", f"{RESULTS}/judged", "--reference", val, "--train", train, "--relax")
    yield Stage("evaluate --relax", (*words, *TWO, *CPU, *CONFIG, "--set", "relax.batch_size=1", "--overwrite"))
    for form in ("mattergen", "xtalmet"):  # genbench takes 2,500 crystals
        words = ("export", UNITS, "--output", f"{RESULTS}/export_{form}", "--format", form, "--overwrite")
        yield Stage(f"export {form}", words)


def prepare(folder: Path, only: set[str] | None = None) -> Prepared:
    """Run the chain once, up to the last stage of `only`, and see what each stage reads and writes.

    What an earlier call has made of the whole chain in `folder` is taken as it is.

    Raises:
        RuntimeError: a stage fails although nothing disturbs it.
    """
    told = folder.with_name(f"{folder.name}.json")
    if told.exists():
        return Prepared(folder, {stage["name"]: Stage(**stage) for stage in json.loads(told.read_text())})
    folder.mkdir(parents=True)
    prepared = Prepared(folder)
    for stage in stages():
        if only is not None and only <= prepared.stages.keys():
            break
        before = set(files(folder))
        named = [folder / word for word in (*stage.words, *stage.reads) if word.startswith(RESULTS)]
        read = {str(path.relative_to(folder)) for path in named if path.is_file()}
        read |= {name for path in named if path.is_dir() for name in files(folder, path)}
        started = time.monotonic()
        done = start(stage.words, folder).finish(600)
        if done.status != 0:
            raise RuntimeError(f"{stage.name}: {done.status}\n{done.text}")
        stage.seconds = time.monotonic() - started
        stage.inputs = tuple(sorted(read))
        stage.outputs = tuple(sorted(set(files(folder)) - before))
        prepared.stages[stage.name] = stage
        if stage.name == "relax 1":
            gather(folder / RESULTS / "relaxed")
    if only is None:
        told.write_text(json.dumps([vars(stage) for stage in prepared.stages.values()]))
    return prepared


def gather(folder: Path) -> None:
    """One table and one file of structures of all shards, as the workflow's rule makes them."""
    tables = [path.read_text().splitlines(keepends=True) for path in sorted(folder.glob("shard?.csv"))]
    rows = sorted(row for table in tables for row in table[1:])
    (folder / "relaxed.csv").write_text("".join([tables[0][0], *rows]))
    structures = [path.read_text() for path in sorted(folder.glob("shard?.extxyz"))]
    (folder / "relaxed.extxyz").write_text("".join(structures))


def files(folder: Path, inside: Path | None = None) -> list[str]:
    """All files of a folder, or below `inside` in it, by their names from there."""
    return [str(path.relative_to(folder)) for path in (inside or folder).rglob("*") if not path.is_dir()]
