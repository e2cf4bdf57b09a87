"""Crystals in the formats of other evaluators: read back by the libraries that those use, the same crystals."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import ase.io
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from tests.crystallography.prototypes import prototype

from symmcd import reduce
from symmcd.cli import main
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.stages import export
from symmcd.storage import write_units
from symmcd.structures.read import read_structures

NAMES = ("NaCl", "TiO2 rutile", "SrTiO3")


@pytest.fixture
def few(tmp_path: Path) -> Path:
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES])
    write_units(tmp_path / "units.npz", units)
    return tmp_path / "units.npz"


def assert_the_prototypes(structures: list[Structure]) -> None:
    assert len(structures) == len(NAMES)
    for name, structure in zip(NAMES, structures, strict=True):
        assert StructureMatcher().fit(structure, prototype(name))
        assert structure.get_space_group_info(0.001)[1] == reduce(prototype(name)).space_group


def test_mattergen_takes_one_extxyz(few: Path, tmp_path: Path) -> None:
    assert main(["export", str(few), "--output", str(tmp_path / "out"), "--format", "mattergen"]) == 0
    frames = ase.io.read(tmp_path / "out/generated_crystals.extxyz", index=":")
    assert_the_prototypes([AseAtomsAdaptor.get_structure(frame) for frame in frames])


def test_xtalmet_takes_pymatgen_structures(few: Path, tmp_path: Path) -> None:
    export.run(few, tmp_path / "out", "xtalmet", seed=0)
    with gzip.open(tmp_path / "out/structures.json.gz", "rt") as file:
        assert_the_prototypes([Structure.from_dict(entry) for entry in json.load(file)])


def test_genbench_takes_exactly_its_number_drawn_by_seed(tmp_path: Path) -> None:
    unit = reduce(prototype("NaCl"))
    units = AsymmetricUnits.from_units([unit] * (export.GENBENCH + 20))
    write_units(tmp_path / "units.npz", units)
    drawn = []
    for seed in (0, 0, 1):
        export.run(tmp_path / "units.npz", tmp_path / "out", "genbench", seed=seed)
        paths = (tmp_path / "out/structures.txt").read_text().split()
        assert len(paths) == len(set(paths)) == len(list((tmp_path / "out/cif").iterdir())) == 2500
        drawn.append([Path(path).name for path in paths])
    assert drawn[0] == drawn[1] != drawn[2]
    assert StructureMatcher().fit(Structure.from_file(paths[0]), prototype("NaCl"))


def test_too_few_for_genbench_is_an_error(few: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"3 crystals, and LeMat-GenBench takes exactly 2500; set sampling\.number"):
        export.run(few, tmp_path / "out", "genbench", seed=0)
    assert not (tmp_path / "out").exists()


def hostile(number: int) -> AsymmetricUnits:
    """Crystals whose ids would leave their folder, or fall together."""
    unit = reduce(prototype("NaCl"))
    labels = [("../../victim/evil", "../../victim/evil:", "a/b", "a_b", "..", "x\ny", 'q"', "")[i % 8] + "?" * (i // 8)
              for i in range(number)]  # fmt: skip
    return AsymmetricUnits.from_units([unit] * number, labels)


def test_genbench_writes_inside_its_folder_and_as_many_as_it_says(tmp_path: Path) -> None:
    write_units(tmp_path / "units.npz", hostile(export.GENBENCH))
    (tmp_path / "victim").mkdir()
    export.run(tmp_path / "units.npz", tmp_path / "sub/out", "genbench", seed=0)
    assert not list((tmp_path / "victim").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"units.npz", "victim", "sub"}
    paths = (tmp_path / "sub/out/structures.txt").read_text().splitlines()
    assert len(set(paths)) == len(list((tmp_path / "sub/out/cif").iterdir())) == export.GENBENCH
    assert all(Path(path).is_file() for path in paths)


def test_ids_with_quotes_come_back_from_mattergens_file(tmp_path: Path) -> None:
    labels = ['a" space_group=1 id="b', "a b", "it's", "back\\slash", "{x}", "a=b"]
    units = AsymmetricUnits.from_units([reduce(prototype("NaCl"))] * len(labels), labels)
    write_units(tmp_path / "units.npz", units)
    export.run(tmp_path / "units.npz", tmp_path / "out", "mattergen", seed=0)
    found = read_structures(tmp_path / "out/generated_crystals.extxyz")
    assert [name for name, _ in found] == labels == units.label.tolist()
    assert len(ase.io.read(tmp_path / "out/generated_crystals.extxyz", index=":")) == len(labels)
