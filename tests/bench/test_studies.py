"""The scripts of bench/study run on today's code, at smoke size: what they print is a table with numbers in it."""

from __future__ import annotations

import importlib
import re
import sys
from importlib import resources

import pytest

from symmcd.storage import read_units, write_units
from tests.structures.random_units import random_units

WEIGHTS = str(resources.files("symmcd") / "weights/mp20.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("units")
    for name, groups in (("train", [2, 14, 62, 123, 166, 225]), ("val", [12, 139, 221])):
        write_units(folder / f"{name}.npz", random_units(groups))
    return folder


def printed(name, capsys, monkeypatch, *arguments) -> str:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    importlib.import_module(name).main()
    return capsys.readouterr().out


@pytest.mark.parametrize("part", ["wyckoff", "geometry"])
def test_ablation(part, folder, capsys, monkeypatch):
    size = ("--epochs", 1, "--layers", 1, "--width", 16)
    text = printed("ablation", capsys, monkeypatch, "--units", folder, "--part", part, *size)
    names = {"wyckoff": ("wyckoff", "element"), "geometry": ("lattice", "position")}[part]
    assert all(re.search(rf"{name} \d+\.\d+", text) for name in names), text


def test_likelihood(folder, capsys, monkeypatch):
    """All descriptions together are at least as likely as the one that the file has."""
    text = printed("likelihood", capsys, monkeypatch, "--checkpoint", WEIGHTS, "--units", folder / "val.npz")
    together, every = map(float, text.strip().splitlines()[-1].strip("| ").split("|")[-2:])
    assert 0 < every <= together


def test_oracle(folder, capsys, monkeypatch):
    units = folder / "val.npz"
    text = printed(
        "oracle", capsys, monkeypatch, "--checkpoint", WEIGHTS, "--units", units, "--steps", 2, "--overlaps", units
    )
    assert "3 crystals, 0 with atoms closer" in text
    assert re.search(r"^\| 2 \|.*% of \d \|", text, re.MULTILINE), text


def test_schedule(folder, capsys, monkeypatch):
    files = ("--units", folder / "val.npz", "--learn-from", folder / "train.npz")
    text = printed("schedule", capsys, monkeypatch, "--checkpoint", WEIGHTS, *files, "--steps", 3)
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][1:] == [
        "evenly", "least cost, lattice", "least cost, coordinates", "least cost, both",
    ]  # fmt: skip


def test_amortise(tmp_path, capsys, monkeypatch):
    """What is learnt becomes likelier, and every way gives crystals that `symmcd relax` reads."""
    words = ("--chosen", 200, "--one-in", 2, "--epochs", 2, "--number", 4)
    text = printed("amortise", capsys, monkeypatch, "--output", tmp_path, *words)
    before, *after = map(float, re.findall(r"held out (\d+\.\d+) nats", text))
    assert len(after) == 2
    assert min(after) < before + 0.05
    for way in ("shipped-20", "amortised-guards", "amortised-20"):
        assert len(read_units(tmp_path / f"{way}.npz")) == 4


def test_polymorphs(folder, capsys, monkeypatch):
    """Where probability decides alone, the order is that by probability."""
    what = ("--units", folder / "val.npz", "--model", "mp20", "--number", 3, "--candidates", 20, "--beta", 0, 1e6)
    text = printed("polymorphs", capsys, monkeypatch, *what)
    rows = {line.split("|")[1].strip(): line.split("|")[2:] for line in text.splitlines() if line.startswith("| ")}
    assert set(rows) == {"ordered by", "log p", "ê", "ê - 1e+06 log p"}
    assert rows["ê - 1e+06 log p"] == rows["log p"]
    assert rows["log p"][2] == rows["ê"][2], "the first 20 are all"


def test_geometries(folder, capsys, monkeypatch):
    """More geometries, more matches; the first of one candidate is the only one."""
    what = ("--units", folder / "val.npz", "--number", 2, "--candidates", 1, "--geometries", 2, "--beta", 0.01)
    text = printed("geometries", capsys, monkeypatch, *what)
    rows = [line.split("|")[1:-1] for line in text.splitlines() if re.match(r"\| \d", line)]
    assert [row[0].strip() for row in rows] == ["1", "2"]
    assert all(row[2] == row[3] == row[4] for row in rows)
