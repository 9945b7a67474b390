# Everything a newcomer or a maintainer runs. `make` alone explains itself.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := /usr/share/tuxpaint/stamps
# One process a core, and one thread in each: threads of several processes wait for each other.
CORES := $(shell getconf _NPROCESSORS_ONLN)
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup data database quickstart check lint types test docs wheel-test mini clean

help: ## Show what there is to run
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make the virtual environment and install the package into it

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

data: ## Install the picture package of the quickstart, where apt-get and root are there
	@if [ -d $(STAMPS)/cartoon ] && [ -d $(STAMPS)/animals ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends \
			tuxpaint-stamps-default tuxpaint-data >/dev/null; \
	else \
		echo "no Tux Paint stamps here and no way to install them: a hub data set will do"; \
	fi

database: ## Install the server that the tests of databases start, where apt-get and root are there
	@ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || { \
		[ "$$(id -u)" = 0 ] && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends \
			postgresql >/dev/null; \
	} || echo "no PostgreSQL server here and no way to install one: its tests are skipped"

quickstart: setup data ## The main job on real pictures, start to end: runs/quickstart/report.html
	$(BIN)/rac quickstart -o runs/quickstart

check: lint types test ## All that has to be green: lint, types, tests

lint: setup ## Style of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## Static types, strict
	$(BIN)/mypy

test: setup data database ## Tests and the examples of the docstrings
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(CORES) --dist worksteal

docs: setup data ## Build the documentation, a warning is an error, and run the tutorials' commands
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	$(BIN)/pytest -m docs tests/docs

wheel-test: setup data ## Build the wheel and try it in an empty environment (minutes, not part of check)
	$(BIN)/pytest -m wheel tests/test_wheel.py

mini: setup ## Make the embedded encoder anew (hours; see rac/encoders/mini/README.md)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[mini]'
	$(BIN)/python -m training.mini --out runs/mini --cache build/mini-cache

clean: ## Remove the virtual environment and what tools leave behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
