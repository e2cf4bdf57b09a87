"""Reference energies and the table of distances to the hull, from files to files."""

import contextlib
import csv
import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from pymatgen.core import Lattice, Structure

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.errors import InputError
from symmcd.potentials.chgnet.potential import BATCH_SIZE
from symmcd.settings import HullSettings
from symmcd.stability import reference_energies
from symmcd.stability.hull import HullEntry
from symmcd.stability.hull_entries import elemental_energies, read_entries, write_entries
from symmcd.stages import hull, reference
from symmcd.storage import write_units
from symmcd.structures.units import reduce


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def rock_salt(cation, anion, a):
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])
    return reduce(structure)


UNITS = {
    "NaCl": rock_salt("Na", "Cl", 5.69),
    "KCl": rock_salt("K", "Cl", 6.38),
    "MgO": rock_salt("Mg", "O", 4.25),
    "PoO": rock_salt("Po", "O", 5.6),  # polonium is not in CHGNet's training set
}


@pytest.fixture
def units(tmp_path):
    names = list(UNITS)
    paths = [tmp_path / "train.npz", tmp_path / "test.npz"]
    write_units(paths[0], AsymmetricUnits.from_units([UNITS[n] for n in names[:3]], names[:3]))
    write_units(paths[1], AsymmetricUnits.from_units([UNITS[n] for n in names[3:]], names[3:]))
    return paths


def relaxed_row(identifier, formula, initial, relaxed, status="converged"):
    return {
        "id": identifier,
        "status": status,
        "formula": formula,
        "energy_initial": initial,
        "energy_relaxed": relaxed,
    }


def test_chgnet_hull_from_units_to_distances(tmp_path, units, capsys):
    """Reference crystals lie on their own hull, sums of them too; an element without reference gets no number."""
    reference.run(units, tmp_path / "hull" / "reference.csv", HullSettings(), "cpu")
    (entries,) = read_entries(tmp_path / "hull" / "reference.csv").values()
    assert len(entries) == len(elemental_energies("chgnet")) + 3
    (failed,) = [row for row in read(tmp_path / "hull" / "reference.csv") if row["status"] != "ok"]
    assert (failed["id"], failed["status"], failed["energy_per_atom"]) == ("PoO", "failed:unknown_element:Po", "")
    energy = {entry.formula: entry.energy_per_atom for entry in entries}
    assert energy["NaCl"] == pytest.approx(-3.66, abs=0.05)  # Materials Project: -1.323/2 - 1.849/2 - 2.06 (corrected)
    assert "1 reference crystals without one" in capsys.readouterr().out

    rows = [
        relaxed_row("00000", "NaCl", energy["NaCl"] + 0.5, energy["NaCl"] - 0.25),
        relaxed_row("00001", "KNaCl2", energy["NaCl"], (energy["NaCl"] + energy["KCl"]) / 2),
        relaxed_row("00002", "PoO", -5.0, -5.0),
        relaxed_row("00003", "MgO", "", "", "failed:isolated_atoms"),
        relaxed_row("00004", "Mg", energy["Mg"] + 0.1, "", "exploded"),
    ]
    write(tmp_path / "a.csv", rows[3:])
    write(tmp_path / "b.csv", rows[:3])
    inputs = [tmp_path / "a.csv", tmp_path / "b.csv"]
    hull.run(inputs, [tmp_path / "hull" / "reference.csv"], tmp_path / "hull.csv")
    found = read(tmp_path / "hull.csv")
    assert [row["id"] for row in found] == ["00000", "00001", "00002", "00003", "00004"]
    assert {row["hull"] for row in found} == {"chgnet"}
    assert float(found[0]["e_above_hull_initial"]) == pytest.approx(0.5, abs=1e-5)
    assert float(found[0]["e_above_hull_relaxed"]) == pytest.approx(-0.25, abs=1e-5), "below the hull counts as such"
    assert float(found[1]["e_above_hull_relaxed"]) == pytest.approx(0, abs=1e-5)
    assert found[1]["decomposition"] == "0.500 NaCl + 0.500 KCl"
    assert (found[2]["status"], found[2]["e_above_hull_relaxed"]) == ("no_reference:Po", "")
    assert (found[3]["status"], found[3]["e_above_hull_initial"]) == ("failed:isolated_atoms", "")
    assert (found[4]["status"], found[4]["e_above_hull_relaxed"]) == ("exploded", "")
    assert float(found[4]["e_above_hull_initial"]) == pytest.approx(0.1, abs=1e-5)


def kept(cache):
    """Energies that are on the disk."""
    if not cache.exists():
        return 0
    with contextlib.closing(sqlite3.connect(cache)) as database:
        try:
            return database.execute("SELECT count(*) FROM energy").fetchone()[0]
        except sqlite3.OperationalError:  # it has no table yet
            return 0


def test_reference_goes_on_after_a_kill(tmp_path, units, monkeypatch, capsys):
    """Killed by SIGKILL after the first batch: what was written is not computed again, and nothing is lost."""
    whole, output = tmp_path / "whole.csv", tmp_path / "reference.csv"
    monkeypatch.setitem(BATCH_SIZE, "cpu", 1)
    reference.run(units, whole, HullSettings(), "cpu")
    script = (
        "import time, sys; from pathlib import Path; import symmcd.stability.energies as e\n"
        "from symmcd.settings import HullSettings; from symmcd.stages import reference\n"
        "from symmcd.potentials.chgnet.potential import BATCH_SIZE; BATCH_SIZE['cpu'] = 1\n"
        "one = e.energies\n"
        "def slow(units, *rest, **more):\n"
        "    time.sleep(60 if set(units[0].composition) == {17, 19} else 1.1)\n"
        "    return one(units, *rest, **more)\n"
        "e.energies = slow\n"
        "reference.run([Path(p) for p in sys.argv[2:]], Path(sys.argv[1]), HullSettings(), 'cpu')\n"
    )
    cache = output.with_name("energies.sqlite")
    cache.unlink()  # of the whole run, beside whose output it lies
    process = subprocess.Popen([sys.executable, "-c", script, output, *units], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while kept(cache) < 1:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists()
    assert kept(cache) == 1
    computed = []
    real = reference_energies.energies

    def counted(crystals, *rest, **more):
        computed.extend(crystal.formula for crystal in crystals)
        return real(crystals, *rest, **more)

    monkeypatch.setattr(reference_energies, "energies", counted)
    capsys.readouterr()
    reference.run(units, output, HullSettings(), "cpu")
    assert "4 reference crystals: 1 energies of chgnet known, 3 to compute" in capsys.readouterr().out
    assert computed == ["KCl", "MgO", "PoO"]
    assert output.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".npz") == [
        "energies.sqlite", "reference.csv", "whole.csv"
    ]  # fmt: skip


def test_systems_in_play_give_the_same_distances(tmp_path, units, capsys):
    """What has another element is neither computed nor written; what is in play and fails is, with its status."""
    write(tmp_path / "a.csv", [relaxed_row("00000", "KNaCl2", -3.4, -3.5), relaxed_row("00001", "Cl2", -1.8, -1.9)])
    write(tmp_path / "b.csv", [relaxed_row("00002", "PoO", "", "", "failed:unknown_element:Po")])
    relaxed = [tmp_path / "a.csv", tmp_path / "b.csv"]
    reference.run(units, tmp_path / "all.csv", HullSettings(cache=str(tmp_path / "its own.sqlite")), "cpu")
    capsys.readouterr()
    reference.run(units, tmp_path / "part.csv", HullSettings(), "cpu", relaxed, tmp_path / "mine" / "other.sqlite")
    assert "3 reference crystals: 0 energies of chgnet known, 3 to compute" in capsys.readouterr().out
    assert [kept(tmp_path / name) for name in ("its own.sqlite", "mine/other.sqlite")] == [4, 3]
    assert not (tmp_path / "energies.sqlite").exists()
    for name, ids in (("all", ["NaCl", "KCl", "MgO", "PoO"]), ("part", ["NaCl", "KCl", "PoO"])):
        rows = read(tmp_path / f"{name}.csv")
        assert [row["id"] for row in rows if row["id"]] == ids
        hull.run(relaxed, [tmp_path / f"{name}.csv"], tmp_path / f"{name}_hull.csv")
    assert (tmp_path / "part_hull.csv").read_bytes() == (tmp_path / "all_hull.csv").read_bytes()
    assert read(tmp_path / "part_hull.csv")[0]["decomposition"] == "0.500 NaCl + 0.500 KCl"
    with pytest.raises(InputError, match=r"--in-play: hull\.source = table computes no energies"):
        reference.run(units, tmp_path / "r.csv", HullSettings("table", "t.csv", "e.json"), "cpu", relaxed)
    with pytest.raises(InputError, match=r"--cache: hull\.source = matbench-discovery computes no energies"):
        reference.run([], tmp_path / "r.csv", HullSettings("matbench-discovery"), "cpu", cache=tmp_path / "c.sqlite")


def test_table_hull_brings_its_elemental_energies(tmp_path):
    """CHGNet energies minus elemental references are compared with tabulated formation energies."""
    with gzip.open(tmp_path / "mp.csv.gz", "wt") as file:
        file.write("material_id,formula,formation_energy_per_atom\nmp-1,NaCl,-2.0\nmp-2,NaN,-0.5\n")
    elemental = {e: {"energy": n * v, "composition": {e: n}} for e, n, v in (("Na", 2, -1.3), ("Cl", 1, -1.8))}
    (tmp_path / "elements.json").write_text(json.dumps(elemental))
    settings = HullSettings("table", str(tmp_path / "mp.csv.gz"), str(tmp_path / "elements.json"))
    reference.run([], tmp_path / "r.csv", settings, "cpu")
    write(tmp_path / "relaxed.csv", [relaxed_row("0", "NaCl", -3.5, -3.6), relaxed_row("1", "NaN", -3.5, -3.6)])
    hull.run([tmp_path / "relaxed.csv"], [tmp_path / "r.csv"], tmp_path / "hull.csv")
    first, second = read(tmp_path / "hull.csv")
    assert first["hull"] == "table mp.csv.gz"
    # total -3.6, elements (-1.3 - 1.8) / 2 = -1.55, so formation energy -2.05: 0.05 below the table's -2.0
    assert float(first["e_above_hull_relaxed"]) == pytest.approx(-0.05)
    assert second["status"] == "no_reference:N"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (HullSettings("table"), "hull.path is empty"),
        (HullSettings("table", "t.csv"), "hull.elemental_references is empty"),
        (HullSettings("matbench-discovery", "2023-02-07-ppd-mp.pkl.gz"), "pickle"),
    ],
)
def test_missing_sources_say_what_to_do(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        reference.run([], tmp_path / "r.csv", settings, "cpu")


def test_hull_refuses_what_it_cannot_count(tmp_path):
    write(tmp_path / "r.csv", [relaxed_row("0", "NaCl", -3.5, -3.6)])
    with pytest.raises(InputError, match="twice"):
        hull.run([tmp_path / "r.csv"] * 2, [tmp_path / "h.csv"], tmp_path / "o.csv")
    (tmp_path / "bad.csv").write_text("id,formula\n0,NaCl\n")
    with pytest.raises(InputError, match="lacks the column status"):
        hull.run([tmp_path / "bad.csv"], [tmp_path / "h.csv"], tmp_path / "o.csv")


def test_the_draw_of_a_crystal_is_passed_on(tmp_path):
    elements = [HullEntry(e, v, "energy", "by hand") for e, v in (("Na", -1.3), ("Cl", -1.8))]
    write_entries(tmp_path / "r.csv", "by hand", elements)
    for name, more in (("with", {"draw": 2}), ("without", {})):
        write(tmp_path / "relaxed.csv", [relaxed_row("0", "NaCl", -3.5, -3.6) | more])
        hull.run([tmp_path / "relaxed.csv"], [tmp_path / "r.csv"], tmp_path / f"{name}.csv")
    assert read(tmp_path / "with.csv")[0]["draw"] == "2"
    assert "draw" not in read(tmp_path / "without.csv")[0]


def test_crystals_are_not_judged_by_themselves(tmp_path, units, capsys):
    """Reference energies of the candidates' own units.npz, as numbered as they are: refused; beside others: named."""
    own = tmp_path / "units.npz"
    write_units(own, AsymmetricUnits.from_units([UNITS[n] for n in ("NaCl", "KCl", "MgO")]))
    reference.run([own], tmp_path / "own.csv", HullSettings(), "cpu")
    assert "its crystals are numbered 00000 … 00002, like generated crystals" in capsys.readouterr().err
    (entries,) = read_entries(tmp_path / "own.csv").values()
    energy = {entry.formula: entry.energy_per_atom for entry in entries}
    rows = [
        relaxed_row(f"{i:05d}", name, f"{energy[name]:.6f}", f"{energy[name] - 0.01:.6f}")
        for i, name in enumerate(("NaCl", "KCl", "MgO"))
    ]
    write(tmp_path / "relaxed.csv", rows)
    with pytest.raises(InputError, match=r"should judge \(3 of 3, the first 00000\)") as error:
        hull.run([tmp_path / "relaxed.csv"], [tmp_path / "own.csv"], tmp_path / "hull.csv")
    assert "train.npz" in str(error.value)
    assert not (tmp_path / "hull.csv").exists()

    reference.run([own, units[0]], tmp_path / "both.csv", HullSettings(), "cpu")
    hull.run([tmp_path / "relaxed.csv"], [tmp_path / "both.csv"], tmp_path / "hull.csv")
    assert "3 of 3 crystals are entries of the hull" in capsys.readouterr().err
    found = read(tmp_path / "hull.csv")
    assert [row["own_reference"] for row in found] == ["units:00000", "units:00001", "units:00002"]
    assert [row["reference_entries"] for row in found] == ["1", "1", "1"]


def test_lost_rows_of_relaxed_tables_are_noticed(tmp_path):
    rows = [relaxed_row(f"{i:05d}", "MgO", -5.0, -5.0) | {"drawn": 4} for i in range(4)]
    write_entries(tmp_path / "r.csv", "z", [HullEntry(e, -1.0, "energy", "x") for e in ("Mg", "O")])
    write(tmp_path / "a.csv", rows[:2])
    write(tmp_path / "b.csv", rows[2:])
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    hull.run(files, [tmp_path / "r.csv"], tmp_path / "hull.csv")
    assert [row["drawn"] for row in read(tmp_path / "hull.csv")] == ["4"] * 4
    with pytest.raises(InputError, match="2 crystals, but 4 were drawn"):
        hull.run(files[:1], [tmp_path / "r.csv"], tmp_path / "hull.csv")
    write(tmp_path / "b.csv", rows[3:])
    with pytest.raises(InputError, match="3 crystals, but 4 were drawn"):
        hull.run(files, [tmp_path / "r.csv"], tmp_path / "hull.csv")


@pytest.mark.parametrize(
    ("column", "value"),
    [("formula", "-5.0"), ("energy_relaxed", "conv"), ("id", ""), ("status", ""), ("formula", "Xy2")],
)
def test_a_changed_row_of_a_relaxed_table_is_named(tmp_path, column, value):
    rows = [relaxed_row(f"{i:05d}", "MgO", -5.0, -5.0) for i in range(3)]
    rows[1][column] = value
    write(tmp_path / "a.csv", rows)
    write_entries(tmp_path / "r.csv", "z", [HullEntry(e, -1.0, "energy", "x") for e in ("Mg", "O")])
    with pytest.raises(InputError, match=r"a\.csv, row 2: .*`symmcd relax` again"):
        hull.run([tmp_path / "a.csv"], [tmp_path / "r.csv"], tmp_path / "hull.csv")


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_reference_energies_that_were_cut_are_refused(tmp_path, lost):
    """A hull without some of its phases is too high, and makes everything more stable."""
    path = tmp_path / "r.csv"
    write_entries(path, "z", [HullEntry(e, -1.0, "energy", "x") for e in ("Mg", "O", "MgO")])
    write(tmp_path / "a.csv", [relaxed_row("00000", "MgO", -5.0, -5.0)])
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[: lost + 1], *lines[lost + 2 :]]))
    with pytest.raises(
        InputError, match=r"r\.csv: 2 rows of 3; it is incomplete or was changed; run `symmcd reference` again"
    ):
        hull.run([tmp_path / "a.csv"], [path], tmp_path / "hull.csv")
    path.write_text("".join(line.rpartition(",")[0] + "\n" for line in lines))  # of an earlier version
    hull.run([tmp_path / "a.csv"], [path], tmp_path / "hull.csv")


def test_paths_of_settings_are_expanded(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/t.csv").write_text("formula,formation_energy_per_atom\nMgO,-3.0\n")
    entries = {e: {"composition": {e: 1.0}, "energy": -1.0, "entry_id": e} for e in ("Mg", "O")}
    (tmp_path / "home/e.json").write_text(json.dumps(entries))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MINE", str(tmp_path / "home"))
    reference.run([], tmp_path / "r.csv", HullSettings("table", "~/t.csv", "$MINE/e.json"), "cpu")
    ((name, found),) = read_entries(tmp_path / "r.csv").items()
    assert (name, len(found)) == ("table t.csv", 3)
