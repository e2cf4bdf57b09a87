# make quickstart   the whole chain on embedded crystals, on a CPU, in minutes
# make test         the tests
# make check        format, lint, types, workflow
# make docs         the documentation as a site, in site/ (the tests run its notebook)
# make test-slurm   the chain and the faults of a cluster, through a SLURM that is installed for it (Debian, root)
# make test-slurm-short   the chain alone, with one job cancelled
# make test-wheel   the wheel in a clean environment of each Python that is here, in minutes and gigabytes
# make test-faults  kills, full disks, damaged files, two writers (ten minutes; ARGS="--seed 1")
# make test-fuzz    every reader on 20,000 damaged files (ARGS="--seed 2 --inputs 100000"), in minutes
# make lock         pin what is installed in .venv, also in workflow/envs/
# make config       write config/config.yaml and its schema from src/symmcd/settings.py
# make clean        remove what the above made, but no results of yours

SHELL := bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
READY := $(VENV)/installed

.PHONY: quickstart test check docs test-slurm test-slurm-short test-wheel test-faults test-fuzz lock config clean install
.DEFAULT_GOAL := quickstart

install: $(READY)

# Made once, and again when the pins change.
$(READY): requirements.lock pyproject.toml
	@echo "installing into $(VENV) ($(PYTHON)); minutes the first time"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

quickstart: $(READY)
	@$(BIN)/snakemake --configfile config/quickstart.yaml --cores $(CORES) --quiet rules host
	@$(BIN)/symmcd show results-quickstart

test: $(READY)
	@PATH="$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(CORES) --quiet

check: $(READY)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "run: ruff format ."; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint
	@echo "check: all good"

docs: $(READY)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "docs: site/index.html"

test-slurm: SLURM_TESTS = tests/slurm
test-slurm-short: SLURM_TESTS = tests/slurm/test_slurm.py
test-slurm test-slurm-short: $(READY)
	@bash tests/slurm/start.sh
	@PATH="$(BIN):$$PATH" $(BIN)/pytest $(SLURM_TESTS) --quiet; status=$$?; bash tests/slurm/stop.sh; exit $$status

test-wheel: $(READY)
	@SYMMCD_WHEEL=1 $(BIN)/pytest -m wheel tests/wheel --quiet

test-faults: $(READY)
	@PATH="$(BIN):$$PATH" $(BIN)/python -m tests.faults $(ARGS)

test-fuzz: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.run --workers $(CORES) $(ARGS)

# A CPU build of torch calls itself 2.13.0+cpu; the pin without that takes whichever build the machine's index has.
lock: $(READY)
	@{ echo "# Made by \`make lock\` on $$($(BIN)/python -V): what .venv holds, for pip install -r."; \
	   $(BIN)/pip freeze --disable-pip-version-check --exclude-editable --exclude symmcd | sed 's/+cpu$$//'; \
	 } > requirements.lock
	@$(BIN)/python -m tools.pin_environments
	@touch $(READY)

config: $(READY)
	@$(BIN)/symmcd settings --schema > workflow/schemas/config.schema.yaml
	@{ sed '/^$$/q' config/config.yaml; $(BIN)/symmcd settings; } > config/new.yaml && mv config/new.yaml config/config.yaml

clean:
	rm -rf $(VENV) .snakemake results-quickstart .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist site
