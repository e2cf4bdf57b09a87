"""Samples on disk: what a model drew comes back, and what no model draws is refused before it is decoded."""

from __future__ import annotations

import dataclasses
import functools
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symmcd.crystallography.decode import decode
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.samples import Samples, read_samples, write_samples
from symmcd.errors import InputError
from symmcd.storage import write_arrays
from tests import damaged_arrays
from tests.structures.random_units import random_units

GROUPS = [1, 14, 62, 166, 225]


def drawn() -> Samples:
    units, random = random_units(GROUPS), np.random.default_rng(0)
    return Samples(
        np.arange(5) * 3, units.space_group, units.lattice, units.start, units.element,
        (units.position + random.normal(0, 0.01, units.position.shape)) % 1,
        wyckoff_table().site_symmetry[units.wyckoff],
    )  # fmt: skip


SAMPLES = drawn()
ARRAYS = {field.name: getattr(SAMPLES, field.name) for field in dataclasses.fields(Samples)}


def test_samples_come_back_as_they_are(tmp_path):
    write_samples(tmp_path / "s.npz", SAMPLES)
    found = read_samples(tmp_path / "s.npz")
    for name, array in ARRAYS.items():
        assert getattr(found, name).tobytes() == array.tobytes()
        assert getattr(found, name).dtype == array.dtype


entry = functools.partial(damaged_arrays.entry, ARRAYS)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (entry("space_group", 2, 0), "crystal 6: space group 0"),
        (entry("space_group", 2, 231), "crystal 6: space group 231"),
        (entry("element", 5, 0), "crystal 6: orbit 1: element 0"),
        (entry("element", 5, 200), "crystal 6: orbit 1: element 200"),
        (entry("number", 1, -1), "a crystal is number -1"),
        (entry("start", 2, 2), "crystal 3: start goes from 2 to 2"),
        (entry("start", 5, 11), r"start has 6 numbers \(0 … 11\)"),
        (entry("lattice", (1, 0), 1e5), "crystal 3: no cell has the k"),
        (entry("lattice", (1, 5), 1e308), "crystal 3: no cell has the k"),
        (entry("lattice", (1, 5), np.nan), "lattice is nan in row 1"),
        (entry("position", (3, 2), np.inf), "position is inf in row 3"),
        (entry("site_symmetry", (3, 2), 13), "site_symmetry has numbers that are not from 0 to 12"),
        ({"site_symmetry": ARRAYS["site_symmetry"][:, :14]}, r"site_symmetry has shape \(10, 14\)"),
        ({"position": ARRAYS["position"][:9]}, r"position has shape \(9, 3\)"),
        ({"number": np.arange(5.0)}, "number is float64"),
        ({"number": None}, "lacks number; it is not a file of samples"),
    ],
)
def test_what_no_model_draws_is_refused(tmp_path, arrays, said):
    path = tmp_path / "s.npz"
    write_arrays(path, {k: v for k, v in (ARRAYS | arrays).items() if v is not None})
    with pytest.raises(InputError, match=said) as error:
        read_samples(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@given(st.sampled_from(list(ARRAYS)), st.integers(0, 2**20), st.sampled_from(["value", "cut", "kind", "flat", "noise"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_samples_are_refused_or_decoded(tmp_path, name, seed, mutation):
    random, array = np.random.default_rng(seed), ARRAYS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of casts that overflow
        changed = {
            "value": lambda: entry(
                name, tuple(random.integers(0, n) for n in array.shape), random.choice([-7, 0, 5, 12, 300, 8.9, 1e300])
            )[name],
            "cut": lambda: array[: random.integers(0, len(array) + 1)],
            "kind": lambda: array.astype(random.choice(["f4", "i2", "u8", "U5", ">i8", "?"])),
            "flat": lambda: array.reshape(-1),
            "noise": lambda: array + random.normal(0, 10.0 ** random.integers(-9, 3), array.shape),
        }[mutation]()
    path = tmp_path / "s.npz"
    write_arrays(path, ARRAYS | {name: changed})
    said = f"{path}: "
    try:
        s = read_samples(path)
    except InputError as error:
        said = str(error)
    else:
        units = decode(s.space_group, s.lattice, s.element, s.position, s.site_symmetry, s.start)
        checked = units.check()
        assert checked.position.tobytes() == units.position.tobytes()
        assert checked.lattice.tobytes() == units.lattice.tobytes()
    assert said.startswith(f"{path}: ")
