# Raw crystals, and their asymmetric units.


rule download:
    input:
        source=SOURCE_FILES,
    output:
        expand("<results>/raw/{split}.csv.gz", split=SPLITS),
        about="<results>/raw/source.json",
    log:
        "<logs>/download/download.log",
    benchmark:
        "<benchmarks>/download/download.tsv"
    localrule: True
    conda:
        "../envs/crystals.yaml"
    params:
        settings=settings("data"),
    shell:
        # the folder is no parameter: Snakemake's cache compares parameters, also those of the jobs before
        "symmcd download --output $(dirname {output.about}) --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('download')}"


rule reduce:
    input:
        "<results>/raw/{split}.csv.gz",
    output:
        units="<results>/asymmetric_units/{split}.npz",
        rejects=report(
            "<results>/asymmetric_units/{split}_rejects.csv",
            caption="../report/rejects.rst",
            category="Data",
            subcategory=SUBCATEGORY,
            labels={"table": "rejects", "of": "{split}"},
        ),
    log:
        "<logs>/reduce/{split}.log",
    benchmark:
        "<benchmarks>/reduce/{split}.tsv"
    cache: CACHED
    conda:
        "../envs/crystals.yaml"
    threads: 8
    params:
        split="{split}",  # Snakemake's cache tells jobs of one rule apart by their parameters, not by wildcards
        settings=settings("reduce"),
    shell:
        "symmcd reduce {input} --output {output.units} --output-rejects {output.rejects}"
        " --workers {threads} --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('reduce')}"


if CACHED:
    drop_benchmark("reduce")
