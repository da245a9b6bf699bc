# sipbench: `make help` lists the targets.
PROFILE ?= demo
PYTHON ?= python3
SEED ?= 0
BIN := .venv/bin
DONE := .venv/.installed

.PHONY: help setup table1 tradeoff docs report quick test coverage lowest slow fulltest papertest slurmtest raytest latextest browser browsertest fuzz lint style freeze bench clean

help:            ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "make table1 PROFILE=paper   the table on CelebA-256 and FFHQ-256, on a GPU"

setup: $(DONE)   ## create .venv, install everything, and get what LPIPS needs
	@$(BIN)/sipbench fetch lpips >/dev/null 2>&1 || echo "LPIPS does without its backbones: sipbench fetch lpips says why they did not come"

$(DONE): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "sipbench needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(DONE)

table1: $(DONE)  ## the demo of Table 1: compute what is missing, print and write the table
	$(BIN)/sipbench table table1 profile=$(PROFILE)

report: $(DONE)  ## the demo of Table 1, and one HTML page of all tables that are there: report.html
	$(BIN)/sipbench table table1
	$(BIN)/sipbench report

tradeoff: $(DONE) ## the demo of the curve of data and knowledge: train, compute, print and write it
	$(BIN)/sipbench table tradeoff profile=$(PROFILE)

docs: $(DONE)    ## the site of docs/, in build/site: open build/site/index.html, no server needed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

quick: $(DONE)   ## before each commit: style, floors, types of what changed, the fast tests
	.ci/check fast

test: $(DONE)    ## style, floors, types and all tests, on all cores
	.ci/check all

coverage: $(DONE) ## all tests, and the lines of sipbench and baselines that none of them reaches
	$(BIN)/python -m pytest -q -n auto --dist worksteal --cov --cov-report=term:skip-covered --cov-report=html

lowest: $(DONE)  ## the fast tests with the lowest versions that pyproject.toml allows, in an environment of their own
	.ci/lowest $(PYTHON)

slow: $(DONE)    ## measure the tests, on a quiet machine, and write tests/slow.txt
	$(BIN)/python -m pytest -q -n auto --dist worksteal -p tests.timing

fulltest: $(DONE) ## the contract of every method on every degradation, and networks compiled to C++
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'full or not full' tests/test_solvers.py tests/priors/test_options.py

papertest: $(DONE) ## two steps of Table 1's diffusion rows on networks of the published size
	$(BIN)/python -m pytest -m paper tests/test_paper_scale.py

slurmtest: $(DONE) ## sweeps and workers on a real SLURM, started on loopback; installs slurm-wlm and munge where it may
	.ci/slurm

raytest: $(DONE) ## workers on a real Ray, one of them killed; installs Ray
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[ray]'
	$(BIN)/python -m pytest -m ray -rs tests/cluster

browser: $(DONE) ## what the report's browser tests need: playwright, and Debian's chromium where there is none
	@$(BIN)/python -c 'import playwright' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	@command -v chromium >/dev/null || { timeout 120 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y -qq --no-install-recommends chromium; } || echo "Chromium cannot be installed here: its tests are skipped"

browsertest: browser ## the report in a real headless Chromium
	$(BIN)/python -m pytest -m browser -rs tests/report || test $$? -eq 5

latextest: $(DONE) ## compile every table with a real LaTeX; needs texlive-latex-recommended
	$(BIN)/python -m pytest -m latex tests/tables

fuzz: $(DONE)    ## 10,000 mutated configs, checkpoints, images, measurements and results; SEED=random tries others
	$(BIN)/python -m tests.fuzz seed=$(SEED)

lint: $(DONE)    ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

style: $(DONE)   ## style, floors and types, nothing mended
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python .ci/typecheck.py --all

freeze: $(DONE)  ## write results/RELEASE.json: the numbers of a release, their hashes and what they rest on
	$(BIN)/python -m sipbench.tables.release freeze

bench: $(DONE)   ## print the harness's overhead and the cost of a DPS step
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/gpu.py --size 64 --batch 8 --methods dps --settings float32 --into results/logs/speed

clean:           ## remove the environment and caches, never results
	rm -rf .venv .venv-lowest .ruff_cache .import_linter_cache .coverage htmlcov build dist *.egg-info
