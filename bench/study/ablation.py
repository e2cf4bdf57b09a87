"""One change of a network of our model at a time, trained for the same number of epochs: validation losses.

    python bench/study/ablation.py --units results-cpu/asymmetric_units --epochs 8
    python bench/study/ablation.py --units results-cpu/asymmetric_units --epochs 8 --set environment.CUTOFF=1.8
    python bench/study/ablation.py --units results-cpu/asymmetric_units --epochs 8 --part wyckoff --training ema_decay=0

`--set` changes a constant of a module of `symmcd.diffusion.staged` before the network is made, `--training` a number of
that section of the settings.  The losses of the geometry network are means over all validation crystals at fixed times
and noise, those of the Wyckoff network nats per crystal.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib
import io
import platform
import tempfile
import time
from pathlib import Path

import torch

from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.settings import TrainingSettings
from symmcd.stages import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=Path, required=True, help="folder with train.npz and val.npz")
    parser.add_argument("--part", choices=("wyckoff", "geometry"), default="geometry")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="learning rate")
    parser.add_argument("--dropout", type=float, default=0.3, help="of the Wyckoff network")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="MODULE.NAME=NUMBER")
    parser.add_argument("--training", action="append", default=[], metavar="KEY=NUMBER", help="of the section training")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    arguments = parser.parse_args()
    for change in arguments.changes:
        name, value = change.split("=")
        module, constant = name.split(".")
        owner = importlib.import_module(f"symmcd.diffusion.staged.{module}")
        setattr(owner, constant, type(getattr(owner, constant))(value))
    model = StagedSettings(
        width=arguments.width, layers=arguments.layers,
        wyckoff_width=arguments.width, wyckoff_layers=arguments.layers, dropout=arguments.dropout,
    )  # fmt: skip
    settings = TrainingSettings(
        epochs=arguments.epochs, wyckoff_epochs=arguments.epochs, validate_every=arguments.epochs,
        batch_size=128, learning_rate=arguments.rate,
        **{key: float(number) for key, number in (change.split("=") for change in arguments.training)},
    )  # fmt: skip
    files, began = (arguments.units / "train.npz", arguments.units / "val.npz"), time.process_time()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        train.run(*files, Path(folder), model, settings, seed=0, device="cpu", part=arguments.part)
        with (Path(folder) / arguments.part / "losses.csv").open() as file:
            last = list(csv.DictReader(file))[-1]
    losses = [f"{name.removeprefix('val_')} {float(last[name]):.4f}" for name in last if name.startswith("val_")]
    print(
        f"{arguments.part}, {arguments.layers} layers, width {arguments.width}, rate {arguments.rate:g}, "
        f"{', '.join(arguments.changes + arguments.training) or 'no change'}: {', '.join(losses)} "
        f"after {arguments.epochs} epochs, {(time.process_time() - began) / 60:.1f} CPU minutes "
        f"(torch {torch.__version__}, {platform.machine()})",
        flush=True,
    )


if __name__ == "__main__":
    main()
