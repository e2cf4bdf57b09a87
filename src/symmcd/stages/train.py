"""Stage ``train``: asymmetric units → the weights of a denoiser, with a row of losses an epoch.

The paper's joint denoiser is one network; a staged model is two or more, which do not need each other to be trained:
one after the other, or each by a process of its own (`part`), after which a call without `part` puts them together.
"""

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
from symmcd.crystallography.orbit import in_unit_cell
from symmcd.device import choose_device, hold_gpu
from symmcd.diffusion.abilities import weights_path
from symmcd.diffusion.checkpoint import (
    data_sha256,
    read_checkpoint,
    read_part,
    write_checkpoint,
    write_part,
)
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.distributed import Process, process_group
from symmcd.diffusion.objective import JointObjective
from symmcd.diffusion.random_streams import mixed_seed
from symmcd.diffusion.staged.arrangements import templates
from symmcd.diffusion.staged.calibration import calibrate_elements
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.lattice_scale import LatticeScale
from symmcd.diffusion.staged.objectives import GeometryObjective, WyckoffObjective
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.diffusion.training import STATE, minimise, set_aside, write_losses
from symmcd.errors import InputError
from symmcd.one_writer import one_writer
from symmcd.settings import ModelSettings, TrainingSettings, path_of, read_section
from symmcd.storage import atomic_path, read_units
from symmcd.tables import check_numbers, read_rows

CPU_FLOPS = 1e11  # a generous guess of what two cores do in a second
SURROUNDINGS = 4.0  # what a staged model spends on distances to images and its second network, over its matrix products
NEITHER = ("wyckoff_networks", "frequencies", "aggregation", "standardise_lattice")
NOT_OF: dict[str, dict[str, tuple[str, ...]]] = {  # settings that do not matter to a network
    "wyckoff": {
        "model": ("width", "layers", "time_features", "steps", "sigma_min", "sigma_max", *NEITHER),
        "training": ("epochs", "loss_weights"),
    },
    "geometry": {
        "model": ("wyckoff_width", "wyckoff_layers", "wyckoff_heads", "dropout", *NEITHER),
        "training": ("wyckoff_epochs", "calibration_rounds", "loss_weights"),
    },
}


def run(
    train: Path,
    val: Path,
    output_dir: Path,
    model: ModelSettings,
    settings: TrainingSettings,
    seed: int = 0,
    device: str = "auto",
    part: str | None = None,
) -> None:
    """Train a denoiser, going on from ``checkpoint.safetensors`` in `output_dir` if there is one.

    Batches, noise and initial weights follow from `seed` and the step number alone, so a training that was killed at
    any moment and started again ends with the same weights as one that was not, bit for bit on a CPU (but for
    ``max_minutes``, which makes the schedule depend on the clock).  Several processes that torchrun starts train
    together (`diffusion.distributed`) and take the same steps as one.

    Args:
        train, val: asymmetric units.
        output_dir: gets ``denoiser.safetensors`` and ``losses.csv``; the parts of a staged model have folders in it.
        model, settings, seed, device: as in the configuration.
        part: ``wyckoff``, ``wyckoff_2`` … or ``geometry`` of a staged model, to train it alone; None trains what is not
            trained yet.

    Raises:
        InputError: unusable data, no CUDA device, a network that a CPU would train for more than a day, or another
            process that trains it.
        SymmcdError: the loss became infinite or NaN; the batch is saved and named.
    """
    units, validation = read_units(train), read_units(val)
    if not len(units) or not len(validation):
        raise InputError(f"{train if not len(units) else val}: no crystals to train on")
    if part is not None and part not in model.parts:
        has = f"the parts {', '.join(model.parts)}" if model.parts else "no parts"
        raise InputError(f"--part {part}: this model, of kind {model.kind!r}, has {has}")
    if settings.weights:
        adopt(settings.weights, output_dir)
        return
    hold_gpu(device)
    where = choose_device(device)
    with process_group(where) as process, contextlib.ExitStack() as until_written:
        if process.writes and part is None:
            until_written.enter_context(one_writer(output_dir / "denoiser.safetensors"))
        hashes = {"data_sha256": data_sha256(units), "validation_sha256": data_sha256(validation)}
        task = Task(units, validation, model, settings, seed, hashes, process.device(where), process, device == "auto")
        if model.kind == "staged":
            train_staged(task, output_dir, part)
        else:
            train_joint(task, output_dir)


def adopt(name: str, output_dir: Path) -> None:
    """Take the weights called `name` as if they had been trained here; the table of losses has no rows.

    Raises:
        InputError: no such weights, or a damaged file.
    """
    source, path = weights_path(str(path_of(name))), output_dir / "denoiser.safetensors"
    read_checkpoint(source)
    with atomic_path(path) as temporary:
        shutil.copyfile(source, temporary)
    write_losses(output_dir / "losses.csv", [], ("lattice", "position"))
    print(f"wrote {path}, a copy of {source}: nothing was trained")


@dataclass(frozen=True, eq=False)
class Task:
    """What is trained, on what, how and where."""

    units: AsymmetricUnits
    validation: AsymmetricUnits
    model: ModelSettings
    settings: TrainingSettings
    seed: int
    hashes: Mapping[str, str]  # of the data
    where: torch.device
    process: Process
    automatic: bool  # nobody has named the device

    def refuse_days(self) -> None:
        """Stop before a training that would take days, unless the user has asked for this device."""
        if self.automatic and self.where.type == "cpu":
            refuse_paper_scale(self.model, self.settings, self.units)

    @property
    def provenance(self) -> dict[str, Any]:
        """What the checkpoint says of its making."""
        return {
            "seed": self.seed,
            "device": self.where.type,
            **self.hashes,
            "crystals": len(self.units),
            "training": dataclasses.asdict(self.settings),
        }


def train_joint(task: Task, output_dir: Path) -> None:
    """One network, of the paper's kind."""
    task.refuse_days()
    units, validation = task.units, task.validation
    if task.model.kind == "unit_cell":
        units, validation = in_unit_cell(units), in_unit_cell(validation)
    torch.manual_seed(mixed_seed(task.seed))
    objective = JointObjective(
        task.model, units, validation, task.settings.loss_weights, task.where, task.settings.precision
    )
    print_ = fingerprint(task.model, task.settings, task.seed, task.hashes)
    weights, done = minimise(
        objective, output_dir, task.settings, task.settings.epochs, task.seed, print_, task.process
    )
    if task.process.writes:
        path = output_dir / "denoiser.safetensors"
        write_checkpoint(path, weights, objective.statistics.tensors(), task.model, task.provenance | done)
        (output_dir / STATE).unlink(missing_ok=True)
        print(f"wrote {path} ({sum(w.numel() for w in weights.values())} values)")


def train_staged(task: Task, output_dir: Path, part: str | None) -> None:
    """All networks, or the one that `part` names; they are put together where none is named."""
    weights: dict[str, Tensor] = {}
    provenance = task.provenance
    for name in task.model.parts if part is None else (part,):
        found, provenance[name] = train_part(task, output_dir / name, name)
        weights |= {f"{name}.{key}": value for key, value in found.items()}
    if part is None and task.process.writes:
        others = {
            "lattice_scale": vars(LatticeScale.of(FlatCrystals.from_units(task.units))),
            "templates": templates(WyckoffSequences.from_units(task.units)),
        }
        statistics = DataStatistics.of(task.units).tensors()
        statistics |= {f"{name}.{k}": v for name, tensors in others.items() for k, v in tensors.items()}
        path = output_dir / "denoiser.safetensors"
        # of several Wyckoff networks the first; the others' tables stay in their folders
        tables = {
            output_dir / name / "losses.csv": provenance[name].get("loss_rows") for name in ("wyckoff", "geometry")
        }
        join_losses(tables, output_dir / "losses.csv")
        write_checkpoint(path, weights, statistics, task.model, provenance)
        print(f"wrote {path} ({sum(w.numel() for w in weights.values())} values)")


def train_part(task: Task, folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of one network of a staged model, and how long they took; read where they are there already."""
    with one_writer(folder / "weights.safetensors") if task.process.writes else contextlib.nullcontext():
        return _train_part(task, folder, name)


def _train_part(task: Task, folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = folder / "weights.safetensors"
    print_ = fingerprint(task.model, task.settings, task.seed, task.hashes, name)
    finished = read_part(path, print_)
    if finished is not None:
        return finished
    task.refuse_days()
    if path.exists() and task.process.writes:
        set_aside(path)
    number, seed = member(name), task.seed
    if number > 1:  # another start, another order of the crystals
        seed = mixed_seed(task.seed, number)
    torch.manual_seed(mixed_seed(seed, int(name == "geometry")))
    kind = WyckoffObjective if number else GeometryObjective
    objective = kind(task.model, task.units, task.validation, task.where, task.settings.precision)
    epochs = task.settings.wyckoff_epochs if number else task.settings.epochs
    finished = minimise(objective, folder, task.settings, epochs, seed, print_, task.process)
    if task.process.writes:
        if isinstance(objective, WyckoffObjective) and task.settings.calibration_rounds:
            finished = calibrated(objective, *finished, task.settings)
        write_part(path, *finished, print_)
        (folder / STATE).unlink(missing_ok=True)
        print(f"wrote {path}")
    return finished


def calibrated(
    objective: WyckoffObjective, weights: Mapping[str, Tensor], done: Mapping[str, Any], settings: TrainingSettings
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A trained Wyckoff network that expects each element as often as the training set has it."""
    network, rounds = objective.network, settings.calibration_rounds
    network.load_state_dict(dict(weights))
    network.eval()
    shift = calibrate_elements(network, objective.data, rounds)[network.seen]
    loss = objective.validation_losses(network, settings.batch_size)["total"]
    print(
        "logits of elements shifted until each is expected as often as the training set has it: by "
        f"{shift.std():.3f} (standard deviation) in {rounds} rounds, validation loss now {loss:.4f}"
    )
    return network.state_dict(), {**done, "calibration_rounds": rounds}


def member(part: str) -> int:
    """Number of a Wyckoff network, from 1: ``wyckoff``, ``wyckoff_2`` …; 0 of the geometry network."""
    return 0 if part == "geometry" else int(part.partition("_")[2] or 1)


def refuse_paper_scale(model: ModelSettings, settings: TrainingSettings, units: AsymmetricUnits) -> None:
    """Stop a training that would take two CPU cores more than a day, unless the user set a limit of time.

    Raises:
        InputError: naming the configuration that fits.
    """
    count = np.diff(units.start).astype(float)
    width, staged = model.width, model.kind == "staged"
    pair = 0 if staged else 6 * model.frequencies
    multiply_adds = model.layers * ((count**2).sum() * (pair + width) * width + count.sum() * 5 * width**2)
    days = 6 * multiply_adds * settings.epochs / CPU_FLOPS / 86_400  # forward and backward, two operations each
    days *= SURROUNDINGS if staged else 1
    if days > 1 and not settings.max_minutes:
        raise InputError(
            f"training at this size takes about {days:.0f} days on a CPU, and there is no CUDA device here. "
            "Use config/cpu.yaml (MP-20, an hour and a half), or config/quickstart.yaml (minutes); "
            "with --device cpu, or `device: cpu` in the configuration, it trains here all the same"
        )


def fingerprint(
    model: ModelSettings, settings: TrainingSettings, seed: int, hashes: Mapping[str, str], part: str | None = None
) -> str:
    """Hash of everything that the weights depend on; a state of another fingerprint is not gone on from."""
    # read again, so that 0 and 0.0 are one value whether they come from Python, JSON or the defaults
    read = {
        "model": read_section("model", dataclasses.asdict(model)),
        "training": read_section("training", dataclasses.asdict(settings)),
    }
    values: dict[str, Any] = {
        "model": dataclasses.asdict(read["model"]),
        "training": dataclasses.asdict(read["training"]) | {"checkpoint_minutes": None, "tensorboard": None},
        "seed": seed,
        "part": part,
        **hashes,
    }
    values["training"]["crystals_at_once"] = 0  # a matter of memory
    del values["training"]["weights"]  # there are none, or nothing would be trained
    for section, names in NOT_OF.get((part or "").partition("_")[0], {}).items():
        values[section] = {name: value for name, value in values[section].items() if name not in names}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def join_losses(parts: Mapping[Path, int | None], path: Path) -> None:
    """One table of the losses of parts that have different ones; seconds add up, totals stay with the parts.

    Args:
        parts: tables, with the number of rows that their training wrote; None for one of an earlier version.
        path: table to write.

    Raises:
        InputError: a table that is damaged or has lost rows.
    """
    rows: dict[int, dict[str, Any]] = {}
    names: list[str] = []
    for part, number in parts.items():
        table = read_rows(part, ("epoch", "seconds"), "train")
        if number is not None and len(table) != number:
            raise InputError(
                f"{part}: {len(table)} rows, and its training wrote {number}; delete {part.parent} and run "
                "`symmcd train` again"
            )
        check_numbers(part, table, ("epoch", "seconds"), "train")
        of_part = [column for column in (table[0] if table else ()) if column.startswith("train_")]
        names += [column.removeprefix("train_") for column in of_part if column != "train_total"]
        for row in table:
            joined = rows.setdefault(int(float(row["epoch"])), {"epoch": row["epoch"], "seconds": 0.0})
            joined["seconds"] += float(row["seconds"])
            joined |= {k: v for k, v in row.items() if k not in ("epoch", "seconds") and not k.endswith("_total")}
    write_losses(path, [rows[epoch] for epoch in sorted(rows)], names)
