# make demo     a virtual environment, the package, and the whole path on a small budget (15 minutes on two cores)
# make test     the package with its test tools, and the test suite
# make mutants  break the algorithm in more than a hundred ways and show which tests notice (ten minutes on two cores)
# make lint     ruff and mypy
# make wheel    the wheel, built and inspected
#
# Each step leaves a stamp in the virtual environment, so a second call installs nothing.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
# What pip is asked for where PyTorch is not in the environment yet; replace it for another build.
TORCH ?= torch==2.13.0

BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test mutants lint wheel clean

demo: $(VENV)/.installed
	$(BIN)/fosp demo

# One thread a worker: the workers are the parallelism.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS)

mutants: $(VENV)/.installed-dev
	$(BIN)/python tests/mutants.py --jobs $(JOBS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: | $(VENV)/bin/python
	rm -rf build dist
	$(BIN)/pip wheel . --no-deps --quiet --wheel-dir dist
	$(BIN)/python -m zipfile --list dist/fosp-*.whl | grep -E "cli/demo|page.css|LICENSE|NOTICE"

clean:
	rm -rf $(VENV) build dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("fosp needs Python 3.11 or newer; this is %d.%d. Use: make PYTHON=python3.11" % \
	sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# PyTorch first and by itself, so that the build asked for above is the one that stays.
$(VENV)/.torch: | $(VENV)/bin/python
	$(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/pip install --quiet $(TORCH)
	touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.torch
	$(BIN)/pip install --quiet -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.torch
	$(BIN)/pip install --quiet -e ".[dev]"
	touch $@ $(VENV)/.installed
