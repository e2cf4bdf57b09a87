"""A training of any kind of model: its parts, one by one or by several processes, and then the whole."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.abilities import weights_path
from symmcd.diffusion.checkpoint import data_sha256, read_checkpoint, read_part, write_checkpoint, write_part
from symmcd.diffusion.distributed import Process
from symmcd.diffusion.initial_weights import InitialWeights
from symmcd.diffusion.loss_table import loss_columns, write_losses
from symmcd.diffusion.model import PartObjective, Task
from symmcd.diffusion.optimisation import Optimisation
from symmcd.diffusion.random_streams import mixed_seed
from symmcd.diffusion.training import STATE, minimise
from symmcd.diffusion.training_state import set_aside
from symmcd.errors import InputError
from symmcd.extensions import MODELS, ModelKind, Workload
from symmcd.one_writer import one_writer
from symmcd.settings import ModelSettings, TrainingSettings, path_of, read_section
from symmcd.storage import atomic_path
from symmcd.tables import check_numbers, read_rows

# training settings, to the weights; what stands in the file `init` is hashed by itself
NO_MATTER = ("checkpoint_minutes", "tensorboard", "crystals_at_once", "weights", "init")
Trained = tuple[dict[str, Tensor], dict[str, Any]]  # weights of a part, and how long they took


@dataclass(frozen=True, eq=False)
class ModelTraining:
    """Definition of a training: model, data, settings and device."""

    task: Task
    seed: int
    output_dir: Path
    process: Process
    hashes: Mapping[str, str]  # hashes of the data
    automatic: bool = False  # nobody has named the device
    initial: InitialWeights | None = None  # what is trained on; None: random weights

    @classmethod
    def of(cls, task: Task, seed: int, output_dir: Path, process: Process, *, automatic: bool) -> ModelTraining:
        """A training of `task`, with the hashes of its data.

        Raises:
            InputError: no such weights as `training.init` names, or those of another kind of model.
        """
        hashes = {"data_sha256": data_sha256(task.train), "validation_sha256": data_sha256(task.validation)}
        initial = InitialWeights.read(task.training.init, task.model) if task.training.init else None
        if initial is not None:
            hashes["init_sha256"] = initial.sha256
        return cls(task, seed, output_dir, process, hashes, automatic, initial)

    @property
    def kind(self) -> ModelKind:
        """Kind of the model."""
        return MODELS[self.task.model.kind]

    def run(self) -> None:
        """Train the parts that are not trained yet, and join all parts as ``denoiser.safetensors``.

        Raises:
            InputError: a network that a CPU would train for more than a day, initial weights that do not fit, a damaged
                file, or another process that trains it.
            SymmcdError: the loss became infinite or NaN; the batch is saved and named.
        """
        if self.initial is not None:
            for part in self.kind.parts:  # all before the first is trained
                self._objective(part.name)
        trained = {part.name: self.train(part.name) for part in self.kind.parts}
        if not self.process.writes:
            return
        path = self.output_dir / "denoiser.safetensors"
        tables = {self.output_dir / name / "losses.csv": done.get("loss_rows") for name, (_, done) in trained.items()}
        join_losses(tables, self.output_dir / "losses.csv")
        parts = {name: weights for name, (weights, _) in trained.items()}
        weights, statistics = self.kind.load().assemble(self.task.model, parts, self.task.train)
        provenance = self._provenance() | {name: done for name, (_, done) in trained.items()}
        write_checkpoint(path, weights, statistics, self.task.model, provenance)
        print(f"wrote {path} ({sum(w.numel() for w in weights.values())} values)")

    def train(self, name: str) -> Trained:
        """Weights of the part `name`; read where they are there already.

        Raises:
            InputError, SymmcdError: as `run`.
        """
        path = self.output_dir / name / "weights.safetensors"
        with one_writer(path) if self.process.writes else contextlib.nullcontext():
            digest = settings_hash(self.task.model, self.task.training, self.seed, self.hashes, name)
            finished = read_part(path, digest)
            return self._trained(name, path, digest) if finished is None else finished

    def _trained(self, name: str, path: Path, digest: str) -> Trained:
        task = self.task
        if self.automatic and task.device.type == "cpu":
            refuse_days(task.model, task.training, task.train)
        if path.exists() and self.process.writes:
            set_aside(path)
        objective = self._objective(name)
        epochs = getattr(task.training, self.kind.part(name).epochs)
        optimisation = Optimisation.of(task.training, epochs)
        weights, done = minimise(objective, path.parent, optimisation, self.seed, digest, self.process)
        if self.process.writes:
            weights, more = objective.finished(weights)
            done |= more
            write_part(path, weights, done, digest)
            (path.parent / STATE).unlink(missing_ok=True)
            print(f"wrote {path}")
        return weights, done

    def _objective(self, name: str) -> PartObjective:
        """Objective of the training of the part `name`, with the network that it starts from."""
        names = [part.name for part in self.kind.parts]
        first = (names.index(name),) if len(names) > 1 else ()  # parts start from weights of their own
        torch.manual_seed(mixed_seed(self.seed, *first))
        objective = self.kind.load().objective(name, self.task)
        if self.initial is not None:
            self.initial.give(name, objective.network, self.task.model)
        return objective

    def _provenance(self) -> dict[str, Any]:
        """Statement of the checkpoint about its making."""
        return {
            "seed": self.seed,
            "device": self.task.device.type,
            **self.hashes,
            "crystals": len(self.task.train),
            "training": dataclasses.asdict(self.task.training),
        }


def refuse_days(model: ModelSettings, settings: TrainingSettings, units: AsymmetricUnits) -> None:
    """Stop a training that would take two CPU cores more than a day, unless the user set a limit of time.

    Raises:
        InputError: naming the configuration that fits.
    """
    count = np.diff(units.start)
    days = MODELS[model.kind].cpu_days(model, settings, Workload(int(count.sum()), int((count**2).sum())))
    if days > 1 and not settings.max_minutes:
        raise InputError(
            f"training at this size takes about {days:.0f} days on a CPU, and there is no CUDA device here. "
            "Use config/cpu.yaml (MP-20, an hour and a half), or config/quickstart.yaml (minutes); "
            "with --device cpu, or `device: cpu` in the configuration, it trains here anyway"
        )


def settings_hash(
    model: ModelSettings, settings: TrainingSettings, seed: int, hashes: Mapping[str, str], part: str
) -> str:
    """Hash of everything that the weights of a part depend on; a state with another hash is not resumed."""
    values: dict[str, Any] = {"seed": seed, "part": part, **hashes}
    independent_of = MODELS[model.kind].part(part).independent_of
    for section, given in (("model", model), ("training", settings)):
        # read again, so that 0 and 0.0 are one value whether they come from Python, JSON or the defaults
        read = dataclasses.asdict(read_section(section, dataclasses.asdict(given)))
        without = {*independent_of.get(section, ()), *(NO_MATTER if section == "training" else ())}
        values[section] = {name: value for name, value in read.items() if name not in without}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def join_losses(parts: Mapping[Path, int | None], path: Path) -> None:
    """One table of the losses of all parts; seconds add up, totals stay with the parts if there are several.

    Args:
        parts: tables, with the number of rows that their training wrote; None for one of an earlier version.
        path: table to write.

    Raises:
        InputError: a table that is damaged or has lost rows.
    """
    rows: dict[int, dict[str, Any]] = {}
    names: list[str] = []
    for part, number in parts.items():
        table, of_part = _read_losses(part, number)
        names += [name for name in of_part if name != "total" or len(parts) == 1]
        for row in table:
            joined = rows.setdefault(int(float(row["epoch"])), {"epoch": row["epoch"], "seconds": 0.0})
            joined["seconds"] += float(row["seconds"])
            joined |= {f"{split}_{name}": row[f"{split}_{name}"] for split in ("train", "val") for name in names
                       if f"{split}_{name}" in row}  # fmt: skip
    write_losses(path, [rows[epoch] for epoch in sorted(rows)], names)


def _read_losses(path: Path, number: int | None) -> tuple[list[dict[str, str]], list[str]]:
    """Rows of a table that `write_losses` wrote, and the names of the losses in it.

    Raises:
        InputError: it is damaged or has not `number` rows.
    """
    again = f"delete {path.parent} and run `symmcd train` again"
    table = read_rows(path, ("epoch", "seconds"), "train")
    if number is not None and len(table) != number:
        raise InputError(f"{path}: {len(table)} rows, but its training wrote {number}; {again}")
    columns = list(table[0]) if table else []
    names = [column.removeprefix("train_") for column in columns if column.startswith("train_")]
    expected = list(loss_columns(names))
    if table and columns != expected:
        other = next((c for c in columns if c not in expected), "") or next(c for c in expected if c not in columns)
        raise InputError(f"{path}: the column {other!r} is not of a table of losses or lacks its counterpart; {again}")
    check_numbers(path, table, columns, "train")
    return table, names


def adopt(name: str, output_dir: Path) -> None:
    """Take the weights called `name` as if they had been trained here; the table of losses is empty.

    Raises:
        InputError: no such weights, or a damaged file.
    """
    source, path = weights_path(str(path_of(name))), output_dir / "denoiser.safetensors"
    read_checkpoint(source)
    with atomic_path(path) as temporary:
        shutil.copyfile(source, temporary)
    write_losses(output_dir / "losses.csv", [], ())
    print(f"wrote {path}, a copy of {source}: nothing was trained")
