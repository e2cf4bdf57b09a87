"""Data sources under a name: those that ship, and one of somebody's package through `download` and `reduce`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymatgen.core import Lattice, Structure

import symmcd
from symmcd.errors import InputError
from symmcd.extensions import SOURCES, Source
from symmcd.settings import DataSettings, ReduceSettings, other_source
from symmcd.stages import download, reduce
from symmcd.storage import read_units
from symmcd.structures import data_files
from symmcd.structures.data_files import DataFile, Downloads
from symmcd.structures.fetch import DIGESTS, git_blob_id
from symmcd.structures.sources import SPLITS, Raw, row_of

SALTS = [(cation, anion) for cation in ("Li", "Na", "K", "Rb") for anion in ("F", "Cl", "Br", "I")]

PLUGIN = """
from symmcd.extensions import Source

def read(downloads):
    from pymatgen.core import Lattice, Structure
    from symmcd.structures.sources import Raw, row_of

    salts = [(c, a) for c in ("Li", "Na", "K", "Rb") for a in ("F", "Cl", "Br", "I")]
    sites = [[0, 0, 0], [0.5, 0.5, 0.5]]
    crystals = [Structure.from_spacegroup("Fm-3m", Lattice.cubic(6), salt, sites) for salt in salts]
    return Raw([row_of(i, "".join(salt), c) for i, (salt, c) in enumerate(zip(salts, crystals), 1)])

SALTS = Source("sixteen rock salts", "CC0", "this test", read)
"""


def rock_salt(salt: tuple[str, str]) -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(6), list(salt), [[0, 0, 0], [0.5, 0.5, 0.5]])


def salts(_: Downloads) -> Raw:
    """Sixteen rock salts in one piece."""
    rows = [row_of(i, "".join(s), rock_salt(s), {"e_above_hull": i / 100}) for i, s in enumerate(SALTS, 1)]
    return Raw(rows, left_out={"CsF": "left out to be told of"})


@pytest.fixture
def salt_source() -> Iterator[str]:
    SOURCES.add("salts", Source("sixteen rock salts", "CC0", "this test", salts))
    yield "salts"
    SOURCES.remove("salts")


def test_a_source_is_one_entry(salt_source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw"
    download.run(raw, DataSettings(source=salt_source, split=(0.5, 0.25, 0.25)))
    about = json.loads((raw / "source.json").read_text())
    assert [about[name] for name in ("source", "data", "licence")] == ["salts", "sixteen rock salts", "CC0"]
    assert about["left_out"] == {"CsF": "left out to be told of"}
    assert "left out 1 crystals of salts" in capsys.readouterr().out
    found = {}
    for split in SPLITS:
        units = tmp_path / f"{split}.npz"
        reduce.run(raw / f"{split}.csv.gz", units, tmp_path / "rejects.csv", ReduceSettings(), workers=1)
        found[split] = read_units(units)
    assert {split: len(units) for split, units in found.items()} == {"train": 8, "val": 4, "test": 4}
    for units in found.values():
        assert set(units.space_group.tolist()) == {225}
        rows = [SALTS.index(next(s for s in SALTS if "".join(s) == label)) + 1 for label in units.label]
        assert units.properties["e_above_hull"] == pytest.approx([row / 100 for row in rows])
    with pytest.raises(InputError, match=r"has crystals of data\.source = salts, and this is prototypes"):
        download.run(raw, DataSettings(source="prototypes"))


def test_a_source_of_an_installed_package(tmp_path: Path) -> None:
    """Found by the command line too, in processes of its own, and not a word of it in symmcd."""
    package = tmp_path / "site" / "salt_data-1.0.dist-info"
    package.mkdir(parents=True)
    (package.parent / "salt_data.py").write_text(PLUGIN)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: salt-data\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[symmcd.sources]\nrock-salts = salt_data:SALTS\n")
    path = os.pathsep.join([str(package.parent), str(Path(symmcd.__file__).parents[1])])
    for words in (
        ("download", "--output", "raw", "--set", "data.source=rock-salts"),
        ("reduce", "raw/train.csv.gz", "--output", "train.npz", "--workers", "2"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "symmcd", *words], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert len(read_units(tmp_path / "train.npz")) == 10


def test_a_reader_that_gives_something_else_is_named(salt_source: str, tmp_path: Path) -> None:
    SOURCES.remove(salt_source)
    SOURCES.add(salt_source, Source("none", "none", "nowhere", lambda _: [1]))
    with pytest.raises(InputError, match=r"data\.source = salts: its reader gave list, expected a Raw"):
        download.run(tmp_path / "raw", DataSettings(source=salt_source))


def test_a_name_that_is_none_tells_which_there_are(tmp_path: Path, salt_source: str) -> None:
    with pytest.raises(InputError, match="mp2O does not exist; give mp20, prototypes, salts, or an existing folder"):
        download.run(tmp_path, DataSettings(source="mp2O"))
    (tmp_path / "source.json").write_text(json.dumps({"source": salt_source}))
    assert other_source(tmp_path / "source.json", salt_source) == ""
    assert other_source(tmp_path / "source.json", str(tmp_path / "salts")) == "salts"


def test_what_is_published_can_be_verified() -> None:
    """Addresses are encrypted and immutable in kind: each file has a checksum of a kind that we compute."""
    for source in json.loads((Path(data_files.__file__).parent / "data-files.json").read_text()):
        for name, file in data_files.data_files(source).items():
            assert file.url.startswith("https://"), name
            assert file.digest in DIGESTS
            assert re.fullmatch("[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}", file.checksum)
    for name in SOURCES:
        entry = SOURCES[name]
        assert entry.sentence
        assert entry.licence
        assert entry.published


def test_a_mirror_takes_the_place_of_an_address(tmp_path: Path) -> None:
    """What is there and fits is not asked for: without a server, the file is taken, and another one is missed."""
    (tmp_path / "a.csv").write_text("one")
    file = DataFile("a.csv", "http://127.0.0.1:9/own/a.csv", "git blob", git_blob_id(tmp_path / "a.csv"))
    assert Downloads(tmp_path, 1).get(file) == tmp_path / "a.csv"
    (tmp_path / "a.csv").unlink()
    for mirror, address in (("", "http://127.0.0.1:9/own/a.csv"), ("http://127.0.0.1:9/m/", "http://127.0.0.1:9/m/a.")):
        with pytest.raises(InputError, match=re.escape(address)):
            Downloads(tmp_path, 1, mirror).get(file)


def test_a_source_that_gives_other_things_is_told_what_is_expected():
    rows = salts(Downloads(Path())).rows
    with pytest.raises(InputError, match="splits train, val; expected train, val, test"):
        Raw(splits={"train": rows, "val": rows}).divided((0.6, 0.2, 0.2), 0)
    with pytest.raises(InputError, match="gave str for a crystal; expected a result of `row_of`"):
        Raw([row.cif for row in rows]).divided((0.6, 0.2, 0.2), 0)
