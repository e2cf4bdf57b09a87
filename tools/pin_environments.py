"""Write the versions of requirements.lock into ``workflow/envs/*.yaml``; `make lock` ends with it.

    python -m tools.pin_environments

Packages come from PyPI, as in the lock file; conda gives Python and pip.  So what an environment has is what is tested,
and no index of a conda channel is needed to say so.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pinned(environment: str, lock: str) -> str:
    """The text of an environment with the versions that the text of the lock file has."""
    versions = {_normal(name): version for name, version in re.findall(r"^([\w.-]+)==(.+)$", lock, re.MULTILINE)}
    python = re.search(r"on Python (\d+\.\d+)", lock)[1]
    text = re.sub(r"^(  - python)\W.*$", rf"\1={python}", environment, flags=re.MULTILINE)
    return re.sub(
        r"^(      - )([\w-]+).*$", lambda m: f"{m[1]}{m[2]}=={versions[_normal(m[2])]}", text, flags=re.MULTILINE
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for path in sorted((ROOT / "workflow/envs").glob("*.yaml")):
        path.write_text(pinned(path.read_text(encoding="utf-8"), lock), encoding="utf-8")
