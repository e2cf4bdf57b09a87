# What `snakemake` finds when it is started in this folder.  The workflow itself, and what it makes: workflow/Snakefile.
#
#   snakemake --cores 8 all                                     everything; profiles/default gives one GPU
#   snakemake results/sun.csv --cores 8                         one file, and what it needs
#   snakemake --cores 2 --configfile config/cpu.yaml            another scale
#   snakemake --workflow-profile profiles/slurm                 on a cluster
#   snakemake --snakefile symmcd/Snakefile --cores 8 all        from another folder, which then has the results
#
# Write `all` before `--configfile` and `--resources`: these take every word behind them.


include: "workflow/Snakefile"


workflow.default_target = "all"  # a rule of an included file is no default by itself
