"""Time of `import symmcd`, `symmcd --help` and a bare `python -c pass`, and of the first use of the symmetry tables.

python bench/import_time.py [--repeat 7]

Best of several fresh processes.  The tables are timed inside theirs, after the imports, in CPU time: all operations,
Wyckoff positions, space-group codes, letter permutations of 230 normalisers, and the tensors of a staged model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import symmcd": ["-c", "import symmcd"],
    "symmcd --help": ["-m", "symmcd", "--help"],
}
TABLES = """
import time
from symmcd.crystallography.normaliser import letter_permutations
from symmcd.crystallography.projection import nearest_on_images
from symmcd.crystallography.space_group import lattice_points, operations, space_group_codes
from symmcd.crystallography.wyckoff import wyckoff_table
{imports}
import numpy as np
start = time.process_time()
wyckoff_table()
space_group_codes()
for number in range(1, 231):
    operations(number), lattice_points(number), letter_permutations(number)
nearest_on_images(np.zeros((1, 3)), np.zeros(1, int), np.eye(3)[None])
{tensors}
print(time.process_time() - start)
"""
TENSORS = "from symmcd.diffusion.staged.symmetry_tables import symmetry_tables"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7)
    repeat = parser.parse_args().repeat
    print(f"Python {sys.version.split()[0]}")
    for name, command in COMMANDS.items():
        times = []
        for _ in range(repeat):
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
        print(f"{name:24} {min(times):.3f} s")
    for name, code in {
        "tables, first use": TABLES.format(imports="", tensors=""),
        "and as tensors": TABLES.format(imports=TENSORS, tensors="symmetry_tables()"),
    }.items():
        run = [sys.executable, "-c", code]
        times = [float(subprocess.run(run, check=True, capture_output=True, text=True).stdout) for _ in range(repeat)]
        print(f"{name:24} {min(times):.3f} s")


if __name__ == "__main__":
    main()
