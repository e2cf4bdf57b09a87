# Several seeds: for each a run of its own by the rules of the other files, in results/seed{n}, and a table of how much
# the numbers vary.  What does not depend on a seed is made once, by the first, and copied.
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from symmcd import config as config_file
from symmcd.code_stamp import stamp
from symmcd.errors import SymmcdError
from symmcd.extensions import POTENTIALS

try:
    CONFIG = config_file.read_config(config)
except SymmcdError as error:
    raise WorkflowError(f"config: {error}") from None
config = config_file.as_values(CONFIG)  # with all defaults, as the text of Snakemake's report needs it
RUN = CONFIG["run"]
FOLDERS = {seed: f"{RUN.results}/seed{seed}" for seed in RUN.seeds}
FIRST = RUN.seeds[0]
SETTINGS = config_file.as_values(CONFIG) | {"seeds": []}
SETTINGS["hull"]["cache"] = SETTINGS["hull"]["cache"] or f"{RUN.results}/energies.sqlite"

TRAINED = [*CONFIG["predictor"].variants, *(["cdvae"] if CONFIG["predictor"].cdvae else [])]
SHARED = [
    "raw/source.json",
    *expand("raw/{split}.csv.gz", split=("train", "val", "test")),
    *expand("asymmetric_units/{split}{what}", split=("train", "val", "test"), what=(".npz", "_rejects.csv")),
    "fingerprints/test.npz",
    *expand("predictor/{variant}.{suffix}", variant=TRAINED, suffix=("safetensors", "json")),
    *(expand("predictor/table5.{suffix}", suffix=("csv", "md", "tex")) if CONFIG["predictor"].variants else []),
]

for seed in RUN.seeds:
    run_of_seed = f"seed{seed}"
    prefix = f"seed{seed}_"

    module:
        name: run_of_seed
        snakefile:
            "../Snakefile"
        config:
            SETTINGS | {"seed": seed, "results": FOLDERS[seed]}

    if seed == FIRST:

        use rule * from run_of_seed as prefix*

    else:

        use rule * from run_of_seed exclude download, reduce, fingerprint_test, predictor_variant, predictor as prefix*
    
        rule:
            name:
                f"seed{seed}_shared"
            input:
                expand("{folder}/{file}", folder=FOLDERS[FIRST], file=SHARED),
            output:
                expand("{folder}/{file}", folder=FOLDERS[seed], file=SHARED),
            log:
                f"{FOLDERS[seed]}/logs/shared/shared.log",
            localrule: True
            conda:
                "../envs/crystals.yaml"
            params:
                here=subpath(output[0], ancestor=2),
                first=subpath(input[0], ancestor=2),
                files=SHARED,
            shell:
                # no hard links: Snakemake sets the time of each output, and inputs that are the same file are then newer
                "for file in {params.files}; do cp {params.first}/$file {params.here}/$file; done 2>&1 | keep {log}"


rule spread:
    input:
        summaries=expand("{folder}/metrics/summary.csv", folder=FOLDERS.values()),
        stable=expand("{folder}/sun.csv", folder=FOLDERS.values()),
    output:
        report(
            f"{RUN.results}/seeds.csv",
            caption="../report/seeds.rst",
            category="Seeds",
            labels={"table": "spread"},
        ),
    log:
        f"{RUN.results}/logs/spread/spread.log",
    benchmark:
        f"{RUN.results}/benchmarks/spread/spread.tsv"
    conda:
        "../envs/evaluation.yaml"
    params:
        folders=lambda wildcards, input: [Path(file).parent for file in input.stable],
    shell:
        "symmcd spread {params.folders} --output {output} 2>&1 | keep {log}" f"  # code {stamp('spread')}"


rule all:
    default_target: True
    input:
        f"{RUN.results}/seeds.csv",
        expand("{folder}/{file}", folder=FOLDERS.values(), file=("candidates.zip", "report/index.html")),
    localrule: True
