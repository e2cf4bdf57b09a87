"""An untrained staged model, from the file of a checkpoint."""

from __future__ import annotations

import pytest
import torch

from symmcd.diffusion.checkpoint import write_checkpoint
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.staged.arrangements import template_tensors
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.geometry_network import GeometryNetwork
from symmcd.diffusion.staged.lattice_scale import LatticeScale
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from tests.diffusion.crystals import SMALL_STAGED, random_units


@pytest.fixture(scope="session")
def staged(tmp_path_factory) -> Generator:
    torch.manual_seed(0)
    units = random_units(60)
    networks = {"wyckoff": WyckoffNetwork(SMALL_STAGED), "geometry": GeometryNetwork(SMALL_STAGED)}
    networks["wyckoff"].seen.copy_(torch.bincount(torch.as_tensor(units.element) - 1, minlength=118) > 0)
    weights = {f"{name}.{k}": v for name, network in networks.items() for k, v in network.state_dict().items()}
    others = {
        "lattice_scale": vars(LatticeScale.of(FlatCrystals.from_units(units))),
        "templates": template_tensors(WyckoffSequences.from_units(units)),
    }
    statistics = DataStatistics.of(units).tensors()
    statistics |= {f"{name}.{k}": v for name, tensors in others.items() for k, v in tensors.items()}
    path = tmp_path_factory.mktemp("staged") / "d.safetensors"
    write_checkpoint(path, weights, statistics, SMALL_STAGED, {})
    return Generator.load(path, "cpu")
