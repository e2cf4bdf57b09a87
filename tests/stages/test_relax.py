"""The relaxation stage: draw, shards, what a kill leaves, what a broken crystal does to the others."""

import csv
import dataclasses
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.io import read
from pymatgen.core import Lattice, Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.journal import _sealed
from symmcd.settings import RelaxSettings
from symmcd.stability import relax_set
from symmcd.stability.relax_set import draw
from symmcd.stages import relax
from symmcd.storage import read_units, write_units
from symmcd.structures.units import reduce
from symmcd.structures.write import write_extxyz

SETTINGS = RelaxSettings(number=10, steps=3, max_atoms=8)


def rock_salt(cation, anion, a):
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])
    return reduce(structure)


@pytest.fixture
def crystals(tmp_path):
    """Four crystals: two sound ones, one of an element CHGNet does not know, one of isolated atoms."""
    units = [
        rock_salt("Na", "Cl", 5.9),
        rock_salt("Po", "O", 5.6),
        rock_salt("Mg", "O", 4.3),
        reduce(Structure(Lattice.cubic(20), ["Na"], [[0, 0, 0]])),
    ]
    write_units(tmp_path / "units.npz", AsymmetricUnits.from_units(units))
    return tmp_path / "units.npz"


@pytest.fixture
def frames(crystals):
    """The same crystals as a text of which only its frames are known."""
    units = read_units(crystals)
    crystals.unlink()
    path = crystals.with_name("crystals.extxyz")
    write_extxyz(path, replicate_flat(units), units)
    return path


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(crystals, name, shard=0, shards=1, settings=SETTINGS, seed=0):
    table, relaxed = crystals.with_name(f"{name}.csv"), crystals.with_name(f"{name}.extxyz")
    relax.run(crystals, table, relaxed, shard, shards, settings, seed, "cpu")
    return table, relaxed


def without_seconds(path):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows(path)]


def test_every_crystal_has_a_row_and_relaxed_ones_a_structure(crystals, capfd):
    table, relaxed = run(crystals, "all")
    found = rows(table)
    assert [row["id"] for row in found] == ["00000", "00001", "00002", "00003"]
    assert [row["status"] for row in found] == [
        "step_limit",
        "failed:unknown_element:Po",
        "converged",
        "failed:isolated_atoms",
    ]
    assert [row["space_group"] for row in found] == ["225", "225", "225", "221"]
    assert found[1]["energy_initial"] == found[1]["energy_relaxed"] == ""
    assert float(found[0]["energy_relaxed"]) < float(found[0]["energy_initial"]) < -3
    frames = read(relaxed, index=":")
    assert [int(frame.info["id"]) for frame in frames] == [0, 2]
    assert [len(frame) for frame in frames] == [2, 2], "primitive cells"
    assert frames[0].info["energy_per_atom"] == pytest.approx(float(found[0]["energy_relaxed"]))
    assert frames[0].info["space_group_relaxed"] == 225
    assert not table.with_name("all.csv.partial").exists()
    out, err = capfd.readouterr()
    assert "wrote" in out
    assert "CHGNet" not in out + err
    assert "4/4 crystals" in err


def test_one_broken_crystal_does_not_stop_the_others(frames):
    """A flat cell, a cell of NaN and atoms in one place, before a sound crystal."""
    atom = "\nNa 0 0 0 a 0\nCl 0 0 0 a 0\n"
    head = 'Properties=species:S:1:pos:R:3:wyckoff:S:1:orbit:I:1 id="{}" space_group=1 pbc="T T T"'
    broken = ("1 0 0 2 0 0 0 0 1", "nan 0 0 0 1 0 0 0 1", "4 0 0 0 4 0 0 0 4")
    text = "".join(f'2\nLattice="{cell}" {head.format(7000 + n)}{atom}' for n, cell in enumerate(broken))
    frames.write_text(text + frames.read_text())
    found = rows(run(frames, "broken")[0])
    statuses = [row["status"] for row in found if "700" in row["id"]]
    assert statuses == ["failed:flat_cell", "failed:not_finite", "failed:nan_forces"]
    assert sum(row["status"] == "converged" for row in found) == 1


def assert_same_rows(found, expected):
    """Equal but for single-precision rounding, which depends on who shares a batch."""
    assert len(found) == len(expected)
    for row, other in zip(found, expected, strict=True):
        assert row.keys() == other.keys()
        for key, value in row.items():
            if "." in value:
                assert float(value) == pytest.approx(float(other[key]), rel=1e-3, abs=2e-5), key
            else:
                assert value == other[key], key


@pytest.mark.parametrize("method", ["structure_optimizer", "unconstrained", "symmetry"])
def test_shards_are_the_whole(crystals, method):
    settings = dataclasses.replace(SETTINGS, method=method)
    whole, _ = run(crystals, "whole", settings=settings)
    parts = [without_seconds(run(crystals, f"shard{n}", n, 3, settings)[0]) for n in range(3)]
    assert_same_rows(sorted(itertools.chain(*parts), key=lambda row: row["id"]), without_seconds(whole))
    assert [row["id"] for row in parts[0]] == ["00000", "00003"]


def test_empty_shard_writes_empty_files(crystals):
    table, relaxed = run(crystals, "none", 5, 6)
    assert rows(table) == []
    assert table.read_text().startswith("id,space_group,status")
    assert relaxed.read_bytes() == b""


def test_draw_is_seeded_and_without_repetition():
    assert draw(5, 10, 1, 0) == dict.fromkeys(range(5), 1)
    drawn = draw(1000, 100, 1, 3)
    assert drawn == draw(1000, 100, 1, 3)
    assert len(drawn) == 100
    assert drawn != draw(1000, 100, 1, 4)
    assert np.mean(list(drawn)) == pytest.approx(500, abs=100), "from all, not from the first"
    # the crystals that runs before there were several draws had
    assert sorted(draw(1000, 5, 1, 0)) == sorted(np.random.default_rng(0).choice(1000, 5, replace=False))


def test_draws_are_disjoint_and_the_first_stays_what_it_is():
    one, three = draw(1000, 300, 1, 3), draw(1000, 300, 3, 3)
    assert {index for index, which in three.items() if which == 1} == set(one)
    members = {which: [i for i, w in three.items() if w == which] for which in (1, 2, 3)}
    assert [len(of) for of in members.values()] == [300, 300, 300]
    assert len(three) == 900, "no crystal twice"
    assert np.mean(members[3]) == pytest.approx(500, abs=60)
    assert len(draw(900, 300, 3, 0)) == 900
    with pytest.raises(InputError, match=r"relax\.draws = 3 .*need 900 crystals, but there are 899"):
        draw(899, 300, 3, 0)
    with pytest.raises(InputError, match=r"relax\.draws = 0"):
        RelaxSettings(draws=0)


def test_the_table_says_which_draw(crystals):
    """Over shards and after a kill too; one draw has no such column."""
    settings = dataclasses.replace(SETTINGS, number=2, draws=2)
    whole = rows(run(crystals, "whole", settings=settings)[0])
    expected = draw(4, 2, 2, 0)
    assert {int(row["id"]): int(row["draw"]) for row in whole} == expected
    assert sorted(expected.values()) == [1, 1, 2, 2]
    parts = [rows(run(crystals, f"shard{n}", n, 3, settings)[0]) for n in range(3)]
    assert {int(row["id"]): int(row["draw"]) for row in itertools.chain(*parts)} == expected
    single = rows(run(crystals, "single", settings=dataclasses.replace(settings, draws=1))[0])
    assert "draw" not in single[0]
    assert {int(row["id"]) for row in single} == {index for index, which in expected.items() if which == 1}
    with pytest.raises(InputError, match=r"relax\.draws = 3"):
        run(crystals, "few", settings=dataclasses.replace(settings, draws=3))


def test_a_journal_from_before_there_were_draws_goes_on(crystals):
    settings = dataclasses.asdict(SETTINGS)
    del settings["draws"], settings["potential"]
    work = {
        "crystals": hashlib.sha256(crystals.read_bytes()).hexdigest(), "settings": settings, "seed": 0, "shard": [0, 1],
    }  # fmt: skip
    head = json.dumps({"work": work}, sort_keys=True)
    done = {"id": "00000", "space_group": 225, "status": "old", "cell": None}
    crystals.with_name("old.csv.partial").write_text(f"{head}\n{json.dumps(done)}\n")
    assert [row["status"] for row in rows(run(crystals, "old")[0])][:2] == ["old", "failed:unknown_element:Po"]


def test_goes_on_after_a_kill(crystals):
    """SIGKILL in the middle of a batch: those finished are kept, the rest is made, the result is as without."""
    whole, whole_structures = run(crystals, "whole")
    script = (
        "import sys, time; from pathlib import Path; from symmcd.settings import RelaxSettings\n"
        "from symmcd.stages import relax as stage; from symmcd.stability import relax_set\n"
        "many = relax_set.relax_many\n"
        "def slow(*rest, **options):\n"
        "    for number, finished in enumerate(many(*rest, **options)):\n"
        "        if number == 2: time.sleep(60)\n"
        "        yield finished\n"
        "relax_set.relax_many = slow\n"
        "crystals, table, relaxed = map(Path, sys.argv[1:])\n"
        "settings = RelaxSettings(number=10, steps=3, max_atoms=8)\n"
        "stage.run(crystals, table, relaxed, 0, 1, settings, 0, 'cpu')\n"
    )
    table, relaxed = crystals.with_name("killed.csv"), crystals.with_name("killed.extxyz")
    partial = Path(f"{table}.partial")
    process = subprocess.Popen([sys.executable, "-c", script, crystals, table, relaxed], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.read_bytes().count(b"\n") == 3):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not table.exists()
    kept = partial.read_bytes()
    first = json.loads(kept.splitlines()[1])
    partial.write_bytes(kept[:-1])  # the second crystal's line lacks its end: it is computed again
    kept_result = {**first, "seconds": 4711.0}
    partial.write_bytes(partial.read_bytes().replace(*(_sealed(json.dumps(r)) for r in (first, kept_result))))
    run(crystals, "killed")
    [found] = [row for row in rows(table) if row["id"] == first["id"]]
    assert float(found["seconds"]) == 4711, "the finished crystal was not computed again"
    assert_same_rows(without_seconds(table), without_seconds(whole))
    for found, expected in zip(read(relaxed, index=":"), read(whole_structures, index=":"), strict=True):
        assert found.cell.array == pytest.approx(expected.cell.array, abs=1e-4)
        assert found.positions == pytest.approx(expected.positions, abs=1e-4)


def test_a_changed_setting_starts_over(crystals, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("symmcd.journal.Journal.remove", stop)
        with pytest.raises(KeyboardInterrupt):
            run(crystals, "a", settings=RelaxSettings(number=1, steps=1))
    run(crystals, "a", settings=RelaxSettings(number=1, steps=2))
    assert "starting again" in capsys.readouterr().out
    assert rows(crystals.with_name("a.csv"))[0]["steps"] in ("0", "2")


@pytest.mark.parametrize("method", ["unconstrained", "structure_optimizer"])
def test_a_space_group_need_not_be_said(frames, method):
    """Crystals of somebody else's: blank in the table, absent from the structures, and all the rest as ever."""
    frames.write_text(frames.read_text().replace("space_group=225 ", ""))
    table, relaxed = run(frames, "none", settings=dataclasses.replace(SETTINGS, method=method))
    found = rows(table)
    assert [row["space_group"] for row in found] == ["", "", "", "221"]
    assert found[2]["status"] == "converged"
    relaxed_frames = read(relaxed, index=":")
    assert relaxed_frames[0].info["space_group_relaxed"] == 225
    assert "space_group" not in relaxed_frames[0].info


def test_symmetry_of_a_text_is_searched_for(frames):
    """No column says letters or orbits here; what has no symmetry to be found is a row with the reason."""
    bare = frames.with_name("bare.extxyz")
    atoms = ase.io.read(frames, index=2)
    for name in ("wyckoff", "orbit"):
        del atoms.arrays[name]
    atoms.info = {"id": "magnesia"}
    twice = atoms.copy()
    twice.positions[1] = twice.positions[0] + 0.01
    twice.info = {"id": "twice"}
    ase.io.write(bare, [twice, atoms], format="extxyz")
    table, _ = run(bare, "bare", settings=dataclasses.replace(SETTINGS, method="symmetry", steps=20))
    found = {row["id"]: row for row in rows(table)}
    assert (found["magnesia"]["status"], found["magnesia"]["space_group_relaxed"]) == ("converged", "225")
    assert found["magnesia"]["method"] == found["twice"]["method"] == "symmetry"
    assert found["twice"]["status"].startswith("failed:")
    assert found["twice"]["energy_relaxed"] == ""


def test_what_is_relaxed_is_what_the_file_has(tmp_path, monkeypatch):
    """Wyckoff positions as they are, and every coordinate to its last bit."""
    lattice = np.array([[5.1, 0, 0], [0, 6.2, 0], [0, 0, 7.3]])
    position = np.array([[0.0, 0.0, 1 / 3], [1 / 7, 2 / 9, 0.1]])
    units = AsymmetricUnits.from_units([AsymmetricUnit(16, lattice, np.array([11, 17]), ("q", "u"), position)])
    units = dataclasses.replace(units, label=np.array(["mine"]))
    write_units(tmp_path / "units.npz", units)
    given = []

    def record(crystals, *_, **__):
        given.extend(crystals)
        return iter(())

    monkeypatch.setattr(relax_set, "relax_many", record)
    for method in ("symmetry", "unconstrained"):
        run(tmp_path / "units.npz", method, settings=dataclasses.replace(SETTINGS, method=method))
    unit, structure = given
    assert (unit.space_group, unit.letter) == (16, ("q", "u"))
    assert (unit.position == position).all()
    assert (unit.lattice == units[0].lattice).all()
    assert (structure.frac_coords == replicate_flat(units).position).all()


def test_a_text_and_the_units_relax_alike(crystals):
    """crystals.extxyz has ten decimals of the same crystals."""
    from_units = rows(run(crystals, "units")[0])
    write_extxyz(crystals.with_name("crystals.extxyz"), replicate_flat(read_units(crystals)), read_units(crystals))
    from_text = rows(run(crystals.with_name("crystals.extxyz"), "text")[0])
    for row, other in zip(from_units, from_text, strict=True):
        assert (row["id"], row["status"], row["space_group"]) == (other["id"], other["status"], other["space_group"])
        for name in ("energy_initial", "energy_relaxed"):
            assert float(row[name] or 0) == pytest.approx(float(other[name] or 0), abs=1e-5)


def test_labels_that_are_there_twice_are_made_ids(crystals):
    units = read_units(crystals)
    write_units(crystals, dataclasses.replace(units, label=np.array(["a", "b", "a", "c\nd"])))
    assert [row["id"] for row in rows(run(crystals, "ids")[0])] == ["a", "a#2", "b", "c_d"]


@pytest.mark.parametrize("given", ['"Fm-3m"', "0", "231", "2.5"])
def test_a_space_group_that_is_none_is_named(frames, given):
    frames.write_text(frames.read_text().replace("space_group=221", f"space_group={given}"))
    with pytest.raises(InputError, match=r"frame 00003 has space_group=.*a number from 1 to 230, or nothing"):
        run(frames, "bad")


def test_columns_say_how(crystals):
    settings = dataclasses.replace(SETTINGS, method="symmetry", release_steps=2)
    found = rows(run(crystals, "how", settings=settings)[0])[2]
    assert (found["formula"], found["method"]) == ("MgO", "symmetry")
    assert int(found["energy_calls"]) >= int(found["steps"]) + 1
    assert float(found["energy_symmetric"]) < float(found["energy_initial"])
    with pytest.raises(InputError, match="release_steps needs"):
        dataclasses.replace(settings, method="unconstrained")


@pytest.mark.parametrize("name", ["units.npz", "crystals.extxyz"])
def test_missing_crystals(tmp_path, name):
    with pytest.raises(InputError, match="no such file"):
        run(tmp_path / name, "x")


@pytest.mark.parametrize(
    ("cell", "status"),
    [
        ("1 2 3 2 4 6 0 0 1", "failed:flat_cell"),
        ("4 0 0 8 0 1e-9 0 0 4", "failed:flat_cell"),
        ("4 0 0 0 4 0 4 4 0", "failed:flat_cell"),
        ("0 0 0 0 0 0 0 0 0", "failed:flat_cell"),
        ("4 inf 0 0 4 0 0 0 4", "failed:not_finite"),
        ("4 0 0 0 nan 0 0 0 4", "failed:not_finite"),
    ],
)
@pytest.mark.parametrize("method", ["structure_optimizer", "unconstrained", "symmetry"])
def test_a_singular_cell_is_a_row(tmp_path, cell, status, method):
    atoms = "Na 0 0 0 a 0\nCl 1 1 1 a 1\n"
    head = 'Properties=species:S:1:pos:R:3:wyckoff:S:1:orbit:I:1 id="x" space_group=1 pbc="T T T"'
    (tmp_path / "mine.extxyz").write_text(f'2\nLattice="{cell}" {head}\n{atoms}')
    (row,) = rows(run(tmp_path / "mine.extxyz", "flat", settings=dataclasses.replace(SETTINGS, method=method))[0])
    assert row["status"] == status


def test_the_number_drawn_is_in_every_row(crystals):
    settings = dataclasses.replace(SETTINGS, number=3)
    parts = [rows(run(crystals, f"s{n}", n, 2, settings)[0]) for n in range(2)]
    assert [row["drawn"] for part in parts for row in part] == ["3"] * 3


def test_crystals_that_were_cut_are_not_drawn_from(frames):
    """A draw goes by numbers of frames: of fewer frames it is another one."""
    units = AsymmetricUnits.from_units([rock_salt("Na", "Cl", 5.9)] * 5)
    write_units(frames.with_name("units.npz"), units)
    with pytest.raises(InputError, match=r"crystal 00004 of .*units\.npz is missing"):
        run(frames, "cut")


@pytest.mark.parametrize("given", ["0", "231", "T", "2.5"])
def test_a_space_group_that_is_none_is_refused_before_anything(frames, given):
    frames.write_text(frames.read_text().replace("space_group=225", f"space_group={given}", 1))
    with pytest.raises(InputError, match="frame 00000 has space_group="):
        run(frames, "group")
    assert not frames.with_name("group.csv.partial").exists()
