# make run, make test: need Python 3.11 or newer and make, nothing else. The first call sets up $(VENV).
#
#   make test PYTHON=python3.13 VENV=.venv-3.13     another Python, in an environment of its own
#   make test TESTS="tests/test_units.py -x"        some of the tests, or other options of pytest
#   NUMBA_DISABLE_JIT=1 make test TESTS=...         the kernels as plain Python

PYTHON ?= python3
VENV ?= .venv
TESTS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/installed.stamp
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help run test notebook lint bench clean

help:
	@echo "make run       the demo                     make lint    ruff, mypy, import-linter"
	@echo "make test      the tests                    make bench   the benchmarks"
	@echo "make notebook  JupyterLab in notebooks/     make clean   remove $(VENV) and what the tools leave behind"

# The second line gets a pip that knows dependency groups, and the build back end, so that both are pinned too.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt pip hatchling editables
	$(PIP) install --constraint constraints.txt --no-build-isolation --editable . --group test --group lint
	touch $@

run: $(STAMP)
	$(BIN)/quotasim demo

test: $(STAMP)
	$(BIN)/python -m pytest $(TESTS)

# JupyterLab is much to install, and nothing else here needs it.
$(VENV)/notebook.stamp: $(STAMP)
	$(PIP) install --constraint constraints.txt --no-build-isolation --editable '.[notebook]'
	touch $@

notebook: $(VENV)/notebook.stamp
	$(BIN)/jupyter lab notebooks

# Without its cache import-linter also sees a module that was missing when another one first imported it.
lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(STAMP)
	$(BIN)/python -m pytest benchmarks --benchmark-only

clean:
	rm -rf $(VENV) .benchmarks .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
