"""Bonds against pymatgen's CrystalNN; CDVAE's weights read without running what is in their files."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pymatgen.analysis.graphs import StructureGraph
from pymatgen.analysis.local_env import CrystalNN
from pymatgen.core import Lattice, Structure
from tests.formation_energy.crystals import crystals

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import in_unit_cell, replicate_flat
from symmcd.errors import InputError
from symmcd.formation_energy import cdvae
from symmcd.formation_energy.cdvae import CDVAE, read_cdvae
from symmcd.formation_energy.graphs import build_graphs
from symmcd.formation_energy.network import DimeNetPlusPlus, Size
from symmcd.formation_energy.predictor import Predictor, predict, read_predictor
from symmcd.settings import PredictorSettings
from symmcd.stages import predictor as stage
from symmcd.storage import read_units, write_units


def pymatgen_bonds(structure: Structure) -> list[list[float]]:
    """Lengths of the bonds at each atom, as CDVAE makes its graphs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategy = CrystalNN(distance_cutoffs=None, x_diff_weight=-1, porous_adjustment=False)
        graph = StructureGraph.from_local_env_strategy(structure, strategy)
    lengths: list[list[float]] = [[] for _ in structure]
    for i, j, image in graph.graph.edges(data="to_jimage"):
        length = structure[i].distance(structure[j], jimage=image)
        lengths[i].append(length)
        lengths[j].append(length)
    return [sorted(np.round(some, 3)) for some in lengths]


def test_bonds_are_crystalnns():
    """Found from either end: in SrTiO3 strontium bonds to twelve oxygen atoms, which bond to titanium alone."""
    perovskite = AsymmetricUnit(
        221, 3.905 * np.eye(3), [38, 22, 8], ("b", "a", "d"), [[0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0, 0]]
    )
    units = AsymmetricUnits.concatenate([crystals(), AsymmetricUnits.from_units([perovskite])])
    graphs, rows, _ = build_graphs(units, False, 7.0, None)
    cells = replicate_flat(units)
    assert rows.tolist() == list(range(len(units)))
    for index in range(len(units)):
        atoms = slice(cells.start[index], cells.start[index + 1])
        structure = Structure(Lattice(cells.lattice[index]), cells.element[atoms], cells.position[atoms])
        expected = pymatgen_bonds(structure)
        for node in range(units.start[index], units.start[index + 1]):
            arms = slice(graphs.arm_start[node], graphs.arm_start[node + 1])
            atom = int(np.searchsorted(cells.orbit[atoms], node))
            found = sorted(graphs.arm[arms].norm(dim=1).numpy().astype(float).round(3))
            assert found == pytest.approx(expected[atom], abs=2e-3)


def test_energies_of_bonds_do_not_know_of_symmetry(small):
    torch.manual_seed(0)
    network = DimeNetPlusPlus(small, site_symmetry=False)
    for block in network.output_blocks:
        torch.nn.init.normal_(block.lin.weight)
    predictor, units = Predictor(network.eval(), False, {}), crystals()
    energy = predict(predictor, units).energy
    assert energy.std() > 0.1
    assert energy == pytest.approx(predict(predictor, in_unit_cell(units)).energy, rel=1e-3, abs=1e-3)


def make(path: str) -> None:
    Path(path).mkdir()


class Harmful:
    """Would make a folder when unpickled."""

    def __init__(self, path: Path, action: Callable[[str], None]) -> None:
        self.path, self.action = path, action

    def __reduce__(self):
        return self.action, (str(self.path),)


@pytest.fixture
def small(monkeypatch):
    """CDVAE's network, but for its size."""
    size = Size(8, 1, 8, 4, 8, spherical=3, radial=4, crystal_nn=True, up_bias=True)
    monkeypatch.setattr(cdvae, "CDVAE", size)
    return size


def write_folder(folder: Path, weights: dict, **others) -> Path:
    folder.mkdir()
    torch.save({"state_dict": weights} | others, folder / "epoch=1.ckpt")
    scaler = SimpleNamespace(means=torch.tensor(-1.2), stds=torch.tensor(1.03))  # torch does not know the class
    torch.save(scaler, folder / "prop_scaler.pt")
    return folder


def test_weights_are_read_and_nothing_is_run(tmp_path, small):
    torch.manual_seed(0)
    network = DimeNetPlusPlus(small, site_symmetry=False)
    own = {f"encoder.{k}": v for k, v in network.state_dict().items() if k not in ("offset", "scale")}
    folder = write_folder(tmp_path / "mp20", own, callbacks=Harmful(tmp_path / "made", make))
    weights, checksum = read_cdvae(folder)
    assert not (tmp_path / "made").exists()
    assert len(checksum) == 64
    assert all(torch.equal(weights[name.removeprefix("encoder.")], value) for name, value in own.items())
    assert weights["offset"].unique().item() == pytest.approx(-1.2)
    assert weights["scale"].item() == pytest.approx(1.03)


def test_they_are_a_predictor_like_others(tmp_path, small):
    """With its error where the test set has energies, without one where it has none."""
    network = DimeNetPlusPlus(small, site_symmetry=False)
    own = {f"encoder.{k}": v for k, v in network.state_dict().items() if k not in ("offset", "scale")}
    settings = PredictorSettings(variants=(), cdvae=str(write_folder(tmp_path / "mp20", own)))
    units = crystals()
    for energy, error in (({}, None), ({"formation_energy_per_atom": np.full(len(units), -1.5)}, 0.3)):
        write_units(tmp_path / "units.npz", dataclasses.replace(units, properties=energy))
        stage.run(*[tmp_path / "units.npz"] * 3, tmp_path / "out", settings, device="cpu", variant="cdvae")
        predictor = read_predictor(tmp_path / "out/cdvae.safetensors")
        assert predictor.metadata["mae"] == (error if error is None else pytest.approx(error, abs=1e-6))
        assert predict(predictor, units).energy == pytest.approx(np.full(len(units), -1.2))  # its outputs are zeros


def test_what_reaches_for_the_system_is_refused(tmp_path, small):
    folder = write_folder(tmp_path / "mp20", {}, callbacks=Harmful(tmp_path / "made", os.mkdir))
    with pytest.raises(InputError, match="blocked"):
        read_cdvae(folder)
    assert not (tmp_path / "made").exists()


def test_another_network_is_refused(tmp_path, small):
    with pytest.raises(InputError, match=r"expected one \.ckpt"):
        read_cdvae(tmp_path)
    folder = write_folder(tmp_path / "other", {"encoder.emb.emb.weight": torch.zeros(3, 3)})
    with pytest.raises(InputError, match="not CDVAE's predictor"):
        read_cdvae(folder)


@pytest.mark.skipif("SYMMCD_CDVAE" not in os.environ, reason="SYMMCD_CDVAE: the folder with CDVAE's weights for MP-20")
@pytest.mark.skipif("SYMMCD_REDUCED" not in os.environ, reason="SYMMCD_REDUCED: reduced MP-20 test set, test.npz")
def test_cdvaes_error_is_that_of_a_trained_network():
    """Some 0.025 eV/atom; on graphs of the nearest 20 atoms the same weights are 0.1 off."""
    weights, _ = read_cdvae(Path(os.environ["SYMMCD_CDVAE"]))
    network = DimeNetPlusPlus(CDVAE, site_symmetry=False)
    network.load_state_dict(weights)
    units = read_units(Path(os.environ["SYMMCD_REDUCED"])).take(np.arange(100))
    energy = predict(Predictor(network.eval(), False, {}), units).energy
    assert np.abs(energy - units.properties["formation_energy_per_atom"]).mean() < 0.04
