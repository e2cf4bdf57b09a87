"""Asymmetric units on disk: a file whose arrays were changed is refused in one line, or is asymmetric units still."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.best_of import BestOf
from symmcd.crystallography.lattice import constrain
from symmcd.crystallography.orbit import replicate_flat
from symmcd.crystallography.space_group import operations
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.errors import InputError
from symmcd.storage import ATTRIBUTES, UNIT_FIELDS, read_units, write_arrays, write_units
from tests import damaged_arrays
from tests.structures.random_units import random_units

GROUPS = [1, 2, 14, 33, 62, 75, 136, 148, 166, 173, 194, 198]
UNITS = dataclasses.replace(random_units(GROUPS), properties={"e_above_hull": np.linspace(0, 1, len(GROUPS))})
ARRAYS = {name: getattr(UNITS, ATTRIBUTES.get(name, name)) for name in UNIT_FIELDS}
ARRAYS["property/e_above_hull"] = np.linspace(0, 1, 12)


def assert_of_their_groups(units: AsymmetricUnits) -> None:
    """All operations of each group map the crystal onto itself, cell and atoms."""
    cells = replicate_flat(units)
    for i, number in enumerate(units.space_group):
        group = operations(number)
        atoms = slice(cells.start[i], cells.start[i + 1])
        metric = cells.lattice[i] @ cells.lattice[i].T
        turned = np.swapaxes(group[:, :, :3], 1, 2) @ metric @ group[:, :, :3]
        assert np.abs(turned - metric).max() < 1e-6 * np.abs(metric).max()
        position, orbit = cells.position[atoms], cells.orbit[atoms]
        made = np.einsum("oij,nj->oni", group[:, :, :3], position) + group[:, None, :, 3]
        gap = made[:, :, None] - position
        gap -= np.rint(gap)
        same = (np.abs(gap).max(axis=3) < 1e-6) & (orbit[:, None] == orbit)
        assert same.any(axis=2).all()
        assert ((units.element[cells.orbit] >= 1) & (units.element[cells.orbit] <= 118)).all()


def changed(path: Path, **arrays: np.ndarray) -> Path:
    write_arrays(path, {k: v for k, v in (ARRAYS | arrays).items() if v is not None})
    return path


refusal = functools.partial(damaged_arrays.refusal, read_units)


def test_a_path_may_be_text(tmp_path):
    path = str(tmp_path / "units.npz")
    write_units(path, UNITS)
    assert read_units(path).label.tolist() == UNITS.label.tolist()


def test_how_crystals_were_chosen_is_in_the_file_and_else_nothing(tmp_path):
    """Files of crystals that were not chosen have the arrays, and the bytes, that they always had."""
    choice = BestOf(20, "ab" * 32, "chgnet", "table mp.csv")
    write_units(tmp_path / "chosen.npz", dataclasses.replace(UNITS, best_of=choice))
    assert read_units(tmp_path / "chosen.npz").best_of == choice
    write_units(tmp_path / "units.npz", UNITS)
    write_arrays(tmp_path / "always.npz", ARRAYS)
    assert (tmp_path / "units.npz").read_bytes() == (tmp_path / "always.npz").read_bytes()
    assert read_units(tmp_path / "units.npz").best_of is None


@pytest.mark.parametrize("text", ["", "{}", '{"drafts": 0}', "[[[["])
def test_a_choice_that_says_nothing_names_the_file(tmp_path, text):
    with pytest.raises(InputError, match=r"u\.npz: .*delete it and rerun"):
        read_units(changed(tmp_path / "u.npz", best_of=np.array(text)))
    with pytest.raises(InputError, match=r"u\.npz: best_of is .*expected texts \(\)"):
        read_units(changed(tmp_path / "u.npz", best_of=np.array([text, text])))


def test_what_was_written_is_read_to_the_last_digit(tmp_path):
    write_units(tmp_path / "units.npz", UNITS)
    found = read_units(tmp_path / "units.npz")
    for name, array in ARRAYS.items():
        read = found.properties["e_above_hull"] if "/" in name else getattr(found, ATTRIBUTES.get(name, name))
        assert read.tobytes() == array.tobytes()
        assert read.dtype == array.dtype
    assert_of_their_groups(found)
    write_units(tmp_path / "none.npz", AsymmetricUnits.empty())
    assert len(read_units(tmp_path / "none.npz")) == 0


def some(values: np.ndarray, random: np.random.Generator, new: object) -> np.ndarray:
    """A copy with one entry replaced."""
    copy = values.astype(np.result_type(values.dtype, np.asarray(new).dtype) if values.dtype.kind != "U" else "<U20")
    copy[tuple(random.integers(0, n) for n in values.shape)] = new
    return copy


MUTATIONS = {
    "value": lambda a, r: some(a, r, r.choice([-1, 0, 1, 2, 3, 57, 119, 231, 1730, 1731, 2**40, -(2**62)])),
    "fraction": lambda a, r: some(a, r, r.choice([np.nan, np.inf, 0.5, -0.25, 1e-4, 1e300, -1e17, 1 - 1e-17])),
    "near": lambda a, r: a + r.normal(0, 1, a.shape) * 10.0 ** r.integers(-12, 0) if a.dtype.kind == "f" else a[::-1],
    "text": lambda a, r: some(a.astype("<U20"), r, r.choice(["a", "", "x\ny", "'\"<"])),
    "kind": lambda a, r: a.astype(r.choice(["f4", "f8", "i2", "i4", "u1", "u8", "?", "U3", "S3", ">i8", "f2"])),
    "cut": lambda a, r: a[: r.integers(0, len(a) + 1)],
    "doubled": lambda a, r: np.concatenate([a, a[: r.integers(0, len(a) + 1)]]),
    "shuffled": lambda a, r: r.permutation(a),
    "flat": lambda a, _: a.reshape(-1) if a.ndim > 1 else a[:, None],
    "transposed": lambda a, _: a.T,
    "single": lambda a, _: a.ravel()[0],
    "gone": lambda _a, _r: None,
}


@given(st.sampled_from(list(ARRAYS)), st.sampled_from(list(MUTATIONS)), st.integers(0, 2**20))
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_arrays_are_refused_or_are_asymmetric_units(tmp_path, name, mutation, seed):
    path = tmp_path / "units.npz"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of casts that overflow
        try:
            array = MUTATIONS[mutation](ARRAYS[name], np.random.default_rng(seed))
        except ValueError:  # a text that is no number, cast to one
            return
    changed(path, **{name: array})
    said = f"{path}: "
    try:
        units = read_units(path)
    except InputError as error:
        said = str(error)
    else:
        assert_of_their_groups(units)
        assert all(units[i].number_of_atoms for i in range(len(units)))
    assert said.startswith(f"{path}: ")
    assert "\n" not in said


entry = functools.partial(damaged_arrays.entry, ARRAYS)


first, last = (wyckoff_table().start[g] for g in (13, 14))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (entry("space_group", 3, 231), "crystal '00003': space group 231"),
        (entry("space_group", 3, 0), "crystal '00003': space group 0"),
        (entry("space_group", 6, 137), "crystal '00006': orbit 0: Wyckoff row .* is not of space group 137"),
        (entry("element", 5, 0), "crystal '00002': orbit 1: element 0, expected an atomic number from 1 to 118"),
        (entry("element", 5, 119), "crystal '00002': orbit 1: element 119"),
        (entry("wyckoff", 4, first - 1), "crystal '00002': orbit 0: Wyckoff row .* is not of space group 14"),
        (entry("wyckoff", 4, last), "crystal '00002': orbit 0: Wyckoff row .* is not of space group 14"),
        (entry("wyckoff", 4, 2**62), "crystal '00002': orbit 0: Wyckoff row"),
        (entry("wyckoff", 4, -1), "crystal '00002': orbit 0: Wyckoff row"),
        (entry("lattice", (6, 0), 0.1), r"crystal '00006': the lattice is not of space group 136 \(tetragonal: a = b"),
        (entry("lattice", (10, 0), 0), r"crystal '00010': the lattice is not of space group 194 \(hexagonal"),
        (entry("lattice", (6, 5), 100), "crystal '00006': the lattice is not a usable cell"),
        (entry("lattice", (0, 1), -40), "crystal '00000': the lattice is not a usable cell"),
        (entry("lattice", (0, 1), np.nan), "lattice is nan in row 0"),
        (entry("position", (4, 1), 0.3), r"crystal '00002': orbit 0 \(element 56, letter a of space group 14 P21/c\)"),
        (entry("position", (4, 1), np.inf), "position is inf in row 4"),
        (entry("start", 0, 1), r"start has 13 numbers \(1 … 24\), expected 13, from 0"),
        (entry("start", 4, 10), "crystal '00004': start goes from 10 to 10, so it has no orbits"),
        (entry("start", 4, 12), "crystal '00004': start goes from 12 to 10"),
        (entry("start", 4, -(2**62)), "crystal '00003': start goes from 6 to -"),
        ({"start": ARRAYS["start"][:-1]}, r"start has shape \(12,\), expected integers \(B\+1,\) with B = 12"),
        ({"label": ARRAYS["label"][:-1]}, r"label has shape \(11,\), expected texts \(B,\) with B = 12 of space_group"),
        ({"property/e_above_hull": np.zeros(5)}, r"property/e_above_hull has shape \(5,\)"),
        ({"property/e_above_hull": np.array(["x"] * 12)}, "property/e_above_hull is <U1"),
        ({"label": None}, "lacks label; it is not a file of asymmetric units"),
    ],
)
def test_the_line_says_which_crystal_and_what(tmp_path, arrays, said):
    with pytest.raises(InputError, match=said):
        read_units(changed(tmp_path / "units.npz", **arrays))
    refusal(tmp_path / "units.npz")


def test_samples_of_an_earlier_version_are_named(tmp_path):
    """They had a class of site symmetry for each orbit and no letter."""
    code = np.zeros((len(UNITS.element), 15), dtype=np.int64)
    path = changed(tmp_path / "shard0.npz", wyckoff=None, label=None, site_symmetry=code)
    with pytest.raises(InputError, match=r"samples of an earlier version.*; run `symmcd sample` again"):
        read_units(path)


def test_a_label_with_line_ends_makes_one_line(tmp_path):
    path = changed(tmp_path / "units.npz", **entry("element", 0, 0), label=np.array(["a\nb" + "c" * 500] * 12))
    assert len(refusal(path)) < 400


def test_rounded_arrays_are_put_right(tmp_path):
    """Single precision and four digits: within the tolerance, so the crystals are of their groups again."""
    for kind, digits in (("f4", 15), ("f8", 4)):
        arrays = {name: ARRAYS[name].astype(kind).round(digits) for name in ("lattice", "position")}
        found = read_units(changed(tmp_path / "units.npz", **arrays))
        assert_of_their_groups(found)
        np.testing.assert_array_equal(found.k, constrain(found.k, found.space_group))
        np.testing.assert_allclose(found.position, UNITS.position, atol=2e-4)


def test_labels_may_repeat(tmp_path):
    """A table of raw crystals may have an id twice; learning does not go by it."""
    path = changed(tmp_path / "units.npz", label=np.array(["x"] * 12))
    assert read_units(path).label.tolist() == ["x"] * 12


def test_many_crystals_take_little_time(tmp_path):
    """27,000 with the orbits of MP-20: no loop over crystals (a generous limit; it takes a fifth of a second)."""
    import time

    units = UNITS.take(np.tile(np.arange(len(UNITS)), 2250))
    started = time.process_time()
    checked = units.check()
    assert time.process_time() - started < 20
    assert checked.position.tobytes() == units.position.tobytes()
