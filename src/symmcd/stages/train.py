"""Stage ``train``: asymmetric units → the weights of a model, with a row of losses per epoch.

The parts of a model (`symmcd.extensions.ModelKind.parts`) do not need each other to be trained: one after the other, or
each by a process of its own (`part`), after which a call without `part` puts them together.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.extensions import MODELS
from symmcd.one_writer import one_writer
from symmcd.settings import ModelSettings, TrainingSettings

UNITS = "results/asymmetric_units"
EXAMPLE = f"{UNITS}/train.npz {UNITS}/val.npz --output results/training/seed0"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("train", type=Path, help="asymmetric units to learn from, npz")
    parser.add_argument("val", type=Path, help="asymmetric units for the validation loss, npz")
    text = "folder for denoiser.safetensors, losses.csv and a folder for each part"
    parser.add_output(text, metavar="DIR")
    parts = "; ".join(
        f"{', '.join(part.name for part in MODELS[name].parts)} of model.kind = {name}"
        for name in MODELS.shipped
        if MODELS[name].parts
    )
    text = f"train one part of the model alone: {parts} (default: all, then put them together)"
    parser.add_argument("--part", metavar="PART", help=text)
    parser.add_seed()
    parser.add_device()
    parser.add_settings("training", "model")


def run(
    train: Path,
    val: Path,
    output: Path,
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
        output: gets ``denoiser.safetensors`` and ``losses.csv``; each part has a folder in it.
        model, settings, seed, device: as in the configuration.
        part: name of the part to train alone; None trains what is not trained yet, and puts all together.

    Raises:
        InputError: unusable data, no CUDA device, a network that a CPU would train for more than a day, or another
            process that trains it.
        SymmcdError: the loss became infinite or NaN; the batch is saved and named.
    """
    from symmcd.device import choose_device, hold_gpu
    from symmcd.diffusion.distributed import process_group
    from symmcd.diffusion.model import Task
    from symmcd.diffusion.model_training import ModelTraining, adopt
    from symmcd.storage import read_units

    units, validation = read_units(train), read_units(val)
    if not len(units) or not len(validation):
        raise InputError(f"{train if not len(units) else val}: no crystals to train on")
    parts = [known.name for known in MODELS[model.kind].parts]
    if part is not None and part not in parts:
        has = f"the parts {', '.join(parts)}" if parts else "no parts"
        raise InputError(f"--part {part}: this model, of kind {model.kind!r}, has {has}")
    if settings.weights:
        adopt(settings.weights, output)
        return
    hold_gpu(device)
    chosen = choose_device(device)
    with process_group(chosen) as process, contextlib.ExitStack() as until_written:
        if process.writes and part is None:
            until_written.enter_context(one_writer(output / "denoiser.safetensors"))
        task = Task(units, validation, model, settings, process.device(chosen))
        training = ModelTraining.of(task, seed, output, process, automatic=device == "auto")
        if part is None:
            training.run()
        else:
            training.train(part)
