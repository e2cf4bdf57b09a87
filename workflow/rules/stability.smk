# Relaxation, convex hull, and what is stable, unique and novel.


rule relax:
    input:
        "<results>/crystals/units.npz",
    output:
        table="<results>/relaxed/shard{shard}.csv",
        crystals="<results>/relaxed/shard{shard}.extxyz",
    log:
        "<logs>/relax/shard{shard}.log",
    benchmark:
        "<benchmarks>/relax/shard{shard}.tsv"
    conda:
        "../envs/judge.yaml"
    resources:
        gpu=GPUS,
        runtime=growing(480),
    params:
        device=device,
        seed=RUN.seed,
        shards=SHARDS.relax,
        settings=settings("relax"),
    shell:
        "symmcd relax {input} --output {output.table} --output-crystals {output.crystals}"
        " --shard {wildcards.shard}/{params.shards} --seed {params.seed} --device {params.device}"
        " --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('relax')}"


rule gather_relaxed:
    input:
        tables=shards("relax", "<results>/relaxed/shard{shard}.csv"),
        crystals=shards("relax", "<results>/relaxed/shard{shard}.extxyz"),
    output:
        table=ensure("<results>/relaxed/relaxed.csv", non_empty=True),
        crystals="<results>/relaxed/relaxed.extxyz",
    log:
        "<logs>/gather_relaxed/gather_relaxed.log",
    benchmark:
        "<benchmarks>/gather_relaxed/gather_relaxed.tsv"
    localrule: True
    conda:
        "../envs/crystals.yaml"
    shell:
        # ids are zero-padded and stand first, so that sorted text is sorted by crystal
        "(head -n 1 {input.tables[0]} > {output.table}"
        " && tail -q -n +2 {input.tables} | sort >> {output.table}"
        " && cat {input.crystals} > {output.crystals}) 2>&1 | keep {log}"


rule judge:
    input:
        table="<results>/relaxed/relaxed.csv",
        crystals="<results>/relaxed/relaxed.extxyz",
    output:
        "<results>/judges/{judge}/shard{shard}.csv",
    log:
        "<logs>/judge/{judge}_shard{shard}.log",
    benchmark:
        "<benchmarks>/judge/{judge}_shard{shard}.tsv"
    conda:
        "../envs/judge.yaml"
    resources:
        gpu=GPUS,
        runtime=growing(480),
    params:
        device=device,
        shards=SHARDS.judge,
        settings=settings("judge", "relax"),
        relax=settings_of_judges,
    shell:
        "symmcd judge {input.table} --relaxed {input.crystals} --potential {wildcards.judge} --output {output}"
        " --shard {wildcards.shard}/{params.shards} --device {params.device} --settings {params.settings:q}"
        " --relax-settings {params.relax:q} 2>&1 | keep {log}"
        f"{code('judge')}"


rule reference:
    input:
        units=expand("<results>/asymmetric_units/{split}.npz", split=SPLITS),
        tables=[*files_at(CONFIG["hull"].path), *files_at(CONFIG["hull"].elemental_references)],
        # a potential's energies are computed for the systems of these crystals only
        relaxed="<results>/relaxed/relaxed.csv" if CONFIG["hull"].source in POTENTIALS else [],
    output:
        ensure("<results>/hull/reference.csv", non_empty=True),
    log:
        "<logs>/reference/reference.log",
    benchmark:
        "<benchmarks>/reference/reference.tsv"
    conda:
        "../envs/judge.yaml"
    resources:
        gpu=GPUS,
        runtime=growing(480),
    params:
        device=device,
        settings=settings("hull", "source", "path", "elemental_references", "url"),
        in_play=lambda wildcards, input: f"--in-play {input.relaxed}" if input.relaxed else "",
        cache=energies_known if CONFIG["hull"].source in POTENTIALS else "",
    shell:
        # energies.sqlite is no output: it outlives a rerun, and both rules add to it
        "symmcd reference {input.units} {params.in_play} {params.cache} --output {output} --device {params.device}"
        " --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('reference')}"


rule own_reference:
    input:
        units=expand("<results>/asymmetric_units/{split}.npz", split=SPLITS),
        relaxed="<results>/relaxed/relaxed.csv",
    output:
        "<results>/hull/own/{judge}.csv",
    log:
        "<logs>/own_reference/{judge}.log",
    benchmark:
        "<benchmarks>/own_reference/{judge}.tsv"
    conda:
        "../envs/judge.yaml"
    resources:
        gpu=GPUS,
        runtime=growing(480),
    params:
        device=device,
        settings=settings_of_own_hull,
        cache=energies_known,
    shell:
        "symmcd reference {input.units} --in-play {input.relaxed} {params.cache} --output {output} --device {params.device}"
        " --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('reference')}"


rule hull:
    input:
        relaxed=["<results>/relaxed/relaxed.csv", *judgements()],
        reference=["<results>/hull/reference.csv", *expand("<results>/hull/own/{judge}.csv", judge=own_hulls())],
    output:
        ensure("<results>/hull.csv", non_empty=True),
    log:
        "<logs>/hull/hull.log",
    benchmark:
        "<benchmarks>/hull/hull.tsv"
    conda:
        "../envs/evaluation.yaml"
    shell:
        "symmcd hull {input.relaxed} --reference {input.reference} --output {output} 2>&1 | keep {log}"
        f"{code('hull')}"


rule sun:
    input:
        hull="<results>/hull.csv",
        units="<results>/crystals/units.npz",
        relaxed="<results>/relaxed/relaxed.extxyz",
        train="<results>/asymmetric_units/train.npz",
        val="<results>/asymmetric_units/val.npz",
        test="<results>/asymmetric_units/test.npz",
        scores=shards("score", "<results>/metrics/shard{shard}.csv"),
    output:
        table=report(
            ensure("<results>/sun.csv", non_empty=True),
            caption="../report/sun.rst",
            category="Stability",
            subcategory=SUBCATEGORY,
            labels={"table": "stable, unique, novel"},
        ),
        per_crystal="<results>/sun_per_crystal.csv",
    log:
        "<logs>/sun/sun.log",
    benchmark:
        "<benchmarks>/sun/sun.tsv"
    conda:
        "../envs/evaluation.yaml"
    threads: threads_at_most(8)
    params:
        settings=settings("sun"),
    shell:
        "symmcd sun {input.hull} --crystals {input.units} --relaxed {input.relaxed} --train {input.train}"
        " --known {input.val} {input.test} --scores {input.scores} --workers {threads}"
        " --output {output.table} --output-per-crystal {output.per_crystal}"
        " --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('sun')}"


rule candidates:
    input:
        per_crystal="<results>/sun_per_crystal.csv",
        relaxed="<results>/relaxed/relaxed.extxyz",
    output:
        table=report(
            "<results>/candidates.csv",
            caption="../report/candidates.rst",
            category="Stability",
            subcategory=SUBCATEGORY,
            labels={"table": "candidates"},
        ),
        cifs="<results>/candidates.zip",
    log:
        "<logs>/candidates/candidates.log",
    benchmark:
        "<benchmarks>/candidates/candidates.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=growing(of_all(0.2)),
    shell:
        "symmcd candidates {input.per_crystal} --relaxed {input.relaxed} --output {output.table}"
        " --output-cifs {output.cifs} 2>&1 | keep {log}"
        f"{code('candidates')}"
