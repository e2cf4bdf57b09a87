# The page at the end.  Its table goes to the log; `symmcd show` prints it again.


rule report:
    input:
        "<results>/raw/source.json",
        f"<results>/training/seed{RUN.seed}/denoiser.safetensors",
        f"<results>/training/seed{RUN.seed}/losses.csv",
        "<results>/asymmetric_units/train.npz",
        "<results>/asymmetric_units/test.npz",
        "<results>/crystals/units.npz",
        "<results>/crystals/crystals.extxyz",
        "<results>/metrics/per_crystal.csv",
        "<results>/metrics/summary.csv",
        "<results>/relaxed/relaxed.csv",
        "<results>/hull.csv",
        "<results>/sun.csv",
        "<results>/sun_per_crystal.csv",
        "<results>/candidates.csv",
        "<results>/candidates.zip",
    output:
        report(
            "<results>/report/index.html",
            caption="../report/report.rst",
            category="Report",
            subcategory=SUBCATEGORY,
            labels={"page": "report"},
        ),
        [
            report(
                "<results>/report/viewer.html",
                caption="../report/viewer.rst",
                category="Report",
                subcategory=SUBCATEGORY,
                labels={"page": "crystals to turn"},
            )
        ]
        if CONFIG["report"].viewer_crystals
        else [],
    log:
        "<logs>/report/report.log",
    benchmark:
        "<benchmarks>/report/report.tsv"
    conda:
        "../envs/evaluation.yaml"
    params:
        directory=subpath(output[0], parent=True),
        results=subpath(output[0], ancestor=2),
        seed=RUN.seed,
        table_5="" if TABLE_5 else "--no-table-5",  # what an earlier configuration made is not of this run
        relax=settings("relax", "method", "steps", "fmax"),
        settings=settings("report"),
    shell:
        "symmcd report {params.results} --output {params.directory} --seed {params.seed} {params.table_5}"
        " --relax-settings {params.relax:q} --settings {params.settings:q} 2>&1 | keep {log} > /dev/null"
        " || {{ tail -n 5 {log} >&2; exit 1; }}"
        f"{code('report')}"
