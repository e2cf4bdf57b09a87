# The stability model that chooses among drafts, fitted by this run: in each round crystals are drawn, relaxed in their
# asymmetric units and held against the hull, and a model is fitted to those of all rounds so far, which chooses the
# crystals of the next.  The rules are those of the chain with other settings.


ROUND = "<results>/stability_model/round{round}"


use rule draft as draft_labels with:
    output:
        temp(f"{ROUND}/drafts/shard{{shard}}.npz"),
    log:
        "<logs>/draft_labels/round{round}_shard{shard}.log",
    benchmark:
        "<benchmarks>/draft_labels/round{round}_shard{shard}.tsv"
    params:
        device=device,
        seed=seed_of_round,
        shards=SHARDS.sample,
        settings=drafts_of_labels,


use rule choose as choose_labels with:
    input:
        drafts=shards("sample", f"{ROUND}/drafts/shard{{shard}}.npz"),
        model=model_before,
        known=[*known_hull(), *left_out()],
    output:
        f"{ROUND}/drafts/chosen.npz",
    log:
        "<logs>/choose_labels/round{round}.log",
    benchmark:
        "<benchmarks>/choose_labels/round{round}.tsv"
    params:
        settings=sampling_of_labels,
        chooser="",


use rule sample as sample_labels with:
    input:
        denoiser=rules.sample.input.denoiser,
        drafts=drafts_of_round,
    output:
        f"{ROUND}/samples/shard{{shard}}.npz",
    log:
        "<logs>/sample_labels/round{round}_shard{shard}.log",
    benchmark:
        "<benchmarks>/sample_labels/round{round}_shard{shard}.tsv"
    params:
        device=device,
        seed=seed_of_round,
        shards=SHARDS.sample,
        settings=sampling_of_labels,
        drafts=chosen_drafts,


use rule replicate as replicate_labels with:
    input:
        samples=shards("sample", f"{ROUND}/samples/shard{{shard}}.npz"),
    output:
        units=f"{ROUND}/crystals/units.npz",
        crystals=f"{ROUND}/crystals/crystals.extxyz",
    log:
        "<logs>/replicate_labels/round{round}.log",
    benchmark:
        "<benchmarks>/replicate_labels/round{round}.tsv"


use rule relax as relax_labels with:
    input:
        f"{ROUND}/crystals/units.npz",
    output:
        table=f"{ROUND}/relaxed/shard{{shard}}.csv",
        crystals=f"{ROUND}/relaxed/shard{{shard}}.extxyz",
    log:
        "<logs>/relax_labels/round{round}_shard{shard}.log",
    benchmark:
        "<benchmarks>/relax_labels/round{round}_shard{shard}.tsv"
    params:
        device=device,
        seed=RUN.seed,
        shards=SHARDS.relax,
        settings=relaxation_of_labels,


use rule own_reference as reference_of_labels with:
    input:
        units=expand("<results>/asymmetric_units/{split}.npz", split=SPLITS),
        relaxed=shards("relax", f"{ROUND}/relaxed/shard{{shard}}.csv"),
    output:
        f"{ROUND}/reference.csv",
    log:
        "<logs>/reference_of_labels/round{round}.log",
    benchmark:
        "<benchmarks>/reference_of_labels/round{round}.tsv"
    params:
        device=device,
        settings=settings("hull", "source"),
        cache=energies_known,


use rule hull as hull_of_labels with:
    input:
        relaxed=shards("relax", f"{ROUND}/relaxed/shard{{shard}}.csv"),
        # a potential's own hull has the systems in play only, which are those of the round
        reference=f"{ROUND}/reference.csv" if CONFIG["hull"].source in POTENTIALS else "<results>/hull/reference.csv",
    output:
        f"{ROUND}/hull.csv",
    log:
        "<logs>/hull_of_labels/round{round}.log",
    benchmark:
        "<benchmarks>/hull_of_labels/round{round}.tsv"


rule fit_stability_model:
    input:
        denoiser=rules.sample.input.denoiser,
        units=rounds_until(f"{ROUND}/crystals/units.npz"),
        hulls=rounds_until(f"{ROUND}/hull.csv"),
        known=known_hull(),
    output:
        f"{ROUND}/model.safetensors",
    log:
        "<logs>/fit_stability_model/round{round}.log",
    benchmark:
        "<benchmarks>/fit_stability_model/round{round}.tsv"
    conda:
        "../envs/evaluation.yaml"
    params:
        device=device,
        seed=RUN.seed,
        known=lambda wildcards, input: f"--reference {shlex.quote(str(input.known[0]))}" if input.known else "",
        curve=lambda wildcards: "" if int(wildcards.round) == LAST_ROUND else "--no-curve",
    shell:
        "symmcd surrogate {input.units} --hull {input.hulls} --checkpoint {input.denoiser} {params.known} {params.curve}"
        " --seed {params.seed} --device {params.device} --output {output} 2>&1 | keep {log}"
        f"{code('surrogate')}"
