"""A generator taught by chosen drafts draws more of their kind, and makes geometries as before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symmcd.crystallography import content
from symmcd.crystallography.drafts import Drafts
from symmcd.diffusion.checkpoint import read_checkpoint, write_checkpoint
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.diffusion.staged.teaching import HALF, taught
from symmcd.errors import InputError

FLUORINE = 9


@pytest.fixture(scope="module")
def shipped() -> Generator:
    return load_pretrained(device="cpu")


def fluorides(drafts: Drafts) -> np.ndarray:
    return content.amounts(drafts)[:, FLUORINE] > 0


@pytest.fixture(scope="module")
def pupil(shipped, tmp_path_factory) -> tuple[Generator, Drafts]:
    """Taught on fluorides, and these."""
    drafts = shipped.draft(4000, seed=1)
    lesson = drafts.take(fluorides(drafts))
    told = []
    about = {"weights_sha256": shipped.sha256}
    new = taught(shipped.checkpoint, lesson, 3, about=about, on_epoch=lambda epoch, loss: told.append((epoch, loss)))
    assert [epoch for epoch, _ in told] == [0, 1, 2, 3]
    assert new.metadata["taught"]["held_out_nats"] == min(loss for _, loss in told) < told[0][1]
    path = tmp_path_factory.mktemp("taught") / "taught.safetensors"
    write_checkpoint(path, new.weights, new.statistics.tensors() | new.tensors, new.settings, new.metadata)
    return load_pretrained(path, device="cpu"), lesson


def test_it_draws_more_of_what_it_was_taught(shipped, pupil):
    """Judged by drafts that are none of the lesson's, and by those of another seed."""
    generator, _ = pupil
    others = shipped.draft(600, seed=2)
    before, after = (model.log_probability(others) for model in (shipped, generator))
    gained = after - before
    assert gained[fluorides(others)].mean() > 0 > gained[~fluorides(others)].mean()
    assert fluorides(generator.draft(600, seed=3)).mean() > 1.4 * fluorides(others).mean()


def test_groups_are_counted_in_the_lesson_and_none_becomes_impossible(shipped, pupil):
    generator, lesson = pupil
    before, after = (model.checkpoint.statistics for model in (shipped, generator))
    assert torch.equal(after.orbit_count > 0, before.orbit_count > 0)
    there = (before.orbit_count > 0).sum(dim=1)
    counted = torch.as_tensor(np.bincount(lesson.space_group, minlength=231)[1:])
    assert torch.equal(after.space_group_count, counted + HALF * there)


def test_geometries_are_made_as_before(shipped, pupil):
    generator, lesson = pupil
    few = lesson.take(np.arange(4))
    ours, theirs = (model.with_geometries(few, steps=2, proposals=1) for model in (generator, shipped))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.position, other.position)
        np.testing.assert_array_equal(one.lattice, other.lattice)


def test_a_stability_model_of_the_teacher_is_its_own(shipped, pupil):
    generator, _ = pupil
    assert generator.hashes == (generator.sha256, shipped.sha256)
    assert shipped.hashes == (shipped.sha256,)
    assert not generator.draft_stable(3, 4, "mp20")[1].of_other_weights


def test_a_lesson_of_nothing_is_refused(shipped):
    with pytest.raises(InputError, match="12 drafts to learn from: expected at least 20"):
        taught(read_checkpoint(shipped.path), shipped.draft(12), 1)
