"""Times of a reverse process learnt from the denoiser: the N steps that lose the least of its bound on log p.

    python bench/study/schedule.py --checkpoint src/symmcd/weights/mp20.safetensors --number 1000 --steps 50 \
        --units results-cpu/asymmetric_units/val.npz --learn-from results-cpu/asymmetric_units/train.npz

The bound is a sum over steps, each of which costs what the denoiser errs at its beginning (measured at `ASKED` times on
the first crystals of `--learn-from`), weighed by what the step removes of the noise.  So the best N steps follow
exactly by dynamic programming (Watson et al. 2021, *Learning to efficiently sample from diffusion probabilistic
models*), of the lattice, of the coordinates or of both.  Each schedule then makes geometries of the positions and
elements of `--units`, as `oracle.py` does, beside steps spread evenly.
"""

from __future__ import annotations

import argparse
import itertools
import platform
from pathlib import Path

import numpy as np
import torch
from oracle import found_again, geometry

from symmcd.diffusion.checkpoint import read_checkpoint
from symmcd.diffusion.noise_schedule import reverse_times
from symmcd.diffusion.staged.environment import OrbitPairs
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.geometry_process import noised
from symmcd.diffusion.staged.model import StagedModel
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables
from symmcd.storage import read_units

ASKED = 50  # times at which the denoiser's error is measured


def errors(model: StagedModel, crystals: FlatCrystals, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(T + 1,) squared errors |z - ẑ|² of the clean lattice and |ŝ - s|² of the score, summed over a crystal's freedom.

    ẑ is kept within the bounds of the reverse process, as there: without them any error near T would be infinite.
    """
    process, generator = model.process, torch.Generator().manual_seed(seed)
    asked = np.unique(np.linspace(1, process.steps, ASKED).round().astype(int))
    pairs, clean, found = OrbitPairs.of(crystals), process.scale.standardise(crystals), []
    tables = symmetry_tables("cpu")
    free, movable = tables.lattice_free[crystals.space_group - 1], tables.free[crystals.wyckoff]
    for time in asked.tolist():
        at = torch.full((len(crystals),), time)
        normal = (torch.randn(n, w, generator=generator) for n, w in ((len(crystals), 6), (len(crystals.u), 3)))
        noisy = noised(process, crystals, at, *normal)
        answer = process.predict(model.geometry, crystals, pairs, noisy.z, noisy.u, at)
        a = process.alpha_bar[time]
        guess = ((noisy.z - (1 - a).sqrt() * answer.lattice_noise) / a.sqrt()).clamp(*process.bounds)
        score = (answer.score - noisy.score) * process.score_scale[time] * movable
        found.append(((((guess - clean) * free) ** 2).sum(), (score**2).sum()))
    every = np.arange(process.steps + 1)
    lattice, position = (np.interp(every, asked, values) for values in np.array(found).T / len(crystals))
    return lattice, position


def step_costs(model: StagedModel, lattice: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T + 1, T + 1) nats per crystal that a step from t to s costs, [t, s], of lattice and of coordinates; s from 1.

    Gaussian steps with the variance of the posterior: ½ (ᾱ_s/(1 - ᾱ_s) - ᾱ_t/(1 - ᾱ_t)) |z - ẑ|² of the lattice
    (Kingma et al. 2021, eq. 13), ½ (σ_t² - σ_s²) σ_t²/σ_s² |ŝ - s|² of the coordinates.
    """
    a, sigma = (x.double().numpy() for x in (model.process.alpha_bar, model.process.sigma))
    a, sigma = np.minimum(a, a[1]), np.maximum(sigma, sigma[1])  # at 0, where nothing ends
    ratio = a / (1 - a)
    of_lattice = 0.5 * (ratio[None, :] - ratio[:, None]) * lattice[:, None]
    lost = sigma[:, None] ** 2 - sigma[None, :] ** 2
    return of_lattice, 0.5 * lost * (sigma[:, None] / sigma[None, :]) ** 2 * position[:, None]


def cheapest(cost: np.ndarray, steps: int) -> list[int]:
    """Times T … 1 of so many steps from T to 1 with the least sum of ``cost[t, s]``, T first."""
    last = len(cost) - 1
    allowed = np.where(np.tri(last + 1, k=-1, dtype=bool), cost, np.inf)  # s < t
    allowed[:, 0] = np.inf
    best = np.full(last + 1, np.inf)
    best[1] = 0.0  # of getting from t to 1 in as many steps as have been gone through
    choices = []
    for _ in range(steps):
        totals = allowed + best[None, :]
        choices.append(totals.argmin(axis=1))
        best = totals.min(axis=1)
    times = [last]
    for choice in reversed(choices):
        times.append(int(choice[times[-1]]))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--units", type=Path, required=True, help="real crystals to find again, npz")
    parser.add_argument("--learn-from", type=Path, required=True, help="real crystals to measure errors on, npz")
    parser.add_argument("--number", type=int, default=500)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--proposals", type=int, default=1)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of schedules as they are printed")
    parser.add_argument("--no-corrector", dest="corrector", action="store_false")
    arguments = parser.parse_args()
    model = StagedModel(read_checkpoint(arguments.checkpoint))
    learnt, real = (read_units(path) for path in (arguments.learn_from, arguments.units))
    learnt, real = (units.take(range(min(arguments.number, len(units)))) for units in (learnt, real))
    steps, whole = arguments.steps, model.process.steps
    with torch.inference_mode():
        lattice, position = step_costs(model, *errors(model, FlatCrystals.from_units(learnt)))
    schedules = {"evenly": reverse_times(whole, steps)}
    for name, cost in (("lattice", lattice), ("coordinates", position), ("both", lattice + position)):
        schedules[f"least cost, {name}"] = [*cheapest(cost, steps)[:-1], 0]  # the last step goes on to 0
    print(f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads; {steps} steps, "
          f"{arguments.proposals} proposals, corrector: {arguments.corrector}")  # fmt: skip
    print("| schedule | times at a quarter, half, three quarters | lattice, coordinates: nats | found again | tight |")
    for name in arguments.only or schedules:
        times = schedules[name]
        ends = [*times[:-1], 1]
        nats = [sum(cost[t, s] for t, s in itertools.pairwise(ends)) for cost in (lattice, position)]
        with torch.inference_mode():
            made = geometry(model, real, times, arguments.proposals, arguments.corrector)
        found = found_again(made, real)
        quarters = [times[len(times) * quarter // 4] for quarter in (1, 2, 3)]
        print(f"| {name} | {quarters} | {nats[0]:.2f}, {nats[1]:.2f} | {100 * found.matched:.1f} % of "
              f"{found.crystals} | {100 * found.tight:.1f} % |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
