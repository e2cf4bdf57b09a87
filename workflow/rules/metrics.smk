# Validity, symmetry, coverage and distributions of the crystals as sampled.


rule score:
    input:
        units="<results>/crystals/units.npz",
    output:
        "<results>/metrics/shard{shard}.csv",
    log:
        "<logs>/score/shard{shard}.log",
    benchmark:
        "<benchmarks>/score/shard{shard}.tsv"
    conda:
        "../envs/evaluation.yaml"
    params:
        shards=SHARDS.score,
        settings=settings("score"),
    shell:
        "symmcd score {input.units} --output {output} --shard {wildcards.shard}/{params.shards}"
        " --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('score')}"


rule fingerprint:
    input:
        units="<results>/crystals/units.npz",
    output:
        "<results>/fingerprints/generated.npz",
    log:
        "<logs>/fingerprint/generated.log",
    benchmark:
        "<benchmarks>/fingerprint/generated.tsv"
    conda:
        "../envs/evaluation.yaml"
    threads: 8
    params:
        settings=settings("score", "fingerprint_seconds"),  # the only one of this section that it depends on
    shell:
        # cache.sqlite beside the output is no output: it outlives a rerun, and both rules add to it
        "symmcd fingerprint {input.units} --output {output} --workers {threads}"
        " --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('fingerprint')}"


use rule fingerprint as fingerprint_test with:
    input:
        units="<results>/asymmetric_units/test.npz",
    output:
        "<results>/fingerprints/test.npz",
    log:
        "<logs>/fingerprint/test.log",
    benchmark:
        "<benchmarks>/fingerprint/test.tsv"
    cache: CACHED


if CACHED:
    drop_benchmark("fingerprint_test")


rule summarise:
    input:
        shards=shards("score", "<results>/metrics/shard{shard}.csv"),
        units="<results>/crystals/units.npz",
        train="<results>/asymmetric_units/train.npz",
        reference="<results>/asymmetric_units/test.npz",
        fingerprints="<results>/fingerprints/generated.npz",
        reference_fingerprints="<results>/fingerprints/test.npz",
        predictor=expand("<results>/predictor/{variant}.safetensors", variant=OF_D_E),
        table_5=TABLE_5,  # not read here: the report, which comes after, shows it where it is
    output:
        per_crystal=ensure("<results>/metrics/per_crystal.csv", non_empty=True),
        parquet="<results>/metrics/per_crystal.parquet",
        tables=expand(
            "<results>/metrics/table{number}.{suffix}",
            number=(1, 2),
            suffix=("md", "tex"),
        ),
        summary=report(
            ensure("<results>/metrics/summary.csv", non_empty=True),
            caption="../report/summary.rst",
            category="Metrics",
            subcategory=SUBCATEGORY,
            labels={"table": "summary"},
        ),
    log:
        "<logs>/summarise/summarise.log",
    benchmark:
        "<benchmarks>/summarise/summarise.tsv"
    conda:
        "../envs/evaluation.yaml"
    threads: 8
    resources:
        mem_mb=growing(of_all(0.1)),
    params:
        directory=subpath(output.summary, parent=True),
        seed=RUN.seed,
        settings=settings("score"),
        predictor=lambda wildcards, input: f"--predictor {input.predictor}" if input.predictor else "",
    shell:
        "symmcd summarise {input.shards} --units {input.units} --train {input.train} --reference {input.reference}"
        " --fingerprints {input.fingerprints} --reference-fingerprints {input.reference_fingerprints}"
        " {params.predictor} --output {params.directory} --seed {params.seed} --workers {threads}"
        " --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('summarise')}"
