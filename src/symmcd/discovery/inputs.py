"""Inputs of DFT programs for the crystals that are worth a calculation: a folder each, without pseudopotentials.

``vasp``: pymatgen's MPRelaxSet, the settings of the Materials Project; POTCAR.spec names the potentials, whose contents
are licensed by the VASP company and so are never written.  ``qe``: pw.in of a variable-cell relaxation by Quantum
ESPRESSO, without a Hubbard U; put the pseudopotentials that it names, ``Fe.UPF`` …, into its folder ``pseudo``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from pymatgen.core import Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.symmetric_cell import SymmetricCell
from symmcd.structures.cell import Cell
from symmcd.structures.convert import to_structure
from symmcd.structures.names import file_stem
from symmcd.writing import atomic_folder

FOLDER = "inputs"
CUTOFF, DENSITY_CUTOFF = 60.0, 480.0  # Ry, of QE's wave functions and density; enough for the SSSP library
POINTS = 1000  # k points times atoms, as MPRelaxSet's order of magnitude
SMEARING = 0.01  # Ry


def primitive(unit: AsymmetricUnit) -> Structure:
    """Primitive cell of a crystal, its symmetry exact, atoms sorted by element."""
    cell = SymmetricCell(unit)
    lattice, position = cell.geometry(cell.start)
    crystal = to_structure(Cell(lattice, cell.element, position % 1.0))
    return Structure.from_sites(list(crystal)).get_sorted_structure()


def vasp(structure: Structure, folder: Path) -> None:
    """INCAR, KPOINTS, POSCAR and POTCAR.spec."""
    from pymatgen.io.vasp.sets import MPRelaxSet

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on MPRelaxSet's own age, and a library's error handling
        MPRelaxSet(structure).write_input(str(folder), potcar_spec=True)


def qe(structure: Structure, folder: Path) -> None:
    """pw.in."""
    from pymatgen.io.pwscf import PWInput
    from pymatgen.io.vasp.inputs import Kpoints

    species = sorted({site.specie.symbol for site in structure})
    system = {"ecutwfc": CUTOFF, "ecutrho": DENSITY_CUTOFF, "occupations": "smearing", "degauss": SMEARING}
    moments = [n for n, symbol in enumerate(species, 1) if _magnetic(symbol)]
    if moments:
        system |= {"nspin": 2, **{f"starting_magnetization({n})": 0.5 for n in moments}}
    control = {"calculation": "vc-relax", "pseudo_dir": "pseudo", "prefix": structure.composition.reduced_formula}
    text = str(
        PWInput(
            structure,
            pseudo={name: f"{name}.UPF" for name in species},
            control=control,
            system=system,
            electrons={"conv_thr": 1e-8},
            kpoints_grid=Kpoints.automatic_density(structure, POINTS).kpts[0],
            format_options={"coord_decimals": 10},  # for cells too: to QE 0.333333 is not a third of a hexagonal cell
        )
    )
    (folder / "pw.in").write_text(text + "\n", encoding="ascii")


def _magnetic(symbol: str) -> bool:
    from pymatgen.core import Element

    return Element(symbol).is_transition_metal or Element(symbol).is_lanthanoid or Element(symbol).is_actinoid


PROGRAMS: dict[str, Callable[[Structure, Path], None]] = {"vasp": vasp, "qe": qe}


def write(program: str, target: Path, units: Mapping[str, AsymmetricUnit]) -> int:
    """Write a folder of inputs for each crystal, ``<id>_<formula>``, in place of those before; how many.

    Args:
        program: of `PROGRAMS`.
        target: folder that they go to.
        units: relaxed crystals by id.
    """
    with atomic_folder(target) as building:
        for name, unit in units.items():
            folder = building / f"{file_stem(name)}_{unit.formula}"
            folder.mkdir()
            PROGRAMS[program](primitive(unit), folder)
    return len(units)
