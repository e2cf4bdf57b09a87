# The denoiser.


rule train:
    input:
        train="<results>/asymmetric_units/train.npz",
        val="<results>/asymmetric_units/val.npz",
    output:
        denoiser="<results>/training/seed{seed}/denoiser.safetensors",
        losses="<results>/training/seed{seed}/losses.csv",
    log:
        "<logs>/train/seed{seed}.log",
    benchmark:
        "<benchmarks>/train/seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        gpu=GPUS,
    params:
        device=device,
        directory=subpath(output.denoiser, parent=True),
        model=settings("model"),
        settings=settings("training"),
    shell:
        "symmcd train {input.train} {input.val} {params.directory} --seed {wildcards.seed} --device {params.device}"
        " --model-settings {params.model:q} --settings {params.settings:q} 2>&1 | tee {log}"
