# DimeNet++ for formation energies: Table 5 of the paper, and the predictor of d_E.
from symmcd.settings import PREDICTOR_VARIANTS

PREDICTOR = CONFIG["predictor"]
THEIRS = ["cdvae"] if PREDICTOR.cdvae else []
THEIR_FILES = files_at(PREDICTOR.cdvae, "")
OF_D_E = THEIRS or ([PREDICTOR.d_e] if PREDICTOR.variants else [])
TABLE_5 = ["<results>/predictor/table5.csv"] if PREDICTOR.variants else []


wildcard_constraints:
    variant="|".join((*PREDICTOR_VARIANTS, "cdvae")),


rule predictor_variant:
    input:
        train="<results>/asymmetric_units/train.npz",
        val="<results>/asymmetric_units/val.npz",
        test="<results>/asymmetric_units/test.npz",
        theirs=lambda wildcards: THEIR_FILES if wildcards.variant == "cdvae" else [],
    output:
        weights="<results>/predictor/{variant}.safetensors",
        about="<results>/predictor/{variant}.json",
    log:
        "<logs>/predictor_variant/{variant}.log",
    benchmark:
        "<benchmarks>/predictor_variant/{variant}.tsv"
    conda:
        "../envs/evaluation.yaml"
    threads: threads_at_most(8, at_once=2)
    resources:
        gpu=GPUS,
        mem_mb=growing(16_000),
        runtime=growing(1440),
    params:
        device=device,
        directory=subpath(output.weights, parent=True),
        seed=RUN.seed,
        settings=settings_of_one_predictor,
    shell:
        "symmcd predictor {input.train} {input.val} {input.test} --output {params.directory}"
        " --variant {wildcards.variant} --seed {params.seed} --device {params.device}"
        " --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('predictor')}"


rule predictor:
    input:
        train="<results>/asymmetric_units/train.npz",
        val="<results>/asymmetric_units/val.npz",
        test="<results>/asymmetric_units/test.npz",
        predictors=expand("<results>/predictor/{variant}.safetensors", variant=[*PREDICTOR.variants, *THEIRS]),
    output:
        csv="<results>/predictor/table5.csv",
        tables=expand("<results>/predictor/table5.{suffix}", suffix=("md", "tex")),
    log:
        "<logs>/predictor/predictor.log",
    benchmark:
        "<benchmarks>/predictor/predictor.tsv"
    conda:
        "../envs/evaluation.yaml"
    params:
        directory=subpath(output.csv, parent=True),
        seed=RUN.seed,
        settings=settings("predictor"),
    shell:
        # all are trained by now: this only joins them
        "symmcd predictor {input.train} {input.val} {input.test} --output {params.directory}"
        " --seed {params.seed} --device cpu --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('predictor')}"
