# New asymmetric units, and the crystals they stand for.


CHOOSES = CONFIG["sampling"].oversample > 1  # a stability model, among drafts


rule sample:
    input:
        denoiser=f"<results>/training/seed{RUN.seed}/denoiser.safetensors",
        model=stability_model_file(),
        known=[*known_hull(), *left_out()] if CHOOSES else [],
    output:
        "<results>/samples/shard{shard}.npz",
    log:
        "<logs>/sample/shard{shard}.log",
    benchmark:
        "<benchmarks>/sample/shard{shard}.tsv"
    conda:
        "../envs/evaluation.yaml" if CHOOSES else "../envs/torch.yaml"
    resources:
        gpu=GPUS,
        runtime=growing(480),
    params:
        device=device,
        seed=RUN.seed,
        shards=SHARDS.sample,
        settings=settings_of_sampling,
        chooser=shipped_weights("sampling", "stability_model", "-stability") if CHOOSES else "",
    shell:
        "symmcd sample {input.denoiser} --output {output} --shard {wildcards.shard}/{params.shards} --seed {params.seed}"
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
