"""The border with pymatgen and ASE: whatever enters becomes elements and finite numbers, or a reason."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import DummySpecies, Element, IStructure, Lattice, Molecule, Species, Structure
from tests.crystallography.prototypes import prototype

from symmcd.errors import InputError
from symmcd.structures.convert import elements_of_structure, from_object, from_structure, to_structure
from symmcd.structures.crystal import StructureError
from symmcd.structures.units import reduce, replicate

CUBIC = Lattice.cubic(4)


def decorated(structure: Structure, random: np.random.Generator) -> Structure:
    """The same crystal in other words: charges, spins, isotopes and site properties on some sites."""
    species = []
    for site in structure:
        symbol = site.specie.symbol
        if symbol == "H":
            species.append([Element("H"), Element("D"), Element("T"), Species("D", 1)][random.integers(4)])
            continue
        choices = [
            Element(symbol),
            Species(symbol, int(random.integers(-4, 5))),
            Species(symbol, None, spin=float(random.integers(-3, 4))),
            {Species(symbol, 2): 0.5, Species(symbol, 3): 0.5},
        ]
        species.append(choices[random.integers(len(choices))])
    properties = {"magmom": random.random(len(species)).tolist(), "selective_dynamics": [[True] * 3] * len(species)}
    return Structure(
        structure.lattice, species, structure.frac_coords, site_properties=properties, labels=["x"] * len(species)
    )


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["NaCl", "TiO2 rutile", "SrTiO3"]), st.integers(0, 2**32 - 1))
def test_decoration_changes_nothing(name, seed):
    plain, other = prototype(name), decorated(prototype(name), np.random.default_rng(seed))
    for kind in (other, IStructure.from_sites(other.sites)):
        found = from_structure(kind)
        assert found.element.tolist() == list(plain.atomic_numbers)
        assert np.array_equal(found.lattice, plain.lattice.matrix)
        assert np.array_equal(found.position, plain.frac_coords)
    unit, expected = reduce(other), reduce(plain)
    assert (unit.template, unit.element.tolist()) == (expected.template, expected.element.tolist())
    assert np.array_equal(unit.position, expected.position)
    assert not to_structure(from_structure(other)).site_properties


@pytest.mark.parametrize("symbol", ["D", "T", "D+", "H", "H-"])
def test_isotopes_are_hydrogen(symbol):
    lithium_hydride = Structure(Lattice.cubic(4.08), ["Li", symbol], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert from_structure(lithium_hydride).element.tolist() == [3, 1]
    assert reduce(lithium_hydride).composition == {3: 1, 1: 1}
    assert from_structure(
        Structure(CUBIC, [{"H": 0.5} | {symbol: 0.5 if symbol != "H" else 1.0}], [[0, 0, 0]])
    ).element.tolist() == [1]


@pytest.mark.parametrize(
    ("species", "positions", "reason", "words"),
    [
        (["Na", DummySpecies("X")], [[0, 0, 0], [0.5, 0.5, 0.5]], "unknown_element", "site 1 holds the dummy"),
        (["X0+", "Na"], [[0, 0, 0], [0.5, 0.5, 0.5]], "unknown_element", "replace it, or remove the site"),
        ([{"Na": 0.5, DummySpecies("Xa"): 0.5}], [[0, 0, 0]], "unknown_element", "dummy species"),
        ([{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]], "disordered", "site 0 holds Fe:0"),
        ([{"Fe3+": 0.5}], [[0, 0, 0]], "disordered", "order it first"),
        ([{"Fe3+": 0.5, "Fe2+": 0.4}], [[0, 0, 0]], "disordered", "order it first"),
        (["Na", "Cl"], [[0, 0, 0], [0, 0, 0]], "disordered", r"site 0 \(Na\) and site 1 \(Cl\) are on one site"),
        (["Na", "Cl"], [[0, 0, 0.99], [0, 0, 0.01]], "disordered", r"0\.080 Å apart"),
        (["Na", "Na"], [[0, 0, 0], [1, 0, 0]], "redundant", "are one atom"),
        (["Na+", "Na"], [[0, 0, 0], [0.001, 0, 0]], "redundant", "are one atom"),
        (["Na"], [[np.nan, 0, 0]], "bad_position", "atom 0"),
        (["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, np.inf]], "bad_position", "atom 1"),
        (["Na"], [[0, -np.inf, 0]], "bad_position", "not a position"),
        (["Na"], [[1e12, 0, 0]], "bad_position", "not a position"),
        ([], [], "no_atoms", "no atoms"),
    ],
)  # fmt: skip
def test_what_is_no_crystal(species, positions, reason, words):
    structure = Structure(CUBIC, species, positions)
    with pytest.raises(StructureError, match=words) as error:
        from_structure(structure)
    assert error.value.reason == reason
    with pytest.raises(InputError, match=reason) as error:
        reduce(structure)
    assert "lower symprec" not in str(error.value)


@pytest.mark.parametrize(
    "lattice",
    [
        np.full((3, 3), np.nan),
        np.diag([4, 4, np.inf]),
        np.diag([4, 4, 1e-9]),
        np.diag([4, 4, 0]),
        np.diag([1e155, 1e155, 1e155]),
        [[4, 0, 0], [0, 4, 0], [4, 4, 0]],
    ],
)
def test_what_is_no_cell(lattice):
    with np.errstate(all="ignore"):
        structure = Structure(Lattice(lattice), ["Na"], [[0, 0, 0]])
        with pytest.raises(InputError, match="bad_cell"):
            reduce(structure)


def test_a_slab_is_no_crystal():
    slab = Structure(Lattice(4 * np.eye(3), pbc=(True, True, False)), ["Na"], [[0, 0, 0]])
    with pytest.raises(InputError, match="periodic in three directions"):
        reduce(slab)
    with pytest.raises(InputError, match="periodic in all directions"):
        reduce(Atoms("Na", cell=4 * np.eye(3), pbc=(True, True, False)))


def test_too_many_atoms_are_refused_before_work():
    grid = np.stack(np.meshgrid(*[np.arange(22) / 22] * 3), axis=-1).reshape(-1, 3)
    with pytest.raises(InputError, match="too_large: 10648 atoms in the cell; at most 10000 are read"):
        reduce(Structure(Lattice.cubic(66), ["Na"] * len(grid), grid))


def test_occupancies_as_near_one_as_in_a_cif_are_one():
    assert from_structure(Structure(CUBIC, [{"Na": 0.9995}], [[0, 0, 0]])).element.tolist() == [11]


def test_atoms_of_ase_and_asymmetric_units_are_crystals():
    salt = bulk("NaCl", "rocksalt", a=5.64)
    assert reduce(salt).template == "225_a_b"
    assert from_object(salt).element.tolist() == [11, 17]
    unit = reduce(prototype("TiO2 rutile"))
    assert np.allclose(from_object(unit).position, replicate(unit).frac_coords)
    with pytest.raises(InputError, match="unknown_element"):
        reduce(Atoms("XNa", positions=[[0, 0, 0], [2, 2, 2]], cell=4 * np.eye(3), pbc=True))


@pytest.mark.parametrize(
    "thing", [5, None, 2.5, b"x", ["Na"], {"lattice": 1}, Molecule(["O"], [[0, 0, 0]]), Element("Na")]
)
def test_other_things_are_refused_in_words(thing):
    for function in (reduce, replicate, from_object):
        with pytest.raises(InputError, match=rf"expected .*, got {type(thing).__name__}"):
            function(thing)


def test_geometry_is_not_looked_at_where_only_elements_are_wanted():
    broken = Structure(Lattice(np.diag([4, 4, 1e-9])), ["Fe3+", "D"], [[0, 0, 0], [np.nan, 0, 0]])
    assert elements_of_structure(broken).element.tolist() == [26, 1]
