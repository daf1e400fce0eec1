# Everything runs in .venv, which scripts/bootstrap.sh makes when it is missing or out of date.
# Variables: PYTHON=… the Python to make it with, VENV=… its directory, DIR=… where `make demo`
# puts the example, SEED=… the random numbers of an earlier test run, ARGS=… more arguments for
# pytest or the benchmarks. `make -k test lint` goes on after what fails.

VENV ?= .venv
BIN = $(VENV)/bin
PYTEST = $(BIN)/python -m pytest $(if $(SEED),--hypothesis-seed=$(SEED)) $(ARGS)
ALL = -n auto --dist worksteal -m
export VENV PYTHON DIR

# One after the other, also with -j: each of them takes all processors.
.NOTPARALLEL:
.PHONY: help setup compiled demo demo-servers demo-shop test fast slow lint style types contracts format bench screenshots soak clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

setup: ## Make .venv with everything that is needed
	@scripts/bootstrap.sh

demo: ## Record prices, change the code, compare; the example stays, in DIR or a temporary directory
	@scripts/bootstrap.sh demo
	@$(BIN)/tracediff demo $${DIR:+"$$DIR"}

demo-servers: setup ## Record 10,000 jobs to real servers, kill a recorder and the servers, find every trace; JOBS=…
	@$(BIN)/python scripts/demo_servers.py $(if $(JOBS),--jobs $(JOBS)) $(if $(DIR),--directory "$(DIR)")

demo-shop: setup ## Record a Django and Celery service, stop it, change its code, explain a price; DIR=…
	@$(BIN)/python scripts/demo_shop.py $(if $(DIR),--directory "$(DIR)")

# Also where the environment forbids to write bytecode: the tests start thousands of processes, each
# of which would else compile what it imports.
compiled: setup
	@$(BIN)/python -m compileall -q -j 0 tracediff pytest_plugin benchmarks servers scripts

test: compiled ## Run all tests, the fast ones first
	$(PYTEST) $(ALL) "not soak"

fast: compiled ## Run the fast tests alone
	$(PYTEST) $(ALL) "not slow and not soak"

slow: compiled ## Run the slow tests alone
	$(PYTEST) $(ALL) "slow and not soak"

lint: style types contracts ## Check style, types and who imports whom

style: setup ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup ## Check types
	$(BIN)/mypy

contracts: setup ## Check who imports whom
	$(BIN)/lint-imports

format: setup ## Mend style and format where a program can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup ## Measure; each figure in docs/performance.md names its benchmark
	$(BIN)/python -m benchmarks $(ARGS)

screenshots: setup ## Make the pictures of the pages in docs/images anew
	$(BIN)/python scripts/screenshots.py $(ARGS)

soak: compiled ## Search for rare failures, for an hour; writes docs/soak.md; KILLS=… FUZZ=… EXAMPLES=… for fewer
	$(foreach name,KILLS FUZZ EXAMPLES,$(if $($(name)),$(name)=$($(name)))) $(PYTEST) --timeout=0 -m soak

clean: ## Remove what was built or cached, and .venv
	rm -rf $(VENV) build dist .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
