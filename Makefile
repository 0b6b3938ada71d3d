# make demo   set up, ingest the data sets, ask questions        make test    set up, run every check
# make torture  set up, attack stores for an hour or two: kills, power loss, full disks, bit flips, processes, leaks
# make bench  set up, install the peers, run the benchmarks      make test-all  also what takes many minutes
#             FULL=1 the full form · DOCS=1 write docs/benchmarks.md · AGAIN=1 ask again what has been answered
# make notebooks  set up, run all notebooks, and hold what they put out against what is kept
# make docs   build the site into build/site           make dist   build wheel and sdist into dist/
# make clean  remove .venv and the demo's store
#
# Everything runs from .venv, which is made once and reused; it is brought up to date when pyproject.toml or .ci/constraints.txt change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_STORE ?= .demo
DEMO_FLAGS ?=
PYTEST_FLAGS ?=
PYTEST_WORKERS ?= --numprocesses=auto --maxprocesses=4 --dist=loadfile
TORTURE_FLAGS ?=
BENCH_FLAGS ?= $(if $(FULL),--full) $(if $(AGAIN),--again) $(if $(DOCS),--docs)

export PIP_CONSTRAINT := $(CURDIR)/.ci/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo notebooks test test-all torture lint bench docs dist clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "ragvec needs Python 3.10 or newer, this is " + sys.version)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet torch
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/python -m ragvec demo --store $(DEMO_STORE) --datasets datasets $(DEMO_FLAGS)

notebooks: setup
	@$(BIN)/python -m pytest tests/docs/test_notebooks.py $(PYTEST_FLAGS)

test: setup lint
	@$(BIN)/python -m pytest -m "not slow" $(PYTEST_WORKERS) $(PYTEST_FLAGS)

test-all: setup lint
	@$(BIN)/python -m pytest $(PYTEST_WORKERS) $(PYTEST_FLAGS)

torture: setup
	@$(BIN)/python -m tests.torture $(TORTURE_FLAGS)

lint: setup
	@$(BIN)/ruff check ragvec tests benchmarks datasets examples docs/conf.py docs/extensions
	@$(BIN)/ruff format --check --quiet ragvec tests benchmarks datasets examples docs/conf.py docs/extensions
	@$(BIN)/mypy

bench: setup
	@$(BIN)/python -m benchmarks.peers
	@$(BIN)/python -m benchmarks.run $(BENCH_FLAGS)
	@$(if $(FULL),for name in quality filters segments store; do $(BIN)/python benchmarks/$$name.py || exit 1; done)
	@$(if $(FULL),for name in text quality_hybrid kendra answers; do $(BIN)/python -m benchmarks.$$name || exit 1; done)

# Sphinx has an environment of its own: awscli, which the tests run, holds docutils back.
DOCS_VENV := $(VENV)/docs

$(DOCS_VENV)/.ready: pyproject.toml .ci/constraints.txt
	@test -x $(DOCS_VENV)/bin/python || $(PYTHON) -m venv $(DOCS_VENV)
	@echo "Installing into $(DOCS_VENV) (a minute or two the first time) ..."
	@$(DOCS_VENV)/bin/python -m pip install --quiet --editable '.[docs]'
	@touch $@

docs: $(DOCS_VENV)/.ready
	@$(DOCS_VENV)/bin/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet -c docs . build/site
	@echo "build/site/index.html"

dist: setup
	@$(BIN)/python -m build --no-isolation --outdir dist .

clean:
	rm -rf $(VENV) $(DEMO_STORE)
