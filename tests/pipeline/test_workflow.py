"""What Snakemake plans, reruns and refuses; the stages are stand-ins."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import pytest
import torch
import yaml

from symmcd.settings import SECTIONS

ROOT = Path(__file__).parents[2]
AFTER_RELAX = {"gather_relaxed", "reference", "hull", "sun", "candidates", "report"}
AFTER_REPLICATE = {"score", "fingerprint", "summarise", "relax"} | AFTER_RELAX
AFTER_TRAIN = {"sample", "replicate"} | AFTER_REPLICATE
PREDICTOR = {"predictor_variant", "predictor"}
AFTER_REDUCE = {"train_part", "train", "fingerprint_test"} | PREDICTOR | AFTER_TRAIN

# a change of configuration -> the rules that run again, and no more
RERUNS = {
    "data: {limit: 5}": {"download", "reduce"} | AFTER_REDUCE,
    "reduce: {symprec: 0.05}": {"reduce"} | AFTER_REDUCE,
    "model: {width: 512}": {"train_part", "train"} | AFTER_TRAIN,
    "training: {epochs: 1999}": {"train_part", "train"} | AFTER_TRAIN,
    "sampling: {number: 9000}": AFTER_TRAIN,
    "stability_model: {labels: 10}": set(),  # nothing chooses, so nothing is fitted
    "sampling: {known: mine.csv, leave_out: []}": set(),
    "replicate: {cif_folder_limit: 10}": {"replicate"} | AFTER_REPLICATE,
    "score: {symprec: 0.05}": {"score", "summarise", "sun", "candidates", "report"},
    "relax: {fmax: 0.05}": {"relax"} | AFTER_RELAX,
    "judge: {potentials: [sevennet-0]}": {"judge", "own_reference", "hull", "sun", "candidates", "report"},
    "hull: {cache: known.sqlite}": set(),
    "hull: {source: table}": {"reference", "hull", "sun", "candidates", "report"},
    "sun: {min_elements: 1}": {"sun", "candidates", "report"},
    "predictor: {epochs: 7}": {"summarise", "report"} | PREDICTOR,
    "report: {title: again}": {"report"},
    "shards: {relax: 9}": {"relax"} | AFTER_RELAX,
    "shards: {score: 3}": {"score", "summarise", "sun", "candidates", "report"},
    "seed: 1": {"train_part", "train", "summarise", "relax"} | PREDICTOR | AFTER_TRAIN,
    "{device: cuda}": set(),  # another machine computes nothing again
}


def test_every_section_is_in_the_table():
    assert set(SECTIONS) <= {change.partition(":")[0] for change in RERUNS}


@pytest.mark.parametrize("change", RERUNS)
def test_a_change_reruns_its_stage_and_what_follows(finished, change):
    assert set(finished.planned(config=change)) == RERUNS[change]


@pytest.mark.parametrize(
    ("file", "rules"),
    [
        ("stability/above_hull.py", {"hull", "sun", "candidates", "report"}),
        ("metrics/of_set/originality.py", {"score", "summarise", "sun", "candidates", "report"}),
        ("diffusion/progress.py", PREDICTOR | {"train_part", "train", "summarise"} | AFTER_TRAIN),
        ("report/templates/page.css", {"report"}),
        ("settings.py", set()),  # what a stage is given is seen by itself
        ("stages/generate.py", set()),  # no rule runs it
    ],
)
def test_changed_code_reruns_the_stages_that_compute_with_it(finished, monkeypatch, file, rules):
    monkeypatch.setenv("PYTHONPATH", str(finished.folder / "src"))
    code = finished.folder / "src" / "symmcd" / file
    before = code.read_text()
    remark = "/* remark */\n" if file.endswith(".css") else "# remark\n"
    code.write_text(before + remark)
    assert set(finished.planned(config="{device: cpu}")) == (rules if file.endswith(".css") else set())
    code.write_text(before + "\nCHANGED = 1\n")
    assert set(finished.planned(config="{device: cpu}")) == rules
    without = ("--rerun-triggers", "mtime", "params", "input", "software-env")
    assert finished.planned(*without, config="{device: cpu}") == {}
    code.write_text(before)
    assert finished.planned(config="{device: cpu}") == {}


def test_changed_code_alone_trains_nothing_again_unasked(workflow, monkeypatch):
    """The message says how to keep what is there and how to replace it; a changed setting has said so itself."""
    monkeypatch.setenv("PYTHONPATH", str(workflow.folder / "src"))
    target = "results/training/seed0/denoiser.safetensors"
    run = ("--cores", "2", target)
    assert workflow.run(*run, config="{device: cpu}").returncode == 0
    code = workflow.folder / "src/symmcd/structures/reduction.py"  # before the training: `reduce` uses it, `train` not
    code.write_text(code.read_text() + "\nCHANGED = 1\n")
    calls = workflow.calls()
    done = workflow.run(*run, config="{device: cpu}")
    assert done.returncode != 0
    text = " ".join(done.stderr.split())
    assert "seed0/geometry/weights.safetensors" in text
    assert "`--rerun-triggers mtime params input software-env`" in text
    assert "Traceback" not in text
    assert workflow.calls() == calls
    kept = workflow.run(*run, "--rerun-triggers", "mtime", "params", "input", "software-env", config="{device: cpu}")
    assert kept.returncode == 0, kept.stderr
    assert workflow.calls() == calls
    other = "{device: cpu, training: {epochs: 7}}"
    assert "train_part" in workflow.planned(target, config=other)
    again = workflow.run(*run, "--forcerun", "train_part", config="{device: cpu}")
    assert again.returncode == 0, again.stderr
    assert workflow.calls()[len(calls) :].count("train") == 3
    assert workflow.planned(target, config="{device: cpu}") == {}


@pytest.mark.parametrize("name", ["config", "cpu", "quickstart", "test"])
def test_each_configuration_plans_the_whole_chain(workflow, name):
    planned = workflow.planned("--configfile", f"config/{name}.yaml")
    without = PREDICTOR if name in ("quickstart", "test") else set()  # their crystals have no formation energies
    judges = set() if name == "config" else {"judge", "own_reference"}  # the default has no second judge
    assert set(planned) == {"download", "reduce"} | judges | AFTER_REDUCE - without
    assert planned["relax"] == {"config": 8, "cpu": 2, "quickstart": 2, "test": 2}[name]
    assert planned["reduce"] == 3


def test_a_run_that_fits_its_stability_model_does_so_in_rounds(workflow):
    """Each chooses its labels by the model of those before; nothing of it where the shipped one chooses."""
    config = (
        "{sampling: {oversample: 20, stability_model: fit}, stability_model: {oversample: [1, 4, 20]}, device: cpu}"
    )
    planned = workflow.planned(config=config)
    rounds = {name: count for name, count in planned.items() if "label" in name or "stability" in name}
    assert rounds == {
        "draft_labels": 8, "choose_labels": 2, "sample_labels": 12, "replicate_labels": 3, "relax_labels": 24,
        "reference_of_labels": 3, "hull_of_labels": 3, "fit_stability_model": 3,
    }  # fmt: skip
    shipped = workflow.planned("--configfile", "config/stable.yaml")
    assert "fit_stability_model" not in shipped
    assert (shipped["draft"], shipped["choose"], shipped["sample"]) == (2, 1, 2)
    table = "{hull: {source: table, path: a.csv, elemental_references: b.json}, "
    assert "reference_of_labels" not in workflow.planned(config=table + config[1:])


def test_given_weights_are_taken_without_training(workflow):
    weights = "training={weights: mp20}"
    planned = workflow.planned("--configfile", "config/cpu.yaml", "--config", weights)
    assert "train_part" not in planned
    assert planned["train"] == 1


def test_changed_files_of_a_setting_rerun_their_rule(workflow):
    """Crystals, weights and a predictor from files of the user's; names such as mp20 are no files."""
    mine, theirs, weights = (workflow.folder / name for name in ("mine", "theirs", "w.safetensors"))
    for path in (mine / "train.csv", mine / "more/a.cif", theirs / "a.ckpt", theirs / "prop_scaler.pt", weights):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("before")
    config = (
        f"{{data: {{source: {mine}}}, training: {{weights: {weights}}}, predictor: {{cdvae: {theirs}}}, device: cpu}}"
    )
    done = workflow.run("--cores", "2", config=config)
    assert done.returncode == 0, done.stderr
    assert workflow.planned(config=config) == {}
    trains = {"train", *AFTER_TRAIN}
    (mine / "notes.txt").write_text("none of these")
    assert workflow.planned(config=config) == {}
    for path, rules in (
        (weights, trains),
        (theirs / "a.ckpt", {"predictor_variant", "predictor", "summarise", "report"}),
        (mine / "more/a.cif", {"download", *AFTER_REDUCE, "reduce"} - {"train_part"}),
    ):
        path.write_text("after")
        assert set(workflow.planned(config=config)) == rules, path
        path.write_text("before")
        assert workflow.planned(config=config) == {}, path


def test_one_file_is_made_with_what_it_needs(workflow):
    done = workflow.run(
        "results/sun.csv", "--cores", "8", "--configfile", "config/test.yaml", "--config", "results=results"
    )
    assert done.returncode == 0, done.stderr
    assert "report" not in workflow.calls()
    assert (workflow.folder / "results" / "sun.csv").exists()
    # and now the rest, as the README writes it
    done = workflow.run(
        "--cores", "8", "--resources", "gpu=1", "--configfile", "config/test.yaml", "--config", "results=results"
    )
    assert done.returncode == 0, done.stderr
    assert workflow.calls()[-1] == "report"
    assert workflow.planned("--configfile", "config/test.yaml", "--config", "results=results") == {}


def test_gathered_tables_have_every_row_once_in_order(workflow):
    """Shards are interleaved, so the gathered table is sorted by id again."""
    relaxed = workflow.folder / "results" / "relaxed"
    relaxed.mkdir(parents=True)
    for shard in range(8):
        rows = "".join(f"{number:05d},ok\n" for number in range(shard, 100, 8))
        (relaxed / f"shard{shard}.csv").write_text("id,status\n" + rows)
        (relaxed / f"shard{shard}.extxyz").write_text(f"{shard}\n")
    done = workflow.run("--cores", "1", "results/relaxed/relaxed.csv", "--allowed-rules", "gather_relaxed")
    assert done.returncode == 0, done.stderr
    lines = (relaxed / "relaxed.csv").read_text().splitlines()
    assert lines == ["id,status", *(f"{number:05d},ok" for number in range(100))]
    assert (relaxed / "relaxed.extxyz").read_text().split() == [str(shard) for shard in range(8)]


def test_logs_begin_with_the_version_that_wrote_them(finished):
    logs = sorted((finished.folder / "results" / "logs").glob("*/*.log"))
    begin = {log: log.read_text().partition("\n")[0] for log in logs}
    assert len(begin) > 20
    assert set(begin.values()) == {"symmcd 0.0.0 (commit 0123456)"}


def test_snakemakes_own_report_has_both_pages(finished):
    done = finished.run("--report", "own.zip", config="{device: cpu}")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(finished.folder / "own.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert {"index.html", "viewer.html", "summary.csv", "sun.csv", "train_rejects.csv"} <= names


def test_what_trains_on_a_cluster_has_the_memory_and_time_for_it(workflow):
    """`train` only puts the parts together."""
    staged = workflow.resources("results/predictor/multigraph.json", "results/training/seed0/denoiser.safetensors")
    assert set(staged) == {"download", "reduce", "train_part", "train", "predictor_variant"}
    for rule in ("train_part", "predictor_variant"):
        assert staged[rule]["gpu"] == "1"
        assert int(staged[rule]["mem_mb"]) >= 16_000
        assert int(staged[rule]["runtime"]) >= 720
    assert "gpu" not in staged["train"] or staged["train"]["gpu"] == "0"
    assert int(staged["train"]["mem_mb"]) <= 8_000
    assert int(staged["train"]["runtime"]) <= 120
    joint = workflow.resources("results/training/seed0/denoiser.safetensors", config="model: {kind: joint}")
    assert joint["train_part"]["gpu"] == "1"
    assert int(joint["train_part"]["mem_mb"]) >= 32_000
    assert int(joint["train_part"]["runtime"]) >= 1440


def test_given_weights_are_no_training_on_a_cluster(workflow):
    given = workflow.resources("results/training/seed0/denoiser.safetensors", config="training: {weights: mp20}")
    assert set(given) == {"download", "reduce", "train"}
    assert int(given["train"]["mem_mb"]) <= 8_000
    assert int(given["train"]["runtime"]) <= 120


def test_every_rule_that_may_take_long_has_its_time_on_a_cluster(workflow):
    """Those that ask for a GPU, also where they are those of a seed; what each attempt gets grows with its number."""
    config = "{seeds: [3, 4], sampling: {oversample: 4, stability_model: fit}, judge: {potentials: [sevennet-0]}}"
    asked = workflow.resources(config=config)
    long = {rule: resources for rule, resources in asked.items() if resources.get("gpu") == "1"}
    stages = {
        "train_part",
        "draft",
        "draft_labels",
        "sample",
        "sample_labels",
        "relax_labels",
        "judge",
        "own_reference",
        "reference",
    }
    assert {f"seed4_{stage}" for stage in stages} < set(long)
    assert all(int(resources["runtime"]) >= 480 for resources in long.values())
    assert int(long["seed4_train_part"]["mem_mb"]) >= 32_000
    assert all(int(resources["runtime"]) == 120 for rule, resources in asked.items() if rule not in long)
    many = workflow.resources(config="{sampling: {number: 100000}, device: cpu}")
    assert int(many["candidates"]["mem_mb"]) >= 5 * int(asked["seed4_candidates"]["mem_mb"]) == 5 * 4_000
    rules = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    assert not re.findall(r"(?:mem_mb|runtime)=(?!growing)", rules)
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    assert all(value.partition("=")[2].startswith("attempt * ") for value in profile["default-resources"])


def test_partitions_of_the_example_are_picked_by_what_jobs_ask_for():
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm.partitions")
    partitions = {p.name: p.limits for p in plugin.read_partition_file(ROOT / "profiles/slurm/partitions.yaml")}
    assert {name for name, limits in partitions.items() if limits.max_gpu} == {"gpu"}
    assert partitions["gpu"].max_runtime >= 3 * 1440, "the third attempt of a training"
    assert partitions["gpu"].max_mem_mb >= 3 * 32_000


@pytest.mark.parametrize("name", ["workstation", "laptop"])
def test_profiles_of_one_machine_plan_the_chain(workflow, name):
    planned = workflow.planned("--workflow-profile", f"profiles/{name}", "--configfile", "config/test.yaml")
    assert planned["relax"] == 2


def test_the_report_is_told_where_there_is_no_table_5(workflow):
    for variants, said in (("[]", True), ("[multigraph]", False)):
        done = workflow.run("-n", "-p", "results/report/index.html", config=f"predictor: {{variants: {variants}}}")
        assert ("--no-table-5" in done.stdout) == said


def test_gpu_jobs_say_so(workflow):
    gpu = workflow.run("-n", "results/sun.csv").stdout
    cpu = workflow.run("-n", "results/sun.csv", config="{device: cpu}").stdout
    assert "gpu=1" in gpu
    assert "gpu=1" not in cpu


def test_several_seeds_are_runs_on_the_same_data(workflow):
    """What depends on no seed is made once; a seed more or less makes nothing of the others again."""
    config = "{{seeds: {seeds}, device: cpu, predictor: {{variants: [multigraph]}}}}"
    planned = workflow.planned(config=config.format(seeds="[0, 7, 8]"))
    one = workflow.planned(config="{seed: 7, device: cpu, predictor: {variants: [multigraph]}}")
    shared = {"download", "reduce", "fingerprint_test", *PREDICTOR}
    assert {rule.removeprefix("seed0_"): n for rule, n in planned.items() if rule.startswith("seed0_")} == one
    others = {rule: n for rule, n in one.items() if rule not in shared} | {"shared": 1}
    for seed in (7, 8):
        found = {rule.removeprefix(f"seed{seed}_"): n for rule, n in planned.items() if rule.startswith(f"seed{seed}_")}
        assert found == others
    assert planned["spread"] == 1

    weights = [f"results/seed{seed}/training/seed{seed}/denoiser.safetensors" for seed in (0, 7)]
    done = workflow.run("--cores", "2", *weights, config=config.format(seeds="[0, 7]"), timeout=900)
    assert done.returncode == 0, done.stderr
    assert workflow.calls().count("download") == 1
    first, other = (workflow.folder / f"results/seed{seed}/asymmetric_units/train.npz" for seed in (0, 7))
    assert other.read_text() == first.read_text()
    assert not other.samefile(first), "Snakemake sets the time of what it made, which would be that of its input too"
    assert workflow.planned(*weights, config=config.format(seeds="[0, 7, 8]")) == {}
    (workflow.folder / "config/config.yaml").write_text("seed: 1")  # a file that leaves the rest to the defaults
    report = workflow.run("--cores", "1", *weights, "--report", "own.zip", config=config.format(seeds="[0, 7]"))
    assert report.returncode == 0, report.stderr
    refused = workflow.run("-n", config="{seeds: [0, 0]}")
    assert "seeds" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_paper_scale_without_a_gpu_stops_at_once(workflow):
    done = workflow.run("--cores", "2")
    assert done.returncode != 0
    assert "config/cpu.yaml" in done.stderr
    assert "Traceback" not in done.stderr
    assert workflow.calls() == []
    assert workflow.run("-n").returncode == 0
    assert workflow.run("--cores", "2", "results/raw/source.json").returncode == 0  # needs no training


def test_a_judge_whose_package_is_missing_stops_a_run_at_once(workflow, monkeypatch):
    (workflow.folder / "sitecustomize.py").write_text('import sys\n\nsys.modules["sevenn"] = None\n')
    paths = [str(workflow.folder), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    config = "{device: cpu, judge: {potentials: [sevennet-0]}}"
    done = workflow.run("--cores", "2", config=config)
    assert done.returncode != 0
    assert "'sevenn' is not installed; run `pip install 'symmcd[judge]'`, or choose another potential" in done.stderr
    assert "judge={potentials: []}" in done.stderr
    assert "Traceback" not in done.stderr
    assert workflow.calls() == []
    assert workflow.run("-n", config=config).returncode == 0, "a dry run may be of another machine"
    raw = workflow.run("--cores", "2", "results/raw/source.json", config=config)
    assert raw.returncode == 0, "which needs no potential"


def test_paper_scale_on_a_cpu_by_hand(workflow):
    done = workflow.run("--cores", "2", "--config", "device=cpu")
    assert done.returncode == 0, done.stderr
    assert workflow.calls()[-1] == "report"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("training: {epoch: 3}", "training.epoch is not a setting; did you mean 'epochs'?"),
        ("judge: {potentials: [chgnet]}", "judge.potentials has chgnet, which relaxes the crystals"),
        ("judge: {potentials: [sevennet]}", "judge.potentials[0] = 'sevennet': choose one of"),
        ("trainig: {epochs: 3}", "'trainig' is not a section; did you mean 'training'?"),
        ("results: my results", "results = 'my results': letters, digits and"),
        ("{model: {steps: 9}, sampling: {steps: 10}}", "sampling.steps = 10: must be at most model.steps = 9"),
    ],
)
def test_an_error_in_the_configuration(workflow, config, message):
    done = workflow.run("-n", config=config)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert message in text
    assert "Traceback" not in text
    assert "Building DAG" not in text


def test_a_failed_stage_is_shown_and_made_again(workflow):
    broken = workflow.folder / "bin" / "symmcd"
    text = broken.read_text()
    broken.write_text(
        text.replace("stage, *words", "import os, signal\nstage, *words", 1)
        + ("\nif stage == 'train':\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    )
    quick = ("--cores", "2", "--configfile", "config/test.yaml")
    done = workflow.run(*quick)
    assert done.returncode != 0
    assert "Error in rule train" in done.stderr
    results = workflow.folder / "results-test"
    assert not (results / "training" / "seed0" / "denoiser.safetensors").exists()  # half-made: taken away
    assert (results / "asymmetric_units" / "train.npz").exists()
    broken.write_text(text)
    before = len(workflow.calls())
    assert workflow.run(*quick).returncode == 0
    assert workflow.calls()[before:][0] in {"train", "reference"}
    assert workflow.calls()[-1] == "report"


@pytest.mark.parametrize(
    ("rule", "target"),
    [("report", "report/index.html"), ("hull", "hull.csv"), ("gather_relaxed", "relaxed/relaxed.csv")],
)
def test_the_reason_of_a_failure_is_on_the_console(workflow, rule, target):
    """With Snakemake's own words switched off and without a profile too; where to read more is said."""
    results = workflow.folder / "results"
    missing = workflow.run("-n", f"results/{target}", "--allowed-rules", rule, config="{device: cpu}")
    listed = re.search(r"affected files:\n((?:    .*\n)+)", missing.stderr + missing.stdout)
    for name in listed[1].split():
        (workflow.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (workflow.folder / name).write_text("")
    if rule == "gather_relaxed":
        reason = "Is a directory"
        (results / "relaxed/shard0.csv").unlink()
        (results / "relaxed/shard0.csv").mkdir()
    else:
        reason = f"symmcd {rule}: no such crystal, choose another"
        stand_in = workflow.folder / "bin/symmcd"
        failing = f"\nif stage == {rule!r}:\n    sys.exit({reason!r})\n"
        stand_in.write_text(stand_in.read_text().replace("cli.command_of", f"{failing}cli.command_of", 1))
    words = ("--cores", "1", f"results/{target}", "--allowed-rules", rule)
    quiet = workflow.run(*words, "--workflow-profile", "none", "--quiet", "rules", config="{device: cpu}")
    assert quiet.returncode != 0
    assert reason in quiet.stdout + quiet.stderr
    assert "tail -n 20 $(ls -t results/logs/*/*.log | head -n 1)" in quiet.stderr
    assert reason in (results / f"logs/{rule}/{rule}.log").read_text()
    usual = workflow.run(*words, config="{device: cpu}")
    assert reason in usual.stderr.partition(f"Logfile results/logs/{rule}/{rule}.log:")[2], "by profiles/default"


def test_results_that_cannot_be_written(workflow):
    done = workflow.run("--cores", "1", "--configfile", "config/test.yaml", "--config", "results=/proc/results")
    assert done.returncode != 0
    assert "/proc/results" in done.stderr


def test_a_cluster_has_no_total_number_of_cores(workflow):
    # `download` runs where Snakemake runs, so this needs no queue; a dry run would have the cores of this machine
    profile = ("--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "1")
    done = workflow.run("results-test/raw/source.json", *profile, "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr
    assert workflow.calls() == ["download"]


def test_results_of_another_source_are_not_overwritten(workflow):
    """As a user types it after a run on MP-20; nothing is planned, and the message says how to go on."""
    raw = workflow.folder / "results" / "raw"
    raw.mkdir(parents=True)
    (raw / "source.json").write_text('{"source": "mp20"}')
    (workflow.folder / "mine").mkdir()
    (workflow.folder / "mine/a.cif").write_text("data_a")
    own = ("--cores", "1", "results/raw/source.json", "--config", "data={source: mine/}")
    done = workflow.run(*own)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "results has the results of data.source = mp20, and this run's is mine/" in text
    assert "results=results-mine" in text
    assert "Traceback" not in text
    assert workflow.calls() == []
    assert workflow.run("-n", "results/raw/source.json").returncode == 0  # the same source again
    assert workflow.run(*own, "results=results-mine").returncode != 0  # the target is in the other folder
    (raw / "source.json").unlink()
    assert workflow.run(*own).returncode == 0


@pytest.mark.parametrize("setting", ["data: {source: MINE}", "hull: {source: table, path: MINE}",
                                     "training: {weights: MINE}", "training: {init: MINE}",
                                     "predictor: {cdvae: MINE}"])  # fmt: skip
def test_a_word_in_braces_in_a_path_is_said(workflow, setting):
    """Snakemake cannot be told that it is no wildcard."""
    mine = workflow.folder / "my {split} crystals" / "a.csv"
    mine.parent.mkdir()
    mine.write_text("before")
    done = workflow.run("-n", config=setting.replace("MINE", f"'{mine}'"))
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "my {split} crystals/a.csv: Snakemake takes a word in braces for a wildcard; rename it" in text
    assert "Traceback" not in text


def test_paths_of_settings_are_expanded(workflow, monkeypatch):
    """Those of the hull too; blanks, other braces and signs of a shell are letters like any."""
    monkeypatch.setenv("MINE", str(workflow.folder))
    tables = workflow.folder / "{a-b} $(touch no) 'x'"
    tables.mkdir()
    (tables / "h.csv").write_text("before")
    path = "\"$MINE/{a-b} $(touch no) 'x'/h.csv\""
    config = f"{{device: cpu, hull: {{source: table, path: {path}, elemental_references: ~/none.json}}}}"
    done = workflow.run("--cores", "2", "results/hull/reference.csv", config=config)
    assert done.returncode == 0, done.stderr
    (tables / "h.csv").write_text("after")
    assert workflow.planned("results/hull/reference.csv", config=config) == {"reference": 1}
    assert not (workflow.folder / "no").exists()
