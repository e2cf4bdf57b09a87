# Raw crystals, and their asymmetric units.


rule download:
    input:
        source=files_at(CONFIG["data"].source, ".csv", ".csv.gz", ".cif"),
    output:
        expand("<results>/raw/{split}.csv.gz", split=SPLITS),
        "<results>/raw/source.json",
    log:
        "<logs>/download/download.log",
    benchmark:
        "<benchmarks>/download/download.tsv"
    localrule: True
    conda:
        "../envs/crystals.yaml"
    params:
        directory=subpath(output[0], parent=True),
        settings=settings("data"),
    shell:
        "symmcd download --output {params.directory} --settings {params.settings:q} 2>&1 | keep {log}"
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
            labels={"table": "rejects", "of": "{split}"},
        ),
    log:
        "<logs>/reduce/{split}.log",
    benchmark:
        "<benchmarks>/reduce/{split}.tsv"
    conda:
        "../envs/crystals.yaml"
    threads: 8
    params:
        settings=settings("reduce"),
    shell:
        "symmcd reduce {input} --output {output.units} --output-rejects {output.rejects}"
        " --workers {threads} --settings {params.settings:q} 2>&1 | keep {log}"
        f"{code('reduce')}"
