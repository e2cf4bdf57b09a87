# What all rules use: the checked configuration, its sections as parameters, shards.
import dataclasses
import hashlib
import importlib.util
import os
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import contains_wildcard
from snakemake.utils import validate

if importlib.util.find_spec("symmcd") is None:
    raise WorkflowError(
        f"The package symmcd is not installed for the Python that runs Snakemake ({sys.executable}); rules and jobs"
        " need it: `pip install symmcd`, or `pip install --editable .` in a checkout."
    )

from symmcd import config as config_file
from symmcd.code_stamp import stamp
from symmcd.errors import SymmcdError
from symmcd.extensions import POTENTIALS
from symmcd.provenance import requirement
from symmcd.settings import OF_CHOICE, HullSettings, RelaxSettings, other_source, path_of

try:
    if workflow.modifier.is_main_snakefile():  # else the files are those of a workflow that uses this one as a module
        for file in workflow.configfiles:  # Snakemake has read them, and takes the last of two equal keys in silence
            config_file.read_config_file(Path(file))
    CONFIG = config_file.read_config(config)  # names the key and the nearest known one
    config_file.check_together(CONFIG)
except SymmcdError as error:
    read = f" (in {', '.join(map(str, workflow.configfiles))})" if workflow.configfiles else ""
    raise WorkflowError(f"config: {error}{read}") from None
config = config_file.as_values(CONFIG)  # with all defaults, and numbers that --config hands over as text as numbers
validate(config, "../schemas/config.schema.yaml")

RUN = CONFIG["run"]
SHARDS = CONFIG["shards"]
GPUS = 0 if RUN.device == "cpu" else 1  # of each job that can use one
SPLITS = ("train", "val", "test")
# of a category of Snakemake's report, where several runs are in one
SUBCATEGORY = None if workflow.modifier.is_main_snakefile() else RUN.results


if other := other_source(Path(RUN.results, "raw/source.json"), CONFIG["data"].source):
    raise WorkflowError(
        f"{RUN.results} has the results of data.source = {other}, and this run's is {CONFIG['data'].source}: they would"
        " be overwritten.  Give it a folder of its own, --config results=results-mine, or delete"
        f" {RUN.results}/raw/source.json to have the old results replaced."
    )


pathvars:
    results=RUN.results,
    logs=f"{RUN.results}/logs",
    benchmarks=f"{RUN.results}/benchmarks",


wildcard_constraints:
    judge=r"[^/]+",
    split="|".join(SPLITS),
    round=r"\d+",
    seed=r"\d+",
    shard=r"\d+",


# Jobs find `symmcd` also where the environment of this Snakemake is not activated.  `pipefail`, as this prefix takes
# the place of Snakemake's own: a stage that dies before `| keep` must fail its job.  Threads of OpenMP that wait sleep
# instead of spinning, or jobs on the same cores stall each other; `symmcd` says so itself, other programs do not.
# `… | keep LOG` shows what a stage says and writes it to its log, which begins with the commit that it ran at.
shell.prefix(
    f"set -euo pipefail; export PATH=$PATH:{Path(sys.executable).parent} OMP_WAIT_POLICY=PASSIVE;"
    ' keep() {{ symmcd --version > "$1" && tee -a "$1"; }}; '
)

os.environ.update(SYMMCD_REQUIREMENT=requirement())  # for envs/*.post-deploy.sh, which Snakemake runs without arguments


def settings(section, *names):
    """The settings of one section, or some of them, as JSON for `params`; a change reruns its stage and what follows."""
    # a function, as braces in a plain string pass for wildcards
    return lambda wildcards: config_file.as_json(CONFIG[section], names)


def settings_of_one_predictor(wildcards):
    """Without what a training does not depend on: one variant more must not train the others again."""
    predictor = CONFIG["predictor"]
    folder = predictor.cdvae if wildcards.variant == "cdvae" else ""
    return config_file.as_json(dataclasses.replace(predictor, variants=(), d_e="multigraph", cdvae=folder))


def settings_of_judges(wildcards):
    """How a judge relaxes again; nothing where it does not, so that a change of it then reruns nothing."""
    section = CONFIG["relax"] if CONFIG["judge"].relax else RelaxSettings()
    return config_file.as_json(section, ("steps", "fmax", "max_atoms", "seconds"))


def settings_of_own_hull(wildcards):
    """Of the hull of a judge's own energies."""
    return config_file.as_json(HullSettings(source=wildcards.judge), ("source",))


def energies_known(wildcards, resources):
    """Where energies of reference crystals are kept from run to run; another place reruns nothing, as with `device`."""
    path = path_of(CONFIG["hull"].cache) if CONFIG["hull"].cache else Path(RUN.results, "hull/energies.sqlite")
    return f"--cache {shlex.quote(str(path))}"


def judgements():
    """Tables of the further judges, of all shards."""
    return [
        file
        for judge in CONFIG["judge"].potentials
        for file in shards("judge", f"<results>/judges/{judge}/shard{{shard}}.csv")
    ]


def own_hulls():
    """Potentials that get a hull of their own beside that of `hull.source`."""
    judges = CONFIG["judge"].potentials
    return [name for name in (CONFIG["relax"].potential, *judges) if judges and name != CONFIG["hull"].source]


LAST_ROUND = len(CONFIG["stability_model"].oversample) - 1  # of fitting a stability model


def model_of_round(index):
    """The stability model that is fitted to the labels of all rounds up to this one."""
    return f"{RUN.results}/stability_model/round{index}/model.safetensors"


def stability_model_file():
    """What chooses among drafts, as input of `choose`: fitted by this run, a file, or nothing where nothing chooses."""
    sampling = CONFIG["sampling"]
    if sampling.oversample == 1:
        return []
    return [model_of_round(LAST_ROUND)] if sampling.fits else files_at(sampling.stability_model)


def settings_of_sampling(wildcards):
    """Those of the section, with the file of the stability model that the run fits."""
    # its path is not taken from `input`, as Snakemake would then not compare these settings with those of before
    chooser = {"stability_model": model_of_round(LAST_ROUND)} if CONFIG["sampling"].fits else {}
    return as_sampled(dataclasses.replace(CONFIG["sampling"], **chooser))


def settings_of_drafts(wildcards):
    """Those that drafts depend on; what chooses among them draws none again."""
    return of_drafts(CONFIG["sampling"])


def of_drafts(section):
    """Settings of drafts as JSON."""
    names = ("number", "temperature", "precision", "space_groups", "constraints", "oversample")
    return config_file.as_json(section, [name for name in names if name != "constraints" or section.constraints])


def chosen_drafts(wildcards, input):
    """The option of `symmcd sample` that names what it completes; nothing where nothing chooses."""
    return f"--drafts {shlex.quote(str(input.drafts))}" if input.drafts else ""


def as_sampled(section):
    """Settings of sampling as JSON, without constraints and those of a choice where there are none: no reruns."""
    names = [field.name for field in dataclasses.fields(section)]
    chooses = section.oversample > 1
    names = [name for name in names if name != "constraints" or section.constraints]
    return config_file.as_json(section, [name for name in names if chooses or name not in OF_CHOICE])


def model_before(wildcards):
    """The stability model of the round before, which chooses the labels of this one; none in the first."""
    before = int(wildcards.round) - 1
    return model_of_round(before) if before >= 0 else []


def known_hull():
    """What a stability model is told is known, as input; Snakemake says where it is missing, or makes it."""
    return [str(path_of(CONFIG["sampling"].known))] if CONFIG["sampling"].known else []


def left_out():
    """Files of crystals that are not chosen again, as input."""
    return [str(path_of(name)) for name in CONFIG["sampling"].leave_out if name not in SPLITS]


def rounds_until(pattern):
    """The files of all rounds up to that of the job."""
    return lambda wildcards: [pattern.format(round=earlier) for earlier in range(int(wildcards.round) + 1)]


def seed_of_round(wildcards):
    """Of the drafts of a round: others than those of the run itself."""
    return (RUN.seed + 1_000_003 * (int(wildcards.round) + 1)) % 2**63


def sampling_of_labels(wildcards):
    """How the crystals of a round are made; the number of drafts is that of the round."""
    section, model = CONFIG["stability_model"], model_before(wildcards) or "mp20"  # which chooses nothing in the first
    changed = {"number": section.labels, "steps": section.steps, "proposals": section.proposals}
    changed |= {"oversample": section.oversample[int(wildcards.round)], "stability_model": model}
    return as_sampled(dataclasses.replace(CONFIG["sampling"], **changed))


def drafts_of_labels(wildcards):
    """What the drafts of a round depend on."""
    section = CONFIG["stability_model"]
    changed = {"number": section.labels, "oversample": section.oversample[int(wildcards.round)]}
    return of_drafts(dataclasses.replace(CONFIG["sampling"], **changed))


def drafts_of_round(wildcards):
    """The chosen drafts of a round; in a round of one draft per crystal none, as nothing chooses."""
    chooses = CONFIG["stability_model"].oversample[int(wildcards.round)] > 1
    return f"{RUN.results}/stability_model/round{wildcards.round}/drafts/chosen.npz" if chooses else []


def relaxation_of_labels(wildcards):
    """How the crystals of a round are relaxed: all of them, in their asymmetric units."""
    section = CONFIG["stability_model"]
    changed = {
        "number": section.labels,
        "draws": 1,
        "method": "symmetry",
        "steps": section.relax_steps,
        "release_steps": 0,
        "fmax": section.fmax,
        "max_atoms": section.max_atoms,
    }
    return config_file.as_json(dataclasses.replace(CONFIG["relax"], **changed))


def device(wildcards, resources):
    """Where to compute."""
    # Snakemake does not compare what is derived from resources, so moving a run to another machine reruns nothing
    return RUN.device


def growing(number):
    """MB or minutes that a job may take in its first attempt; twice that in the second."""
    return lambda wildcards, attempt: attempt * number


def of_all(each):
    """MB of a job that has all crystals in memory, `each` MB for one; as much as any other job at least."""
    return max(4_000, int(1_000 + each * CONFIG["sampling"].number))


def shards(stage, pattern):
    """The files of all shards of `stage`."""
    return expand(pattern, shard=range(getattr(SHARDS, stage)), allow_missing=True)


def threads_at_most(most, at_once=1):
    """Threads of a job of which `at_once` run beside each other."""
    try:
        return max(1, min(most, workflow.cores // at_once))
    except WorkflowError:  # on a cluster there is no total number of cores; jobs do not share a machine
        return most


def code(command):
    """The code behind `symmcd COMMAND` as a comment of a shell command, for Snakemake does not see what that imports.

    What it computes with has changed where the text has (`symmcd.code_stamp`): to Snakemake the rule has another code.
    """
    return f"  # code {stamp(command)}"


def shipped_weights(section, setting, ending=""):
    """What the shipped weights of a setting are, for `params`; nothing where it names no shipped ones."""
    file = Path(config_file.__file__).parent / f"weights/{getattr(CONFIG[section], setting)}{ending}.safetensors"
    return (
        hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.parent.name == "weights" and file.is_file() else ""
    )


def files_at(place, *endings):
    """The file, or the files of a folder, that a setting names, as input; nothing of a name such as `mp20`.

    What is not there is left to the stage, which says so; what lies in this run's own results is no input of it.
    """
    path = path_of(place)
    if not place or path.resolve().is_relative_to(Path(RUN.results).resolve()):
        return []
    found = [path] if path.is_file() else []
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.is_file() and file.name.lower().endswith(endings)]
    for file in found:
        if contains_wildcard(file):  # there is no way to escape them
            raise WorkflowError(
                f"{file}: Snakemake takes a word in braces for a wildcard; rename it, or give a path without braces that"
                " links to it."
            )
    return sorted(map(str, found))
