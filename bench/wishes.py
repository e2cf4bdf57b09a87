"""Whether generated crystals are what was asked for, judged by spglib and pymatgen and not by ourselves.

    SYMMCD_MP20=data/mp_20 python bench/wishes.py [--groups 5] [--formulas 200] [--combinations 100] [--refusals] \
        [--steps 10] [--output wishes.md]

- `--groups`: so many crystals of each of the 230 space groups.  All operations of the group, as spglib lists them,
  have to map the crystal onto itself within 0.01 Å; the share whose symmetry has risen is counted.
- `--formulas`: one crystal of so many random formulas of MP-20's test set, each with the group it has there.
- `--combinations`: two crystals of so many random combinations of wishes, each of which a crystal of the test set has.
- `--refusals`: wishes that contradict each other, which have to be refused in words.

A wish for which nothing was found is counted apart from one that is violated.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import spglib
from pymatgen.core import Composition, Structure

from symmcd import InputError, load_pretrained, replicate
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.composition import SYMBOLS
from symmcd.metrics.intervals import wilson
from symmcd.structures.read import read_rows
from symmcd.structures.reduction import reduce_chunk

SYMPREC = 0.01  # Å
SETTING = ("", "b", "b1", "2", "H")  # of International Tables, in spglib's words

REFUSALS: tuple[dict[str, Any], ...] = (
    {"space_group": 62, "polar": True},
    {"chiral": True, "centrosymmetric": True},
    {"crystal_system": "cubic", "point_group": "mm2"},
    {"enantiomorphic": True, "space_group": 19},
    {"centrosymmetric": True, "noncentrosymmetric": True},
    {"formula": "LiFePO4", "exclude": "Fe"},
    {"formula": "LiFePO4", "elements": "Li,Fe,O"},
    {"formula": "LiFePO4", "atoms": 8},
    {"formula": "LiFePO4", "orbits": "1-3"},
    {"formula": "LiFePO4", "chemical_system": "Li-Fe-O"},
    {"formula": "LiFePO4", "anonymous_formula": "ABX3"},
    {"anonymous_formula": "ABX3", "chemical_system": "Li-Fe-P-O"},
    {"anonymous_formula": "ABX3", "atoms": "6-9"},
    {"anonymous_formula": "ABO3"},
    {"chemical_system": "Li-Fe-P-O", "orbits": 3},
    {"chemical_system": "Li-O", "elements": "Li,Fe"},
    {"template": "225: a b", "space_group": 221},
    {"template": "225: a b", "orbits": 3},
    {"template": "225: a b", "atoms": 4},
    {"template": "225: a a"},
    {"template": "225: z"},
    {"template": "225: a b", "formula": "TiO2"},
    {"space_group": 230, "atoms": "1-5"},
    {"space_group": 14, "max_atoms": 1},
    {"atoms": 500},
    {"atoms": 150},
    {"orbits": 100},
    {"orbits": 0},
    {"density": "5"},
    {"density": "8-4"},
    {"density": "dense"},
    {"crystal_system": "cubical"},
    {"point_group": "m3m"},
    {"elements": "Li,Xx"},
)


@functools.cache
def operations(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotations and translations of a group in its standard setting, from spglib's table."""
    halls = [hall for hall in range(1, 531) if spglib.get_spacegroup_type(hall).number == number]
    standard = [hall for hall in halls if spglib.get_spacegroup_type(hall).choice in SETTING]
    found = spglib.get_symmetry_from_database((standard or halls)[0])
    return found["rotations"], found["translations"]


def has_group(structure: Structure, number: int) -> bool:
    """Whether every operation of the group maps each atom onto one of its element."""
    rotations, translations = operations(number)
    position, element = structure.frac_coords, np.array(structure.atomic_numbers)
    for rotation, translation in zip(rotations, translations, strict=True):
        moved = position @ rotation.T + translation
        apart = moved[:, None] - position[None]
        apart -= np.rint(apart)
        near = np.linalg.norm(apart @ structure.lattice.matrix, axis=2) < SYMPREC
        if not (near & (element[:, None] == element)).any(axis=1).all():
            return False
    return True


def found_group(structure: Structure) -> int:
    """What spglib finds; 0: nothing, as where atoms lie on one another."""
    cell = structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers
    try:
        dataset = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
    except Exception:  # noqa: BLE001  (its own kinds of error differ between versions)
        return 0
    return int(dataset.number) if dataset is not None else 0


def violations(unit: AsymmetricUnit, wishes: dict[str, Any]) -> list[str]:
    """Names of the wishes that a crystal does not have."""
    structure = replicate(unit)
    group = spglib.get_spacegroup_type_from_symmetry(*operations(unit.space_group))
    rotations = operations(unit.space_group)[0]
    composition = structure.composition
    symbols = {str(element) for element in composition}
    primitive = len(structure) // _centrings(unit.space_group)
    inverts = any((rotation == -np.eye(3, dtype=int)).all() for rotation in rotations)

    def within(value: float, text: str) -> bool:
        low, _, high = text.partition("-")
        return float(low) <= value <= float(high or low)

    answers = {
        "space_group": lambda v: unit.space_group == v,
        "crystal_system": lambda v: v == _system(rotations),
        "point_group": lambda v: group.pointgroup_international == v,
        "polar": lambda _: np.linalg.matrix_rank(rotations.mean(axis=0)) > 0,
        "chiral": lambda _: all(round(np.linalg.det(rotation)) == 1 for rotation in rotations),
        "centrosymmetric": lambda _: inverts,
        "noncentrosymmetric": lambda _: not inverts,
        "elements": lambda v: symbols <= set(v.split(",")),
        "exclude": lambda v: not symbols & set(v.split(",")),
        "chemical_system": lambda v: symbols == set(v.split("-")),
        "formula": lambda v: composition.reduced_formula == Composition(v).reduced_formula,
        "anonymous_formula": lambda v: composition.anonymized_formula == v,
        "atoms": lambda v: within(primitive, v),
        "orbits": lambda v: within(len(unit.element), v),
        "density": lambda v: within(structure.density, v),
        "volume_per_atom": lambda v: within(structure.volume / len(structure), v),
        "template": lambda v: f"{unit.space_group}: {' '.join(sorted(unit.letter))}" == v,
    }
    broken = [name for name, value in wishes.items() if not answers[name](value)]
    return broken if has_group(structure, unit.space_group) else [*broken, "the group's operations"]


def _centrings(number: int) -> int:
    return int((operations(number)[0] == np.eye(3, dtype=int)).all(axis=(1, 2)).sum())


def _system(rotations: np.ndarray) -> str:
    """Crystal system of a group by the orders of its rotations."""
    proper = [rotation * round(np.linalg.det(rotation)) for rotation in rotations]
    order = Counter({-1: 2, 0: 3, 1: 4, 2: 6}.get(int(np.trace(rotation)), 1) for rotation in proper)
    different = {tuple(map(tuple, rotation)) for rotation in proper}
    threes = sum({-1: 2, 0: 3, 1: 4, 2: 6}.get(int(np.trace(np.array(r))), 1) == 3 for r in different)
    if threes > 2:
        return "cubic"
    for which, name in ((6, "hexagonal"), (3, "trigonal"), (4, "tetragonal")):
        if order[which]:
            return name
    twos = sum({-1: 2}.get(int(np.trace(np.array(r))), 1) == 2 for r in different)
    return {0: "triclinic", 1: "monoclinic"}.get(twos, "orthorhombic")


def test_units(number: int, seed: int) -> list[AsymmetricUnit]:
    """Random crystals of the test set of MP-20."""
    rows = list(read_rows(Path(os.environ["SYMMCD_MP20"]) / "test.csv.gz"))
    chosen = random.Random(seed).sample(rows, number)
    units, _, _ = reduce_chunk(chosen, symprec=0.1, max_orbits=20, max_atoms=400)
    return [units[index] for index in range(len(units))]


def combination(unit: AsymmetricUnit, draw: random.Random) -> dict[str, Any]:
    """Wishes that this crystal has, two to four of them."""
    structure = replicate(unit)
    symbols = sorted({SYMBOLS[number - 1] for number in unit.element.tolist()})
    rotations = operations(unit.space_group)[0]
    group = spglib.get_spacegroup_type_from_symmetry(*operations(unit.space_group))
    per_atom = structure.volume / len(structure)
    others = [symbol for symbol in ("Tc", "U", "Th", "F", "S", "Fe") if symbol not in symbols]
    orbits, atoms = len(unit.element), unit.primitive_atoms
    inverts = any((rotation == -np.eye(3, dtype=int)).all() for rotation in rotations)
    known: dict[str, Any] = {
        "space_group": unit.space_group,
        "crystal_system": _system(rotations),
        "point_group": group.pointgroup_international,
        "centrosymmetric" if inverts else "noncentrosymmetric": True,
        "elements": ",".join([*symbols, *others[:2]]),
        "exclude": ",".join(others[:3]),
        "chemical_system": "-".join(symbols),
        "formula": unit.formula,
        "anonymous_formula": structure.composition.anonymized_formula,
        "atoms": draw.choice([str(atoms), f"{max(1, atoms - 2)}-{atoms + 2}"]),
        "orbits": draw.choice([str(orbits), f"{max(1, orbits - 1)}-{orbits + 1}"]),
        "density": f"{0.85 * structure.density:.4f}-{1.15 * structure.density:.4f}",
        "volume_per_atom": f"{0.9 * per_atom:.4f}-{1.1 * per_atom:.4f}",
        "template": f"{unit.space_group}: {' '.join(sorted(unit.letter))}",
    }
    if any(letter in "FHIJKNOPSUVW" for letter in known["anonymous_formula"] if letter.isalpha()):
        del known["anonymous_formula"]
    names = draw.sample(sorted(known), draw.randint(2, 4))
    return {name: known[name] for name in names}


def asked(wishes: list[tuple[str, dict[str, Any]]], number: int, how: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """For each wish its name and what came of it: crystals, or why there are none; said where it took long."""
    generator = load_pretrained(device="cpu")
    for name, wish in wishes:
        begun = time.perf_counter()
        try:
            outcome: Any = generator.generate(number, **wish, **how)
        except InputError as error:
            outcome = str(error)
        if (seconds := time.perf_counter() - begun) > 60:
            print(f"{name}: {seconds:.0f} s", flush=True)
        yield name, outcome


def report(title: str, wishes: list[tuple[str, dict[str, Any]]], number: int, how: dict[str, Any]) -> list[str]:
    """Make crystals of all wishes; a line of a table, and what went wrong."""
    begun, cpu = time.perf_counter(), time.process_time()
    of = dict(wishes)
    made = right = risen = lost = 0
    notes: list[str] = []
    for name, outcome in asked(wishes, number, how):
        if isinstance(outcome, str):
            lost += 1
            notes.append(f"{title}, {name}: {outcome}")
            continue
        for unit in outcome:
            made += 1
            broken = violations(unit, of[name])
            right += not broken
            risen += found_group(replicate(unit)) != unit.space_group
            if broken:
                notes.append(f"{title}, {name}: {', '.join(broken)} violated")
    low, high = wilson(risen, made)
    seconds, own = time.perf_counter() - begun, time.process_time() - cpu
    line = (
        f"| {title} | {len(wishes)} | {lost} | {made} | {right} | {risen / max(made, 1):.1%} ({low:.1%} to {high:.1%}) "
        f"| {own:.0f} ({seconds:.0f}) |"
    )
    print(line, flush=True)
    return [line, *notes]


def main() -> None:
    """Run what is asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=5)
    parser.add_argument("--formulas", type=int, default=200)
    parser.add_argument("--combinations", type=int, default=100)
    parser.add_argument("--refusals", action="store_true")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    how = {"steps": given.steps, "proposals": 1, "corrector": False}
    lines = [
        "| wishes | asked | nothing found | crystals | all fulfilled | symmetry risen | CPU s (all) |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    print("\n".join(lines))
    if given.groups:
        wishes = [(str(number), {"space_group": number}) for number in range(1, 231)]
        lines += report("space groups", wishes, given.groups, how)
    draw = random.Random(0)
    if given.combinations:
        units = test_units(given.combinations, 1)
        lines += report("combinations", [(str(w), w) for w in (combination(u, draw) for u in units)], 2, how)
    if given.formulas:
        units = test_units(given.formulas, 2)
        pairs = [{"formula": unit.formula, "space_group": unit.space_group} for unit in units]
        lines += report("formulas with groups", [(str(wish), wish) for wish in pairs], 1, how)
    if given.refusals:
        refused = dict(asked([(str(wish), wish) for wish in REFUSALS], 1, how))
        lines += [
            f"- {wish}: {answer if isinstance(answer, str) else 'NOT REFUSED'}" for wish, answer in refused.items()
        ]
        print("\n".join(lines[-len(refused) :]))
    if given.output:
        given.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
