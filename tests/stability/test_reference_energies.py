"""Energies of reference crystals: computed once, whoever asks again; one that fails is named and ends nothing."""

import dataclasses
import sqlite3
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.potentials.toy import ENTRY, Morse
from tests.stability.prototypes import CRYSTALS

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.extensions import POTENTIALS
from symmcd.potentials.potential import UnusableCrystalError
from symmcd.sqlite_cache import Stored
from symmcd.stability import reference_energies as module
from symmcd.stability.corrections import correction
from symmcd.stability.energies import Energy, energies
from symmcd.stability.energy_cache import EnergyCache, content_keys
from symmcd.stability.reference_energies import reference_energies
from symmcd.structures.units import reduce

NAMES = ("tungsten", "rock salt", "perovskite", "rutile", "caesium")
UNITS = AsymmetricUnits.from_units([reduce(CRYSTALS[name]) for name in NAMES], list(NAMES))


class Counted(Morse):
    """The toy, which keeps a list of what it is asked, and raises or refuses where it is told to."""

    batch_size = 2

    def __init__(self):
        self.asked = []  # numbers of atoms, all different
        self.trouble = {}  # by number of atoms

    def evaluate(self, requests, *, forces=True):
        for request in requests:
            if isinstance(error := self.trouble.get(len(request.element)), Exception):
                raise error
        self.asked += [len(request.element) for request in requests]
        answers = super().evaluate(requests, forces=forces)
        return [self.trouble.get(len(r.element), lambda a: a)(a) for r, a in zip(requests, answers, strict=True)]


@pytest.fixture
def counted():
    potential = Counted()
    entry = dataclasses.replace(ENTRY, loader=lambda _: potential)
    POTENTIALS.add("counted", entry)
    POTENTIALS.add("pbe", dataclasses.replace(entry, correctable=True))
    POTENTIALS.add("newer", dataclasses.replace(entry, version="2"))
    yield potential
    for name in ("counted", "pbe", "newer"):
        POTENTIALS.remove(name)


def test_energies_are_computed_once(tmp_path, counted, capsys):
    """By whichever run, in any order and under any name; another version of the potential, or another one, anew."""
    cache = tmp_path / "new" / "energies.sqlite"
    plain = [energy.value for energy in energies([UNITS[i] for i in range(5)], Morse())]
    some = reference_energies("counted", UNITS.take([3, 1, 1]), "cpu", cache)
    assert [energy.value for energy in some] == [plain[3], plain[1], plain[1]]
    assert len(counted.asked) == 2, "equal crystals once"
    assert "3 reference crystals: 0 energies of counted known, 3 to compute" in capsys.readouterr().out
    renamed = dataclasses.replace(UNITS, label=UNITS.label[::-1])
    for known, units in ((2, UNITS), (5, renamed), (5, renamed)):
        found = reference_energies("counted", units, "cpu", cache)
        assert [(energy.status, energy.value) for energy in found] == [("ok", value) for value in plain]
        assert f"{known} energies of counted known, {5 - known} to compute" in capsys.readouterr().out
    assert len(counted.asked) == 5
    for name in ("newer", "pbe"):
        reference_energies(name, UNITS, "cpu", cache)
        assert "0 energies of" in capsys.readouterr().out
    assert len(counted.asked) == 15
    reference_energies("counted", UNITS, "cpu", None)
    assert len(counted.asked) == 20


def test_every_number_of_a_crystal_is_in_its_key():
    """One bit of a coordinate, a letter, an element, the group; not the name, nor the crystals beside it."""
    one = UNITS.take([3])
    (key,) = content_keys(one, "toy", "1")
    assert content_keys(UNITS, "toy", "1")[3] == key
    assert content_keys(dataclasses.replace(one, label=np.array(["x"])), "toy", "1") == [key]
    assert content_keys(dataclasses.replace(one, k=-0.0 + one.k), "toy", "1") == [key]
    changed = [content_keys(one, "toy", "2"), content_keys(one, "toy2", "1")]
    for field in ("space_group", "wyckoff", "element"):
        for i in range(len(getattr(one, field))):
            values = getattr(one, field).copy()
            values[i] -= 1
            changed.append(content_keys(dataclasses.replace(one, **{field: values}), "toy", "1"))
    for field in ("k", "position"):
        for i in np.ndindex(getattr(one, field).shape):
            values = getattr(one, field).copy()
            values[i] = np.nextafter(values[i], 2)
            changed.append(content_keys(dataclasses.replace(one, **{field: values}), "toy", "1"))
    assert len({key, *(other for (other,) in changed)}) == len(changed) + 1


def test_equal_numbers_in_other_fields_are_other_crystals():
    """Two orbits of one crystal, or one orbit each of two: nothing runs together."""
    keys = content_keys(UNITS, "toy", "1")
    assert len(set(keys)) == len(keys)
    swapped = dataclasses.replace(UNITS.take([1]), element=UNITS.take([1]).element[::-1])
    assert content_keys(swapped, "toy", "1")[0] not in keys


@pytest.mark.parametrize("error", [RuntimeError("no such\nkernel"), MemoryError("all gone")])
def test_a_crystal_that_fails_is_named_and_tried_again(tmp_path, counted, capsys, error):
    """The others have energies, its own status is in no cache; a reason of the potential's is."""
    cache = tmp_path / "energies.sqlite"
    counted.trouble = {5: error, 6: lambda _: UnusableCrystalError("isolated_atoms")}
    found = reference_energies("counted", UNITS, "cpu", cache)
    kind = type(error).__name__
    assert [energy.status for energy in found] == ["ok", "ok", f"failed:{kind}", "failed:isolated_atoms", "ok"]
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "failed:" in line] == [
        f"reference crystal perovskite (BaZrO3): failed:{kind}: {str(error).replace(chr(10), ' ')} (further ones of "
        "this kind: in the column `status`)"
    ]
    counted.trouble, counted.asked = {}, []
    again = reference_energies("counted", UNITS, "cpu", cache)
    assert counted.asked == [5]
    assert [energy.status for energy in again] == ["ok", "ok", "ok", "failed:isolated_atoms", "ok"]


def test_an_error_that_all_share_ends_the_run_unless_there_were_energies(tmp_path, counted):
    cache = tmp_path / "energies.sqlite"
    last_two = UNITS.take([2, 3])
    counted.trouble = {5: RuntimeError("driver"), 6: RuntimeError("driver")}
    with pytest.raises(RuntimeError, match="driver"):
        reference_energies("counted", last_two, "cpu", cache)
    found = reference_energies("counted", UNITS, "cpu", cache)
    assert [energy.status for energy in found] == ["ok", "ok", "failed:RuntimeError", "failed:RuntimeError", "ok"]
    found = reference_energies("counted", UNITS, "cpu", cache)
    assert [energy.status for energy in found].count("ok") == 3, "what is left may well fail alike"


def test_corrections_are_added_afterwards_and_kept(tmp_path, counted, monkeypatch):
    cache = tmp_path / "energies.sqlite"
    expected = [
        energy.value + correction(CRYSTALS[name])
        for name, energy in zip(NAMES, energies([UNITS[i] for i in range(5)], Morse()), strict=True)
    ]
    assert len({round(correction(CRYSTALS[name]), 3) for name in NAMES}) >= 3
    for _ in range(2):
        found = reference_energies("pbe", UNITS, "cpu", cache)
        assert [energy.value for energy in found] == pytest.approx(expected, abs=1e-9)
        monkeypatch.setattr(module, "correction", None)  # nobody asks again
    with sqlite3.connect(cache) as database:
        values = database.execute("SELECT value FROM energy").fetchall()
    database.close()
    assert len(values) == 10, "energy and correction apart"


def test_a_crystal_without_a_correction_has_no_energy(tmp_path, counted, monkeypatch):
    real = correction
    monkeypatch.setattr(module, "correction", lambda c: None if len(c.composition) == 3 else real(c))
    for _ in range(2):
        found = reference_energies("pbe", UNITS, "cpu", tmp_path / "energies.sqlite")
        assert [energy.status for energy in found] == ["ok", "ok", "no_correction", "ok", "ok"]
        assert found[2].value is None


KEY = b"k" * 32
KEPT = [Energy("ok", -1.25), Energy("ok", 5e-324), Energy("failed:isolated_atoms"), Energy("no_correction")]
NOT_KEPT = [
    Energy("ok"), Energy("ok", float("nan")), Energy("ok", float("inf")), Energy("failed:x", -1.0), Energy(""),
    Energy("failed:MemoryError", error=MemoryError()), Energy("failed:OutOfMemoryError", error=RuntimeError("CUDA")),
]  # fmt: skip


@pytest.mark.parametrize("energy", [*KEPT, *NOT_KEPT], ids=str)
def test_what_was_put_comes_back_if_it_is_sound(tmp_path, energy):
    with EnergyCache(tmp_path / "c.sqlite") as cache:
        cache.put(KEY, energy)
    with EnergyCache(tmp_path / "c.sqlite") as cache:
        assert cache.get(KEY) == (energy if energy in KEPT and energy.error is None else None)


ROW = st.tuples(
    st.sampled_from([b"ok", b"failed:isolated_atoms", b"", "ok", 1, b"\xff"]),
    st.sampled_from([b"", b"x", 2.5]),
    st.one_of(st.none(), st.binary(max_size=16), st.just(-1.5)),
    st.one_of(st.binary(max_size=32), st.just(0)),
)


@given(row=ROW)
@settings(max_examples=40, deadline=None)
def test_a_row_of_anything_is_no_energy(tmp_path_factory, row):
    path = tmp_path_factory.mktemp("row") / "c.sqlite"
    with EnergyCache(path):
        pass
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO energy VALUES (?, ?, ?, ?, ?)", (KEY, *row))
    database.close()
    with EnergyCache(path) as cache:
        assert cache.get(KEY) is None


@given(
    st.sampled_from(["ok", "failed:isolated_atoms", ""]),
    st.sampled_from(["", "x"]),
    st.one_of(st.none(), st.binary(max_size=9), st.floats().map(lambda value: struct.pack("<d", value))),
)
def test_a_row_that_no_energy_makes_is_none(status, detail, value):
    """Whole, but of another program or version: it comes back as what makes the same row, or not at all."""
    cache, stored = EnergyCache(None), Stored(status, detail, value)
    energy = cache._unpack(stored)
    assert energy is None or cache._pack(energy) == stored


def test_damaged_energies_are_computed_again(tmp_path, counted, capsys):
    cache = tmp_path / "energies.sqlite"
    before = reference_energies("counted", UNITS, "cpu", cache)
    with sqlite3.connect(cache) as database:
        database.execute("UPDATE energy SET value = zeroblob(8)")
    database.close()
    assert reference_energies("counted", UNITS, "cpu", cache) == before
    assert len(counted.asked) == 10
    assert "5 damaged energies were computed again" in capsys.readouterr().err
