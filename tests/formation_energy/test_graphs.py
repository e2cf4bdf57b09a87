"""Edges and angles against a search over images; a graph divided by symmetry against that of all atoms."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from tests.formation_energy.crystals import crystals, cubic, slow_neighbours

from symmcd.crystallography.orbit import in_unit_cell, replicate_flat
from symmcd.formation_energy.graphs import build_graphs
from symmcd.formation_energy.neighbours import NoGraphError, nearest_images

CUTOFF = 4.5


@pytest.fixture(scope="module")
def units():
    return crystals()


def multiset(values):
    return sorted(round(float(v), 3) for v in values)


def test_arms_are_all_neighbours_of_the_representatives(units):
    graphs, rows, _ = build_graphs(units, False, CUTOFF, 0)
    cells = replicate_flat(units)
    assert rows.tolist() == list(range(len(units)))
    for index, node in ((i, n) for i in range(len(units)) for n in range(units.start[i], units.start[i + 1])):
        atoms = slice(cells.start[index], cells.start[index + 1])
        expected = slow_neighbours(cells.lattice[index], units.position[node], cells.position[atoms], CUTOFF)
        arms = slice(graphs.arm_start[node], graphs.arm_start[node + 1])
        edges = slice(graphs.edge_start[node], graphs.edge_start[node + 1])
        assert multiset(graphs.arm[arms].norm(dim=1)) == multiset(d for _, d in expected)
        counted = np.repeat(graphs.length[edges].numpy(), graphs.count[edges].numpy().astype(int))
        assert multiset(counted) == multiset(d for _, d in expected)
        orbits = np.repeat(graphs.source[edges].numpy(), graphs.count[edges].numpy().astype(int))
        assert sorted(orbits) == sorted(cells.orbit[atoms][a] for a, _ in expected)


def test_edges_of_the_asymmetric_unit_run_between_representatives(units):
    """They are the multigraph's edges that start and end at representatives (or images of them by the lattice)."""
    graphs, _, _ = build_graphs(units, True, CUTOFF, 0)
    for index in range(len(units)):
        nodes = np.arange(units.start[index], units.start[index + 1])
        lattice, position = replicate_flat(units).lattice[index], units.position[nodes]
        for node in nodes:
            expected = slow_neighbours(lattice, units.position[node], position, CUTOFF)
            edges = slice(graphs.edge_start[node], graphs.edge_start[node + 1])
            found = zip(graphs.source[edges].tolist(), graphs.length[edges].tolist(), strict=True)
            assert sorted((s, round(d, 3)) for s, d in found) == sorted(
                (a + nodes[0], round(d, 3)) for a, d in expected
            )


def test_angles_of_all_atoms_against_a_search(units):
    """Triplets of a triclinic crystal, every atom a node: all pairs of steps that do not lead straight back."""
    index = 5
    graphs, _, _ = build_graphs(units.take([index]), False, CUTOFF, 0)
    lattice, position = replicate_flat(units.take([index])).lattice[0], units.take([index]).position
    images = np.array(list(itertools.product(range(-3, 4), repeat=3)))
    steps = {}
    for i in range(len(position)):
        vectors = ((position[None] + images[:, None] - position[i]) @ lattice).reshape(-1, 3)
        distance = np.linalg.norm(vectors, axis=1)
        near = np.flatnonzero((distance > 0.01) & (distance < CUTOFF))
        steps[i] = [(vectors[n], int(n % len(position))) for n in near]
    expected = []
    for i, ahead in steps.items():
        for first, j in ahead:
            for second, _ in steps[j]:
                if np.linalg.norm(first + second) > 0.01:
                    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
                    expected.append((i, j, np.linalg.norm(first), np.linalg.norm(second), cosine))
    into, onto, angle = graphs.triplets()
    found = torch.stack(
        [graphs.centre[onto], graphs.source[onto], graphs.length[onto], graphs.length[into], angle.cos()], dim=1
    ).numpy()
    assert len(found) == len(expected)
    assert_same_rows(found, np.array(expected))
    assert (graphs.source[onto] == graphs.centre[into]).all()


def assert_same_rows(a, b):
    """Equal as multisets; each row is found near one of the other."""
    for first, second in ((a, b), (b, a)):
        distance = np.abs(first[:, None] - second[None]).max(axis=2)
        assert distance.min(axis=1).max() < 1e-4
    assert np.allclose(np.sort(a, axis=0), np.sort(b, axis=0), atol=1e-4)


def test_angles_of_orbits_are_those_of_all_atoms(units):
    """At each representative, the same triplets, counted, as where every atom of the cell is a node."""
    whole, _, _ = build_graphs(in_unit_cell(units), False, CUTOFF, 0)
    orbits, _, _ = build_graphs(units, False, CUTOFF, 0)
    cells = replicate_flat(units)
    representative = np.flatnonzero(np.diff(cells.orbit, prepend=-1))
    for node, atom in enumerate(representative):
        rows = []
        for graphs, place, name in ((orbits, node, np.arange(len(units.element))), (whole, atom, cells.orbit)):
            into, onto, angle = graphs.triplets()
            here = graphs.centre[onto] == place
            into, onto, angle = into[here], onto[here], angle[here]
            row = torch.stack(
                [torch.from_numpy(name)[graphs.source[onto]], torch.from_numpy(name)[graphs.source[into]],
                 graphs.length[onto], graphs.length[into], angle.cos()], dim=1
            ).numpy()  # fmt: skip
            rows.append(np.repeat(row, graphs.count[onto].numpy().astype(int), axis=0))
        assert len(rows[0]) == len(rows[1])
        assert np.allclose(np.sort(rows[0], axis=0), np.sort(rows[1], axis=0), atol=1e-3)


def test_the_last_shell_is_kept_whole():
    """NaCl's atoms have 6, 12 and 8 neighbours: asked for 7, all 18 of the first two shells are kept."""
    graphs, _, _ = build_graphs(crystals().take([0]), False, 7.0, 7)
    assert graphs.count.numpy().reshape(2, -1).sum(axis=1).tolist() == [18, 18]
    assert len(graphs.source) == 4  # one class a shell and node


def test_select_takes_crystals_out(units):
    graphs, _, _ = build_graphs(units, False, CUTOFF, 12)
    rows = torch.tensor([6, 0, 3])
    alone, _, _ = build_graphs(units.take(rows.numpy()), False, CUTOFF, 12)
    for name, value in vars(graphs.select(rows)).items():
        assert torch.equal(value, getattr(alone, name)), name


@pytest.mark.parametrize(
    ("lattice", "reason"),
    [(cubic(np.nan), "not_finite"), (np.diag([3, 3, 1e-5]), "flat_cell"), (np.diag([0.005, 0.005, 4000]), "too_many")],
)
def test_a_cell_without_neighbours_is_refused(lattice, reason):
    with pytest.raises(NoGraphError, match=reason):
        nearest_images(lattice, np.zeros((1, 3)), np.zeros((1, 3)), 7.0, 20)


def test_a_crystal_without_graph_leaves_the_others(units):
    element = units.element.copy()
    element[0] = 97
    graphs, rows, reasons = build_graphs(dataclasses.replace(units, element=element), False, CUTOFF, 12)
    assert rows.tolist() == list(range(1, len(units)))
    assert reasons == ["element"]
    assert len(graphs) == len(units) - 1
