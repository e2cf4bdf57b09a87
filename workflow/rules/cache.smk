# What runs share: with `--cache`, what depends on the data alone is taken from a folder of all of them (docs/slurm.md).
from symmcd.extensions import SOURCES

SOURCE = CONFIG["data"].source
SOURCE_FILES = files_at(SOURCE, ".csv", ".csv.gz", ".cif")
# else Snakemake cannot see the data change, as with a source of a plugin
SEEN = SOURCE in SOURCES.shipped or SOURCE_FILES != []
CACHED = SEEN and workflow.workflow_settings.cache is not None
CACHE = os.environ.get("SNAKEMAKE_OUTPUT_CACHE")

if CACHED and not (CACHE and Path(CACHE).is_dir()):
    raise WorkflowError(
        "--cache: SNAKEMAKE_OUTPUT_CACHE "
        + (f"names no folder ({CACHE})" if CACHE else "is not set")
        + "; make one for what runs share, and `export SNAKEMAKE_OUTPUT_CACHE=FOLDER`."
    )


def drop_benchmark(name):
    """Take the benchmark from a rule: Snakemake's cache refuses such rules, and a directive cannot say `none`."""
    if workflow.modifier.avail_rulename(name):  # else a workflow that uses this one as a module leaves it out
        getattr(rules, name).rule._benchmark = None
