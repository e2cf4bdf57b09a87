"""Time of `import symmcd`, `symmcd --help` and a bare `python -c pass`: best of several fresh processes.

python bench/import_time.py [--repeat 7]
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
        print(f"{name:16} {min(times):.3f} s")


if __name__ == "__main__":
    main()
