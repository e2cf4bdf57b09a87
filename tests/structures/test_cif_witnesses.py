"""A CIF that contradicts itself is refused, or read as its other words decide; never believed."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.io.cif import CifWriter
from tests.crystallography.prototypes import PROTOTYPES, prototype
from tests.structures.cif_text import cif
from tests.structures.random_units import random_units
from tests.structures.test_cif import assert_same, rock_salt

from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.space_group import symbol, triplets
from symmcd.structures.cif import StructureError, parse_cif, split_crystals
from symmcd.structures.write import cifs

ALL = "_symmetry_equiv_pos_as_xyz"


def operations_of(number: int, leave: int | None = None) -> str:
    listed = [t for i, t in enumerate(triplets(number)) if i != leave]
    return "\n".join([f"loop_\n{ALL}", *(f"'{t}'" for t in listed)])


def composition(text: str) -> dict[int, int]:
    return dict(Counter(parse_cif(text).element.tolist()))


def refused(text: str) -> StructureError:
    with pytest.raises(StructureError) as error:
        parse_cif(text)
    return error.value


ONLY_IDENTITY = f"loop_\n{ALL}\nx,y,z"
FM3M = "_symmetry_space_group_name_H-M 'F m -3 m'\n_symmetry_Int_Tables_number 225\n"
EIGHT = {11: 4, 17: 4}


def rutile(more: str) -> str:
    return cif("rutile", (4.594, 4.594, 2.959, 90, 90, 90), more, "Ti1 Ti 0 0 0\nO1 O 0.3053 0.3053 0")


@pytest.mark.parametrize(
    ("symmetry", "found"),
    [
        (FM3M + operations_of(225), EIGHT),
        (FM3M + "_cell_formula_units_Z 4\n_chemical_formula_sum 'Cl Na'\n" + ONLY_IDENTITY, EIGHT),
        (FM3M + "_chemical_formula_sum 'Cl4 Na4'\n" + ONLY_IDENTITY, EIGHT),
        (FM3M + "_cell_formula_units_Z 4\n_chemical_formula_sum 'Na Cl'\n" + operations_of(221), EIGHT),  # no centring
        ("_symmetry_space_group_name_H-M 'P 1'\n_symmetry_Int_Tables_number 225\n" + operations_of(225), EIGHT),
        (FM3M + f"loop_\n{ALL}\nz,x,y\n-x,-y,z\ny,x,-z\n-x,-y,-z\nx,y+1/2,z+1/2\nx+1/2,y,z+1/2", EIGHT),  # generators
        (FM3M + operations_of(225, leave=77), EIGHT),
        ("_chemical_formula_sum 'Na4 Cl4'\n_cell_formula_units_Z 4\n" + operations_of(225, leave=5), EIGHT),
        ("_chemical_formula_sum 'Na1 Cl1'\n_cell_formula_units_Z 1", {11: 1, 17: 1}),
    ],
)
def test_what_the_other_words_decide(symmetry, found):
    assert composition(rock_salt(symmetry)) == found


@pytest.mark.parametrize(
    ("symmetry", "reason", "named"),
    [
        (FM3M + ONLY_IDENTITY, "contradiction", ("F m -3 m", "operations listed", "225")),
        (FM3M + operations_of(221), "contradiction", ("F m -3 m", "Na1 Cl1", "Na4 Cl4")),
        (FM3M + "_chemical_formula_sum 'Na Cl'\n" + ONLY_IDENTITY, "contradiction", ("'Na Cl'", "F m -3 m")),
        (operations_of(225) + "\n_cell_formula_units_Z 1\n_chemical_formula_sum 'Na Cl'", "contradiction", ("Z = 1",)),
        (operations_of(225) + "\n_chemical_formula_sum 'Na Cl H'", "contradiction", ("Na Cl H", "Na4 Cl4")),
        (operations_of(225) + "\n_chemical_formula_sum 'Na Cl2'", "contradiction", ("Na Cl2",)),
        ("_chemical_formula_sum 'Na K Cl2'", "contradiction", ("Na K Cl2",)),
        ("_symmetry_space_group_name_H-M 'P 1'\n_symmetry_Int_Tables_number 136", "contradiction", ("'P 1'", "136")),
        ("_symmetry_space_group_name_H-M 'P m -3 m'\n_space_group_IT_number 225", "contradiction", ("P m -3 m", "225")),
        ("_space_group_name_Hall '-P 4 2 3'\n" + operations_of(225), "contradiction", ("-P 4 2 3", "Na4 Cl4")),
        ("_space_group_name_H-M_alt 'P 1'\n" + FM3M, "contradiction", ("'P 1'", "'F m -3 m'")),
        (operations_of(225, leave=3), "not_a_group", ("191 operations",)),
        (f"loop_\n{ALL}\nx,y,z\n-x,-y,z+1/2\n-x,y,-z\nx,-y,-z", "not_a_group", ("lack",)),  # a screw lost
        (f"loop_\n{ALL}\nx,y,z\ny,x,z\nz,x,y", "not_a_group", ("lack",)),
        (f"loop_\n{ALL}\nx,y,z\n-y,x-y,z\n-x+y,-x,z", "contradiction", ("cell",)),  # hexagonal, and the cell is cubic
    ],
)
def test_contradictions_name_both(symmetry, reason, named):
    error = refused(rock_salt(symmetry))
    assert error.reason == reason
    assert all(word in error.detail for word in named), error.detail


def test_rutile_with_the_identity_only():
    """Without the operations it is TiO: whatever the file says of group or formula must stop that."""
    named = "_symmetry_space_group_name_H-M 'P 42/m n m'\n"
    assert composition(rutile(named)) == {22: 2, 8: 4}
    assert composition(rutile(named + "_chemical_formula_sum 'Ti O2'\n" + ONLY_IDENTITY)) == {22: 2, 8: 4}
    for more in (named, "_space_group_IT_number 136\n", "_chemical_formula_sum 'O2 Ti'\n_cell_formula_units_Z 2\n"):
        assert refused(rutile(more + ONLY_IDENTITY)).reason == "contradiction"


def test_all_atoms_listed_beside_the_symbol_of_their_group():
    """VESTA, Materials Studio and others write P1 and keep the symbol; in a primitive cell too."""
    rows = "\n".join(f"Na{i} Na {p}" for i, p in enumerate(("0 0 0", "0.5 0.5 0", "0.5 0 0.5", "0 0.5 0.5")))
    rows += "\n" + "\n".join(f"Cl{i} Cl {p}" for i, p in enumerate(("0.5 0.5 0.5", "0 0 0.5", "0 0.5 0", "0.5 0 0")))
    head, _, _ = rock_salt(FM3M + ONLY_IDENTITY).partition("Na1 Na+")
    listed = head.replace("_atom_site_occupancy\n", "") + rows + "\n"
    assert composition(listed) == EIGHT
    primitive = re.sub("length_([abc]) 5.64", r"length_\1 3.988", rock_salt(FM3M + ONLY_IDENTITY)).replace(
        " 90\n", " 60\n"
    )
    assert composition(primitive) == {11: 1, 17: 1}
    moved = listed.replace("0.5 0 0\n", "0.5 0.04 0.02\n")  # no longer of the group: formula and Z decide
    assert refused(moved).reason == "contradiction"
    assert (
        composition(
            moved.replace(ONLY_IDENTITY, "_chemical_formula_sum 'Na4 Cl4'\n_cell_formula_units_Z 4\n" + ONLY_IDENTITY)
        )
        == EIGHT
    )


def test_multiplicities_speak():
    """International Tables count images; old SHELX files have the order of the site symmetry there."""
    text = rock_salt(operations_of(221)).replace(
        "_atom_site_fract_x", "_atom_site_symmetry_multiplicity\n_atom_site_fract_x"
    )

    def column(sodium: int, chlorine: int) -> str:
        return text.replace("Na+ 0", f"Na+ {sodium} 0").replace("Cl- 0.5", f"Cl- {chlorine} 0.5")

    assert composition(column(1, 1)) == composition(column(48, 48)) == {11: 1, 17: 1}
    assert "multiplicities" in refused(column(4, 4)).detail
    assert refused(column(1, 48)).reason == "contradiction"
    alone = column(1, 1).replace(operations_of(221), FM3M + ONLY_IDENTITY)  # ones beside the identity say nothing
    assert refused(alone).reason == "contradiction"


def test_multiplicities_of_a_group_whose_atoms_are_all_listed():
    atoms = [("Na", p) for p in ("0 0 0", "0.5 0.5 0", "0.5 0 0.5", "0 0.5 0.5")]
    atoms += [("Cl", p) for p in ("0.5 0.5 0.5", "0 0 0.5", "0 0.5 0", "0.5 0 0")]
    head = rock_salt(ONLY_IDENTITY).partition("Na1 Na+")[0].replace("occupancy", "symmetry_multiplicity")
    rows = [f"{e}{i} {e} {p} 4\n" for i, (e, p) in enumerate(atoms)]
    assert composition(head + "".join(rows)) == EIGHT
    assert refused(head + "".join(rows[:-1])).reason == "contradiction"


def test_two_lists_and_empty_lists_of_operations():
    second = operations_of(221).replace(ALL, "_space_group_symop_operation_xyz")
    assert refused(rock_salt(f"{operations_of(225)}\n{second}")).reason == "contradiction"
    assert (
        composition(
            rock_salt(f"{operations_of(225)}\n{operations_of(225).replace(ALL, '_space_group_symop_operation_xyz')}")
        )
        == EIGHT
    )
    assert composition(rock_salt(f"{FM3M}loop_\n{ALL}\n?")) == EIGHT


def test_hydrogens_without_positions():
    text = rock_salt(operations_of(225)).replace(
        "_atom_site_occupancy", "_atom_site_occupancy\n_atom_site_attached_hydrogens"
    )
    text = text.replace("0 0 0 1", "0 0 0 1 0").replace("0.5 0.5 0.5 1", "0.5 0.5 0.5 1 {}")
    assert composition(text.format(0)) == EIGHT
    assert "hydrogen" in refused(text.format(2)).detail


def test_deuterium_and_rounded_shares_are_no_contradiction():
    assert composition(rock_salt("_chemical_formula_sum 'D Cl'", sodium="D")) == {1: 1, 17: 1}
    assert composition(rock_salt("_chemical_formula_sum 'Na0.5 Cl0.5'")) == {11: 1, 17: 1}
    assert composition(rock_salt("_chemical_formula_sum ?")) == {11: 1, 17: 1}
    assert composition(rock_salt("_chemical_formula_sum 'sodium chloride'")) == {11: 1, 17: 1}


def test_atoms_that_the_operations_make_as_well_are_merged():
    listed = rock_salt(operations_of(225)) + "Na2 Na 0.5 0.5 0 1\nCl2 Cl- 0 0 0.5 1\nCl3 Cl- 0 0.5 0 1\n"
    assert composition(listed) == EIGHT
    twice = refused(rock_salt() + "Na2 Na 0 0 0 1\n")
    assert twice.reason == "redundant"
    assert "Na1" in twice.detail
    assert "Na2" in twice.detail
    assert refused(rock_salt() + "K1 K 0 0 0 1\n").reason == "disordered"
    assert refused(rock_salt(operations_of(225)) + "K1 K 0.5 0.5 0 1\n").reason == "disordered"


def test_occupancy_that_is_not_known_is_one():
    assert composition(rock_salt(operations_of(225), occupancy="?")) == EIGHT


def test_blocks_of_one_name():
    parts = split_crystals(rock_salt() + rock_salt(sodium="K") + rock_salt(sodium="Rb"))
    assert [name for name, _ in parts] == ["NaCl", "NaCl#2", "NaCl#3"]
    assert [parse_cif(part).element[0] for _, part in parts] == [11, 19, 37]
    assert refused(rock_salt("_cell_length_a 5.7")).reason == "unparseable"  # a tag twice


def test_limits_before_work():
    assert refused(rock_salt(f"loop_\n{ALL}\n" + "x,y,z\n" * 1000)).reason == "too_large"
    assert refused(rock_salt() + "".join(f"H{i} H 0.{i} 0 0 1\n" for i in range(10_001, 20_500))).reason == "too_large"
    general = "".join(f"H{i} H 0.{i}1 0.06{i}7 0.2{i}3 1\n" for i in range(100, 160))
    assert refused(rock_salt(operations_of(225)) + general).reason == "too_large"  # 60 times 192 atoms


# --- digits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PROTOTYPES))
def test_two_digits_lose_no_atom_and_make_none(name):
    """Rounded to 0.01, special positions are still recognised: as many atoms as in the exact crystal, or a refusal."""
    structure = prototype(name)
    text = str(CifWriter(structure, symprec=0.01, significant_figures=6))
    text = "\n".join(line for line in text.split("\n") if "formula" not in line and "multiplicity" not in line.lower())
    text = re.sub(r"(?m)^(  [A-Z][a-z]?\d*[+-]?\s+\S+\s+)\d+\s+(\S+)\s+(\S+)\s+(\S+)", _two_digits, text)
    assert re.search(r" \d\.\d\d \d\.\d\d \d\.\d\d ", text)
    found: dict[int, int] | str
    try:
        found = composition(text)
    except StructureError as error:
        found = error.reason
    assert found in (dict(Counter(structure.atomic_numbers)), "bad_position", "disordered", "redundant")


def _two_digits(line: re.Match[str]) -> str:
    return line[1] + " ".join(f"{float(v):.2f}" for v in line.groups()[1:])


def zeolite(sites: str) -> str:
    return cif("z", (20.91, 20.91, 5.06, 90, 90, 120), operations_of(166), sites)


def test_images_that_rounding_tells_apart_are_one_atom():
    """(x, 2x, z) on the mirror of R-3m, given as 0.12 0.23 instead of 0.117 0.235, is not two atoms 0.2 Å apart."""
    exact = "Si1 Si 0.197 0 0.5\nO1 O 0.117 0.235 0.333\nO2 O 0.333 0.167 0.167"
    rounded = "Si1 Si 0.20 0.00 0.50\nO1 O 0.12 0.23 0.33\nO2 O 0.33 0.17 0.17"
    found, expected = (parse_cif(zeolite(sites)) for sites in (rounded, exact))
    assert Counter(found.element.tolist()) == Counter(expected.element.tolist()) == {14: 18, 8: 27}
    assert_same(found, expected, tolerance=0.3)


def test_contacts_that_coarse_digits_do_not_explain_are_refused():
    """0.02 of 20.91 Å off the mirror is no rounding: two O 0.4 Å apart cannot be; to six digits they are meant."""
    sites = "Si1 Si 0.20 0.00 0.50\nO1 O 0.13 0.24 0.33"
    assert refused(zeolite(sites)).reason == "bad_position"
    exact = sites.replace("0.13 0.24 0.33", "0.128123 0.245123 0.330123")
    assert composition(zeolite(exact)) == {14: 18, 8: 36}


# --- the law: nothing wrong is believed ------------------------------------------------------------------------------

UNITS = random_units([5, 14, 19, 62, 72, 88, 122, 136, 148, 155, 166, 176, 194, 205, 216, 225, 227], seed=3)
TEXTS = [text for _, text in cifs(replicate_flat(UNITS), UNITS)]
RIGHT = [parse_cif(text) for text in TEXTS]
WITNESSES = {  # pattern of the line's tag; multiplicities are a column
    "symbol": "_symmetry_space_group_name",
    "number": "_Tables_number|_IT_number",
    "formula": "_formula_sum",
    "multiplicity": "^$",
}


def _lines(text: str) -> tuple[list[str], list[int], list[int]]:
    """Lines of a CIF, and which of them are operations and atoms."""
    lines = text.split("\n")
    listed = [i for i, line in enumerate(lines) if re.match(r"\d+ '", line)]
    return lines, listed, [i for i, line in enumerate(lines) if re.match(r"[A-Z][a-z]?\d+ ", line)]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), which=st.integers(0, len(TEXTS) - 1), kept=st.sets(st.sampled_from(list(WITNESSES))))
def test_one_fault_is_noticed_or_harmless(data, which, kept):
    """One fault in a good file: it is refused, or read as the crystal that it is, as far as a witness is left."""
    lines, listed, atoms = _lines(TEXTS[which])
    fault = data.draw(st.sampled_from(["one operation", "identity", "sign", "translation", "atom", "group", "formula"]))
    if fault in ("identity", "atom"):
        kept |= {"formula"}  # otherwise they are files without a fault of crystals with fewer atoms
    elif fault == "sign":
        kept |= {"symbol"}  # as above, of another group
    if fault == "one operation":
        del lines[data.draw(st.sampled_from(listed[1:]))]
    elif fault == "identity":
        del lines[listed[1] : listed[-1] + 1]
    elif fault == "sign":
        i = data.draw(st.sampled_from(listed[1:]))
        flip = {"-": "+", "+": "-"}
        signs = [m.start() for m in re.finditer(r"[-+](?=[xyz])", lines[i])] or [lines[i].index("x")]
        at = data.draw(st.sampled_from(signs))
        sign = flip.get(lines[i][at], "-" + lines[i][at])
        lines[i] = lines[i][:at] + sign + lines[i][at + 1 :]
    elif fault == "translation":
        with_one = [i for i in listed if re.search(r"\+\d/\d", lines[i])] or listed[1:]
        i = data.draw(st.sampled_from(with_one))
        lines[i] = re.sub(r"\+\d/\d", "", lines[i], count=1)
    elif fault == "atom":
        del lines[data.draw(st.sampled_from(atoms))]
    elif fault == "group":
        number = data.draw(st.integers(1, 230).filter(lambda n: n != UNITS.space_group[which]))
        place = data.draw(st.sampled_from(["symbol", "number"]))
        kept |= {place}
        value = f"'{symbol(number)}'" if place == "symbol" else str(number)
        lines = [re.sub(rf"^(\S*({WITNESSES[place]})\S*).*", rf"\1 {value}", line) for line in lines]
    else:
        kept |= {"formula"}
        lines = [line.replace("_formula_sum '", "_formula_sum 'H2 ") for line in lines]
    dropped = "|".join(pattern for name, pattern in WITNESSES.items() if name not in kept)
    if "multiplicity" not in kept:
        lines = [re.sub(r"^([A-Z][a-z]?\d+ \w+ )\d+", r"\1?", line) for line in lines]
    lines = [line for line in lines if not (dropped and re.match(rf"\S*({dropped})", line))]
    try:
        found = parse_cif("\n".join(lines))
    except StructureError:
        return
    assert np.array_equal(np.sort(found.element), np.sort(RIGHT[which].element)), fault
    assert_same(found, RIGHT[which])
