# Everything runs in .venv, which the targets make themselves: no activation needed.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help quickstart test docs long-test setup setup-local lint format types clean

PYTHON ?=
VENV_PYTHON := .venv/bin/python
# Files that record that a step is done; `make clean` removes them with .venv.
INSTALLED := .venv/.stamp-installed
HOROVOD := .venv/.stamp-horovod

export TF_USE_LEGACY_KERAS := 1
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:  ## Show this list
	@echo "make TARGET, where TARGET is:"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | \
	  while IFS='|' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done
	@echo "Another Python: make setup PYTHON=/path/to/python3.12"

quickstart: setup  ## From synthetic ratings to recommendations over HTTP, in a few minutes
	examples/quickstart.sh

test: setup  ## Lint, types and the default test suite (Horovod tests included)
	@$(MAKE) --no-print-directory lint types
	$(VENV_PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

docs: $(INSTALLED)  ## Build the documentation into build/site, warnings are errors
	NO_MKDOCS_2_WARNING=1 $(VENV_PYTHON) -m mkdocs build --strict

long-test: setup  ## Run the documentation's pages and notebooks, the benchmarks on little data, and the like
	$(VENV_PYTHON) -m pytest -m long -n 2 --dist loadfile

setup: $(HOROVOD)  ## Make .venv, install everything, build Horovod once

setup-local: $(INSTALLED)  ## The same without Horovod: one device, no compiler needed

lint: $(INSTALLED)  ## Check style and formatting
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .

format: $(INSTALLED)  ## Repair style and formatting in place
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

types: $(INSTALLED)  ## Check types
	$(VENV_PYTHON) -m mypy .

clean:  ## Remove .venv, caches and the quickstart's output; Horovod's cached wheel stays
	rm -rf .venv quickstart build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps come last in each recipe, so that an interrupted install is done again.
$(INSTALLED): setup.py pyproject.toml launch/make_venv.sh
	PYTHON='$(PYTHON)' launch/make_venv.sh
	$(VENV_PYTHON) -m pip install --quiet --editable '.[serving,dev]'
	$(VENV_PYTHON) -m pip check
	@touch $@

$(HOROVOD): $(INSTALLED) launch/build_horovod.sh
	PYTHON=$(VENV_PYTHON) launch/build_horovod.sh
	@touch $@
