# Run by Snakemake inside the new environment, in the folder of the workflow.
python -m pip install --quiet --no-deps --editable .
