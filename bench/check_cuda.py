"""CUDA equals CPU: what the networks of both kinds of model predict, and a reverse step with the same noise, in fp32.

    PYTHONPATH=src python bench/check_cuda.py [--device cuda] [--width 1024 --layers 8 --frequencies 128]

Made-up crystals and random weights, both from a seed; needs torch and numpy only.  Prints the largest difference of
every output over its largest value, and exits with 1 where one is above 1e-4 or classes drawn with the same random
numbers differ in more than 1 of 1,000, or in two (a rounding error flips a draw now and then), or where the staged
networks say something else, in any bit, when they are asked again on the device.
"""

from __future__ import annotations

import argparse
import platform
import sys

import numpy as np
import torch
from torch import Tensor

from symmcd.batch import OrbitBatch
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, numbered_labels
from symmcd.crystallography.lattice import constrain
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion import reverse_process
from symmcd.diffusion.data_statistics import DataStatistics
from symmcd.diffusion.denoiser import Denoiser
from symmcd.diffusion.forward_process import ForwardProcess
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.staged.environment import OrbitPairs, environment
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.geometry_network import GeometryNetwork
from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.diffusion.staged.lattice_scale import LatticeScale
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences

TOLERANCE = 1e-4
FLIPPED = 1e-3  # share of classes
HEADS = ("position_head", "lattice_head", "element_head", "site_symmetry_head")


def main(arguments: list[str] | None = None) -> int:
    """Compare `--device` with the CPU; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--frequencies", type=int, default=128)
    parser.add_argument("--crystals", type=int, default=64)
    parser.add_argument("--time", type=int, default=500, help="t of the step to t - 1, of T = 1000")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    settings = JointSettings(width=given.width, layers=given.layers, frequencies=given.frequencies)
    network = random_network(settings, given.seed)
    staged = random_staged(given.width, given.layers, given.seed)
    units = made_up_units(given.crystals, given.seed)
    name = torch.cuda.get_device_name() if given.device.startswith("cuda") else platform.processor() or "CPU"
    print(f"{name}, torch {torch.__version__}; {sum(p.numel() for p in network.parameters()) / 1e6:.1f} M parameters")

    reference, found = (
        outputs(network, units, given.time, device) | staged_outputs(*staged, units, given.time, device)
        for device in ("cpu", given.device)
    )
    good = True
    for output, expected in reference.items():
        difference, limit = disagreement(output, found[output], expected)
        good &= difference <= limit
        print(f"{output:28} {difference:.2e}{'' if difference <= limit else f'  above {limit:g}'}")
    once_more = staged_outputs(*staged, units, given.time, given.device)
    same = all(torch.equal(found[output], value) for output, value in once_more.items())
    print(f"{'staged, once more':28} {'the same bits' if same else 'OTHER BITS, so a seed is no promise'}")
    good &= same
    print("the devices agree" if good else "the devices DISAGREE")
    return 0 if good else 1


def random_network(settings: JointSettings, seed: int) -> Denoiser:
    """Random weights, of the heads too (in training they start at zero)."""
    torch.manual_seed(seed)
    network = Denoiser(settings).eval().requires_grad_(requires_grad=False)
    for head in HEADS:
        torch.nn.init.normal_(getattr(network, head).weight, std=settings.width**-0.5)
    return network


def random_staged(width: int, layers: int, seed: int) -> tuple[WyckoffNetwork, GeometryNetwork]:
    """The networks of a staged model, a quarter as wide, none of whose answers is zero."""
    settings = StagedSettings(width=max(width // 4, 16), layers=layers, dropout=0.0)
    torch.manual_seed(seed)
    networks = WyckoffNetwork(settings).eval(), GeometryNetwork(settings).eval()
    for parameter in networks[1].parameters():
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=settings.width**-0.5)
    return networks


def made_up_units(number: int, seed: int) -> AsymmetricUnits:
    """Crystals of random groups with 1 to 20 orbits on random positions that have room for them."""
    rng, table = np.random.default_rng(seed), wyckoff_table()
    group, count = rng.integers(1, 231, number), rng.integers(1, 21, number)
    owner = np.repeat(group, count)
    wyckoff = rng.integers(table.start[owner - 1], table.start[owner])
    fixed = table.degrees_of_freedom[wyckoff] == 0
    wyckoff[fixed] = table.start[owner[fixed]] - 1  # the general position, which has room for any number
    generator = table.generator[wyckoff]
    x = (np.einsum("aij,aj->ai", generator[:, :, :3], rng.random((len(owner), 3))) + generator[:, :, 3]) % 1
    return AsymmetricUnits(
        space_group=group,
        k=constrain(rng.normal(0, 0.1, (number, 6)) + [0, 0, 0, 0, 0, 1.6], group),
        start=np.concatenate([[0], np.cumsum(count)]),
        element=rng.integers(1, 90, len(owner)),
        wyckoff=wyckoff,
        position=x,
        label=np.array(numbered_labels(number)),
    )


@torch.inference_mode()
def outputs(network: Denoiser, units: AsymmetricUnits, time: int, device: str) -> dict[str, Tensor]:
    """Prediction of noisy crystals and what one reverse step makes of them, computed on `device`, of real orbits."""
    network = network.to(device)
    process = ForwardProcess(network.settings, DataStatistics.of(units).to(device))
    mask = OrbitBatch.from_units(units).mask
    group = torch.as_tensor(units.space_group, dtype=torch.int64)
    on_cpu = ForwardProcess(network.settings, DataStatistics.of(units))  # or a flipped draw would spoil the rest
    state = reverse_process.start(on_cpu, group, mask, CrystalStreams(0, torch.arange(len(units)))).to(device)
    mask, streams = mask.to(device), CrystalStreams(0, torch.arange(len(units), device=device))
    prediction = network(state, torch.full((len(units),), time, device=device))
    after = reverse_process.predicted(process, state, prediction, time, time - 1, streams, 1)
    return {
        "predicted lattice noise": prediction.lattice_noise.cpu(),
        "predicted score": prediction.position_score[mask].cpu(),
        "element logits": prediction.element[mask].cpu(),
        "site-symmetry logits": prediction.site_symmetry[mask].cpu(),
        "z after a step": after.z.cpu(),
        "coordinates after a step": after.position[mask].cpu(),
        "elements after a step": after.element[mask].cpu(),
        "site symmetry after a step": after.site_symmetry[mask].cpu(),
    }


@torch.inference_mode()
def staged_outputs(
    wyckoff: WyckoffNetwork, geometry: GeometryNetwork, units: AsymmetricUnits, time: int, device: str
) -> dict[str, Tensor]:
    """What the networks of a staged model say of the crystals themselves, and what surrounds their orbits."""
    sequences = WyckoffSequences.from_units(units).to(device)
    said, exist = wyckoff.to(device)(sequences), sequences.mask
    on_cpu = FlatCrystals.from_units(units)
    crystals, scale = on_cpu.to(device), LatticeScale.of(on_cpu).to(device)
    pairs = OrbitPairs.of(crystals)
    around = environment(crystals, pairs, crystals.k, crystals.u)
    t = torch.full((len(units),), time, device=device)
    prediction = geometry.to(device)(crystals, pairs, around, scale.standardise(crystals), t)
    return {
        "logits of Wyckoff positions": said.wyckoff[exist].cpu().nan_to_num(neginf=0.0),
        "logits of elements": said.element[exist].cpu().nan_to_num(neginf=0.0),
        "moments of surroundings": around.moments.cpu(),
        "turns of images": around.turns.cpu(),
        "noise of k": prediction.lattice_noise.cpu(),
        "score of free coordinates": prediction.score.cpu(),
    }


def disagreement(output: str, found: Tensor, expected: Tensor) -> tuple[float, float]:
    """How far two results are apart, and how far they may be: relative, or the share of classes that differ."""
    if not expected.is_floating_point():
        return float((found != expected).double().mean()), max(FLIPPED, 1.5 / expected.numel())
    difference = (found - expected).double()
    if output.startswith("coordinates"):
        difference -= difference.round()  # periodic
    if not bool(difference.isfinite().all()):
        return float("inf"), TOLERANCE
    return float(difference.abs().max() / expected.abs().max()), TOLERANCE


if __name__ == "__main__":
    sys.exit(main())
