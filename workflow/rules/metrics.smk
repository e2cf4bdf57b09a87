# Validity, symmetry and distributions of the crystals as sampled.


rule score:
    input:
        crystals="<results>/crystals/crystals.extxyz",
        code=sources("metrics"),
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
        "symmcd score {input.crystals} {output} --shard {wildcards.shard}/{params.shards}"
        " --settings {params.settings:q} 2>&1 | tee {log}"


rule summarise:
    input:
        shards=shards("score", "<results>/metrics/shard{shard}.csv"),
        units="<results>/crystals/units.npz",
        train="<results>/asymmetric_units/train.npz",
        reference="<results>/asymmetric_units/test.npz",
        code=sources("metrics"),
    output:
        per_crystal="<results>/metrics/per_crystal.csv",
        summary=report("<results>/metrics/summary.csv", category="Metrics", labels={"table": "summary"}),
    log:
        "<logs>/summarise/summarise.log",
    benchmark:
        "<benchmarks>/summarise/summarise.tsv"
    conda:
        "../envs/evaluation.yaml"
    params:
        directory=subpath(output.summary, parent=True),
        seed=RUN.seed,
        settings=settings("score"),
    shell:
        "symmcd summarise {input.shards} --units {input.units} --train {input.train} --reference {input.reference}"
        " --output-dir {params.directory} --seed {params.seed} --settings {params.settings:q} 2>&1 | tee {log}"
