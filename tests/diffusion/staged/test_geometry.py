"""The geometry network answers alike to alike crystals; the processes have the moments and the end they should have."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.noise_schedule import reverse_times
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.staged import geometry_process
from symmcd.diffusion.staged.environment import OrbitPairs
from symmcd.diffusion.staged.flat_crystals import FlatCrystals, members_of
from symmcd.diffusion.staged.geometry_network import GeometryNetwork, GeometryPrediction
from symmcd.diffusion.staged.geometry_process import GeometryProcess, corrupt, geometry_losses, langevin_step, reverse
from symmcd.diffusion.staged.lattice_scale import SIZE, LatticeScale
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables
from symmcd.diffusion.wrapped_normal import wrapped_score
from tests.diffusion.crystals import SMALL_STAGED, random_units

UNITS = random_units(40, seed=5, largest=6)
CRYSTALS = FlatCrystals.from_units(UNITS)
PROCESS = GeometryProcess(SMALL_STAGED, LatticeScale.of(CRYSTALS))


def network() -> GeometryNetwork:
    torch.manual_seed(0)
    made = GeometryNetwork(SMALL_STAGED)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made.eval()


@torch.no_grad()
def answer(crystals: FlatCrystals, time: float = 7.0) -> GeometryPrediction:
    z = PROCESS.scale.standardise(crystals)
    return PROCESS.predict(
        network(), crystals, OrbitPairs.of(crystals), z, crystals.u, torch.full((len(crystals),), time)
    )


def test_flat_crystals_take_and_ranges():
    rows = torch.tensor([7, 0, 7, 3])
    taken = CRYSTALS.take(rows)
    owner, orbits = members_of(CRYSTALS.start, rows)
    assert owner.tolist() == [i for i, row in enumerate(rows) for _ in range(int(CRYSTALS.count[row]))]
    torch.testing.assert_close(taken.u, CRYSTALS.u[orbits])
    torch.testing.assert_close(taken.count, CRYSTALS.count[rows])
    atoms = [UNITS[int(row)].number_of_atoms for row in rows]
    assert taken.atoms.tolist() == atoms
    positions = symmetry_tables().positions(CRYSTALS.u, CRYSTALS.wyckoff)
    np.testing.assert_allclose((positions.numpy() - UNITS.position + 0.5) % 1, 0.5, atol=1e-5)


def test_each_crystal_of_a_batch_as_if_alone_and_orbits_in_any_order():
    whole = answer(CRYSTALS)
    generator = torch.Generator().manual_seed(1)
    for index in range(0, 40, 7):
        first, last = (int(s) for s in CRYSTALS.start[index : index + 2])
        order = torch.randperm(last - first, generator=generator)
        alone = CRYSTALS.take(torch.tensor([index]))
        alone = dataclasses.replace(alone, element=alone.element[order], wyckoff=alone.wyckoff[order], u=alone.u[order])
        found = answer(alone)
        torch.testing.assert_close(found.lattice_noise[0], whole.lattice_noise[index], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(found.score, whole.score[first:last][order], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("group", [14, 62, 166, 225])
def test_another_representative_gets_the_answer_turned(group):
    """x → R x + t for any operation of the group, on general positions: the score turns with it, k does not care."""
    units = random_units(1, seed=group, largest=1, groups=(group,))
    table, tables = wyckoff_table(), symmetry_tables()
    general = int(table.start[group]) - 1
    count = 3
    rng = np.random.default_rng(group)
    crystals = FlatCrystals(
        torch.tensor([group]),
        torch.tensor(units.k, dtype=torch.float32) + torch.tensor([0, 0, 0, 0, 0, 0.6]),
        torch.tensor([0, count]),
        torch.tensor([8, 22, 38]),
        torch.full((count,), general),
        torch.tensor(rng.random((count, 3)), dtype=torch.float32),
    )
    expected = answer(crystals)
    assert float(expected.score.abs().max()) > 1e-3
    first, last = (int(s) for s in tables.operation_start[general : general + 2])
    for operation in rng.choice(np.arange(first, last), min(5, last - first), replace=False):
        rotation, translation = tables.rotation[operation], tables.translation[operation]
        moved = crystals.u.clone()
        moved[1] = (rotation @ crystals.u[1] + translation) % 1
        found = answer(dataclasses.replace(crystals, u=moved))
        turned = expected.score.clone()
        turned[1] = rotation @ expected.score[1]
        torch.testing.assert_close(found.score, turned, rtol=1e-2, atol=2e-3)
        free = tables.lattice_free[group - 1]  # what the group leaves free is what its operations do not change
        torch.testing.assert_close(found.lattice_noise[:, free], expected.lattice_noise[:, free], rtol=1e-2, atol=2e-3)


def test_the_origin_of_a_polar_group_does_not_matter():
    units = random_units(5, seed=3, largest=4, groups=(4, 36, 160))
    crystals = FlatCrystals.from_units(units)
    axis = {4: 1, 36: 2, 160: 2}  # along which the group leaves the origin free
    shift = torch.zeros(len(crystals.element), 3)
    for orbit, crystal in enumerate(crystals.crystal.tolist()):
        shift[orbit, axis[int(crystals.space_group[crystal])]] = 0.137
    moved = dataclasses.replace(crystals, u=(crystals.u + shift) % 1)
    a, b = answer(crystals), answer(moved)
    torch.testing.assert_close(a.score, b.score, rtol=1e-2, atol=2e-3)
    torch.testing.assert_close(a.lattice_noise, b.lattice_noise, rtol=1e-2, atol=2e-3)


def test_scale_is_inverted_exactly_and_volumes_of_atoms_are_found():
    scale = PROCESS.scale
    torch.testing.assert_close(
        scale.unstandardise(scale.standardise(CRYSTALS), CRYSTALS), CRYSTALS.k, rtol=1e-5, atol=1e-5
    )
    volume = torch.zeros(119)
    volume[[8, 11, 22, 26, 38, 57]] = torch.tensor([0.5, 0.9, 0.7, 0.6, 1.1, 1.2])  # log of Å³ per atom, above 2
    many = FlatCrystals.from_units(random_units(400, seed=8))
    multiplicity = symmetry_tables().multiplicity[many.wyckoff]
    log = torch.zeros(400).index_add_(0, many.crystal, volume[many.element] * multiplicity) / many.atoms
    k = many.k.clone()
    k[:, SIZE] = (log + 2 + many.atoms.log()) / 3
    many = dataclasses.replace(many, k=k)
    torch.testing.assert_close(LatticeScale.of(many).size(many), k[:, SIZE], atol=0.01, rtol=0)


def test_a_family_without_crystals_gets_the_spread_of_the_others():
    """With a spread of 1, volumes of a group that the training lacks came out wrong by factors of twenty."""
    cubic = FlatCrystals.from_units(random_units(30, seed=3, groups=(225,)))
    scale, triclinic = LatticeScale.of(cubic), symmetry_tables().family[2 - 1]
    known = symmetry_tables().family[225 - 1]
    torch.testing.assert_close(scale.std[triclinic, SIZE], scale.std[known, SIZE])
    assert 0.02 <= float(scale.std[triclinic].min()) <= float(scale.std[triclinic].max()) < 0.5


def test_corrupted_geometries_have_the_moments_of_their_time():
    many = CRYSTALS.take(torch.arange(40).repeat(100))
    noisy = corrupt(PROCESS, many, seed=1)
    free = symmetry_tables().free[many.wyckoff]
    assert torch.equal(noisy.u[~free], torch.zeros(int((~free).sum())))
    late = noisy.time[many.crystal] == SMALL_STAGED.steps
    score = noisy.score[late][free[late]]
    assert float(score.square().mean()) == pytest.approx(1, abs=0.1)  # that is what the scale is for
    a = PROCESS.alpha_bar[noisy.time][:, None]
    free_k = symmetry_tables().lattice_free[many.space_group - 1]
    noise = (noisy.z - a.sqrt() * PROCESS.scale.standardise(many)) / (1 - a).sqrt()
    torch.testing.assert_close(noise[free_k], noisy.lattice_noise[free_k], rtol=1e-2, atol=1e-2)
    assert float(noise[free_k].std()) == pytest.approx(1, abs=0.03)
    assert torch.equal(noisy.z[~free_k], torch.zeros(int((~free_k).sum())))


def test_shares_of_a_batch_add_up():
    net, whole = network(), geometry_losses(PROCESS, network(), CRYSTALS, 3)
    parts = [geometry_losses(PROCESS, net, CRYSTALS, 3, share) for share in torch.arange(40).split(7)]
    torch.testing.assert_close(torch.stack(parts).sum(0), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("corrector", [False, True])
def test_with_the_exact_score_the_reverse_process_ends_in_the_crystals(monkeypatch, corrector):
    """Data that are one geometry a template: score and noise are known in closed form."""
    z0 = PROCESS.scale.standardise(CRYSTALS)

    def exact(self, network, crystals, pairs, z, u, time):
        t = int(time[0])
        sigma, a = self.sigma[t], self.alpha_bar[t]
        score = wrapped_score(u - CRYSTALS.u, sigma.expand_as(u)) / self.score_scale[t]
        return GeometryPrediction((z - a.sqrt() * z0) / (1 - a).sqrt(), score)

    monkeypatch.setattr(GeometryProcess, "predict", exact)
    times = reverse_times(SMALL_STAGED.steps, SMALL_STAGED.steps)
    found = reverse(PROCESS, network(), CRYSTALS, times, CrystalStreams(0, torch.arange(40)), corrector=corrector)
    free = symmetry_tables().free[CRYSTALS.wyckoff]
    difference = (found.u - CRYSTALS.u + 0.5) % 1 - 0.5
    assert float(difference[free].abs().max()) < 4 * SMALL_STAGED.sigma_min
    assert torch.equal(found.u[~free], torch.zeros(int((~free).sum())))
    torch.testing.assert_close(found.k, CRYSTALS.k, rtol=1e-3, atol=1e-3)
    assert float(z0.abs().max()) < geometry_process.FARTHEST


@pytest.mark.parametrize("size", [0.05, 0.5, 1.4])
def test_a_langevin_step_has_the_moments_of_its_closed_form(size):
    """Of N(0, σ²) with its exact score -x/σ²: mean 0 stays, σ² becomes ((1 - h)² + 2h) σ² = (1 + h²) σ²."""
    generator, sigma = torch.Generator().manual_seed(0), torch.tensor(0.3, dtype=torch.float64)
    x, noise = torch.randn(2, 400_000, generator=generator, dtype=torch.float64)
    found = langevin_step(sigma * x, -x, sigma, size, noise)
    assert float(found.mean()) == pytest.approx(0, abs=3e-3)
    assert float(found.var()) == pytest.approx((1 + size**2) * 0.09, rel=0.01)
