"""Round trip of real crystals: replicate(reduce(s)) against s, for every row of a csv; every failure is listed.

    python bench/round_trip.py --source FOLDER [--split val --split test] [--limit N] [--workers 2]

A crystal passes when its reduced composition is the same, spglib finds the same space group again in the result at
1e-3 Å, and pymatgen's StructureMatcher fits both: first with the tight tolerances below, then, because reducing
idealises a crystal by up to symprec = 0.1 Å, with the loose ones, then as a supercell; the counts are given apart.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SPGLIB_WARNING", "OFF")

import spglib
from pymatgen.analysis.structure_matcher import StructureMatcher

from symmcd.errors import InputError
from symmcd.structures.cif import parse_cif
from symmcd.structures.convert import to_structure
from symmcd.structures.read import read_rows
from symmcd.structures.units import reduce, replicate

TIGHT = {"ltol": 0.02, "stol": 0.02, "angle_tol": 1}
LOOSE = {"ltol": 0.1, "stol": 0.15, "angle_tol": 3}
SYMPREC = 0.1


def check(row: tuple[int, str, str]) -> tuple[str, str, str]:
    """Outcome of one crystal: (id, outcome, detail)."""
    _, material_id, cif = row
    structure = to_structure(parse_cif(cif))
    try:
        unit = reduce(structure, SYMPREC)
    except InputError as error:
        return material_id, "not_reduced", str(error)
    made = replicate(unit)
    if not made.composition.reduced_composition.almost_equals(structure.composition.reduced_composition):
        return material_id, "composition", f"{structure.formula} became {made.formula}"
    again = spglib.get_symmetry_dataset((made.lattice.matrix, made.frac_coords, made.atomic_numbers), symprec=1e-3)
    if again is None or again.number != unit.space_group:
        return material_id, "space_group", f"{unit.space_group} became {again and again.number}"
    for name, tolerances in (("matched_tight", TIGHT), ("matched_loose", LOOSE)):
        if StructureMatcher(**tolerances).fit(structure, made):
            return material_id, name, ""
    # pymatgen's search for a primitive cell can differ between a crystal and its idealised self; then the one is a
    # supercell of the other
    matcher = StructureMatcher(**LOOSE, primitive_cell=False, attempt_supercell=True)
    if matcher.fit(structure, made.get_primitive_structure()):
        return material_id, "matched_supercell", ""
    return material_id, "not_matched", f"{structure.formula}, group {unit.space_group}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="folder with train, val, test .csv or .csv.gz")
    parser.add_argument("--split", action="append", help="val and test by default")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    for split in arguments.split or ["val", "test"]:
        path = next(p for p in (arguments.source / f"{split}.csv", arguments.source / f"{split}.csv.gz") if p.exists())
        rows = [(r.number, r.material_id, r.cif) for r in itertools.islice(read_rows(path), arguments.limit)]
        start = time.perf_counter()
        with ProcessPoolExecutor(arguments.workers) as pool:
            outcomes = list(pool.map(check, rows, chunksize=50))
        counts = Counter(outcome for _, outcome, _ in outcomes)
        print(
            f"{split}: {len(rows)} crystals, {dict(counts)}, {time.perf_counter() - start:.0f} s "
            f"with {arguments.workers} processes"
        )
        for material_id, outcome, detail in outcomes:
            if not outcome.startswith("matched"):
                print(f"  {material_id}: {outcome}: {detail}")


if __name__ == "__main__":
    main()
