"""Does teaching the network what a stability model chose beat choosing?

    python bench/study/amortise.py --output amortised [--chosen 20000] [--one-in 20] [--epochs 6] [--number 1000]

The shipped network for positions and elements is trained on `--chosen` drafts that the stability model chose (one in
`--one-in`), with p(space group, number of orbits) counted in them; training stops at the lowest loss on a tenth that is
held out.  Written to the folder `--output`: amortised.safetensors, and crystals of each way with cheap geometries (25
steps, one proposal), which `symmcd relax --set relax.method=symmetry`, `judge`, `hull` and `sun` then judge:

    shipped-20       best of 20 of the shipped network
    amortised-guards drafts of the trained network that pass the guards, unchosen
    amortised-20     best of 20 of the trained network

CPU seconds a crystal are printed: what is kept must be better than choosing at equal time.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np

from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.drafts import Drafts
from symmcd.diffusion.checkpoint import write_checkpoint
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.pool import BLOCK
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.diffusion.staged.teaching import taught
from symmcd.stability_model import choosing
from symmcd.stability_model.chemistry import CHEMISTRIES, chemistry, has_lanthanides
from symmcd.stability_model.materials import arrangements_of
from symmcd.storage import write_units

SEED = 7  # of the drafts that are learnt from; others are judged


def chosen_drafts(generator: Generator, number: int, often: int, seed: int) -> tuple[Drafts, float]:
    """And CPU seconds for each."""
    began = time.process_time()
    drafts, choice = generator.draft_stable(number, often, None, seed=seed)
    print(choice.sentence(), flush=True)
    return drafts, (time.process_time() - began) / number


def composition_of(drafts: Drafts) -> str:
    amounts = content.amounts(drafts)
    kinds = Counter(chemistry(amounts).tolist())
    shares = [f"{name} {100 * kinds[i] / len(drafts):.0f}" for i, name in enumerate(CHEMISTRIES)]
    different = 100 * len(set(drafts.arrangement)) / len(drafts)
    lanthanides = 100 * has_lanthanides(amounts).mean()
    return f"{', '.join(shares)}, with lanthanides {lanthanides:.0f}; different {different:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--chosen", type=int, default=20_000)
    parser.add_argument("--one-in", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--number", type=int, default=1000)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    shipped = load_pretrained("mp20", device="cpu")
    drafts, cost = chosen_drafts(shipped, given.chosen, given.one_in, SEED)
    print(f"{len(drafts)} chosen, {cost:.4f} CPU s each; {composition_of(drafts)}", flush=True)

    began = time.process_time()
    new = taught(
        shipped.checkpoint, drafts, given.epochs,
        on_epoch=lambda epoch, loss: print(f"epoch {epoch}: held out {loss:.3f} nats", flush=True),
    )  # fmt: skip
    print(f"trained in {time.process_time() - began:.0f} CPU s", flush=True)
    file = given.output / "amortised.safetensors"
    write_checkpoint(file, new.weights, new.statistics.tensors() | new.tensors, new.settings, new.metadata)

    amortised = load_pretrained(file, device="cpu")
    known = arrangements_of(["train"])
    began = time.process_time()
    drawn = Drafts.concatenate(
        [amortised.draft(np.arange(first, first + BLOCK), seed=0) for first in range(0, 2 * given.number, BLOCK)]
    )
    passed = drawn.take(choosing.guards(drawn, known=known) == 0)
    each = (time.process_time() - began) / max(1, len(passed))
    print(f"{len(passed)} of {len(drawn)} drafts of the trained network pass the guards")
    ways = {
        "shipped-20": (shipped, *chosen_drafts(shipped, given.number, given.one_in, 0)),
        "amortised-guards": (amortised, passed.take(np.arange(min(given.number, len(passed)))), each),
        "amortised-20": (amortised, *chosen_drafts(amortised, given.number, given.one_in, 0)),
    }
    for name, (generator, some, seconds) in ways.items():
        print(f"{name}: {len(some)} crystals, {seconds:.4f} CPU s each; {composition_of(some)}", flush=True)
        made = generator.with_geometries(some, steps=25, proposals=1)
        write_units(given.output / f"{name}.npz", AsymmetricUnits.from_units(made))


if __name__ == "__main__":
    main()
