"""How likely validation crystals are under a model's Wyckoff network, and in any of their descriptions.

    python bench/study/likelihood.py --checkpoint results-cpu/training/seed0/denoiser.safetensors \
        --units results-cpu/asymmetric_units/val.npz [--number 1000]

Nats a crystal, as in losses.csv.  The last column is minus the logarithm of the sum over all descriptions of a crystal
(origins and axes: its space group's normaliser), so that a model that prefers one of them is not blamed for the others.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.normaliser import letter_permutations
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.checkpoint import read_checkpoint
from symmcd.diffusion.staged.likelihood import log_probabilities
from symmcd.diffusion.staged.model import StagedModel
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.storage import read_units


def descriptions(units: AsymmetricUnits) -> tuple[WyckoffSequences, Tensor]:
    """Every description of every crystal, its own first, and (number,) which crystal each is of."""
    start, rows, elements, owner = wyckoff_table().start, [], [], []
    for index, group in enumerate(units.space_group.tolist()):
        orbits, first = slice(units.start[index], units.start[index + 1]), start[group - 1]
        element, own = units.element[orbits].tolist(), units.wyckoff[orbits] - first
        letters = [own.tolist(), *letter_permutations(group)[:, own].tolist()]
        for pairs in dict.fromkeys(tuple(sorted(zip(image, element, strict=True))) for image in letters):
            rows.append([letter + first for letter, _ in pairs])
            elements.append([number for _, number in pairs])
            owner.append(index)
    longest = max(map(len, rows))
    padded = [torch.tensor([row + [0] * (longest - len(row)) for row in table]) for table in (rows, elements)]
    count = torch.tensor([len(row) for row in rows])
    owners = torch.tensor(owner)
    return WyckoffSequences(torch.as_tensor(units.space_group)[owners].long(), count, *padded), owners


def line(name: str, values: Tensor, owner: Tensor) -> str:
    """A row of the table of log-probabilities `values` (descriptions, N, 2)."""
    of_description = values.sum(dim=1)
    own = of_description[torch.cat([torch.ones(1, dtype=torch.bool), owner[1:] != owner[:-1]])]
    parts = of_description.sum(dim=1).split(torch.bincount(owner).tolist())
    whole = torch.stack([part.logsumexp(dim=0) for part in parts])
    position, element = (-own.mean(dim=0)).tolist()
    return f"| {name} | {position:.3f} | {element:.3f} | {position + element:.3f} | {-float(whole.mean()):.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="of a staged model")
    parser.add_argument("--units", type=Path, required=True, help="validation crystals")
    parser.add_argument("--number", type=int, default=0, help="of them, drawn at random; 0 = all")
    arguments = parser.parse_args()
    units = read_units(arguments.units)
    if 0 < arguments.number < len(units):
        units = units.take(np.random.default_rng(0).choice(len(units), arguments.number, replace=False))
    model = StagedModel(read_checkpoint(arguments.checkpoint))
    crystals, owner = descriptions(units)
    print(f"{len(units)} crystals, {len(crystals)} descriptions (torch {torch.__version__}, {platform.machine()})\n")
    print("| network | positions | elements | together | any description |\n|---|---|---|---|---|")
    print(line(arguments.checkpoint.stem, log_probabilities(model.wyckoff, crystals), owner))


if __name__ == "__main__":
    main()
