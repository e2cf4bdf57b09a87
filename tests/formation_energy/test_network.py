"""Energies do not change with what does not change the crystal; the blocks add up to torch-geometric's DimeNet++."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tests.formation_energy.crystals import crystals
from torch_geometric.nn.models.dimenet import SphericalBasisLayer

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import in_unit_cell, replicate_flat
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.formation_energy.graphs import Graphs, build_graphs
from symmcd.formation_energy.network import DimeNetPlusPlus, Size
from symmcd.formation_energy.objective import EnergyObjective, element_offsets, energies

SIZE = Size(16, 2, 8, 4, 16, spherical=3, radial=4, cutoff=5.0, neighbours=12)


@pytest.fixture(scope="module")
def network():
    return random_network(site_symmetry=False)


def random_network(site_symmetry: bool) -> DimeNetPlusPlus:
    torch.manual_seed(0)
    network = DimeNetPlusPlus(SIZE, site_symmetry)
    for block in network.output_blocks:  # they begin with zeros
        torch.nn.init.normal_(block.lin.weight)
    return network.eval()


def energy(network, units, of_asymmetric_unit=False):
    graphs, rows, _ = build_graphs(units, of_asymmetric_unit, SIZE.cutoff, SIZE.neighbours)
    assert len(rows) == len(units)
    return energies(network, graphs, 3)


def test_orbits_give_what_all_atoms_give(network):
    """Equal to the multigraph of every atom of the cell, in which no symmetry is used."""
    units = crystals()
    whole = energy(network, in_unit_cell(units))
    assert whole.std() > 0.1
    assert torch.allclose(energy(network, units), whole, atol=1e-4)


def test_a_larger_cell_is_the_same_crystal(network):
    """Primitive or conventional cell, or twice as long: the mean over atoms stays."""
    unit = in_unit_cell(crystals().take([5]))
    lattice = replicate_flat(unit).lattice[0]
    twice = np.concatenate([unit.position, unit.position + [0, 0, 1]]) / [1, 1, 2]
    double = AsymmetricUnit(1, lattice * [[1], [1], [2]], np.tile(unit.element, 2), ("a",) * 6, twice)
    assert torch.allclose(energy(network, unit), energy(network, AsymmetricUnits.from_units([double])), atol=1e-4)


@pytest.mark.parametrize("index", range(8))
def test_any_representative_will_do(network, index):
    """Other atoms of the orbits in the place of the representatives, where the position's form leaves a choice."""
    unit = crystals().take([index])
    cells, table = replicate_flat(unit), wyckoff_table()
    position = unit.position.copy()
    for orbit, row in enumerate(unit.wyckoff):
        form = table.generator[row]
        for atom in cells.position[cells.orbit == orbit]:
            again = form[:, :3] @ atom + form[:, 3]
            if np.abs(again - atom - np.rint(again - atom)).max() < 1e-6:
                position[orbit] = atom  # the last that has the form
    other = dataclasses.replace(unit, position=position)
    assert torch.allclose(energy(network, unit), energy(network, other), atol=1e-4)


def test_order_rotation_and_translation_do_not_matter(network):
    unit = crystals()[5]
    expected = energy(network, AsymmetricUnits.from_units([unit]))
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    order = [2, 0, 1]
    moved = AsymmetricUnit(
        1, unit.lattice @ turn, unit.element[order], unit.letter, unit.position[order] + [0.31, 2.7, -1.4]
    )
    # also with lattice vectors exchanged for others of the same lattice
    sheared = np.array([[1, 1, 0], [0, 1, 0], [0, -2, 1]])
    other = AsymmetricUnit(1, sheared @ unit.lattice, unit.element, unit.letter, unit.position @ np.linalg.inv(sheared))
    assert torch.allclose(energy(network, AsymmetricUnits.from_units([moved])), expected, atol=1e-4)
    assert torch.allclose(energy(network, AsymmetricUnits.from_units([other])), expected, atol=1e-4)


@pytest.mark.parametrize("of_asymmetric_unit", [False, True])
def test_batches_do_not_mix_crystals(network, of_asymmetric_unit):
    units = crystals()
    one_by_one = torch.cat([energy(network, units.take([i]), of_asymmetric_unit) for i in range(len(units))])
    assert torch.allclose(energy(network, units, of_asymmetric_unit), one_by_one, atol=1e-4)


def test_site_symmetry_reaches_the_energy():
    """Two positions of Fm-3m with the same surroundings in a crystal of one element, told apart by nothing else."""
    network, units = random_network(site_symmetry=True), crystals()
    graphs, _, _ = build_graphs(units, False, SIZE.cutoff, SIZE.neighbours)
    other = dataclasses.replace(graphs, site_symmetry=torch.zeros_like(graphs.site_symmetry))
    changed = (energies(network, graphs, 8) - energies(network, other, 8)).abs() > 1e-3
    general = torch.tensor([(units[i].site_symmetry == 0).all() for i in range(len(units))])
    assert (changed == ~general).all()


def test_angular_basis_is_torch_geometrics(network):
    layer = SphericalBasisLayer(SIZE.spherical, SIZE.radial, SIZE.cutoff)
    length, angle, edge = 1.5 + 3 * torch.rand(5), 3 * torch.rand(9), torch.randint(5, (9,))
    assert torch.allclose(network.sbf(length, angle, edge), layer(length, angle, edge), atol=1e-4)


def test_few_crystals_are_learnt_by_heart():
    units = crystals()
    graphs, _, _ = build_graphs(units, False, SIZE.cutoff, SIZE.neighbours)
    target = torch.tensor([-2.1, 0.0, -1.8, -3.3, -3.8, -1.1, -3.1, -0.4])
    torch.manual_seed(0)
    objective = EnergyObjective(SIZE, True, graphs, graphs, target, target)
    objective.network.offset.zero_()  # or the elements alone would tell
    optimiser = torch.optim.Adam(objective.network.parameters(), lr=3e-3)
    rows = torch.arange(len(units))
    for step in range(200):
        optimiser.param_groups[0]["lr"] = 3e-3 if step < 150 else 3e-4
        optimiser.zero_grad()
        objective.losses(objective.network, rows, 0, backward=True)
        optimiser.step()
    assert objective.validation_losses(objective.network, 8)["error"] < 0.03


def test_shares_of_a_batch_add_up_to_it():
    units = crystals()
    graphs, _, _ = build_graphs(units, False, SIZE.cutoff, SIZE.neighbours)
    objective = EnergyObjective(SIZE, False, graphs, graphs, torch.randn(8), torch.randn(8))
    rows = torch.tensor([4, 1, 7])
    whole = objective.losses(objective.network, rows, 0, backward=False)
    shares = [
        objective.losses(objective.network, rows, 0, backward=False, share=torch.tensor(s)) for s in ([0, 2], [1])
    ]
    for name, value in whole.items():
        assert sum(part[name] for part in shares) == pytest.approx(value, rel=1e-5)


def test_offsets_are_the_energies_of_the_elements():
    """Energies that are sums over atoms are told by composition alone."""
    rng = np.random.default_rng(0)
    number = 4000
    element = torch.from_numpy(rng.choice([3, 8, 26], (number, 4)).ravel())
    empty = torch.zeros(0)
    graphs = Graphs(
        torch.arange(0, 4 * number + 1, 4), element, empty, torch.full((4 * number,), 0.25),
        *[empty] * 8,
    )  # fmt: skip
    each = torch.zeros(95)
    each[[3, 8, 26]] = torch.tensor([-1.0, -3.0, 0.5])
    offset, scale = element_offsets(graphs, each[element].view(-1, 4).mean(dim=1))
    assert torch.allclose(offset[[3, 8, 26]], each[[3, 8, 26]], atol=0.05)
    assert scale < 0.02
