"""Reduce every crystal of a data set, as the stage does it: CIF text → asymmetric units.

    python bench/reduce.py --source FOLDER [--workers 2] [--limit N]

Prints the whole time, then the parts on one core for the first 1,000 rows: reading, symmetry search (spglib), the rest.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SPGLIB_WARNING", "OFF")

import spglib

from symmcd.settings import ReduceSettings
from symmcd.stages import reduce
from symmcd.structures.cif import parse_cif
from symmcd.structures.read import read_rows
from symmcd.structures.standard_cell import reduce_cells, standard_cell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="folder with train, val, test .csv or .csv.gz")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--parts", type=int, default=1000, help="rows of the breakdown")
    arguments = parser.parse_args()
    paths = [p for split in ("train", "val", "test") for p in arguments.source.glob(f"{split}.csv*")]
    print(f"{platform.machine()}, {arguments.workers} processes, spglib {spglib.__version__}")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            out = Path(folder) / path.name.split(".")[0]
            units, rejects = out.with_suffix(".npz"), out.with_suffix(".csv")
            reduce.run(path, units, rejects, ReduceSettings(), workers=arguments.workers)
    print(f"all: {time.perf_counter() - start:.0f} s")

    marks = [time.perf_counter()]
    rows = list(itertools.islice(read_rows(paths[-1]), arguments.parts))
    crystals = [parse_cif(row.cif) for row in rows]
    marks.append(time.perf_counter())
    cells = [standard_cell(c, 0.1) for c in crystals]
    marks.append(time.perf_counter())
    reduce_cells(cells, [row.material_id for row in rows], 0.1)
    marks.append(time.perf_counter())
    for name, before, after in zip(
        ("read and parse", "spglib", "orbits and positions"), marks, marks[1:], strict=False
    ):
        print(f"{name:22} {1e3 * (after - before) / len(rows):.2f} ms a crystal")


if __name__ == "__main__":
    main()
