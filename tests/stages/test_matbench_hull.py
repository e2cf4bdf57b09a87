"""The hull of matbench-discovery: its computed entries downloaded, verified and read; and against a table's hull."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition, Lattice, Structure
from pymatgen.entries.computed_entries import CompositionEnergyAdjustment, ComputedStructureEntry
from tests.structures.file_server import FileServer, file_server

from symmcd.errors import InputError
from symmcd.settings import HullSettings
from symmcd.stability import hull_sources
from symmcd.stability.hull_entries import computed_entries, elemental_reference_entries, read_entries, table_entries
from symmcd.stages import hull, reference

DOWNLOAD = HullSettings("matbench-discovery")
HULL = os.environ.get("SYMMCD_HULL", "")


def entry(name: str, species: list[str], energy: float) -> ComputedStructureEntry:
    """A computed structure entry as the Materials Project gives them; `energy` (eV) is corrected by -0.7 an O atom."""
    structure = Structure(Lattice.cubic(4), species, np.random.default_rng(0).random((len(species), 3)))
    oxygen = species.count("O")
    adjustments = [CompositionEnergyAdjustment(-0.7, oxygen, name="MP2020 anion correction (oxide)")] if oxygen else []
    return ComputedStructureEntry(structure, energy, energy_adjustments=adjustments, entry_id=name, data={"a": [1, {}]})


def data_frame(entries: list[ComputedStructureEntry]) -> bytes:
    """As matbench-discovery writes its file and its users read it, ``pd.read_json(path).set_index("material_id")``."""
    names = [str(one.entry_id) for one in entries]
    frame = pd.DataFrame({"material_id": names, "entry": [one.as_dict() for one in entries]})
    return gzip.compress(frame.to_json(default_handler=lambda obj: obj.as_dict()).encode(), mtime=0)


ENTRIES = [
    entry("mp-1", ["Mg"], -1.5),
    entry("mp-2", ["O", "O"], -8.0),
    entry("mp-3", ["Mg", "O"], -11.0),
    entry("mp-4", ["Mg", "Mg"], -3.2),
]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FileServer]]:
    """A server of `ENTRIES`, whose checksum is taken for that of the real file."""
    content = data_frame(ENTRIES)
    served = dataclasses.replace(hull_sources.matbench_file(), checksum=hashlib.md5(content).hexdigest())
    monkeypatch.setattr(hull_sources, "matbench_file", lambda: served)
    with file_server(monkeypatch) as start:
        yield lambda *script: start(content, *script)


def run(folder: Path, url: str, **more: Any) -> dict[str, float]:
    reference.run([], folder / "reference.csv", HullSettings("matbench-discovery", url=url, **more), "cpu")
    (found,) = read_entries(folder / "reference.csv").values()
    return {one.id: one.energy_per_atom for one in found}


@pytest.mark.parametrize("script", [[], [503], [("cut", 100)], [("cut", 100), 500, "redirect"], ["accepted"]])
def test_entries_are_downloaded_and_corrected(
    serve: Callable[..., FileServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: list[object]
) -> None:
    monkeypatch.setattr("symmcd.structures.fetch.time.sleep", lambda _: None)
    server = serve(*script)
    found = run(tmp_path, server.url)
    assert found == pytest.approx({"mp-1": -1.5, "mp-2": -4.7, "mp-3": -5.85, "mp-4": -1.6})
    assert found == pytest.approx({str(one.entry_id): one.energy_per_atom for one in ENTRIES}), "as pymatgen has it"
    assert sorted(path.name for path in tmp_path.iterdir()) == [hull_sources.matbench_file().name, "reference.csv"]
    requests = len(server.ranges)
    run(tmp_path, server.url)
    assert len(server.ranges) == requests, "downloaded once"


def test_a_broken_download_goes_on_in_the_next_run(
    serve: Callable[..., FileServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hull_sources, "RETRIES", 1)
    server = serve(("cut", 200))
    with pytest.raises(InputError, match=r"not downloaded .*hull\.url.*hull\.path"):
        run(tmp_path, server.url)
    assert not (tmp_path / "reference.csv").exists()
    assert len(run(tmp_path, server.url)) == 4
    assert server.ranges == [None, "bytes=200-"]


def test_another_file_is_refused_and_not_kept(
    serve: Callable[..., FileServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = dataclasses.replace(hull_sources.matbench_file(), checksum="0" * 32)
    server = serve()
    monkeypatch.setattr(hull_sources, "matbench_file", lambda: wrong)
    with pytest.raises(InputError, match=f"wrong checksum: expected MD5 {'0' * 32}"):
        run(tmp_path, server.url)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_here_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "mine.json.gz").write_bytes(data_frame(ENTRIES))
    assert len(run(tmp_path / "out", "http://127.0.0.1:9/", path=str(tmp_path / "mine.json.gz"))) == 4
    with pytest.raises(InputError, match=r"pickle.*Leave hull\.path empty"):
        run(tmp_path, "http://127.0.0.1:9/", path="2023-02-07-ppd-mp.pkl.gz")


def test_the_address_is_that_of_matbench_discovery() -> None:
    """``DataFiles.mp_computed_structure_entries`` of the 1.3.1 wheel; MD5 of the repository's data-files.yml."""
    file = hull_sources.matbench_file()
    assert DOWNLOAD.url == "", "no other address"
    assert file.url == "https://figshare.com/ndownloader/files/40344436"
    assert file.name == "2023-02-07-mp-computed-structure-entries.json.gz"
    assert (file.digest, file.checksum) == ("MD5", "76fc748db6b175bb80de4c276d27c235")


def test_every_form_of_the_file_gives_the_same(tmp_path: Path) -> None:
    dicts = [one.as_dict() for one in ENTRIES]
    columns = json.loads(gzip.decompress(data_frame(ENTRIES)))
    forms = {
        "frame": columns,
        "entry first": {"entry": columns["entry"], "material_id": columns["material_id"]},
        "list": dicts,
        "mapping": dict(enumerate(dicts)),
        "list in a frame": {"entry": dicts},
    }
    for name, content in forms.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content, indent=1 if name == "frame" else None))
        assert [one.id for one in computed_entries(path)] == ["mp-1", "mp-2", "mp-3", "mp-4"], name
    whole = (tmp_path / "list.json").read_text()
    for damaged in (whole[:-1], whole[:500], whole.replace('"energy": -11.0', '"energy": "x"'), "[1]", "5", "", "{}"):
        (tmp_path / "bad.json").write_text(damaged)
        if damaged == "{}":
            assert computed_entries(tmp_path / "bad.json") == []
            continue
        with pytest.raises(InputError, match=r"bad\.json"):
            computed_entries(tmp_path / "bad.json")


def random_table(seed: int, number: int) -> tuple[dict[str, float], list[tuple[str, float]]]:
    """Elemental energies and formation energies of random compositions of eight elements, eV/atom."""
    random = np.random.default_rng(seed)
    symbols = ("Li", "Mg", "Al", "Fe", "O", "S", "F", "N")
    elemental = {symbol: float(random.uniform(-9, -1)) for symbol in symbols}
    rows = []
    for _ in range(number):
        chosen = random.choice(symbols, random.integers(1, 5), replace=False)
        formula = Composition({str(e): int(random.integers(1, 5)) for e in chosen}).formula.replace(" ", "")
        rows.append((formula, float(random.normal(-1, 0.8)) if len(chosen) > 1 else float(random.uniform(0.01, 1))))
    return elemental, rows


def test_both_sources_give_the_same_distances(tmp_path: Path) -> None:
    """Total energies = formation energies + elemental energies: one hull, whichever way it is told."""
    elemental, rows = random_table(0, 600)
    compare_sources(tmp_path, elemental, rows, [formula for formula, _ in random_table(1, 300)[1]])


@pytest.mark.skipif(not HULL, reason="SYMMCD_HULL is not set: no table of Materials Project formation energies here")
def test_both_sources_give_the_same_distances_over_the_materials_project(tmp_path: Path) -> None:
    """The same over every entry of the table, at 300 compositions of it."""
    elemental = {
        one.formula: one.energy_per_atom
        for one in elemental_reference_entries(Path(HULL) / "mp_elemental_reference_entries.json.gz")
    }
    rows = [(one.formula, one.energy_per_atom) for one in table_entries(Path(HULL) / "mp_formation_energies.csv.gz")]
    chosen = np.random.default_rng(0).choice(len(rows), 300, replace=False)
    compare_sources(tmp_path, elemental, rows, [rows[i][0] for i in chosen])


def compare_sources(
    folder: Path, elemental: dict[str, float], rows: list[tuple[str, float]], formulas: list[str]
) -> None:
    """Assert that hull.csv is the same over a table and over the computed entries of the same energies."""

    def computed(formula: str, per_atom: float, number: int) -> dict[str, Any]:
        amounts = Composition(formula).get_el_amt_dict()
        atoms = sum(amounts.values())
        return {
            "energy": per_atom * atoms + 0.5,
            "correction": -0.5,
            "composition": amounts,
            "entry_id": f"mp-{number}",
        }

    def total(formula: str, formation: float) -> float:
        composition = Composition(formula)
        return formation + sum(elemental[e.symbol] * composition.get_atomic_fraction(e) for e in composition)

    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("formula", "formation_energy_per_atom"), *rows])
    references = {e: {"energy": v, "composition": {e: 1}} for e, v in elemental.items()}
    (folder / "elements.json").write_text(json.dumps(references))
    energies = [*elemental.items(), *((formula, total(formula, formation)) for formula, formation in rows)]
    column = {str(i): computed(formula, energy, i) for i, (formula, energy) in enumerate(energies)}
    (folder / "entries.json").write_text(json.dumps({"material_id": {"0": "mp-0"}, "entry": column}))
    with (folder / "relaxed.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "status", "formula", "energy_initial", "energy_relaxed"))
        random = np.random.default_rng(2)
        for i, formula in enumerate(formulas):
            energy = total(formula, random.normal(-1, 0.5))
            writer.writerow((f"{i:05}", "converged", formula, energy + 0.25, energy))
    found = {}
    for name, settings in {
        "table": HullSettings("table", str(folder / "table.csv"), elemental_references=str(folder / "elements.json")),
        "matbench-discovery": HullSettings("matbench-discovery", str(folder / "entries.json")),
    }.items():
        reference.run([], folder / f"{name}.csv", settings, "cpu")
        hull.run([folder / "relaxed.csv"], [folder / f"{name}.csv"], folder / f"{name}_hull.csv")
        found[name] = pd.read_csv(folder / f"{name}_hull.csv", dtype={"id": str}, keep_default_na=False)
    a, b = found.values()
    assert len(a) == len(formulas)
    for column_name in ("hull_energy", "e_above_hull_initial", "e_above_hull_relaxed"):
        assert b[column_name].astype(float).to_numpy() == pytest.approx(a[column_name].astype(float), abs=2e-6)
    assert (a["e_above_hull_relaxed"].astype(float).abs() > 0.01).mean() > 0.5, "not all on the hull"
