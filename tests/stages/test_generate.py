"""`symmcd generate`: refusals before torch, what an interrupt leaves, progress, and results of earlier runs."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from symmcd import InputError, cli, load_pretrained, request
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.diffusion.abilities import Abilities, read_abilities, weights_path
from symmcd.diffusion.generator import Generator
from symmcd.diffusion.joint_kind import JointSettings
from symmcd.diffusion.progress import StepProgress
from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.storage import read_units, write_units

XTALMET = ["--format", "xtalmet"]
FEW = ["--device", "cpu", "--steps", "1", "--proposals", "1"]

REFUSED = {  # words of the command line -> words of the answer
    "--space-group 231": "space group 231",
    "--space-group 0": "space group 0",
    "--space-group Pnmx": "near it: ",
    "--elements Li,Xq,Zz": "--elements: 'Xq', 'Zz': no such element",
    "--exclude li": "--exclude: 'li': no such element; did you mean Li?",
    "--chemical-system Li-Lr-Fm": "Fm, Lr: not in the training set of this model (atomic numbers [100, 103])",
    "--elements Fe --exclude Fe": "no element is left",
    "--elements Fe --chemical-system Fe-O": "these contradict each other in O",
    "--elements 3,200": "--elements: '200': no such element",
    "--formula LiXq2": "Xq is not an element",
    "--formula TiO2 --elements Ti": "these contradict each other in O",
    "predict NoO2": "No: not in the training set of this model (atomic numbers [102])",
    "predict LiXq2": "Xq is not an element",
    "predict Ca10P6O26H2": "Ca5P3O13H has 22 atoms: more than the 20 in the largest primitive cell",
    "predict C60H61": "C60H61 has 121 atoms",
    "predict TiO2 --atoms 63": "63 atoms of TiO2: more than the 20",
    "predict TiO2 --atoms 7": "7 atoms are not a multiple of the 3 atoms of the formula unit TiO2; take 3, 6, …",
    "--atoms 63": "more than the 20 in the largest primitive cell",
    "--atoms 8-4": "--atoms: '8-4': expected a whole number or a range",
    "--number 0": "--number: '0': expected a whole number, at least 1",
    "--number 1.5": "--number: '1.5': expected a whole number",
    "--temperature nan": "--temperature: 'nan': expected a number, at least 0.01, at most 100",
    "--temperature inf": "--temperature: 'inf': expected a number",
    "--steps 1001": "1001 reverse steps, but the denoiser was trained with 1000",
    "--max-atoms 0": "--max-atoms: '0': expected a whole number, at least 1",
    "--elements 0,26": "--elements: '0': no such element",
    "--elements ,": "--elements: no element given",
    "--seed -1": "--seed: '-1'",
    "--checkpoint none.safetensors": "none.safetensors: no such file",
    "--checkpoint no.safetensors": "no.safetensors: not a readable safetensors file, or incomplete",
    "--checkpoint other.safetensors": "other.safetensors: not a denoiser of symmcd",
    "--checkpoint damaged.safetensors": "damaged.safetensors: damaged, its settings of the model",
    "--output full": "holds results of an earlier run (crystals.csv); choose another folder, or give --overwrite",
    "--output no.safetensors": "no.safetensors is no folder",
    "--output no.safetensors/x": "no.safetensors is no folder",
    "--output full --overwrite --space-group 300": "space group 300",
}

ASK = """
import io, json, sys, contextlib
from symmcd import cli
answers = []
for words in json.loads(sys.stdin.read()):
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        try:
            command = [] if words[0] == "predict" else ["generate"]
            code = cli.main([*command, *words, *(() if "--output" in words else ("--output", "new"))])
        except SystemExit as stop:
            code = stop.code
    answers.append([code, error.getvalue()])
loaded = [name for name in ("torch", "pymatgen", "ase", "spglib") if name in sys.modules]
print(json.dumps([answers, loaded]))
"""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """Exit code and words of every refusal, in one fresh process, and what that has loaded at the end."""
    folder = tmp_path_factory.mktemp("refusals")
    (folder / "no.safetensors").write_bytes(b"\xff" * 100)
    save_file({"a": np.zeros(3)}, folder / "other.safetensors")
    save_file({"a": np.zeros(3)}, folder / "damaged.safetensors", {"format": "symmcd denoiser 1", "symmcd": "{}"})
    (folder / "full").mkdir()
    (folder / "full" / "crystals.csv").write_text("id\n")
    asked = json.dumps([words.split() for words in REFUSED])
    done = subprocess.run(
        [sys.executable, "-c", ASK], input=asked, capture_output=True, text=True, check=True, cwd=folder
    )
    answers, loaded = json.loads(done.stdout)
    assert not (folder / "new").exists()
    return dict(zip(REFUSED, answers, strict=True)), loaded


@pytest.mark.parametrize("words", REFUSED)
def test_a_request_that_cannot_be_fulfilled_is_refused_in_one_line(refusals, words):
    code, error = refusals[0][words]
    assert code == 2
    assert REFUSED[words] in error
    assert error.startswith(f"symmcd {'predict' if words.startswith('predict') else 'generate'}: ")
    assert error.count("\n") == 1


def test_refusals_come_before_torch(refusals):
    assert not refusals[1]


@pytest.mark.parametrize(
    ("command", "held"),
    [("evaluate cifs", "summary.csv"), ("evaluate cifs", "table1.md"), ("export units.npz", "structures.txt")]
    + [("export units.npz", "generated_crystals.extxyz")],
)
def test_other_commands_keep_results_too(command, held, tmp_path):
    """Said before pandas, pymatgen and the input are looked at."""
    (tmp_path / held).write_text("")
    words = [*command.split(), "--output", str(tmp_path)] + (XTALMET if "export" in command else [])
    code = f"import sys; from symmcd import cli; code = cli.main({words!r}); print(code, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"holds results of an earlier run ({held})" in done.stderr
    assert done.stdout == "2 False\n"


def test_what_shipped_weights_know_is_what_the_loaded_model_knows():
    known = read_abilities(weights_path("mp20"))
    assert known == load_pretrained(device="cpu").abilities
    assert known.most_atoms == 20  # MP-20
    assert {3, 8, 26, 92} < known.elements


def test_abilities_of_models_without_sets_of_positions():
    tensors = {"statistics/element_marginal": np.eye(118)[7], "statistics/orbit_count": np.zeros((230, 4))}
    joint = Abilities.of(JointSettings(steps=20), tensors)
    assert (joint.elements, joint.most_orbits, joint.most_atoms) == ({8}, 3, None)
    with pytest.raises(InputError, match="does not support wishes for elements, atoms or a composition"):
        joint.check_composition({8: 1})
    staged = Abilities.of(StagedSettings(steps=20), tensors | {"statistics/element_marginal": np.ones(118)})
    staged.check_composition({22: 1, 8: 20_000})
    with pytest.raises(InputError, match="more elements than the 3 orbits"):
        staged.check_composition({1: 1, 2: 1, 3: 1, 4: 1})


def test_python_refuses_before_work(monkeypatch):
    generator = load_pretrained(device="cpu")
    for name in ("plan", "sample", "arrangements", "draft", "with_geometries", "_drafting"):
        monkeypatch.setattr(Generator, name, None)  # would be called
    for wrong in ({"space_group": 231}, {"elements": ["Lr"]}, {"steps": 2000}, {"temperature": float("nan")}):
        with pytest.raises(InputError):
            generator.generate(3, **wrong)
    for formula, wrong in (("C60H61", {}), ("TiO2", {"atoms": 60}), ("TiO2", {"atoms": 4}), ("LrO", {})):
        with pytest.raises(InputError, match=r"atoms|elements|Lr: not in the training set"):
            generator.predict(formula, **wrong)


def crystals(folder: Path) -> dict[str, tuple]:
    units = read_units(folder / "units.npz")
    return {
        str(units.label[i]): (unit.space_group, unit.lattice.tolist(), unit.element.tolist(), unit.position.tolist())
        for i, unit in enumerate(units)
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Seventy crystals, in batches of 32."""
    folder = tmp_path_factory.mktemp("whole")
    assert cli.main(["generate", "--number", "70", "--output", str(folder), *FEW]) == 0
    return folder


def test_batches_change_no_digit(whole):
    """In single precision on a CPU; elsewhere a last digit may depend on what is computed together."""
    generator = load_pretrained(device="cpu")
    if str(generator._model.precision) != "torch.float32":
        pytest.skip("this processor multiplies bfloat16, whose rounding depends on the batch")
    units = generator.generate(70, steps=1, proposals=1, batch_size=70)
    once, by_batches = AsymmetricUnits.from_units(units), read_units(whole / "units.npz")
    for name in ("space_group", "k", "element", "wyckoff", "position", "label"):
        np.testing.assert_array_equal(getattr(once, name), getattr(by_batches, name))


def interrupted_after(monkeypatch, batches: int) -> None:
    """Ctrl-C in the middle of the batch after so many."""
    calls = itertools.count()
    sampled = Generator.sample

    def sample(self, plan, sampler, seed, on_step):
        def step(number: int) -> None:
            on_step(number)
            if count == batches:
                raise KeyboardInterrupt

        count = next(calls)
        return sampled(self, plan, sampler, seed, step)

    monkeypatch.setattr(Generator, "sample", sample)


@pytest.mark.parametrize("batches", [1, 2])
def test_ctrl_c_keeps_what_is_finished(batches, whole, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(request.AT_ONCE, "cpu", 32)
    interrupted_after(monkeypatch, batches)
    assert cli.main(["generate", "--number", "70", "--output", str(tmp_path), *FEW]) == 130
    assert f"interrupted: {32 * batches} of 70 crystals written\n" in capsys.readouterr().err
    kept, all_of_them = crystals(tmp_path), crystals(whole)
    assert len(kept) == 32 * batches
    for name, crystal in kept.items():  # under the number that it has in the whole set
        assert crystal == all_of_them[name]
    with (tmp_path / "crystals.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)] == list(kept)
    assert len(list((tmp_path / "cif").iterdir())) == 32 * batches


def test_ctrl_c_before_anything_is_finished_writes_nothing(tmp_path, monkeypatch, capsys):
    interrupted_after(monkeypatch, 0)
    assert cli.main(["generate", "--number", "70", "--output", str(tmp_path / "new"), *FEW]) == 130
    assert "crystals written" not in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_ctrl_c_keeps_the_likeliest_crystals_of_a_formula(tmp_path, monkeypatch):
    monkeypatch.setitem(request.AT_ONCE, "cpu", 32)
    words = ["predict", "TiO2", "--number", "50", "--atoms", "6", *FEW]
    assert cli.main([*words, "--output", str(tmp_path / "whole")]) == 0
    updates = StepProgress.update

    def update(self, done, **more):
        updates(self, done, **more)
        if done > 32:
            raise KeyboardInterrupt

    monkeypatch.setattr(StepProgress, "update", update)
    assert cli.main([*words, "--output", str(tmp_path / "part")]) == 130
    tables = []
    for name in ("whole", "part"):
        with (tmp_path / name / "crystals.csv").open() as file:
            tables.append([row | {"share": ""} for row in csv.DictReader(file)])
    assert len(tables[1]) == 32 < len(tables[0])
    assert tables[1] == tables[0][:32]
    assert crystals(tmp_path / "part").items() <= crystals(tmp_path / "whole").items()


def test_progress_is_told_step_by_step(capsys, monkeypatch):
    told = []
    generator = load_pretrained(device="cpu")
    generator.generate(9, steps=3, proposals=1, batch_size=4, on_progress=lambda *said: told.append(said))
    done = [number for number, _ in told]
    assert done == sorted(done)
    assert done[-1] == 9
    work = [part / all_of_it for _, (part, all_of_it) in told]
    assert work == sorted(work)
    assert len(set(work)) >= 9  # three batches of three steps
    assert work[-1] == pytest.approx(1)


def test_progress_stands_on_standard_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("symmcd.diffusion.progress.LOG_SECONDS", 0.0)
    assert cli.main(["generate", "--number", "3", "--output", str(tmp_path), *FEW]) == 0
    said = capsys.readouterr()
    assert "generating crystal 3/3, 0 min 00 s left" in said.err
    assert "generating" not in said.out


def test_results_are_replaced_whole(whole, tmp_path, monkeypatch):
    words = ["generate", "--number", "2", "--output", str(tmp_path / "out"), *FEW]
    monkeypatch.setattr(request, "CIF_FOLDER_LIMIT", 1)
    assert cli.main(words) == 0
    assert (tmp_path / "out" / "cif.zip").exists()
    before = (tmp_path / "out" / "units.npz").read_bytes()
    assert cli.main([*words, "--seed", "3"]) == 2
    assert (tmp_path / "out" / "units.npz").read_bytes() == before
    monkeypatch.undo()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert cli.main([*words, "--seed", "3", "--overwrite"]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"units.npz", "crystals.extxyz", "crystals.csv", "cif", "notes.txt"}
    assert (tmp_path / "out" / "units.npz").read_bytes() != before


def test_a_folder_of_other_files_than_cifs_is_not_replaced(tmp_path, capsys):
    (tmp_path / "cif").mkdir()
    (tmp_path / "cif" / "thesis.tex").write_text("mine")
    words = ["generate", "--number", "1", "--output", str(tmp_path), *FEW]
    assert cli.main([*words, "--overwrite"]) == 2
    assert "holds thesis.tex, which is not a CIF of symmcd" in capsys.readouterr().err
    assert (tmp_path / "cif" / "thesis.tex").exists()


def test_an_export_in_another_form_replaces_the_first(whole, tmp_path):
    units, output = str(whole / "units.npz"), str(tmp_path / "out")
    assert cli.main(["export", units, "--output", output, "--format", "mattergen"]) == 0
    assert cli.main(["export", units, "--output", output, "--format", "xtalmet"]) == 2
    assert cli.main(["export", units, "--output", output, "--format", "xtalmet", "--overwrite"]) == 0
    assert [path.name for path in Path(output).iterdir()] == ["structures.json.gz"]


def test_an_empty_folder_is_fine(whole, tmp_path):
    write_units(tmp_path / "units.npz", read_units(whole / "units.npz").take(np.arange(2)))
    (tmp_path / "out").mkdir()
    assert cli.main(["export", str(tmp_path / "units.npz"), "--output", str(tmp_path / "out"), *XTALMET]) == 0
