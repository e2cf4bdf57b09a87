"""A copy of the workflow in a scratch folder, with a stand-in for `symmcd` that reads its words and makes files."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

STAND_IN = """\
#!{python}
import sys
from pathlib import Path

from symmcd import cli

stage, *words = sys.argv[1:]
if stage == "--version":  # what logs begin with
    print("symmcd 0.0.0 (commit 0123456)")
    sys.exit()
cli.command_of(stage)[1].parse_args(words)  # what the real one would refuse
with open("calls.txt", "a") as file:
    print(stage, file=file)
options = {{word: words[i + 1] for i, word in enumerate(words) if word.startswith("--")}}
output = options["--output"]
makes = {{
    "download": lambda: [f"{{output}}/{{split}}.csv.gz" for split in ("train", "val", "test")]
    + [f"{{output}}/source.json"],
    "reduce": lambda: [output, options["--output-rejects"]],
    "train": lambda: [f"{{output}}/{{name}}" for name in ("denoiser.safetensors", "losses.csv")]
    if "--part" not in options
    else [f"{{output}}/{{options['--part']}}/{{name}}" for name in ("weights.safetensors", "losses.csv")],
    "replicate": lambda: [f"{{output}}/{{name}}" for name in ("units.npz", "crystals.extxyz")],
    "summarise": lambda: [
        f"{{output}}/{{name}}"
        for name in "per_crystal.csv per_crystal.parquet summary.csv table1.md table1.tex table2.md table2.tex".split()
    ],
        "predictor": lambda: [f"{{output}}/{{options['--variant']}}.{{suffix}}" for suffix in ("safetensors", "json")]
    if "--variant" in options
    else [f"{{output}}/table5.{{suffix}}" for suffix in ("csv", "md", "tex")],
    "report": lambda: [f"{{output}}/{{page}}.html" for page in ("index", "viewer")],
}}.get(stage, lambda: [path for option, path in options.items() if option.startswith("--output")])
for name in makes():
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(f"{{stage}} {{words}}")
"""


@dataclass(frozen=True)
class Workflow:
    """A folder that Snakemake runs in."""

    folder: Path

    def run(self, *words: str, config: str = "", timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run Snakemake; `config` is the text of an extra configuration file."""
        if config:
            extra = self.folder / f"extra{abs(hash(config))}.yaml"
            extra.write_text(config)
            words = ("--configfile", str(extra), *words)
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *words],
            cwd=self.folder,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def planned(self, *words: str, config: str = "") -> dict[str, int]:
        """Jobs a rule that a dry run would start, without `all`."""
        done = self.run("-n", *words, config=config)
        text = done.stdout + done.stderr
        assert done.returncode == 0, text
        table = text.partition("Job stats:")[2].partition("total")[0]
        return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE) if name != "all"}

    def resources(self, *words: str, config: str = "") -> dict[str, dict[str, str]]:
        """What each rule asks of a cluster for one job, by a dry run with the profile for SLURM."""
        done = self.run("-n", *words, "--workflow-profile", "profiles/slurm", config=config)
        assert done.returncode == 0, done.stderr
        jobs = re.findall(r"^(?:local)?rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", done.stdout, re.MULTILINE)
        return {rule: dict(pair.split("=", 1) for pair in asked.split(", ")) for rule, asked in jobs}

    def calls(self) -> list[str]:
        """Stages that the stand-in was called for."""
        path = self.folder / "calls.txt"
        return path.read_text().split() if path.exists() else []


def make_copy(folder: Path, *, stand_in: bool) -> Workflow:
    for name in ("Snakefile", "config", "workflow", "profiles", "src"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / "bin").mkdir()
    if stand_in:
        script = folder / "bin" / "symmcd"
        script.write_text(STAND_IN.format(python=sys.executable))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return Workflow(folder)


@pytest.fixture(scope="session")
def copy_workflow():
    """A function that copies the workflow into a folder, with or without the stand-in."""
    return make_copy


@pytest.fixture
def workflow(tmp_path):
    """The workflow with the stand-in, nothing made yet."""
    return make_copy(tmp_path, stand_in=True)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The workflow with the stand-in, everything made once; for dry runs only."""
    workflow = make_copy(tmp_path_factory.mktemp("finished"), stand_in=True)
    done = workflow.run("--cores", "2", config="{device: cpu}")
    assert done.returncode == 0, done.stderr
    return workflow
