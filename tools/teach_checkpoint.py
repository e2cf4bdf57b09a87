"""Teach a generator what a stability model chose, and write its weights: how `mp20-stable` was made of `mp20`.

    python tools/teach_checkpoint.py --output src/symmcd/weights/mp20-stable.safetensors
    python tools/teach_checkpoint.py --checkpoint MINE.safetensors --stability-model MINE-stability.safetensors \
        --output MINE-stable.safetensors [--splits train] [--chosen 20000] [--one-in 20] [--epochs 6] [--seed 0]

A quarter of an hour on one core.  `--splits train` tells the stability model of training materials only.  The drafts
that were learnt from are written beside the weights, to …-lesson.npz.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from symmcd.diffusion.checkpoint import write_checkpoint
from symmcd.diffusion.draft_files import DraftFile
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.diffusion.staged.teaching import taught
from symmcd.stability_model.known_hull import known_hull
from symmcd.stability_model.model import StabilityModel, model_path

DRAFTS_SEED = 7  # of the drafts that are learnt from: sets are mostly drawn with 0 and the following


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--checkpoint", default="mp20")
    parser.add_argument("--stability-model", default="mp20")
    parser.add_argument("--splits", default="train,val,test", help="of MP-20 whose energies the model is told")
    parser.add_argument("--chosen", type=int, default=20_000, help="drafts to learn from")
    parser.add_argument("--one-in", type=int, default=20, help="of which each is the best")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    generator = load_pretrained(given.checkpoint, device="cpu")
    model = StabilityModel.read(model_path(given.stability_model))
    began = time.process_time()
    hull = known_hull(None, given.splits).hull
    drafts, choice = generator.draft_stable(given.chosen, given.one_in, model, seed=DRAFTS_SEED + given.seed, hull=hull)
    print(f"{choice.sentence()}, in {time.process_time() - began:.0f} CPU s", flush=True)
    lesson = given.output.with_name(f"{given.output.stem}-lesson.npz")
    DraftFile(drafts, generator.hashes, choice.best_of).write(lesson)
    began = time.process_time()
    about = {
        "weights_sha256": generator.sha256, "stability_model_sha256": model.sha256, "one_in": given.one_in,
        "hull": f"MP-20 {given.splits}", "drafts_seed": DRAFTS_SEED + given.seed,
    }  # fmt: skip
    new = taught(
        generator.checkpoint, drafts, given.epochs, seed=given.seed, about=about,
        on_epoch=lambda epoch, loss: print(f"epoch {epoch}: held out {loss:.3f} nats", flush=True),
    )  # fmt: skip
    print(f"trained in {time.process_time() - began:.0f} CPU s", flush=True)
    provenance = {key: value for key, value in new.metadata.items() if key not in ("versions", "commit")}
    write_checkpoint(given.output, new.weights, new.statistics.tensors() | new.tensors, new.settings, provenance)


if __name__ == "__main__":
    main()
