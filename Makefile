# What each target does: make help. Everything is installed into .venv, nothing elsewhere.
# The Python that .venv is made with: make PYTHON=python3.12
PYTHON := python3
VENV := .venv
BIN := $(VENV)/bin
# make setup CPU=1 installs what a machine without an NVIDIA GPU needs, a third of the size.
LOCK := envs/requirements$(if $(CPU),-cpu).txt
UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' envs/requirements.txt)
export PATH := $(CURDIR)/$(BIN):$(PATH)
# pip and uv keep what they fetched below the user's home, which may not be there, or may not be written to.
ifeq ($(shell test -w "$(HOME)" && echo yes),)
export XDG_CACHE_HOME ?= $(CURDIR)/.snakemake/caches
endif

.PHONY: report demo help doctor test release check setup lock docs example redraw archive compare fleet deploy clean
# A file of the user's for `snakemake --configfile`, as one word of the shell.
GIVEN = $(if $(CONFIG),'$(subst ','\'',$(CONFIG))')
CONFIGFILE = $(if $(CONFIG),--configfile $(GIVEN))
# Snakemake reads that file before the workflow can say what is wrong with it, so it is looked at first.
LOOK = $(if $(CONFIG),@python -m scripts.doctor --quiet $(GIVEN))

report: setup ## measure the default grid of this machine, or that of CONFIG=my.yaml, and write report/report.md
	@python -m scripts.doctor --quiet $(GIVEN)
	snakemake $(CONFIGFILE)
	@$(WHERE)

demo: setup ## a first answer in two minutes: a small grid, nothing is trained
	snakemake --configfile config/demo.yaml
	@$(WHERE)

WHERE = printf '%s\n' 'The answer:    $(CURDIR)/report/report.md' 'All cells:     $(CURDIR)/report/explorer.html' 'Your own grid: make report CONFIG=my.yaml (README.md)'

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.* ## \(.*\)/make \1|\2/p' Makefile | awk -F '|' '{ printf "%-13s %s\n", $$1, $$2 }'

doctor: ## say what this machine lacks, before anything is installed
	@$(OLD)
	@$(PYTHON) -m scripts.doctor $(if $(CPU),--cpu) $(GIVEN)

# The doctor itself needs this much of a Python.
OLD = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 9) and "speedgrid needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Another one: make PYTHON=python3.12")'

# In two processes: much of the time is waiting for processes of the workflow's.
test: setup check ## run all checks and tests
	pytest -n 2 --dist loadfile --no-loadscope-reorder

# What a release needs beside that: no sentence of a report waits for its translation.
release: setup check ## the same, and no sentence may wait for its translation
	SPEEDGRID_RELEASE=1 pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup ## linter, types, format of code and rules
	ruff check .
	mypy
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint

setup: $(VENV)/.installed ## install everything into .venv

$(VENV)/.installed: $(LOCK) envs/homeless.py
	@$(OLD)
	@$(PYTHON) -m scripts.doctor --quiet $(if $(CPU),--cpu) $(GIVEN)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes $(LOCK)
	$(if $(CPU),$(BIN)/python envs/stand_ins.py)
	$(BIN)/python envs/homeless.py
	touch $@

# The one command that writes the lock files; commit its result. The one for a CPU has the versions of the other.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group dev pyproject.toml
lock: setup ## lock the dependencies again
	$(COMPILE) --output-file envs/requirements.txt
	$(COMPILE) --constraints envs/requirements.txt --excludes envs/without-cuda.txt --overrides envs/requirements-cpu.in \
	    --output-file envs/requirements-cpu.txt

# Keys of the configuration, from the schema; backends; columns, from the registry.
docs: setup ## write the generated tables of the documentation
	python -m scripts.document_config

# Copy what a finished run wrote, untouched, with Snakemake's report of it, e.g.
# make example NAME=nvidia-h200 CONFIG=examples/nvidia-h200/config.yaml
example: ## copy a finished run to examples/NAME
	$(LOOK)
	mkdir -p examples/$(NAME)
	rm -rf examples/$(NAME)/report
	cp -r report examples/$(NAME)/report
	cp artifacts/results.csv artifacts/rounds.csv artifacts/run.json artifacts/flops.json examples/$(NAME)/
	snakemake --report examples/$(NAME)/report.html $(CONFIGFILE)

# Keep a finished run, with its raw samples, in one file, e.g. make archive NAME=before-the-update
archive: setup ## keep a finished run in NAME.speedgrid.zip
	@test -n "$(NAME)" || { echo "make archive needs NAME=, the file to write without .speedgrid.zip."; exit 2; }
	@python -m scripts.archive "$(NAME)"

# What changed from A to B, archives or folders, e.g. make compare A=before-the-update.speedgrid.zip B=. THRESHOLD=5
# fails where a cell is slower by THRESHOLD percent or has lost its speed. Make turns any failure into exit code 2:
# python -m scripts.compare tells a regression, 1, from results that cannot be compared, 2.
THRESHOLD ?= 5
compare: setup ## what changed from A to B, archives or folders
	@test -n "$(A)" -a -n "$(B)" || { echo "make compare needs A= and B=, each an archive or a folder with a result."; exit 2; }
	@python -m scripts.compare "$(A)" "$(B)" --threshold-percent "$(THRESHOLD)"

# What to deploy where, of folders or archives; with prices, at what cost (docs/fleet.md), e.g.
# make fleet RUNS="runs/a runs/b other.speedgrid.zip" PRICES=prices.yaml
fleet: setup ## what to deploy on which of several machines: RUNS="a b", PRICES=prices.yaml
	@test -n "$(RUNS)" || { echo "make fleet needs RUNS=, two or more archives or folders with a result."; exit 2; }
	@python -m scripts.fleet $(RUNS) $(if $(PRICES),--prices "$(PRICES)")

# The report of committed results again, after a change of template or plot: make redraw NAME=nvidia-h200
redraw: setup ## write the report of examples/NAME again
	rm -rf examples/$(NAME)/report
	python -m scripts.redraw examples/$(NAME)

# The setting that the report recommends, ready to run, in deploy/MODEL: make deploy FOR=latency CONFIG=config/quick.yaml
deploy: setup ## the recommended setting, ready to run, in deploy/MODEL; FOR=latency, CONFIG=my.yaml
	$(LOOK)
	snakemake deploy --keep-going $(CONFIGFILE) $(if $(FOR),--config 'deploy={objective: $(FOR)}')

clean: ## remove all results
	rm -rf artifacts logs report deploy report.html .snakemake
