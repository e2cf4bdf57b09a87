"""The stage ``replicate``: what it leaves in its folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tests.structures.random_units import random_units

from symmcd.crystallography.best_of import BestOf
from symmcd.errors import InputError
from symmcd.settings import ReplicateSettings
from symmcd.stages import replicate
from symmcd.storage import read_units, write_units


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    write_units(tmp_path / "shard0.npz", random_units([1, 62, 225]))
    return tmp_path / "shard0.npz"


def test_one_form_of_the_cifs_takes_the_place_of_the_other(shard: Path, tmp_path: Path) -> None:
    """A run of fewer or more crystals must not leave the CIFs of the one before beside its own."""
    out = tmp_path / "crystals"
    for limit, there in ((3, "cif"), (2, "cif.zip"), (3, "cif")):
        replicate.run([shard], out, ReplicateSettings(cif_folder_limit=limit))
        assert sorted(path.name for path in out.iterdir()) == sorted(["units.npz", "crystals.extxyz", there])
    assert len(list((out / "cif").iterdir())) == 3


def test_a_folder_with_other_files_is_not_removed(shard: Path, tmp_path: Path) -> None:
    (tmp_path / "crystals/cif").mkdir(parents=True)
    (tmp_path / "crystals/cif/notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"cif: holds notes\.txt, which is not a CIF of symmcd"):
        replicate.run([shard], tmp_path / "crystals", ReplicateSettings(cif_folder_limit=2))
    assert (tmp_path / "crystals/cif/notes.txt").exists()


def test_numbers_far_apart_need_no_more_memory(tmp_path: Path) -> None:
    """Names are made of the numbers there are, not of all up to the largest."""
    labels = np.array(["00007", "1000000000000000", "00012"])
    write_units(tmp_path / "shard0.npz", dataclasses.replace(random_units([1, 62, 225]), label=labels))
    replicate.run([tmp_path / "shard0.npz"], tmp_path / "crystals", ReplicateSettings())
    found = read_units(tmp_path / "crystals/units.npz")
    assert found.label.tolist() == ["0000000000000007", "0000000000000012", "1000000000000000"]
    assert found.space_group.tolist() == [1, 225, 62]


def test_shards_go_together_in_the_order_of_their_numbers(shard: Path, tmp_path: Path) -> None:
    more = dataclasses.replace(random_units([2, 194]), label=np.array(["00004", "00003"]))
    write_units(tmp_path / "shard1.npz", more)
    replicate.run([tmp_path / "shard1.npz", shard], tmp_path / "crystals", ReplicateSettings())
    found = read_units(tmp_path / "crystals/units.npz")
    assert found.label.tolist() == ["00000", "00001", "00002", "00003", "00004"]
    assert found.space_group.tolist() == [1, 62, 225, 194, 2]


def test_what_is_refused(shard: Path, tmp_path: Path) -> None:
    for labels, message in (
        (["mp-1", "mp-2"], "'mp-1' is not named by a number"),
        (["5", "00002"], "the same crystal"),
    ):
        write_units(tmp_path / "b.npz", dataclasses.replace(random_units([2, 194]), label=np.array(labels)))
        with pytest.raises(InputError, match=message):
            replicate.run([shard, tmp_path / "b.npz"], tmp_path / "crystals", ReplicateSettings())
    with pytest.raises(InputError, match="no shards given: no sampled crystals"):
        replicate.run([], tmp_path / "crystals", ReplicateSettings())


def test_shards_say_how_their_crystals_were_chosen(tmp_path: Path) -> None:
    """The crystals say it too; shards that say different things are of different runs."""
    choice, paths = BestOf(20, "ab" * 32, "chgnet", "table mp.csv"), [tmp_path / "a.npz", tmp_path / "b.npz"]
    parts = [
        dataclasses.replace(random_units(groups), label=np.array(labels), best_of=choice)
        for groups, labels in (([1, 62], ["00000", "00001"]), ([225, 2], ["00002", "00003"]))
    ]
    for path, part in zip(paths, parts, strict=True):
        write_units(path, part)
    replicate.run(paths, tmp_path / "crystals", ReplicateSettings())
    assert read_units(tmp_path / "crystals/units.npz").best_of == choice
    for other in (None, dataclasses.replace(choice, drafts=4), dataclasses.replace(choice, stability_model="cd" * 32)):
        write_units(paths[1], dataclasses.replace(parts[1], best_of=other))
        with pytest.raises(InputError, match=r"a\.npz and .*b\.npz: their crystals were chosen in different ways"):
            replicate.run(paths, tmp_path / "crystals", ReplicateSettings())
