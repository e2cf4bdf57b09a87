# symmcd with Snakemake, the exact versions of requirements.lock, from Debian and PyPI only.  Not built by our tests.
#   docker build --tag symmcd .
#   docker run --rm --volume "$PWD:/work" symmcd snakemake --snakefile /opt/symmcd/Snakefile \
#       --cores 8 --configfile /opt/symmcd/config/quickstart.yaml         (with `--gpus all` where there are GPUs)
#   apptainer build symmcd.sif docker-daemon://symmcd:latest
FROM debian:bookworm-slim

# its Python is 3.11, that of the lock file; git is asked for the commit of a checkout
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH OMP_WAIT_POLICY=PASSIVE HOME=/tmp/home
RUN python3 -m venv $VIRTUAL_ENV && mkdir --mode 777 $HOME

# the pins first: they change less often than our code
WORKDIR /opt/symmcd
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --requirement requirements.lock

COPY . .
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps .

# results go to the folder that is mounted here
WORKDIR /work
CMD ["symmcd", "--help"]
