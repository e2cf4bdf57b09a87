"""Readers, and what each is fed with: whole files that it reads, and how they are damaged."""

from __future__ import annotations

import csv
import functools
import gzip
import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from tests.fuzz.mutate import arrays_of, bytes_of, text_of, tree_of
from tests.structures.random_units import random_units


@dataclass(frozen=True)
class Kind:
    """A reader and its inputs."""

    name: str
    share: float  # of all inputs
    suffix: str  # of the file
    make: Callable[[Random], bytes]  # a damaged input
    read: Callable[[Path], Any]


# --- files that are read -------------------------------------------------------------------------------------------


@functools.cache
def units() -> Any:
    return random_units([2, 14, 62, 148, 166, 194, 225])


@functools.cache
def cif_texts() -> tuple[str, ...]:
    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.structures.cell import cells_of
    from symmcd.structures.write import cifs, p1_cif

    crystals = replicate_flat(units())
    ours = [text for _, text in cifs(crystals, units())]
    p1 = [p1_cif(f"x{i}", crystal) for i, crystal in enumerate(cells_of(crystals)[:2])]
    lines = ours[4].splitlines()
    begin, end = lines.index("_symmetry_equiv_pos_site_id") - 1, lines.index("_atom_site_label") - 1
    by_symbol = "\n".join(lines[:begin] + lines[end:])  # operations only by the symbol
    return (*ours, *p1, by_symbol, ours[0] + ours[1])


@functools.cache
def table_texts() -> tuple[str, ...]:
    found = []
    for columns in (("material_id", "cif"), ("", "cif", "e_above_hull", "formation_energy_per_atom")):
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(columns)
        for i, cif in enumerate(cif_texts()[:3]):
            writer.writerow([f"mp-{i}", cif, 0.1 * i, -1.0][: len(columns)])
        found.append(text.getvalue())
    return tuple(found)


@functools.cache
def extxyz_texts() -> tuple[str, ...]:
    from ase import Atoms
    from ase.io import write

    salt = Atoms("NaCl", cell=np.eye(3) * 4.1, scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], pbc=True)
    salt.info = {"material_id": "mp-1", "note": 'a "quoted" id=7', "energy": -3.2}
    slab = salt.copy()
    slab.pbc = (True, True, False)
    text = io.StringIO()
    write(text, [salt, salt, slab], format="extxyz")
    return text.getvalue(), _ours(), text.getvalue() + "\n\n" + _ours()


@functools.cache
def _ours() -> str:
    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.structures.write import write_extxyz

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.extxyz")
        write_extxyz(path, replicate_flat(units()), units())
        return path.read_text()


@functools.cache
def json_trees() -> tuple[Any, ...]:
    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.structures.convert import crystals_to_structures

    a, b = (s.as_dict() for s in crystals_to_structures(replicate_flat(units().take([0, 1]))))
    frame = {"structure": {"0": a, "1": b}, "energy": {"0": 1.0, "1": 2.0}}
    return a, [a, b], {"a": a, "b": {"structure": b, "energy": 1.0}}, frame


@functools.cache
def unit_arrays() -> dict[str, np.ndarray]:
    from symmcd.storage import write_units

    return _arrays(lambda path: write_units(path, units()))


def _arrays(write: Callable[[Path], None]) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "a.npz"))
        with np.load(Path(folder, "a.npz")) as archive:
            return dict(archive)


def archive(arrays: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@functools.cache
def zip_contents() -> tuple[bytes, ...]:
    found = []
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as packed:
            for i, text in enumerate(cif_texts()[:3]):
                packed.writestr(f"a{i}.cif", text)
            packed.writestr("__MACOSX/._a0.cif", "x")
        found.append(file.getvalue())
    return tuple(found)


@functools.cache
def checkpoint() -> bytes:
    import torch
    from tests.diffusion.crystals import SMALL
    from tests.diffusion.crystals import random_units as crystals

    from symmcd.diffusion.checkpoint import write_checkpoint
    from symmcd.diffusion.data_statistics import DataStatistics
    from symmcd.diffusion.denoiser import Denoiser

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.safetensors")
        statistics = DataStatistics.of(crystals(20))
        write_checkpoint(path, Denoiser(SMALL).state_dict(), statistics.tensors(), SMALL, {"seed": 5})
        return path.read_bytes()


YAML = """\
results: results-x
seed: 3
device: cpu
data: {source: prototypes, split: [60, 20, 20], limit: 0}
reduce:
  symprec: 0.1
  max_orbits: 20
model:
  kind: staged
  width: 64   # a remark
training: {epochs: 2, learning_rate: 1.0e-3}
sampling.number: 100
"""
HULL = "formula,formation_energy_per_atom,material_id\nNaCl,-1.8,mp-1\nFe2O3,-1.6,mp-2\nAl,0.0,mp-3\nLi0.5CoO2,-1.1,\n"
REFERENCES = (
    "hull,id,formula,energy_per_atom,kind,origin,status\n"
    "mp,mp-1,NaCl,-3.1,energy,x,ok\nmp,mp-2,Na,-1.3,energy,x,ok\nmp,mp-3,Cl,-1.8,energy,x,ok\nmp,mp-4,K,,energy,x,failed\n"
)
ENTRIES = {
    "Na": {"composition": {"Na": 2.0}, "energy": -2.6, "correction": 0.0, "entry_id": "mp-1"},
    "O": {"energy": -9.9, "structure": {"sites": [{"species": [{"element": "O", "occu": 1}]}] * 2}},
}
SETTINGS = {"symprec": 0.1, "max_orbits": 20, "max_rejected_share": 0.05}


# --- their damage --------------------------------------------------------------------------------------------------


def _text(texts: Callable[[], tuple[str, ...]]) -> Callable[[Random], bytes]:
    def make(random: Random) -> bytes:
        text = random.choice(texts())
        if random.random() < 0.3:
            return bytes_of(random, text.encode(), random.choice(texts()).encode())
        return text_of(random, text).encode("utf-8", "surrogatepass")

    return make


def _bytes(contents: Callable[[], tuple[bytes, ...]]) -> Callable[[Random], bytes]:
    return lambda random: bytes_of(random, random.choice(contents()), random.choice(contents()))


def _tree(trees: Callable[[], tuple[Any, ...]]) -> Callable[[Random], bytes]:
    def make(random: Random) -> bytes:
        tree = random.choice(trees())
        if random.random() < 0.02:
            return random.choice(("[", '{"a":', "[[{")).encode() * 100_000
        return json.dumps(tree_of(random, tree)).encode()

    return make


def _json_text(trees: Callable[[], tuple[Any, ...]]) -> Callable[[Random], bytes]:
    return _text(lambda: tuple(json.dumps(tree) for tree in trees()))


def _gz(random: Random) -> bytes:
    if random.random() < 0.5:
        return bytes_of(random, gzip.compress(table_texts()[0].encode(), mtime=0))
    return gzip.compress(_text(table_texts)(random), 1, mtime=0)


def _safetensors(random: Random) -> bytes:
    whole = checkpoint()
    size = struct.unpack("<Q", whole[:8])[0]
    header, data = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    match random.randrange(4):
        case 0:
            return bytes_of(random, whole)
        case 1:
            header = tree_of(random, header)
        case 2:
            text = header["__metadata__"]
            text["symmcd"] = random.choice(
                (json.dumps(tree_of(random, json.loads(text["symmcd"]))), text_of(random, text["symmcd"]))
            )
        case _:
            name = random.choice([name for name in header if name != "__metadata__"])
            part = header[name]
            part[random.choice(("dtype", "shape"))] = random.choice(
                ("F64", "BF16", "I64", "BOOL", "U8", "F16", [1], [], [0], list(reversed(part["shape"])), [10**12], [-1])
            )
    packed = json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + data


# --- the readers ---------------------------------------------------------------------------------------------------


def _structures(path: Path) -> Any:
    from symmcd.structures.read import read_structures

    return read_structures(path)


def _our_extxyz(path: Path) -> Any:
    from symmcd.structures.write import read_extxyz

    return read_extxyz(path)


def _units(path: Path) -> Any:
    """Read, and replicate: what is let through must be usable."""
    from symmcd.crystallography.orbit import replicate_flat
    from symmcd.storage import read_units

    return replicate_flat(read_units(path))


def _config(path: Path) -> Any:
    from symmcd import config

    found = config.read_config(config.read_config_file(path))
    config.check_together(found)
    return found


def _settings(path: Path) -> Any:
    from symmcd.settings import read_section

    return read_section("reduce", path.read_text(encoding="utf-8", errors="surrogateescape"))


def _checkpoint(path: Path) -> Any:
    from symmcd.diffusion.generator import Generator

    return Generator.load(path, "cpu", "float32")


def _hull(path: Path) -> Any:
    from symmcd.stability.hull_entries import table_entries

    return table_entries(path)


def _references(path: Path) -> Any:
    from symmcd.stability.hull_entries import read_entries

    return read_entries(path)


def _elements(path: Path) -> Any:
    from symmcd.stability.hull_entries import elemental_reference_entries

    return elemental_reference_entries(path)


def _entries(path: Path) -> Any:
    from symmcd.stability.hull_entries import computed_entries

    return computed_entries(path)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("cif", 4, ".cif", _text(cif_texts), _structures),
        Kind("csv", 2, ".csv", _text(table_texts), _structures),
        Kind("csvgz", 1, ".csv.gz", _gz, _structures),
        Kind("zip", 2, ".zip", _bytes(zip_contents), _structures),
        Kind("extxyz", 3, ".extxyz", _text(extxyz_texts), _structures),
        Kind("ourxyz", 3, ".extxyz", _text(lambda: (_ours(),)), _our_extxyz),
        Kind("json", 2, ".json", _json_text(json_trees), _structures),
        Kind("jsonstruct", 3, ".json", _tree(json_trees), _structures),
        Kind("npz", 1, ".npz", _bytes(lambda: (archive(unit_arrays()),)), _units),
        Kind("npzfield", 4, ".npz", lambda random: arrays_of(random, unit_arrays()), _units),
        Kind("yaml", 2, ".yaml", _text(lambda: (YAML,)), _config),
        Kind("settings", 1, ".json", _tree(lambda: (SETTINGS,)), _settings),
        Kind("safetensors", 2, ".safetensors", _safetensors, _checkpoint),
        Kind("hullcsv", 2, ".csv", _text(lambda: (HULL,)), _hull),
        Kind("references", 1, ".csv", _text(lambda: (REFERENCES,)), _references),
        Kind("elements", 2, ".json", _tree(lambda: (ENTRIES,)), _elements),
        Kind("entries", 1, ".json", _tree(lambda: (ENTRIES, list(ENTRIES.values()), {"entry": ENTRIES})), _entries),
    )
}


def damaged(kind: str, seed: int, number: int) -> bytes:
    """The input `number` of a kind: the same for the same seed."""
    return KINDS[kind].make(Random(f"{kind}-{seed}-{number}"))
