"""``python -m symmcd``: the command line, also where the package is not installed (a bare CUDA machine)."""

import sys

from symmcd.cli import main

sys.exit(main())
