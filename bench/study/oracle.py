"""Where does a model lose?  Each stage judged with the truth in place of what comes before it.

    python bench/study/oracle.py --checkpoint results-cpu/training/seed0/denoiser.safetensors \
        --units results-cpu/asymmetric_units/val.npz --number 500 --steps 25 50 100 [--proposals 4] [--no-corrector]
    python bench/study/oracle.py --overlaps results-cpu/crystals/units.npz

With `--checkpoint` (a staged model): geometries for the Wyckoff positions and elements of real crystals.  Printed for
each number of reverse steps: structurally valid (closest atoms 0.5 Å apart, all images), matched to the very crystal
they came from (pymatgen's StructureMatcher, default tolerances; cells of at most 60 atoms), r.m.s. displacement.
With `--overlaps`: how many crystals have atoms closer than 0.5 Å, and whether of one orbit or of two.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import Crystals, replicate_flat
from symmcd.diffusion.checkpoint import read_checkpoint
from symmcd.diffusion.noise_schedule import reverse_times
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.staged import geometry_process
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.lattice_scale import SIZE
from symmcd.diffusion.staged.model import StagedModel, units_of
from symmcd.diffusion.staged.proposals import likeliest_geometry
from symmcd.storage import read_units

CLOSEST = 0.5  # Å
LARGEST = 60  # atoms of a cell that is matched
SHIFTS = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def overlaps(crystals: Crystals) -> np.ndarray:
    """(B, 2) bool: two atoms of one orbit, of two orbits closer than `CLOSEST`."""
    found = np.zeros((len(crystals), 2), dtype=bool)
    for index, (first, last) in enumerate(zip(crystals.start[:-1], crystals.start[1:], strict=True)):
        x, orbit = crystals.position[first:last], crystals.orbit[first:last]
        difference = x[:, None] - x
        difference -= np.rint(difference)
        distance = np.linalg.norm((difference[:, :, None] + SHIFTS) @ crystals.lattice[index], axis=-1)
        distance[np.arange(len(x)), np.arange(len(x)), 13] = np.inf  # an atom from itself
        close, same = (distance < CLOSEST).any(axis=2), orbit[:, None] == orbit
        found[index] = (close & same).any(), (close & ~same).any()
    return found


def structures(units: AsymmetricUnits) -> list[Structure | None]:
    crystals = replicate_flat(units)
    bounds = zip(crystals.start[:-1], crystals.start[1:], strict=True)
    return [
        Structure(cell, crystals.element[a:b], crystals.position[a:b]) if b - a <= LARGEST else None
        for cell, (a, b) in zip(crystals.lattice, bounds, strict=True)
    ]


def geometry(
    model: StagedModel, units: AsymmetricUnits, times: Sequence[int], proposals: int, corrector: bool, batch: int = 250
) -> AsymmetricUnits:
    """Geometries for the positions and elements of `units`, by a reverse process through `times`."""
    parts = []
    for first in range(0, len(units), batch):
        part = units.take(range(first, min(first + batch, len(units))))
        streams = CrystalStreams(0, torch.arange(first, first + len(part)))
        made = likeliest_geometry(
            model.process,
            model.geometry,
            FlatCrystals.from_units(part),
            times,
            streams,
            corrector=corrector,
            proposals=proposals,
        )
        parts.append(dataclasses.replace(units_of(made, np.arange(first, first + len(part))), label=part.label))
    return AsymmetricUnits.concatenate(parts)


@dataclass(frozen=True)
class Found:
    """How many of some crystals were found again, in cells of at most `LARGEST` atoms."""

    crystals: int
    matched: float  # share, by pymatgen's matcher with its default tolerances
    tight: float  # share within 0.05, 0.1, 2°
    rms: float  # mean displacement of the matched ones; nan where none is


def found_again(made: AsymmetricUnits, real: AsymmetricUnits) -> Found:
    """Of crystals `made` for the positions and elements of `real` ones."""
    matcher, tight = StructureMatcher(), StructureMatcher(ltol=0.05, stol=0.1, angle_tol=2)
    pairs = [(a, b) for a, b in zip(structures(made), structures(real), strict=True) if a is not None and b is not None]
    pairs = [(a.get_primitive_structure(), b.get_primitive_structure()) for a, b in pairs]
    rms = [distance[0] for a, b in pairs if (distance := matcher.get_rms_dist(a, b)) is not None]
    close = float(np.mean([tight.fit(a, b) for a, b in pairs]))
    return Found(len(pairs), len(rms) / len(pairs), close, float(np.mean(rms)) if rms else float("nan"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--units", type=Path, help="real crystals, npz")
    parser.add_argument("--number", type=int, default=500)
    parser.add_argument("--steps", type=int, nargs="+", default=[100])
    parser.add_argument("--proposals", type=int, default=1, help="geometries of which the likeliest is kept")
    parser.add_argument("--no-corrector", dest="corrector", action="store_false", help="ancestral steps alone")
    parser.add_argument("--langevin", type=float, nargs=2, metavar=("LATTICE", "POSITION"), help="sizes of its step")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto", help="of products")
    parser.add_argument("--overlaps", type=Path, metavar="UNITS")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads")
    if arguments.overlaps:
        one, two = overlaps(replicate_flat(read_units(arguments.overlaps))).T
        print(f"{len(one)} crystals, {(one | two).sum()} with atoms closer than {CLOSEST} Å:")
        print(f"{one.sum()} within an orbit, {two.sum()} between orbits, {(one & two).sum()} both")
    if arguments.langevin:
        geometry_process.LATTICE_LANGEVIN, geometry_process.POSITION_LANGEVIN = arguments.langevin
    if arguments.checkpoint:
        model = StagedModel(read_checkpoint(arguments.checkpoint), arguments.precision)
        real = read_units(arguments.units)
        real = real.take(range(min(arguments.number, len(real))))
        crystals = FlatCrystals.from_units(real)
        left = crystals.k[:, SIZE] - model.process.scale.size(crystals)
        print(
            f"log(volume)/3: standard deviation {crystals.k[:, SIZE].std():.3f}, given the composition {left.std():.3f}"
        )
        print("| steps | s | structurally valid | matched | within 0.05, 0.1, 2° | r.m.s. | volume, ratio of medians |")
        for steps in arguments.steps:
            began = time.perf_counter()
            with torch.inference_mode():
                times = reverse_times(model.process.steps, steps)
                made = geometry(model, real, times, arguments.proposals, arguments.corrector)
            seconds = time.perf_counter() - began
            valid = 1 - overlaps(replicate_flat(made)).any(axis=1).mean()
            found = found_again(made, real)
            ratio = np.median(np.exp(3 * made.k[:, 5])) / np.median(np.exp(3 * real.k[:, 5]))
            print(
                f"| {steps} | {seconds:.1f} | {100 * valid:.1f} % | {100 * found.matched:.1f} % of "
                f"{found.crystals} | {100 * found.tight:.1f} % | {found.rms:.3f} | {ratio:.3f} |"
            )


if __name__ == "__main__":
    main()
