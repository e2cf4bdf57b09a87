"""Inputs of DFT programs, read back by pymatgen and ASE, are the crystals; none holds a pseudopotential."""

from __future__ import annotations

import pytest
from ase.io import read
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.vasp import Incar, Kpoints
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from symmcd.discovery import inputs
from symmcd.structures.units import reduce
from tests.crystallography.prototypes import prototype

NAMES = ("NaCl", "TiO2 rutile", "LiCoO2", "MgZn2", "TiNiSi")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("program", inputs.PROGRAMS)
def test_the_crystal_comes_back_with_its_symmetry(name, program, tmp_path):
    unit = reduce(prototype(name))
    assert inputs.write(program, tmp_path / "inputs", {"00007": unit}) == 1
    folder = tmp_path / "inputs" / f"00007_{unit.formula}"
    if program == "vasp":
        assert sorted(p.name for p in folder.iterdir()) == ["INCAR", "KPOINTS", "POSCAR", "POTCAR.spec"]
        assert Incar.from_file(folder / "INCAR")["ENCUT"] == 520
        assert Kpoints.from_file(folder / "KPOINTS").kpts
        back = Structure.from_file(folder / "POSCAR")
    else:
        back = AseAtomsAdaptor.get_structure(read(folder / "pw.in", format="espresso-in"))
    assert len(back) == unit.primitive_atoms
    assert StructureMatcher(ltol=1e-3, stol=1e-3, angle_tol=0.1).fit(back, prototype(name))
    assert SpacegroupAnalyzer(back, 1e-5).get_space_group_number() == unit.space_group


def test_a_shorter_list_leaves_nothing_of_a_longer_one(tmp_path):
    units = {f"{i:05d}": reduce(prototype(name)) for i, name in enumerate(NAMES)}
    inputs.write("qe", tmp_path / "inputs", units)
    inputs.write("qe", tmp_path / "inputs", {"00001": units["00001"]})
    assert [p.name for p in (tmp_path / "inputs").iterdir()] == ["00001_TiO2"]
