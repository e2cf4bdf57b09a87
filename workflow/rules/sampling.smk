# New asymmetric units, and the crystals they stand for.


CHOOSES = CONFIG["sampling"].oversample > 1  # a stability model, among drafts


rule draft:
    input:
        f"<results>/training/seed{RUN.seed}/denoiser.safetensors",
    output:
        temp("<results>/drafts/shard{shard}.npz"),
    log:
        "<logs>/draft/shard{shard}.log",
    benchmark:
        "<benchmarks>/draft/shard{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=GPUS,
        runtime=growing(480),
    params:
        device=device,
        seed=RUN.seed,
        shards=SHARDS.sample,
        settings=settings_of_drafts,
    shell:
        "symmcd draft {input} --output {output} --shard {wildcards.shard}/{params.shards} --seed {params.seed}"
        " --device {params.device} --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('draft')}"


rule choose:
    input:
        drafts=shards("sample", "<results>/drafts/shard{shard}.npz"),
        model=stability_model_file(),
        known=[*known_hull(), *left_out()],
    output:
        "<results>/drafts/chosen.npz",
    log:
        "<logs>/choose/choose.log",
    benchmark:
        "<benchmarks>/choose/choose.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=growing(of_all(0.002 * CONFIG["sampling"].oversample)),
    params:
        settings=settings_of_sampling,
        chooser=shipped_weights("sampling", "stability_model", "-stability"),
    shell:
        "symmcd choose {input.drafts} --output {output} --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('choose')}"


rule sample:
    input:
        denoiser=f"<results>/training/seed{RUN.seed}/denoiser.safetensors",
        drafts=rules.choose.output if CHOOSES else [],
    output:
        "<results>/samples/shard{shard}.npz",
    log:
        "<logs>/sample/shard{shard}.log",
    benchmark:
        "<benchmarks>/sample/shard{shard}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=GPUS,
        runtime=growing(480),
    params:
        device=device,
        seed=RUN.seed,
        shards=SHARDS.sample,
        settings=settings_of_sampling,
        drafts=chosen_drafts,
    shell:
        "symmcd sample {input.denoiser} {params.drafts} --output {output} --shard {wildcards.shard}/{params.shards} --seed {params.seed}"
        " --device {params.device} --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('sample')}"


rule replicate:
    input:
        samples=shards("sample", "<results>/samples/shard{shard}.npz"),
    output:
        units="<results>/crystals/units.npz",
        crystals="<results>/crystals/crystals.extxyz",
    log:
        "<logs>/replicate/replicate.log",
    benchmark:
        "<benchmarks>/replicate/replicate.tsv"
    conda:
        "../envs/crystals.yaml"
    params:
        directory=subpath(output.units, parent=True),
        settings=settings("replicate"),
    shell:
        "symmcd replicate {input.samples} --output {params.directory} --settings {params.settings:q}"
        " 2>&1 | keep {log}"
        f"{code('replicate')}"
