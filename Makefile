# sipbench: `make help` lists the targets.
PROFILE ?= demo
PYTHON ?= python3
BIN := .venv/bin
DONE := .venv/.installed

.PHONY: help setup table1 test fulltest papertest slurmtest lint bench clean

help:            ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "make table1 PROFILE=paper   the table on CelebA-256 and FFHQ-256, on a GPU"

setup: $(DONE)   ## create .venv and install everything

$(DONE): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sipbench needs Python 3.11 or newer: make PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(DONE)

table1: $(DONE)  ## the demo of Table 1: compute what is missing, print and write the table
	$(BIN)/sipbench table table1 profile=$(PROFILE)

test: $(DONE)    ## lint, types and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest

fulltest: $(DONE) ## the contract of every method on every degradation
	$(BIN)/python -m pytest -m 'full or not full' tests/test_solvers.py

papertest: $(DONE) ## two steps of Table 1's diffusion rows on networks of the published size
	$(BIN)/python -m pytest -m paper tests/test_paper_scale.py

slurmtest: $(DONE) ## sweeps on a real SLURM, started on loopback; needs slurm-wlm and munge
	$(BIN)/python -m pytest -m slurm tests/sweeps

lint: $(DONE)    ## format and lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DONE)   ## print the harness's overhead and the cost of a DPS step
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/dps_step.py

clean:           ## remove the environment and caches, never results
	rm -rf .venv .ruff_cache build dist *.egg-info
