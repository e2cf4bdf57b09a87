# Run by Snakemake inside the new environment.  SYMMCD_REQUIREMENT is the symmcd that Snakemake itself runs with
# (rules/common.smk); the version here changes with each release, and makes the environments anew.
# symmcd 0.2.0
eval "python -m pip install --quiet --no-deps $SYMMCD_REQUIREMENT"
