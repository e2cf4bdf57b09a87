"""What README and docs/ show runs as it stands there, page by page, each page in a folder of its own."""

from __future__ import annotations

import gzip
import shlex
import shutil
from pathlib import Path

import matplotlib as mpl
import pytest

import symmcd
from symmcd import cli
from symmcd.diffusion.abilities import weights_path
from symmcd.storage import read_units
from tests.documentation.examples import ROOT, RUN, Example, examples, small, snakemake_commands


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """Files that a reader is supposed to have: crystals as CIFs and a table, training and test crystals, weights."""
    folder = tmp_path_factory.mktemp("desk")
    made = ["--output", f"{folder}/made", "--set", "data.source=prototypes", "--set", "data.limit=30"]
    assert cli.main(["download", *made]) == 0
    for split in ("train", "test"):
        assert cli.main(["reduce", f"{folder}/made/{split}.csv.gz", "--output", f"{folder}/{split}.npz"]) == 0
    (folder / "known_crystals.csv").write_bytes(gzip.decompress((folder / "made/train.csv.gz").read_bytes()))
    for name, split, number in (("my_crystals", "train", 30), ("my_cifs", "test", 3)):
        (folder / name).mkdir()
        for row, unit in enumerate(read_units(folder / f"{split}.npz").take(range(number))):
            symmcd.replicate(unit).to(filename=str(folder / name / f"{row}.cif"))
    weights = folder / "results-mine/training/seed0/denoiser.safetensors"
    weights.parent.mkdir(parents=True)
    shutil.copy(weights_path("mp20"), weights)
    return folder


def run(example: Example, names: dict[str, object]) -> None:
    if example.kind == "python":
        exec(compile(example.text, "example", "exec"), names)
    elif example.kind == "symmcd" and example.text != "symmcd --version":
        assert cli.main(small(example.text)) == 0, example.text


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_the_examples_of_a_page_run(page, desk, tmp_path, monkeypatch):
    if any("sevennet" in example.text for example in examples(page)):
        pytest.importorskip("sevenn", reason="a judge of the page is in the extra `judge`")
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    for file in desk.iterdir():
        (shutil.copytree if file.is_dir() else shutil.copy)(file, tmp_path / file.name)
    names: dict[str, object] = {}
    shown = examples(page)
    assert shown
    for example in shown:
        run(example, names)


def test_a_wrong_example_is_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError):
        run(Example("symmcd", "symmcd generate --space-group Pnmx --output there/"), {})
    with pytest.raises(AssertionError):
        run(Example("python", "assert 1 == 2"), {})


@pytest.mark.parametrize(("page", "command"), snakemake_commands())
def test_snakemake_takes_a_documented_command(page, command):
    from snakemake.cli import get_argument_parser

    words = shlex.split(command, comments=True)[1:]
    taken = get_argument_parser().parse_args(words)
    for path in taken.configfile or []:
        assert (ROOT / path).is_file() or path.name == "my.yaml", f"{page}: {path}"
