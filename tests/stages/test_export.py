"""Crystals in the formats of other evaluators: read back by the libraries that those use, the same crystals."""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.optimade import OptimadeStructureAdapter
from tests.crystallography.prototypes import prototype

from symmcd import reduce
from symmcd.cli import main
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.stages import export
from symmcd.storage import write_units
from symmcd.structures import optimade
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
    with pytest.raises(InputError, match=r"3 crystals, but LeMat-GenBench takes exactly 2500; set sampling\.number"):
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


def test_optimade_is_what_pymatgen_makes_of_the_crystals_and_reads_back(few: Path, tmp_path: Path) -> None:
    assert main(["export", str(few), "--output", str(tmp_path / "out"), "--format", "optimade"]) == 0
    answer = json.loads((tmp_path / "out/structures.json").read_text())
    assert [entry["id"] for entry in answer["data"]] == ["00000", "00001", "00002"]
    assert_the_prototypes([OptimadeStructureAdapter.get_structure(entry) for entry in answer["data"]])
    for entry in answer["data"]:
        attributes = entry["attributes"]
        structure = OptimadeStructureAdapter.get_structure(entry)
        theirs = OptimadeStructureAdapter.get_optimade_structure(structure)["attributes"]
        for name in (
            "elements", "nelements", "chemical_formula_reduced", "chemical_formula_anonymous", "dimension_types",
            "nperiodic_dimensions", "nsites", "species_at_sites", "structure_features",
        ):  # fmt: skip
            assert attributes[name] == theirs[name], name
        assert attributes["elements_ratios"] == pytest.approx(theirs["elements_ratios"], abs=1e-15)
        assert attributes["space_group_it_number"] == structure.get_space_group_info(0.001)[1]
        assert sum(orbit["multiplicity"] for orbit in attributes["_symmcd_orbits"]) == attributes["nsites"]
    # an implementation of the specification says whether it is kept, where it is there: pip install optimade
    if importlib.util.find_spec("optimade"):
        from optimade.models import StructureResponseMany

        StructureResponseMany(**answer)


@pytest.mark.parametrize("amounts", [[1], [2, 1], [5, 3, 1], [42, 42, 16, 12, 10, 9, 5], list(range(60, 0, -1))])
def test_anonymous_formulas_have_their_letters_in_the_order_of_the_specification(amounts: list[int]) -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    names = [*letters, *(f"{a}a" for a in letters), *(f"{a}b" for a in letters)]
    expected = "".join(f"{name}{n if n > 1 else ''}" for name, n in zip(names, amounts, strict=False))
    assert optimade._anonymous(amounts) == expected


def test_optimade_needs_names_that_differ(tmp_path: Path) -> None:
    units = AsymmetricUnits.from_units([reduce(prototype("NaCl"))] * 2)
    write_units(tmp_path / "units.npz", dataclasses.replace(units, label=np.array(["a", "a"])))
    with pytest.raises(InputError, match="1 names appear twice"):
        export.run(tmp_path / "units.npz", tmp_path / "out", "optimade", seed=0)


def test_a_folder_without_crystals_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; give a folder of `symmcd discover`"):
        export.run(tmp_path, tmp_path / "out", "optimade", seed=0)
