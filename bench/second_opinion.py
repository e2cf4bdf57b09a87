"""Uniqueness and novelty by our own code and by xtalmet, of the same crystals in one run.

    python bench/second_opinion.py results-cpu/asymmetric_units --number 300 --train 2000

xtalmet (PyPI, Negishi et al., arXiv:2510.12405) is no dependency of ours.  1.0.0 asks for Python 3.12 and MACE; it runs
on 3.11 as well, in an environment of its own:

    python -m venv opinion && opinion/bin/pip install -r requirements.lock
    opinion/bin/pip install --ignore-requires-python xtalmet==1.0.0
    PYTHONPATH=src opinion/bin/python bench/second_opinion.py …

Crystals: `--number` random ones of the validation set, and behind them `--planted` of each kind whose answer is known:

again      a crystal of the first ones in a doubled cell, all atoms moved alike: not unique
displaced  the same in its own cell, each atom moved by 0.05 Å in a random direction: not unique
stretched  the same, edges longer by 3 %: not unique for the matcher, which scales volumes
exchanged  the same with two elements exchanged, where it has two in different numbers: unique, at distance 0 by AMD
known      a crystal of the training set in a doubled cell: not novel

Reference: all training crystals that have the composition of one of these, which alone can match, and random others
up to `--train`.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.metrics.originality import Originality, originality
from symmcd.metrics.reference_set import ReferenceSet, composition_keys
from symmcd.storage import read_units
from symmcd.structures.convert import crystals_to_structures

KINDS = ("again", "displaced", "stretched", "exchanged", "known")
PACKAGES = ("xtalmet", "average-minimum-distance", "pymatgen", "numpy", "scipy")


def structures_of(units: AsymmetricUnits) -> list[Structure]:
    """Conventional cells."""
    return crystals_to_structures(replicate_flat(units))


def planted(kind: str, structure: Structure, rng: np.random.Generator) -> Structure:
    """A copy of a crystal, changed as the kind says."""
    copy = structure.copy()
    everywhere = range(len(copy))
    if kind in ("again", "known"):
        copy.make_supercell([[1, 0, 0], [0, 1, 0], [0, 0, 2]])
        copy.translate_sites(range(len(copy)), rng.random(3))
    elif kind == "displaced":
        for site in everywhere:
            direction = rng.normal(size=3)
            copy.translate_sites([site], 0.05 * direction / np.linalg.norm(direction), frac_coords=False)
    elif kind == "stretched":
        copy.scale_lattice(1.03**3 * copy.volume)
    elif kind == "exchanged":
        amounts = copy.composition.get_el_amt_dict()
        first = next(iter(amounts))
        other = next(name for name in amounts if amounts[name] != amounts[first])
        copy.replace_species({first: other, other: first})
    else:
        raise ValueError(f"{kind}: one of {', '.join(KINDS)}")
    return copy


def can_exchange(structure: Structure) -> bool:
    """Two elements in different numbers."""
    return len(set(structure.composition.get_el_amt_dict().values())) > 1


def crystals(
    val: AsymmetricUnits, train: AsymmetricUnits, number: int, each: int, size: int, seed: int
) -> tuple[list[str], list[Structure], AsymmetricUnits]:
    """Kinds and crystals as the module says, and the reference."""
    rng = np.random.default_rng(seed)
    drawn = val.take(np.sort(rng.choice(len(val), number, replace=False)))
    keys = composition_keys(train)
    wanted = set(composition_keys(drawn))
    same = [i for i, key in enumerate(keys) if key in wanted]
    others = rng.permutation([i for i, key in enumerate(keys) if key not in wanted])[: max(0, size - len(same))]
    reference = train.take(np.sort([*same, *others.tolist()]).astype(int))
    kinds, found = ["validation"] * number, structures_of(drawn)
    for kind in KINDS:
        if kind == "known":
            of = structures_of(reference.take(rng.choice(len(reference), each, replace=False)))
        else:
            fit = [s for s in found[:number] if kind != "exchanged" or can_exchange(s)]
            of = [fit[i] for i in rng.choice(len(fit), each, replace=False)]
        found += [planted(kind, structure, rng) for structure in of]
        kinds += [kind] * each
    return kinds, found, reference


def theirs(structures: Sequence[Structure], reference: Sequence[Structure]) -> dict[str, Any]:
    """xtalmet's flags by pymatgen's matcher (B,); AMD distances, Å, nearest reference crystal (B,) and mean ()."""
    from xtalmet import Crystal, Evaluator, distance_matrix

    number, own = len(structures), [Crystal.from_Structure(s) for s in structures]
    evaluator = Evaluator(uniqueness=True, novelty=True, distance="smat", ref_xtals=list(reference))
    # by its methods for one of the two, as `evaluate` returns their product
    unique = evaluator._evaluate_uniqueness(own, number, None, False, None)[0]  # noqa: SLF001
    novel = evaluator._evaluate_novelty(own, number, None, False, None)[0]  # noqa: SLF001
    to_reference = distance_matrix("amd", list(structures), list(reference), normalize=False)
    between = distance_matrix("amd", list(structures), normalize=False)
    return {
        "unique": unique.astype(bool),
        "novel": novel.astype(bool),
        "distance": to_reference.min(axis=1),
        "diversity": float(between.sum()) / (number * (number - 1)),
    }


def table(kinds: Sequence[str], ours: Originality, other: dict[str, Any]) -> str:
    """Markdown, one row a kind: how many are unique and novel for each, and on how many they differ."""
    lines = [
        "| crystals | n | unique: ours | xtalmet | differ | novel: ours | xtalmet | differ | AMD, difference, Å |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind in ("validation", *KINDS, "all"):
        of = np.array([kind in (own, "all") for own in kinds])
        cells = [int(of.sum())]
        for mine, their in ((ours.unique, other["unique"]), (ours.novel, other["novel"])):
            cells += [int(mine[of].sum()), int(their[of].sum()), int((mine != their)[of].sum())]
        apart = np.abs(ours.distance - other["distance"])[of].max()
        lines.append(f"| {kind} | {' | '.join(map(str, cells))} | {apart:.1e} |")
    lines += ["", f"Mean AMD distance of two crystals: ours {ours.diversity:.6f}, xtalmet {other['diversity']:.6f} Å."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with train.npz and val.npz, asymmetric units")
    parser.add_argument("--number", type=int, default=300, help="validation crystals")
    parser.add_argument("--planted", type=int, default=30, help="of each kind")
    parser.add_argument("--train", type=int, default=2000, help="reference crystals")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    val, train = (read_units(options.folder / f"{split}.npz") for split in ("val", "train"))
    kinds, found, reference = crystals(val, train, options.number, options.planted, options.train, options.seed)
    names = [f"{i:05d}" for i in range(len(found))]
    start = time.process_time()
    ours = originality(names, found, [0] * len(found), ReferenceSet(reference), 0, 0)
    middle = time.process_time()
    other = theirs(found, structures_of(reference))
    end = time.process_time()
    print(table(kinds, ours, other))
    print(f"\nCPU seconds: ours {middle - start:.1f}, xtalmet {end - middle:.1f}; {len(reference)} reference crystals.")
    for metric, mine, their in (("unique", ours.unique, other["unique"]), ("novel", ours.novel, other["novel"])):
        for i in np.flatnonzero(mine != their).tolist():
            print(
                f"{metric}: {names[i]} ({kinds[i]}, {found[i].reduced_formula}, {len(found[i])} atoms): ours {mine[i]},"
                f" xtalmet {their[i]}; ours as {ours.duplicate_of[i] or '-'}/{ours.known_as[i] or '-'}"
            )
    print(", ".join([f"Python {platform.python_version()}", *(f"{p} {metadata.version(p)}" for p in PACKAGES)]))


if __name__ == "__main__":
    main()
