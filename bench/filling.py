"""How often a cation that was taken out of a crystal comes back to its place.

    SYMMCD_MP20=data/mp_20 python bench/filling.py [--number 50] [--tries 5] [--steps 50] [--output filling.md]

Of so many random crystals of MP-20's test set one orbit of the most electropositive element is left out, where it is
not the only orbit.  `generate(fill=…)` gets the rest, with the cell, and is told the element: which Wyckoff position
and which coordinates are its own to draw.  The site has come back where the new orbit has as many atoms as the old one
and each of its atoms lies within 0.5 Å of one of those.  Counted are the first try, and any of `--tries`.  The same is
done with coordinates drawn evenly on a position that has as many atoms, chosen evenly: what chance gives.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from pathlib import Path

import numpy as np

from symmcd import InputError, load_pretrained
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.elements import electronegativities
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.metrics.intervals import wilson
from symmcd.structures.read import read_rows
from symmcd.structures.reduction import reduce_chunk

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


def main() -> None:
    """Take out, fill, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=50)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    draw, chance = random.Random(0), np.random.default_rng(0)
    rows = random.Random(3).sample(list(read_rows(Path(os.environ["SYMMCD_MP20"]) / "test.csv.gz")), 3 * given.number)
    units, _, _ = reduce_chunk(rows, symprec=0.1, max_orbits=20, max_atoms=400)
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
