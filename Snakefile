# Symmetry-preserving crystal generation, from raw crystals to stable, unique, novel ones.
#
#   results/
#     raw/{train,val,test}.csv.gz              download
#      └─ asymmetric_units/{split}.npz         reduce      space group, lattice, one representative an orbit
#          └─ training/seed0/                  train       denoiser.safetensors, losses.csv
#              ├─ stability_model/             fit         where `sampling.stability_model: fit`: rounds of the rules below
#              └─ samples/shard{0..}.npz       sample      scattered
#                  └─ crystals/                replicate   whole crystals: extxyz, CIF
#                      ├─ metrics/             score       scattered, then summarise
#                      └─ relaxed/             relax       scattered, then gather_relaxed
#     predictor/{variant}.safetensors          predictor   formation energies: table5.csv, and d_E of the metrics
#     judges/{judge}/                          judge       energies of the relaxed crystals by further potentials, scattered
#     hull/reference.csv                       reference   energies of the reference crystals
#     hull/own/{judge}.csv                     the same by each judge, of the systems in play
#      └─ hull.csv                             hull        energy above each convex hull
#          └─ sun.csv                          sun         stable, unique, novel
#              ├─ candidates.{csv,zip}         candidates  those crystals, relaxed, as CIFs
#              └─ report/index.html            report
#     logs/{rule}/, benchmarks/{rule}/
#
#   snakemake --cores 8 --resources gpu=1                       everything
#   snakemake results/sun.csv --cores 8                         one file, and what it needs
#   snakemake --configfile config/cpu.yaml --cores 2            another scale
#   snakemake --workflow-profile profiles/slurm                 on a cluster
#
# A word behind `--resources gpu=1` is taken for a resource: write `--resources gpu=1 --cores 8 all`.
from snakemake.utils import min_version

min_version("9.20")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/sampling.smk"
include: "workflow/rules/predictor.smk"
include: "workflow/rules/metrics.smk"
include: "workflow/rules/stability.smk"
include: "workflow/rules/stability_model.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    download,
    gather_relaxed,


rule all:
    default_target: True
    input:
        "<results>/sun.csv",
        "<results>/candidates.csv",
        "<results>/candidates.zip",
        "<results>/report/index.html",
        TABLE_5,
