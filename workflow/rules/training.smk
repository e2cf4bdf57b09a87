# The model: its parts train side by side, then they are put together.


from symmcd.extensions import MODELS

PARTS = [] if CONFIG["training"].weights else [part.name for part in MODELS[CONFIG["model"].kind].parts]


rule train_part:
    input:
        train="<results>/asymmetric_units/train.npz",
        val="<results>/asymmetric_units/val.npz",
        init=files_at(CONFIG["training"].init),
    output:
        weights="<results>/training/seed{seed}/{part}/weights.safetensors",
        losses="<results>/training/seed{seed}/{part}/losses.csv",
    log:
        "<logs>/train_part/seed{seed}_{part}.log",
    benchmark:
        "<benchmarks>/train_part/seed{seed}_{part}.tsv"
    wildcard_constraints:
        part="|".join(PARTS) or "none",
    conda:
        "../envs/torch.yaml"
    threads: threads_at_most(8, at_once=max(1, len(PARTS)))
    resources:
        gpu=GPUS,
        mem_mb=growing(32_000),
        runtime=growing(1440),
    params:
        device=device,
        part=lambda wildcards, output: Path(output.weights).parent.name,
        directory=lambda wildcards, output: Path(output.weights).parents[1],
        model=settings("model"),
        settings=settings("training"),
        init=shipped_weights("training", "init"),
    shell:
        "symmcd train {input.train} {input.val} --output {params.directory} --part {params.part}"
        " --seed {wildcards.seed} --device {params.device} --model-settings {params.model:q}"
        " --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('train')}"


rule train:
    input:
        train="<results>/asymmetric_units/train.npz",
        val="<results>/asymmetric_units/val.npz",
        parts=expand(
            "<results>/training/seed{{seed}}/{part}/{file}",
            part=PARTS,
            file=["weights.safetensors", "losses.csv"],
        ),
        weights=files_at(CONFIG["training"].weights),
    output:
        denoiser="<results>/training/seed{seed}/denoiser.safetensors",
        losses="<results>/training/seed{seed}/losses.csv",
    log:
        "<logs>/train/seed{seed}.log",
    benchmark:
        "<benchmarks>/train/seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1  # there is nothing left to train
    params:
        device=device,
        directory=subpath(output.denoiser, parent=True),
        model=settings("model"),
        settings=settings("training"),
        weights=shipped_weights("training", "weights"),
    shell:
        "symmcd train {input.train} {input.val} --output {params.directory} --seed {wildcards.seed} --device {params.device}"
        " --model-settings {params.model:q} --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('train')}"
