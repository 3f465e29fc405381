# make report: set up and measure. make test: set up and check. Everything is installed into .venv, nothing elsewhere.
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' envs/requirements.txt)
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Snakemake asks for the user's home folder, writes to it, and for the user's name: in a container that runs with any
# number for a user there is none of them.
ifeq ($(shell test -w "$(HOME)" && echo yes),)
export HOME := $(CURDIR)/.snakemake/home
endif
ifeq ($(shell id -un > /dev/null 2>&1 && echo yes)$(LOGNAME)$(USER),)
export LOGNAME := speedgrid
endif

.PHONY: report test release check setup lock docs example redraw archive compare deploy clean

report: setup
	snakemake

# In two processes: much of the time is waiting for processes of the workflow's.
test: setup check
	pytest -n 2 --dist loadfile --no-loadscope-reorder

# What a release needs beside that: no sentence of a report waits for its translation.
release: setup check
	SPEEDGRID_RELEASE=1 pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup
	ruff check .
	mypy
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint

setup: $(VENV)/.installed

$(VENV)/.installed: envs/requirements.txt
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "speedgrid needs Python 3.11 or newer; python3 is " + sys.version.split()[0])'
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes envs/requirements.txt
	touch $@

# The one command that writes the lock file; commit its result.
lock: setup
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --group dev pyproject.toml --output-file envs/requirements.txt

# The README's tables of configuration keys, from the schema, and of backends; docs/columns.md, from the registry.
docs: setup
	python -m scripts.document_config README.md

# Copy what a finished run wrote, untouched, with Snakemake's report of it, e.g.
# make example NAME=nvidia-h200 CONFIG=examples/nvidia-h200/config.yaml
example:
	mkdir -p examples/$(NAME)
	rm -rf examples/$(NAME)/report
	cp -r report examples/$(NAME)/report
	cp artifacts/results.csv artifacts/rounds.csv artifacts/run.json artifacts/flops.json examples/$(NAME)/
	snakemake --report examples/$(NAME)/report.html $(if $(CONFIG),--configfile $(CONFIG))

# Keep a finished run, with its raw samples, in one file, e.g. make archive NAME=before-the-update
archive: setup
	@test -n "$(NAME)" || { echo "make archive needs NAME=, the file to write without .speedgrid.zip."; exit 2; }
	@python -m scripts.archive "$(NAME)"

# What changed from A to B, archives or folders, e.g. make compare A=before-the-update.speedgrid.zip B=. THRESHOLD=5
# fails where a cell is slower by THRESHOLD percent or has lost its speed. Make turns any failure into exit code 2:
# python -m scripts.compare tells a regression, 1, from results that cannot be compared, 2.
THRESHOLD ?= 5
compare: setup
	@test -n "$(A)" -a -n "$(B)" || { echo "make compare needs A= and B=, each an archive or a folder with a result."; exit 2; }
	@python -m scripts.compare "$(A)" "$(B)" --threshold-percent "$(THRESHOLD)"

# The report of committed results again, after a change of template or plot: make redraw NAME=nvidia-h200
redraw: setup
	rm -rf examples/$(NAME)/report
	python -m scripts.redraw examples/$(NAME)

# The setting that the report recommends, ready to run, in deploy/MODEL: make deploy FOR=latency CONFIG=config/quick.yaml
deploy: setup
	snakemake deploy $(if $(CONFIG),--configfile $(CONFIG)) $(if $(FOR),--config 'deploy={objective: $(FOR)}')

clean:
	rm -rf artifacts logs report deploy report.html .snakemake
