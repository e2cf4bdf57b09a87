"""Of several geometries the kept one is what the denoiser predicts best, each crystal for itself."""

from __future__ import annotations

import dataclasses

import torch

import symmcd
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.checkpoint import read_checkpoint, weights_path
from symmcd.diffusion.noise_schedule import reverse_times
from symmcd.diffusion.random_streams import CrystalStreams
from symmcd.diffusion.staged.flat_crystals import FlatCrystals
from symmcd.diffusion.staged.geometry_network import GeometryPrediction
from symmcd.diffusion.staged.geometry_process import GeometryProcess, reverse
from symmcd.diffusion.staged.model import StagedModel
from symmcd.diffusion.staged.proposals import CHECKED, denoising_error, likeliest_geometry
from symmcd.diffusion.staged.symmetry_tables import symmetry_tables
from symmcd.diffusion.wrapped_normal import wrapped_score
from tests.crystallography.prototypes import prototype
from tests.diffusion.staged.test_geometry import CRYSTALS, PROCESS, network

TIMES = reverse_times(PROCESS.steps, 5)
STREAMS = CrystalStreams(4, torch.arange(40))


def test_the_error_of_the_exact_denoiser_is_the_distance_from_what_it_knows(monkeypatch):
    """Data that are one geometry a template: what is shown beside it costs the displacement over the noise, squared."""
    z0, tables = PROCESS.scale.standardise(CRYSTALS), symmetry_tables()

    def exact(self, network, crystals, pairs, z, u, time):
        sigma, a = self.sigma[time[crystals.crystal]][:, None], self.alpha_bar[time][:, None]
        score = wrapped_score(u - CRYSTALS.u, sigma) / self.score_scale[time[crystals.crystal]][:, None]
        return GeometryPrediction((z - a.sqrt() * z0) / (1 - a).sqrt(), score)

    monkeypatch.setattr(GeometryProcess, "predict", exact)
    true = denoising_error(PROCESS, network(), CRYSTALS, STREAMS)
    torch.testing.assert_close(true, torch.zeros(40), atol=1e-4, rtol=0)

    free_k, step = tables.lattice_free[CRYSTALS.space_group - 1], 0.02
    stretched = dataclasses.replace(CRYSTALS, k=PROCESS.scale.unstandardise(z0 + step * free_k, CRYSTALS))
    a = torch.stack([PROCESS.alpha_bar[max(1, round(f * PROCESS.steps))] for f in CHECKED])
    expected = (a / (1 - a)).sum() * step**2 * free_k.sum(dim=1)
    torch.testing.assert_close(denoising_error(PROCESS, network(), stretched, STREAMS), expected, rtol=1e-2, atol=1e-4)


@torch.no_grad()
def test_what_is_kept_is_the_proposal_with_the_least_error_of_each_crystal():
    net = network()
    made = [reverse(PROCESS, net, CRYSTALS, TIMES, STREAMS.branch(number)) for number in range(3)]
    error = torch.stack([denoising_error(PROCESS, net, geometry, STREAMS) for geometry in made])
    best = error.argmin(dim=0)
    assert len(set(best.tolist())) == 3, "each proposal should be the best one of some crystal"
    steps: list[int] = []
    kept = likeliest_geometry(PROCESS, net, CRYSTALS, TIMES, STREAMS, steps.append, proposals=3)
    assert steps == sorted(steps)
    assert steps[-1] == len(TIMES) - 1
    for index, proposal in enumerate(best.tolist()):
        first, last = (int(s) for s in CRYSTALS.start[index : index + 2])
        assert torch.equal(kept.k[index], made[proposal].k[index])
        assert torch.equal(kept.u[first:last], made[proposal].u[first:last])
    one = likeliest_geometry(PROCESS, net, CRYSTALS, TIMES, STREAMS, proposals=1)
    assert torch.equal(one.u, made[0].u), "one proposal is the reverse process, and the first of several"


@torch.no_grad()
def test_the_choice_does_not_depend_on_the_company():
    net, rows = network(), torch.tensor([3, 17, 30])
    together = denoising_error(PROCESS, net, CRYSTALS, STREAMS)[rows]
    apart = denoising_error(PROCESS, net, CRYSTALS.take(rows), CrystalStreams(4, rows))
    torch.testing.assert_close(apart, together, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_shipped_weights_believe_textbook_crystals_and_not_what_is_drawn_at_random_in_their_place():
    names = "CrB", "FeS2", "TiO2 rutile", "ThCr2Si2", "TiNiSi", "ZnO", "CdI2", "CoAs3", "MoSi2", "Bi2Te3"
    model = StagedModel(read_checkpoint(weights_path("mp20")), "float32")
    units = AsymmetricUnits.from_units([symmcd.reduce(prototype(name)) for name in names])
    crystals, streams = FlatCrystals.from_units(units), CrystalStreams(0, torch.arange(len(names)))
    free = symmetry_tables().free[crystals.wyckoff]
    true = denoising_error(model.process, model.geometry, crystals, streams)
    for number in range(1, 4):
        u = torch.rand(free.shape, generator=torch.Generator().manual_seed(number)) * free
        moved = denoising_error(model.process, model.geometry, dataclasses.replace(crystals, u=u), streams)
        assert bool((true < moved).all()), [name for name, worse in zip(names, moved < true, strict=True) if worse]
