"""Stage ``train``: asymmetric units → the weights of a model, with a row of losses an epoch.

The parts of a model (`symmcd.extensions.ModelKind.parts`) do not need each other to be trained: one after the other, or
each by a process of its own (`part`), after which a call without `part` puts them together.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from symmcd.device import choose_device, hold_gpu
from symmcd.diffusion.abilities import weights_path
from symmcd.diffusion.checkpoint import read_checkpoint
from symmcd.diffusion.distributed import process_group
from symmcd.diffusion.model import Task
from symmcd.diffusion.model_training import ModelTraining
from symmcd.diffusion.training import write_losses
from symmcd.errors import InputError
from symmcd.extensions import MODELS
from symmcd.one_writer import one_writer
from symmcd.settings import ModelSettings, TrainingSettings, path_of
from symmcd.storage import atomic_path, read_units


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
    """Train a model, resuming each part from ``checkpoint.safetensors`` in its folder if there is one.

    Batches, noise and initial weights follow from `seed` and the step number alone, so a training that was killed at
    any moment and started again ends with the same weights as one that was not, bit for bit on a CPU (but for
    ``max_minutes``, which makes the schedule depend on the clock).  Several processes that torchrun starts train
    together (`diffusion.distributed`) and take the same steps as one.

    Args:
        train, val: asymmetric units.
        output_dir: gets ``denoiser.safetensors`` and ``losses.csv``; each part has a folder in it.
        model, settings, seed, device: as in the configuration.
        part: name of the part to train alone; None trains what is not trained yet, and puts all together.

    Raises:
        InputError: unusable data, no CUDA device, a network that a CPU would train for more than a day, or another
            process that trains it.
        SymmcdError: the loss became infinite or NaN; the batch is saved and named.
    """
    units, validation = read_units(train), read_units(val)
    if not len(units) or not len(validation):
        raise InputError(f"{train if not len(units) else val}: no crystals to train on")
    parts = [known.name for known in MODELS[model.kind].parts]
    if part is not None and part not in parts:
        has = f"the parts {', '.join(parts)}" if parts else "no parts"
        raise InputError(f"--part {part}: this model, of kind {model.kind!r}, has {has}")
    if settings.weights:
        adopt(settings.weights, output_dir)
        return
    hold_gpu(device)
    where = choose_device(device)
    with process_group(where) as process, contextlib.ExitStack() as until_written:
        if process.writes and part is None:
            until_written.enter_context(one_writer(output_dir / "denoiser.safetensors"))
        task = Task(units, validation, model, settings, process.device(where))
        training = ModelTraining.of(task, seed, output_dir, process, automatic=device == "auto")
        if part is None:
            training.run()
        else:
            training.train(part)


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
