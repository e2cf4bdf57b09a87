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
import torch

from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.drafts import Drafts
from symmcd.diffusion.checkpoint import read_checkpoint, write_checkpoint
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.pool import BLOCK
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.diffusion.staged.model import trained
from symmcd.diffusion.staged.objectives import negative_log_likelihood
from symmcd.diffusion.staged.wyckoff_network import WyckoffNetwork
from symmcd.diffusion.staged.wyckoff_sequence import WyckoffSequences
from symmcd.stability_model import choosing
from symmcd.stability_model.chemistry import CHEMISTRIES, chemistry, has_lanthanides
from symmcd.stability_model.materials import arrangements_of
from symmcd.storage import write_units

BATCH, RATE, SEED = 256, 1e-4, 7  # of the drafts that are learnt from; others are judged
HALF = 0.5  # a count that every number of orbits of a group in MP-20 keeps, so that none becomes impossible


def chosen_drafts(generator: Generator, number: int, often: int, seed: int) -> tuple[Drafts, float]:
    """And CPU seconds for each."""
    began = time.process_time()
    drafts, choice = generator.draft_stable(number, often, None, seed=seed)
    print(choice.sentence(), flush=True)
    return drafts, (time.process_time() - began) / number


def loss_of(network: WyckoffNetwork, crystals: WyckoffSequences) -> float:
    network.eval()
    total = 0.0
    with torch.inference_mode():
        for rows in crystals.count.argsort().split(512):
            some = crystals.select(rows, int(crystals.count[rows].max()))
            total += float(negative_log_likelihood(network, some).sum())
    return total / len(crystals)


def fine_tuned(network: WyckoffNetwork, drafts: Drafts, epochs: int) -> dict[str, torch.Tensor]:
    """Weights with the lowest loss on the held-out tenth."""
    crystals = WyckoffSequences.from_units(drafts)
    order = torch.as_tensor(np.random.default_rng(0).permutation(len(crystals)))
    held, learnt = crystals.select(order[: len(order) // 10]), crystals.select(order[len(order) // 10 :])
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.0)
    best, kept = loss_of(network, held), {k: v.clone() for k, v in network.state_dict().items()}
    print(f"epoch 0: held out {best:.3f} nats", flush=True)
    for epoch in range(1, epochs + 1):
        network.train()
        for rows in torch.randperm(len(learnt), generator=torch.Generator().manual_seed(epoch)).split(BATCH):
            some = learnt.select(rows, int(learnt.count[rows].max()))
            loss = negative_log_likelihood(network, some).sum() / len(rows)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
        now = loss_of(network, held)
        print(f"epoch {epoch}: held out {now:.3f} nats", flush=True)
        if now < best:
            best, kept = now, {k: v.clone() for k, v in network.state_dict().items()}
    return kept


def counted(drafts: Drafts, before: torch.Tensor) -> torch.Tensor:
    """(230, M + 1) crystals of each group and number of orbits, where MP-20 has some."""
    count = torch.zeros_like(before)
    group, orbits = torch.as_tensor(drafts.space_group - 1), torch.as_tensor(drafts.orbits)
    count.index_put_((group, orbits), torch.ones(len(drafts)), accumulate=True)
    return torch.where(before > 0, count + HALF, 0)


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

    checkpoint = read_checkpoint(shipped.path)
    network = trained(WyckoffNetwork(checkpoint.settings), checkpoint, "wyckoff").requires_grad_(True)
    began = time.process_time()
    weights = fine_tuned(network, drafts, given.epochs)
    print(f"trained in {time.process_time() - began:.0f} CPU s", flush=True)
    statistics = checkpoint.statistics.tensors() | checkpoint.tensors
    orbits = counted(drafts, checkpoint.statistics.orbit_count)
    statistics |= {"orbit_count": orbits, "space_group_count": orbits.sum(dim=1)}
    file = given.output / "amortised.safetensors"
    all_weights = dict(checkpoint.weights) | {f"wyckoff.{name}": value for name, value in weights.items()}
    write_checkpoint(file, all_weights, statistics, checkpoint.settings, checkpoint.metadata)

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
