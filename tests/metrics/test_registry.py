"""Metrics plug in: one file with one entry, and the numbers are in every table; what a metric needs decides whether."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure
from tools import list_metrics

import symmcd
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError, SymmcdError
from symmcd.extensions import METRICS, Metric, Quantity, quantities
from symmcd.metrics.crystal_scores import columns, score
from symmcd.metrics.reference_set import ReferenceSet
from symmcd.metrics.rows import Row
from symmcd.metrics.set_summary import CrystalSet, Predicted, summarise_set
from symmcd.report.explain import described
from symmcd.settings import ScoreSettings
from symmcd.stages import compare, evaluate, fingerprint, summarise
from symmcd.stages import score as score_stage
from symmcd.storage import write_units
from symmcd.structures.write import write_extxyz
from tests.crystallography.prototypes import prototype

TOY = '''
"""Volume of an atom: of each crystal a column, of a set its mean."""

from symmcd.extensions import Metric, Quantity
from symmcd.metrics.rows import Row

VOLUME = Metric(
    of="crystal",
    function="toy_metrics:volume",
    quantities={"atom_volume": Quantity("atomic volume", "Volume of the cell over its atoms.", unit="Å³")},
)
MEAN = Metric(
    of="set",
    function="toy_metrics:mean",
    quantities={
        "mean_atom_volume": Quantity("mean atomic volume", "Mean over all crystals.", unit="Å³", better="less"),
        "train_crystals": Quantity("training", "Number of training crystals.", needs=frozenset({"train"})),
    },
)


def volume(crystal):
    if "Cs" in crystal.structure.composition:
        raise ValueError("no caesium")
    return {"atom_volume": crystal.structure.volume / len(crystal.structure)}


def mean(crystals):
    values = crystals.table["atom_volume"].astype(float).dropna()
    yield Row("mean_atom_volume", "strict", float(values.mean()), None, None, len(values), "of the toys")
    yield Row("train_crystals", "strict", len(crystals.train or ()), None, None, 1, "of training")
'''
TEMPLATE = {"template": "225_a_b", "template_canonical": "225_a_b"}
NAMES = ("NaCl", "ZnO", "CsCl")


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with both toys, somewhere on the path."""
    (tmp_path / "toy_metrics.py").write_text(TOY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("toy_metrics", None)


@pytest.fixture
def added(toys: Path) -> Path:
    """Both in this process's registry."""
    import toy_metrics

    METRICS.add("toy_volume", toy_metrics.VOLUME)
    METRICS.add("toy_mean", toy_metrics.MEAN)
    yield toys
    METRICS.remove("toy_volume")
    METRICS.remove("toy_mean")


def volumes() -> list[float]:
    return [prototype(name).volume / len(prototype(name)) for name in NAMES]


def units() -> AsymmetricUnits:
    return AsymmetricUnits.from_units([symmcd.reduce(prototype(name)) for name in NAMES])


def test_an_entry_is_in_every_table(added: Path) -> None:
    """In worker processes too, which have registries of their own; a crystal that it fails on says so and stays."""
    folder = added / "cifs"
    folder.mkdir()
    for name in NAMES:
        prototype(name).to(str(folder / f"{name}.cif"))
    evaluate.run(folder, added / "out", None, ScoreSettings(), workers=1)
    table = pd.read_csv(added / "out/per_crystal.csv").set_index("id")
    assert table["atom_volume"][["NaCl", "ZnO"]].tolist() == pytest.approx(volumes()[:2], rel=1e-4)
    assert np.isnan(table["atom_volume"]["CsCl"])
    assert table["status"].tolist() == ["toy_volume_failed:ValueError", "ok", "ok"]  # CsCl, NaCl, ZnO
    assert table["detail"]["CsCl"] == "toy_volume: no caesium"
    assert table["valid"].all()
    summary = pd.read_csv(added / "out/summary.csv").set_index("metric")
    assert summary["value"]["mean_atom_volume"] == pytest.approx(np.mean(volumes()[:2]), rel=1e-4)
    assert "train_crystals" not in summary.index
    assert described("mean_atom_volume").label == "mean atomic volume"
    compare.run([added / "out"], added / "comparison.html")
    page = (added / "comparison.html").read_text(encoding="utf-8")
    assert "mean atomic volume" in page
    assert "Mean over all crystals." in page


def test_the_chain_has_them_too(added: Path) -> None:
    """Stages score and summarise; a shard that was scored without the metric is refused."""
    made, shard, prints = added / "units.npz", added / "shard0.csv", added / "prints.npz"
    write_units(made, units())
    write_extxyz(added / "crystals.extxyz", replicate_flat(units()), units())
    score_stage.run(added / "crystals.extxyz", shard, 0, 1, ScoreSettings())
    fingerprint.run(made, prints, None, ScoreSettings(), workers=1)

    def summarised() -> pd.DataFrame:
        paths = [shard], made, made, made, prints, prints
        summarise.run(*paths, added / "metrics", ScoreSettings(), seed=0, workers=1)
        return pd.read_csv(added / "metrics/summary.csv").set_index("metric")

    summary = summarised()
    assert summary["value"]["mean_atom_volume"] == pytest.approx(np.mean(volumes()[:2]), rel=1e-4)
    assert summary["value"]["train_crystals"] == len(NAMES)
    table = pd.read_csv(added / "metrics/per_crystal.csv")
    assert table["atom_volume"].tolist() == pytest.approx([*volumes()[:2], np.nan], rel=1e-4, nan_ok=True)
    pd.read_csv(shard, dtype=str).drop(columns="atom_volume").to_csv(shard, index=False)
    with pytest.raises(InputError, match="lacks the column atom_volume; run `symmcd score` again"):
        summarised()


def test_what_is_needed_decides(added: Path) -> None:
    table = pd.DataFrame([{"id": "0", **score(prototype("NaCl"), None, 0.1, 10.0), **TEMPLATE}])
    without = [row["metric"] for row in summarise_set(CrystalSet(table))]
    known = ReferenceSet(units())
    rows = {row["metric"]: row["value"] for row in summarise_set(CrystalSet(table, train=known))}
    assert "train_crystals" not in without
    assert rows["train_crystals"] == len(NAMES)


def test_every_row_is_of_a_quantity_whose_needs_are_given() -> None:
    """Our own metrics announce every row that they make, and make rows of all that they announce."""
    crystals = [symmcd.replicate(unit) for unit in units()]
    rows = [{"id": str(i), **score(c, 225, 0.1, 10.0), **TEMPLATE} for i, c in enumerate(crystals)]
    known = ReferenceSet(units())
    result = symmcd.evaluate(crystals, reference=units(), train=units(), workers=1)
    made = {(row["metric"], row["protocol"].removesuffix("_floor")) for row in result.rows}
    energies = Predicted("", (np.zeros(3), np.zeros(3)), 0.1, 0.0, 0.2, 3)
    more = summarise_set(CrystalSet(pd.DataFrame(rows), reference=known, predictor=energies))
    made |= {(row["metric"], row["protocol"].removesuffix("_floor")) for row in more}
    announced = {(name, protocol) for name, number in quantities().items() for protocol in number.protocols}
    assert made == announced
    assert [*columns(), *TEMPLATE] == [*rows[0]]


def test_a_registry_is_read_without_what_is_heavy() -> None:
    code = "import symmcd.extensions as e, sys; [e.METRICS[n] for n in e.METRICS]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pandas", "pymatgen", "scipy"} & set(loaded)


def test_a_package_adds_metrics_by_entry_points(toys: Path) -> None:
    """In every process of the chain: the stages are commands of their own."""
    info = toys / "toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[symmcd.metrics]\ntoy_volume = toy_metrics:VOLUME\ntoy_mean = toy_metrics:MEAN\n"
    )
    prototype("NaCl").to(str(toys / "one.cif"))
    command = [sys.executable, "-m", "symmcd", "evaluate", str(toys / "one.cif"), "--output", str(toys / "out")]
    path = os.pathsep.join([str(toys), *sys.path])
    subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True)
    assert pd.read_csv(toys / "out/per_crystal.csv")["atom_volume"][0] == pytest.approx(volumes()[0], rel=1e-4)
    assert "mean_atom_volume" in pd.read_csv(toys / "out/summary.csv")["metric"].tolist()


def broken(crystal: object) -> dict[str, object]:
    return {"unannounced": 1.0, "listed": [1, 2]}


@pytest.mark.parametrize(
    ("names", "said"), [(("a",), "gave a column 'unannounced'"), (("unannounced", "listed"), r"listed is \[1, 2\]")]
)
def test_a_metric_keeps_to_what_it_announces(names: tuple[str, ...], said: str) -> None:
    metric = Metric("crystal", f"{__name__}:broken", {name: Quantity(name, "Nothing.") for name in names})
    with pytest.raises(SymmcdError, match=said):
        score(prototype("NaCl"), None, 0.1, 10.0, [("toy", metric)])


def failing(crystals: CrystalSet) -> list[Row]:
    raise ZeroDivisionError("no atoms")


def unannounced(crystals: CrystalSet) -> list[Row]:
    return [Row("toy", "paper", 1.0, None, None, 1, "")]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("failing", r"'toy' failed \(ZeroDivisionError: no atoms\)"),
        ("unannounced", "row 'toy' of the protocol 'paper'"),
    ],
)
def test_a_metric_of_a_set_that_is_broken_is_named(function: str, said: str) -> None:
    table = pd.DataFrame([{"id": "0", **score(prototype("NaCl"), None, 0.1, 10.0), **TEMPLATE}])
    METRICS.add("toy", Metric("set", f"{__name__}:{function}", {"toy": Quantity("toy", "Nothing.")}))
    try:
        with pytest.raises(SymmcdError, match=said):
            summarise_set(CrystalSet(table))
    finally:
        METRICS.remove("toy")


def test_a_metric_of_a_script_is_refused_where_processes_score() -> None:
    METRICS.add("toy", Metric("crystal", "__main__:toy", {"toy": Quantity("toy", "Nothing.")}))
    try:
        with pytest.raises(InputError, match="cannot import __main__:toy; put the function into a module"):
            symmcd.evaluate([prototype("NaCl")])
    finally:
        METRICS.remove("toy")


def test_the_page_has_the_metrics_of_the_registry() -> None:
    text = list_metrics.PAGE.read_text(encoding="utf-8")
    assert text == list_metrics.page(text), "run python tools/list_metrics.py"


def test_columns_of_one_name_are_refused(toys: Path) -> None:
    METRICS.add("twice", Metric("crystal", "toy_metrics:volume", {"density": Quantity("density", "Again.")}))
    try:
        with pytest.raises(InputError, match="'twice' has a column 'density'"):
            columns()
    finally:
        METRICS.remove("twice")


def test_an_unknown_need_is_refused() -> None:
    with pytest.raises(ValueError, match="needs weather; choose from train"):
        Quantity("toy", "Nothing.", needs=frozenset({"weather"}))


def test_a_training_set_is_replicated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its average minimum distances, its prototypes and its cells come of the same replication."""
    from symmcd.metrics import reference_set

    calls = []
    replicate_flat = reference_set.replicate_flat
    monkeypatch.setattr(
        reference_set, "replicate_flat", lambda units: calls.append(len(units)) or replicate_flat(units)
    )
    known = ReferenceSet(units())
    assert known.shape.shape == (3, 100)
    structure: Structure = prototype("ZnO")
    assert known.match(structure) == "00001"
    assert known.match_prototype(structure, 186) == "00001"
    assert calls == [3]
