"""Training and sampling from files to files: resumed bit for bit, sharded without a trace, and able to learn."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from pymatgen.core import Composition
from safetensors.numpy import load_file
from tests.diffusion.crystals import SMALL, random_units

from symmcd import replicate, request
from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits, numbered_labels
from symmcd.crystallography.normaliser import canonical_arrangement
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion import model_training
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.pretrained import load_pretrained
from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.errors import InputError, SymmcdError
from symmcd.settings import SamplingSettings, TrainingSettings
from symmcd.stages import generate, sample, train
from symmcd.storage import read_units, write_units

TRAINING = TrainingSettings(epochs=3, batch_size=16, validate_every=2, checkpoint_minutes=0, warmup_steps=5)
SAMPLING = SamplingSettings(number=23, batch_size=6, steps=20)
NAMES = numbered_labels(23)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_units(folder / "train.npz", random_units(90, seed=1))
    write_units(folder / "val.npz", random_units(30, seed=2))
    return folder


@pytest.fixture(scope="module")
def trained(data):
    train.run(data / "train.npz", data / "val.npz", data / "run", SMALL, TRAINING, seed=3, device="cpu")
    return data / "run"


def rows_of(folder) -> list[dict[str, str]]:
    with (folder / "losses.csv").open() as file:
        return list(csv.DictReader(file))


def losses_of(folder) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows_of(folder)]


def test_what_a_training_leaves(trained):
    found = sorted(str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file())
    assert found == ["denoiser.safetensors", "denoiser/losses.csv", "denoiser/weights.safetensors", "losses.csv"]
    rows = rows_of(trained)
    names = [name for name in rows[0] if name.startswith("val_")]
    assert names == ["val_lattice", "val_position", "val_element", "val_site_symmetry", "val_total"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["val_total"] == ""  # validate_every: 2, and the last
    assert float(rows[2]["val_total"]) < float(rows[1]["val_total"])
    metadata = Generator.load(trained / "denoiser.safetensors", "cpu").checkpoint.metadata
    assert metadata["seed"] == 3
    assert metadata["denoiser"]["steps_done"] == 18
    assert len(metadata["data_sha256"]) == 64


def test_killed_in_mid_epoch_and_resumed_bit_for_bit(data, trained, capsys):
    """kill -9 at whatever moment follows the first saved state, twice, then to the end: the same bits."""
    out = data / "killed"
    command = (
        "from pathlib import Path; from symmcd.settings import read_section; from symmcd.stages import train; "
        f"train.run(Path({str(data / 'train.npz')!r}), Path({str(data / 'val.npz')!r}), Path({str(out)!r}), "
        f"read_section('model', {json.dumps(dataclasses.asdict(SMALL))!r}), "
        f"read_section('training', {json.dumps(dataclasses.asdict(TRAINING))!r}), seed=3, device='cpu')"
    )
    state = out / "denoiser/checkpoint.safetensors"
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    for _ in range(2):
        before = state.stat().st_mtime_ns if state.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", command], env=environment)
        while process.poll() is None and (state.stat().st_mtime_ns if state.exists() else 0) == before:
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    capsys.readouterr()
    train.run(data / "train.npz", data / "val.npz", out, SMALL, TRAINING, seed=3, device="cpu")
    step = re.search(r"continuing from .*, step (\d+)", capsys.readouterr().out)
    assert step, "it did not go on from the state of the killed one"
    assert 0 < int(step[1]) < 18
    expected, found = load_file(trained / "denoiser.safetensors"), load_file(out / "denoiser.safetensors")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert losses_of(out) == losses_of(trained)


def test_a_state_of_other_settings_is_set_aside(data, trained, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("symmcd.diffusion.training.write_losses", stop)  # at the end of the first epoch
    with pytest.raises(KeyboardInterrupt):
        train.run(data / "train.npz", data / "val.npz", tmp_path, SMALL, TRAINING, seed=4, device="cpu")
    monkeypatch.undo()
    assert (tmp_path / "denoiser/checkpoint.safetensors").exists()
    train.run(data / "train.npz", data / "val.npz", tmp_path, SMALL, TRAINING, seed=3, device="cpu")
    assert "belongs to other data or settings; training from the start" in capsys.readouterr().out
    assert (tmp_path / "denoiser/checkpoint.old.safetensors").exists()
    assert losses_of(tmp_path) == losses_of(trained)
    (tmp_path / "denoiser/checkpoint.safetensors").write_bytes(b"cut")
    (tmp_path / "denoiser/weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"checkpoint\.safetensors: not a readable"):
        train.run(data / "train.npz", data / "val.npz", tmp_path, SMALL, TRAINING, seed=3, device="cpu")


def test_a_limit_of_time_ends_the_schedule(data, tmp_path):
    settings = dataclasses.replace(TRAINING, epochs=10**6, max_minutes=0.02, checkpoint_minutes=1)
    train.run(data / "train.npz", data / "val.npz", tmp_path, SMALL, settings, device="cpu")
    assert rows_of(tmp_path)[-1]["val_total"] != ""
    assert not (tmp_path / "denoiser/checkpoint.safetensors").exists()


def test_a_diverging_training_stops_and_keeps_its_batch(data, tmp_path):
    settings = dataclasses.replace(TRAINING, learning_rate=1e30, warmup_steps=0)
    with pytest.raises(SymmcdError, match=r"not finite at step \d+ .*lower training.learning_rate") as error:
        train.run(data / "train.npz", data / "val.npz", tmp_path, SMALL, settings, device="cpu")
    (saved,) = tmp_path.glob("denoiser/diverged_step*.safetensors")
    assert str(saved) in str(error.value)
    assert load_file(saved)["state/position"].shape[2] == 3
    assert not (tmp_path / "denoiser.safetensors").exists()


def test_paper_scale_on_a_cpu_is_refused_unless_asked_for(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    write_units(tmp_path / "train.npz", random_units(90).take(np.arange(27_000) % 90))  # as many as MP-20 has
    full = StagedSettings(), TrainingSettings()
    with pytest.raises(InputError, match=r"days on a CPU.*config/cpu.yaml"):
        train.run(tmp_path / "train.npz", data / "val.npz", tmp_path / "out", *full, device="auto")
    model_training.refuse_days(SMALL, TRAINING, random_units(90))
    with pytest.raises(InputError, match="torch sees no CUDA"):
        train.run(tmp_path / "train.npz", data / "val.npz", tmp_path / "out", SMALL, TRAINING, device="cuda")


def test_batches_in_groups_have_the_gradient_of_the_whole(data, monkeypatch):
    from symmcd.batch import OrbitBatch
    from symmcd.diffusion.data_statistics import DataStatistics
    from symmcd.diffusion.denoiser import Denoiser
    from symmcd.diffusion.forward_process import ForwardProcess
    from symmcd.diffusion.loss import LAUNCH_PAIRS, batch_losses, corrupted

    units = random_units(40)
    process, batch = ForwardProcess(SMALL, DataStatistics.of(units)), OrbitBatch.from_units(units)
    noisy, target, times = corrupted(process, batch, 0)
    found = []
    for overhead in (0, 10**9):  # a group for every size; all in one
        monkeypatch.setitem(LAUNCH_PAIRS, "cpu", overhead)
        torch.manual_seed(0)
        denoiser = Denoiser(SMALL)
        losses = batch_losses(denoiser, noisy, target, times, TRAINING.loss_weights, backward=True)
        found.append((losses["total"], [p.grad for p in denoiser.parameters()]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


# --- sampling --------------------------------------------------------------------------------------------------------


def assert_same(a: AsymmetricUnits, b: AsymmetricUnits) -> None:
    for name in ("label", "space_group", "start", "element", "wyckoff"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    difference = (a.position - b.position + 0.5) % 1 - 0.5
    np.testing.assert_allclose(difference, 0, atol=1e-4)
    np.testing.assert_allclose(a.k, b.k, atol=1e-4)


@pytest.fixture(scope="module")
def whole(trained):
    sample.run(trained / "denoiser.safetensors", trained.parent / "whole.npz", 0, 1, SAMPLING, seed=1, device="cpu")
    return read_units(trained.parent / "whole.npz")


def test_shards_and_batch_sizes_change_nothing(trained, whole, tmp_path):
    assert whole.label.tolist() == NAMES
    parts = []
    for shard in range(3):
        settings = dataclasses.replace(SAMPLING, batch_size=(1, 4, 100)[shard])
        path = tmp_path / f"shard{shard}.npz"
        sample.run(trained / "denoiser.safetensors", path, shard, 3, settings, seed=1, device="cpu")
        parts.append(read_units(path))
        assert parts[-1].label.tolist() == NAMES[shard::3]
        assert not path.with_name(f"{path.name}.partial").exists()
    together = AsymmetricUnits.concatenate(parts)
    assert_same(together.take(np.argsort(together.label)), whole)


def test_another_seed_is_another_sample(trained, whole, tmp_path):
    sample.run(trained / "denoiser.safetensors", tmp_path / "s.npz", 0, 1, SAMPLING, seed=2, device="cpu")
    assert read_units(tmp_path / "s.npz").k[0, 5] != whole.k[0, 5]


@pytest.fixture
def interrupted(trained, tmp_path):
    """The arguments of a sampling that was interrupted at the third batch, and the plans of the two that it made."""
    original, sampled = Generator.sample, []
    arguments = (trained / "denoiser.safetensors", tmp_path / "s.npz", 0, 1)

    def dies_at_the_third(self, plan, *arguments):
        if len(sampled) == 2:
            raise KeyboardInterrupt
        sampled.append(plan)
        return original(self, plan, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Generator, "sample", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            sample.run(*arguments, SAMPLING, seed=1, device="cpu")
    return arguments, sampled


def test_killed_sampling_goes_on_where_it_was(interrupted, whole, tmp_path, monkeypatch):
    (arguments, sampled), original, again = interrupted, Generator.sample, []
    monkeypatch.setattr(Generator, "sample", lambda self, plan, *a: again.append(plan) or original(self, plan, *a))
    sample.run(*arguments, SAMPLING, seed=1, device="cpu")
    done = sum(len(plan.number) for plan in sampled)
    assert sum(len(plan.number) for plan in again) == 23 - done
    assert_same(read_units(tmp_path / "s.npz"), whole)


def test_batches_that_another_version_cut_otherwise_are_not_used(interrupted, whole, tmp_path):
    arguments, _ = interrupted
    first, second = sorted((tmp_path / "s.npz.partial").iterdir())
    first.write_bytes(second.read_bytes())
    sample.run(*arguments, SAMPLING, seed=1, device="cpu")
    assert_same(read_units(tmp_path / "s.npz"), whole)


def test_what_sampling_refuses(trained, tmp_path):
    denoiser = trained / "denoiser.safetensors"
    with pytest.raises(InputError, match="30 reverse steps, but the denoiser was trained with 20"):
        sample.run(denoiser, tmp_path / "s.npz", 0, 1, dataclasses.replace(SAMPLING, steps=30), device="cpu")
    with pytest.raises(InputError, match="none of the 2 crystals"):
        sample.run(denoiser, tmp_path / "s.npz", 2, 3, dataclasses.replace(SAMPLING, number=2), device="cpu")
    choices = (
        ({"temperature": 2.0}, r"temperature = 2.0 is not supported by a 'joint' model \(only 1\); .* 'staged'"),
        ({"elements": (8,)}, "does not support"),
        ({"proposals": 2}, "proposals = 2 is not supported by a 'joint' model"),
    )
    for choice, message in choices:
        with pytest.raises(InputError, match=message):
            Generator.load(denoiser, "cpu").generate(1, **choice)
    with pytest.raises(InputError, match="no such file"):
        sample.run(tmp_path / "none", tmp_path / "s.npz", 0, 1, SAMPLING, device="cpu")
    (tmp_path / "bad.npz").write_bytes(b"")
    with pytest.raises(InputError, match=r"bad\.npz"):
        read_units(tmp_path / "bad.npz")


def test_without_weights_it_says_what_to_do():
    with pytest.raises(InputError, match="symmcd train"):
        load_pretrained("mp99")


def test_shipped_weights_make_crystals_of_the_group_asked_for():
    """Few steps: tested is that the file loads, verified, and that symmetry is exact whatever the network says."""
    units = load_pretrained("mp20", device="cpu").generate(4, 62, seed=1, steps=5)
    assert [unit.space_group for unit in units] == [62] * 4


def test_generate_writes_crystals(trained, tmp_path):
    generate.run(tmp_path, 3, trained / "denoiser.safetensors", device="cpu", constraints={"space_group": 225})
    assert len(list((tmp_path / "cif").glob("*.cif"))) == 3
    assert (tmp_path / "crystals.extxyz").exists()
    with (tmp_path / "crystals.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, unit in zip(rows, read_units(tmp_path / "units.npz"), strict=True):
        structure = replicate(unit)
        assert Composition(row["formula"]) == structure.composition.reduced_composition
        assert row["symbol"] == "Fm-3m"
        assert float(row["density"]) == pytest.approx(structure.density, rel=1e-3)
        assert int(row["atoms_primitive"]) == len(structure) / 4


def test_more_crystals_than_a_folder_holds_leave_no_stale_ones_beside_them(trained, tmp_path, monkeypatch):
    for number, there, gone in ((3, "cif", "cif.zip"), (5, "cif.zip", "cif"), (2, "cif", "cif.zip")):
        monkeypatch.setattr(request, "CIF_FOLDER_LIMIT", 4)
        generate.run(tmp_path, number, trained / "denoiser.safetensors", device="cpu", steps=2)
        assert (tmp_path / there).exists()
        assert not (tmp_path / gone).exists()


def test_training_and_sampling_run_on_a_bare_machine():
    """torch, numpy, safetensors and our own code: nothing that knows a crystal file."""
    code = (
        "import symmcd.diffusion.model_training, symmcd.diffusion.shard_sampling, sys; "
        "from symmcd.extensions import MODELS; [MODELS[kind].load() for kind in ('staged', 'joint', 'unit_cell')]; "
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not set(printed.split()) & {"pandas", "pymatgen", "scipy", "pydantic", "ase", "spglib", "matplotlib"}


# --- learning --------------------------------------------------------------------------------------------------------

NACL = AsymmetricUnit(225, np.eye(3) * 5.64, [11, 17], ("a", "b"), [[0, 0, 0], [0.5, 0.5, 0.5]])
RUTILE = AsymmetricUnit(136, np.diag([4.59, 4.59, 2.96]), [22, 8], ("a", "f"), [[0, 0, 0], [0.305, 0.305, 0]])
CSCL = AsymmetricUnit(221, np.eye(3) * 4.12, [55, 17], ("a", "b"), [[0, 0, 0], [0.5, 0.5, 0.5]])


def arrangement(unit: AsymmetricUnit) -> tuple:
    """Positions and elements, the same for rock salt with its origin at the other ion."""
    letters = [wyckoff_table().row(unit.space_group, letter) for letter in unit.letter]
    first = wyckoff_table().start[unit.space_group - 1]
    return canonical_arrangement(unit.space_group, [int(row - first) for row in letters], unit.element.tolist())


def test_three_crystals_are_learnt_by_heart(tmp_path):
    """The whole chain of representation, noise, network, reverse process and decoding returns what it was shown."""
    known = {225: NACL, 136: RUTILE, 221: CSCL}
    units = AsymmetricUnits.from_units([unit for unit in known.values() for _ in range(32)])
    write_units(tmp_path / "three.npz", units)
    model = JointSettings(width=64, layers=2, frequencies=8, steps=100)
    training = TrainingSettings(epochs=1000, batch_size=96, learning_rate=1e-2, ema_decay=0.99, validate_every=1000)
    train.run(tmp_path / "three.npz", tmp_path / "three.npz", tmp_path, model, training, device="cpu")
    found = Generator.load(tmp_path / "denoiser.safetensors", "cpu").generate(60, seed=1, corrector=True)
    right = 0
    for unit in found:
        expected = known[unit.space_group]
        cell = np.allclose(np.linalg.norm(unit.lattice, axis=1), np.linalg.norm(expected.lattice, axis=1), rtol=0.03)
        x = {letter: position[0] for letter, position in zip(unit.letter, unit.position, strict=True)}
        free = unit.space_group != 136 or min(abs(x.get("f", 9) - 0.305), abs(1 - x.get("f", 9) - 0.305)) < 0.02
        right += cell and free and arrangement(unit) == arrangement(expected)
    assert right >= 50, f"{right} of 60"
