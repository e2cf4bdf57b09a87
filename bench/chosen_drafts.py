"""What a set of drafts is made of, as drawn, behind the guards alone, and chosen: no geometry, and no potential asked.

    python bench/chosen_drafts.py UNITS [--checkpoint mp20-stable] [--model FILE] [--splits train] [--number 10000] \
        [--one-in 4 20] [--seed 0] [--lesson taught-lesson.npz] [--matcher 1000]

UNITS is a folder with train.npz, val.npz and test.npz, asymmetric units of MP-20.  *Found again* are drafts whose space
group, Wyckoff positions and elements are those of a material of the validation or test set, and of no training
material: what a generator that knows only training materials can be right about without being told.  That is
evidence only where the model was fitted to labels over a hull of training materials and is told of no others
(`--splits train`; docs/stability-model.md says how).

`--lesson` names the drafts that `tools/teach_checkpoint.py` taught the weights: how many come again, and what is found
again without them.  `--matcher N` gives the first N of each set a geometry (25 steps, one of them) and asks pymatgen's
StructureMatcher, with its defaults, whether a material of the validation or test set is the same and none of the
training set is.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from symmcd.crystallography import content
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.drafts import Drafts
from symmcd.crystallography.flat_orbits import FlatOrbits
from symmcd.crystallography.normaliser import canonical_template
from symmcd.crystallography.orbit import replicate_flat
from symmcd.diffusion.draft_files import DraftFile
from symmcd.diffusion.pool import BLOCK
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.metrics.intervals import percent
from symmcd.metrics.originality import look_up
from symmcd.metrics.reference_set import ReferenceSet
from symmcd.report.symmetry_figures import CRYSTAL_SYSTEMS
from symmcd.stability_model import choosing
from symmcd.stability_model.chemistry import CHEMISTRIES, chemistry, has_lanthanides
from symmcd.stability_model.features import entries_in
from symmcd.stability_model.known_hull import known_hull
from symmcd.stability_model.materials import arrangements
from symmcd.stability_model.model import StabilityModel, model_path
from symmcd.storage import read_units
from symmcd.structures.convert import crystals_to_structures

parser = argparse.ArgumentParser()
parser.add_argument("units", type=Path)
parser.add_argument("--checkpoint", default="mp20")
parser.add_argument("--model", default="mp20")
parser.add_argument("--splits", default="train,val,test")
parser.add_argument("--number", type=int, default=10_000)
parser.add_argument("--one-in", type=int, nargs="+", default=(4, 20))
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--lesson", type=Path)
parser.add_argument("--matcher", type=int, default=0, metavar="N")
parser.add_argument("--cores", type=int, default=1, help="for the matcher")
given = parser.parse_args()


def templates(units: FlatOrbits) -> list[str]:
    return [canonical_template(name) for name in content.templates(units)]


known = {split: read_units(given.units / f"{split}.npz") for split in ("train", "val", "test")}
arrangement = {split: set(content.arrangements(units)) for split, units in known.items()}
template = set(templates(known["train"]))
lesson = set(DraftFile.read(given.lesson).drafts.arrangement) if given.lesson else set()
unseen = (arrangement["val"] | arrangement["test"]) - arrangement["train"]

generator, model = load_pretrained(given.checkpoint, device="cpu"), StabilityModel.read(model_path(given.model))
hull = known_hull(None, given.splits).hull
hull.at("NaCl")  # made now
most = given.number * max(given.one_in)
began = time.process_time()
every = Drafts.concatenate(
    [generator.draft(np.arange(i, min(i + BLOCK, most)), seed=given.seed) for i in range(0, most, BLOCK)]
)
drawing = (time.process_time() - began) / most
first = every.take(np.arange(given.number))
seen = arrangements(("train",))
sets: dict[str, Drafts] = {
    "as drawn": first,
    "guards only": first.take(choosing.guards(first, known=seen) == 0),
}
cost: dict[str, float] = {"as drawn": drawing}
for often in given.one_in:
    began = time.process_time()
    choice = choosing.choose(every.take(np.arange(often * given.number)), given.number, model, hull, known=seen)
    cost[f"N = {often}"] = drawing * often + (time.process_time() - began) / given.number
    sets[f"N = {often}"] = every.take(np.arange(often * given.number)).take(choice.index)
    print(f"N = {often}: {choice.sentence()}")


def distinct(texts: list[str]) -> np.ndarray:
    """Whether each is the first of its kind."""
    mask = np.zeros(len(texts), bool)
    mask[np.unique(texts, return_index=True)[1]] = True
    return mask


def few(drafts: Drafts, limit: int) -> str:
    return percent(entries_in(content.amounts(drafts), hull) < limit)


def matched(drafts: Drafts) -> str:
    """Share of the first crystals that match a material of the validation or test set and none of the training set."""
    drafts = drafts.take(np.arange(min(given.matcher, len(drafts))))
    units = AsymmetricUnits.from_units(generator.with_geometries(drafts, steps=25, proposals=1))
    structures = crystals_to_structures(replicate_flat(units))
    train, *others = (ReferenceSet(known[split]) for split in ("train", "val", "test"))
    found = look_up(structures, train, others, given.cores)
    return percent(np.array([one.elsewhere is not None for one in found]))


rows: dict[str, Callable[[Drafts], str]] = {
    "crystals": lambda d: f"{len(d):,}",
    "different arrangements": lambda d: percent(distinct(d.arrangement)),
    "in no training material": lambda d: percent(
        np.array([name not in arrangement["train"] for name in d.arrangement])
    ),
    "**found again**": lambda d: percent(np.array([name in unseen for name in d.arrangement])),
    "found again, different ones": lambda d: f"{len(set(d.arrangement) & unseen):,} of {len(unseen):,}",
    **(
        {
            "in the lesson": lambda d: percent(np.array([name in lesson for name in d.arrangement])),
            "found again, of those not in the lesson": lambda d: percent(
                np.array([name in unseen for name in d.arrangement if name not in lesson])
            ),
        }
        if lesson
        else {}
    ),
    **({f"found again by the matcher, of {given.matcher:,}": matched} if given.matcher else {}),
    "new templates": lambda d: percent(np.array([name not in template for name in templates(d)])),
    **{
        name: lambda d, kind=kind: percent(chemistry(content.amounts(d)) == kind)
        for kind, name in enumerate(CHEMISTRIES)
    },
    "with lanthanides": lambda d: percent(has_lanthanides(content.amounts(d))),
    **{
        name: lambda d, low=low, high=high: percent((low <= d.space_group) & (d.space_group <= high))
        for name, (low, high) in CRYSTAL_SYSTEMS.items()
    },
    "orbits, mean": lambda d: f"{d.orbits.mean():.2f}",
    "atoms in the primitive cell, mean": lambda d: f"{d.atoms.mean():.2f}",
    "elements, mean": lambda d: f"{content.number_of_elements(d).mean():.2f}",
    f"systems of fewer than {choosing.FEWEST_ENTRIES} hull entries": lambda d: few(d, choosing.FEWEST_ENTRIES),
    f"systems of fewer than {choosing.FEW_ENTRIES}": lambda d: few(d, choosing.FEW_ENTRIES),
}
print(f"model {given.model}, hull of features {given.splits}, seed {given.seed}; shares in %, 95 % Wilson intervals\n")
print("| | " + " | ".join(sets) + " |")
print("|" + "---|" * (len(sets) + 1))
for name, value in rows.items():
    print(f"| {name} | " + " | ".join(value(drafts) for drafts in sets.values()) + " |")
print("| CPU seconds a crystal | " + " | ".join(f"{cost[name]:.4f}" if name in cost else "" for name in sets) + " |")
