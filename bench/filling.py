"""How often a cation that was taken out of a crystal comes back to its place.

    SYMMCD_MP20=data/mp_20 python bench/filling.py [--number 50] [--tries 5] [--steps 50] [--lowered] [--output FILE]

Of so many random crystals of MP-20's test set one orbit of the most electropositive element is left out, where it is
not the only orbit.  `generate(fill=…)` gets the rest, with the cell, and is told the element: which Wyckoff position
and which coordinates are its own to draw.  The site has come back where the new orbit has as many atoms as the old one
and each of its atoms lies within 0.5 Å of one of those.  Counted are the first try, and any of `--tries`.  The same is
done with coordinates drawn evenly on a position that has as many atoms, chosen evenly: what chance gives.

`--lowered` takes crystals whose rest has a higher space group, with the same lattice, than the crystal.  The rest is
given in its own symmetry, together with the crystal's group.  The site has come back where pymatgen's StructureMatcher
lays the whole crystals on one another with no atom further than 0.5 Å from its partner.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from pathlib import Path

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher

from symmcd import InputError, load_pretrained, reduce, replicate
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.elements import electronegativities
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.metrics.intervals import wilson
from symmcd.structures.read import read_rows
from symmcd.structures.reduction import reduce_chunk
from symmcd.structures.subgroups import subgroups

NEAR = 0.5  # Å


def without_one(unit: AsymmetricUnit, draw: random.Random) -> tuple[AsymmetricUnit, int] | None:
    """The crystal without an orbit of its most electropositive element, and which one; None: nothing would be left."""
    scale = electronegativities()
    elements = unit.element.tolist()
    cation = min(elements, key=lambda number: scale[number])
    out = draw.choice([index for index, element in enumerate(elements) if element == cation])
    kept = [index for index in range(len(elements)) if index != out]
    if not kept or scale[cation] > 2:
        return None
    letters = tuple(unit.letter[index] for index in kept)
    rest = AsymmetricUnit.exact(unit.space_group, unit.lattice, unit.element[kept], letters, unit.position[kept])
    return rest, out


def atoms_of(group: int, letter: str, position: np.ndarray) -> np.ndarray:
    """Fractional coordinates (n, 3) of all atoms of an orbit."""
    table = wyckoff_table()
    return table.orbit(np.array([table.row(group, letter)]), position[None])[0]


def back(old: np.ndarray, new: np.ndarray, lattice: np.ndarray) -> bool:
    """Whether an orbit lies where the other one lay."""
    if len(old) != len(new):
        return False
    apart = new[:, None] - old[None]
    apart -= np.rint(apart)
    return bool((np.linalg.norm(apart @ lattice, axis=2).min(axis=1) < NEAR).all())


def added_to(host: AsymmetricUnit, unit: AsymmetricUnit) -> tuple[str, np.ndarray]:
    """Letter and position of the orbit that the host has not."""
    left = list(range(len(unit.element)))
    for letter, position in zip(host.letter, host.position, strict=True):
        same = [index for index in left if unit.letter[index] == letter]
        apart = np.abs((unit.position[same] - position + 0.5) % 1 - 0.5).max(axis=1)
        left.remove(same[int(apart.argmin())])
    return unit.letter[left[0]], unit.position[left[0]]


def by_chance(unit: AsymmetricUnit, old: np.ndarray, draw: np.random.Generator) -> bool:
    """Whether an orbit of as many atoms, at random, lies where it lay."""
    table = wyckoff_table()
    first, last = table.start[unit.space_group - 1], table.start[unit.space_group]
    rows = [row for row in range(first, last) if table.multiplicity[row] == len(old)]
    row = int(draw.choice(rows))
    generator = table.generator[row]
    position = generator[:, :3] @ draw.random(3) + generator[:, 3]
    return back(old, atoms_of(unit.space_group, str(table.letter[row]), position % 1), unit.lattice)


def in_its_own_symmetry(rest: AsymmetricUnit) -> AsymmetricUnit | None:
    """What is left of a crystal in a higher space group with the same lattice; None: it has none."""
    try:
        found = reduce(replicate(rest), 0.01)
        higher = found.space_group != rest.space_group and found.primitive_atoms == rest.primitive_atoms
        return found if higher and rest.space_group in subgroups(found.space_group) else None
    except InputError:
        return None


def same(made: AsymmetricUnit, wanted: AsymmetricUnit) -> bool:
    """Whether two crystals lie on one another, no atom further than `NEAR` from its partner."""
    one, other = replicate(made), replicate(wanted)
    apart = StructureMatcher(scale=False).get_rms_dist(one, other)
    return apart is not None and apart[1] * (other.volume / len(other)) ** (1 / 3) < NEAR


def lowered(units: AsymmetricUnits, given: argparse.Namespace) -> list[str]:
    """Fill crystals whose rest has a higher group; lines of the report."""
    draw, generator = random.Random(0), load_pretrained(device="cpu")
    cases = first = every = looked = 0
    cpu = time.process_time()
    for index in range(len(units)):
        taken = without_one(units[index], draw)
        if taken is None or cases == given.number:
            continue
        looked += 1
        rest, out = taken
        host = in_its_own_symmetry(rest)
        if host is None:
            continue
        group = units[index].space_group
        cases += 1
        wish = {"host": host, "add": [int(units[index].element[out])], "space_group": group}
        try:
            made = generator.generate(given.tries, fill=wish, steps=given.steps, proposals=1)
        except InputError as error:
            print(units[index].formula, error, flush=True)
            continue
        hits = [same(unit, units[index]) for unit in made]
        print(f"{units[index].formula}: {host.space_group} to {group}, {sum(hits)} of {len(hits)}", flush=True)
        first, every = first + hits[0], every + any(hits)
    lines = ["| the site comes back in a lower group | of | share | 95 % interval |", "|---|---:|---:|---|"]
    for name, number in (("first try", first), (f"any of {given.tries} tries", every)):
        low, high = wilson(number, cases)
        lines.append(f"| {name} | {cases} | {number / cases:.0%} | {low:.0%} to {high:.0%} |")
    return [*lines, "", f"{cases} of {looked} rests have a higher group; {time.process_time() - cpu:.0f} CPU s."]


def main() -> None:
    """Take out, fill, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=50)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--lowered", action="store_true")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    draw, chance = random.Random(0), np.random.default_rng(0)
    wanted = (30 if given.lowered else 3) * given.number
    rows = random.Random(3).sample(list(read_rows(Path(os.environ["SYMMCD_MP20"]) / "test.csv.gz")), wanted)
    units, _, _ = reduce_chunk(rows, symprec=0.1, max_orbits=20, max_atoms=400)
    if given.lowered:
        lines = lowered(units, given)
        print("\n".join(lines))
        if given.output:
            given.output.write_text("\n".join(lines) + "\n")
        return
    generator = load_pretrained(device="cpu")
    cases = first = every = template = lucky = refused = fixed = 0
    begun, cpu = time.perf_counter(), time.process_time()
    for index in range(len(units)):
        unit = units[index]
        taken = without_one(unit, draw)
        if taken is None or cases == given.number:
            continue
        host, out = taken
        cases += 1
        old = atoms_of(unit.space_group, unit.letter[out], unit.position[out])
        fixed += not wyckoff_table().degrees_of_freedom[unit.wyckoff[out]]
        lucky += by_chance(unit, old, chance)
        try:
            made = generator.generate(
                given.tries, fill={"host": host, "add": [int(unit.element[out])]}, steps=given.steps, proposals=1
            )
        except InputError as error:
            refused += 1
            print(unit.formula, error, flush=True)
            continue
        found = [added_to(host, filled) for filled in made]
        hits = [back(old, atoms_of(unit.space_group, *site), unit.lattice) for site in found]
        template += found[0][0] == unit.letter[out]
        first, every = first + hits[0], every + any(hits)
    lines = ["| the site comes back | of | share | 95 % interval |", "|---|---:|---:|---|"]
    for name, number in (
        ("first try", first),
        (f"any of {given.tries} tries", every),
        ("same Wyckoff letter, first try", template),
        ("by chance", lucky),
    ):
        low, high = wilson(number, cases)
        lines.append(f"| {name} | {cases} | {number / cases:.0%} | {low:.0%} to {high:.0%} |")
    lines.append("")
    lines.append(
        f"{fixed} of the {cases} sites have no free coordinate; {refused} were refused; "
        f"{time.process_time() - cpu:.0f} CPU s ({time.perf_counter() - begun:.0f} s)."
    )
    print("\n".join(lines))
    if given.output:
        given.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
