"""CPU seconds of drafts, positions and elements before a geometry, by the shipped weights, and of their features.

python bench/draft.py --number 20000
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from typing import Any

import torch

from symmcd import load_pretrained
from symmcd.stability_model.features import features
from symmcd.stability_model.materials import hull


def timed(what: str, number: int, work: Callable[[], Any]) -> Any:
    """What `work` gives; a row of the table says how long it took."""
    began = time.process_time()
    done = work()
    seconds = time.process_time() - began
    print(f"| {what} | {seconds:.2f} | {1000 * seconds / number:.3f} |", flush=True)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=20_000, help="of drafts")
    parser.add_argument("--checkpoint", default="mp20", help="of a staged model (default: the shipped weights)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = load_pretrained(arguments.checkpoint, "cpu")
    generator.draft(100)  # tables are read
    print(f"{arguments.number} drafts, one thread ({platform.machine()}, torch {torch.__version__})\n")
    print("| what | CPU s | ms each |\n|---|---|---|")
    drafts = timed("drawn", arguments.number, lambda: generator.draft(arguments.number))
    formulas = timed("formulas and atoms", arguments.number, lambda: (drafts.formula, drafts.atoms))[0]
    arrangements = timed("arrangements", arguments.number, lambda: drafts.arrangement)
    known = hull()
    timed("features", arguments.number, lambda: features(drafts, drafts.log_probability, known))
    print(f"\n{len(set(arrangements))} different arrangements, {len(set(formulas))} different formulas")


if __name__ == "__main__":
    main()
