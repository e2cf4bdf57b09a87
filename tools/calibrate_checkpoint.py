"""Calibrate the Wyckoff network of a checkpoint that was trained before trainings did so at their end.

    python tools/calibrate_checkpoint.py src/symmcd/weights/mp20.safetensors results-cpu/asymmetric_units/train.npz 4

The last is the number of rounds (`training.calibration_rounds`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from symmcd.diffusion.checkpoint import read_checkpoint, write_checkpoint
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.staged.calibration import calibrate_elements
from symmcd.diffusion.staged.model import trained
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.storage import read_units


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="denoiser.safetensors of a staged model; is changed")
    parser.add_argument("train", type=Path, help="asymmetric units it was trained on, npz")
    parser.add_argument("rounds", type=int)
    a = parser.parse_args()
    checkpoint = read_checkpoint(a.checkpoint)
    units, metadata = read_units(a.train), checkpoint.metadata
    # not the hash of the data: last digits of coordinates depend on the processor that reduced them
    theirs, ours = checkpoint.statistics.tensors(), DataStatistics.of(units).tensors()
    if not all(torch.equal(theirs[name], ours[name]) for name in ("orbit_count", "element_marginal")):
        raise SystemExit(f"{a.train}: not the crystals that {a.checkpoint} was trained on")
    data = WyckoffSequences.from_units(units)
    weights = dict(checkpoint.weights)
    if "calibration_rounds" in metadata["wyckoff"]:
        raise SystemExit(f"{a.checkpoint}: calibrated already")
    network = trained(WyckoffNetwork(checkpoint.settings), checkpoint, "wyckoff")
    shift = calibrate_elements(network, data, a.rounds)[network.seen]
    weights["wyckoff.element_head.bias"] = network.element_head.bias.detach()
    metadata["wyckoff"]["calibration_rounds"] = a.rounds
    print(f"logits of elements shifted by {shift.std():.3f} (standard deviation)")
    statistics = checkpoint.statistics.tensors() | checkpoint.tensors
    write_checkpoint(a.checkpoint, weights, statistics, checkpoint.settings, metadata)


if __name__ == "__main__":
    main()
