# `make help` lists what there is.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
N ?= 2000
VENV := .venv
BIN := $(VENV)/bin
# Much of the suite waits for processes and servers, so two workers share a core. Not more than
# four, each with a server of its own, unless JOBS= says so.
JOBS ?= $(shell $(PYTHON) -c "import os; print(min(4, 2 * (os.cpu_count() or 1)))")

.PHONY: help written screenshots run import test check setup format bench fuzz chaos cluster matrix conformance clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: ## the demo ERP with its server and one worker on SQLite (HOST=, PORT=)
	@$(PYTHON) bin/sixorbit demo:run --host=$(HOST) --port=$(PORT)

import: ## import a CSV of orders: make import FILE=orders.csv
	@test -n "$(FILE)" || { echo "say which file: make import FILE=orders.csv"; exit 2; }
	@$(PYTHON) bin/sixorbit demo:import "$(FILE)"

setup: $(VENV)/.ready ## the venv with the test tools

$(VENV)/.ready: requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

test: setup ## every test, on SQLite and on a throw-away MariaDB
	@sh tests/support/need-servers.sh
	$(BIN)/python -m tests.support.coverage_run --suite -n $(JOBS)

check: setup ## format, lint, types, tests under coverage, smoke with no packages
	@sh tests/support/need-servers.sh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m tests.support.coverage_run -n $(JOBS)
	$(PYTHON) -I -S bin/sixorbit list > /dev/null

format: setup ## lay the code out
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

written: setup ## the pages that are written from the source: docs/reference.md, so/__init__.pyi
	$(BIN)/python -m tests.support.reference > .written && mv .written docs/reference.md
	$(BIN)/python -m tests.support.stub > .written && mv .written so/__init__.pyi

screenshots: setup ## the pictures of docs/pictures, of the seeded demo (needs Chromium)
	$(BIN)/python -m tests.support.pictures

BENCH_PYTHON ?= $(PYTHON)
bench: ## us beside the peers that BENCH_PYTHON has, as the table docs/benchmarks.md (PARTS=, ROUNDS=)
	$(BENCH_PYTHON) bench/side_by_side.py $(PARTS) --rounds=$(or $(ROUNDS),5) --write=docs/benchmarks.md

fuzz: setup ## random builder chains on both engines: make fuzz N=100000
	$(BIN)/python -m tests.fuzz.run $(N)

chaos: setup ## the queue, locks, cache and sessions under load and harm, at full size
	SIXORBIT_CHAOS=1 $(BIN)/python -m pytest -q -s tests/chaos

cluster: setup ## three servers as one, some of them killed: Galera, and Group Replication where MySQL is
	SIXORBIT_TEST_CLUSTER=1 $(BIN)/python -m pytest -q tests/cluster

matrix: setup ## the suite on every Python and every server there is (MATRIX_PART=, MATRIX_SERVERS=, …)
	$(BIN)/python -m tests.support.matrix

conformance: setup ## the score of the web server on the raw-socket cases
	$(BIN)/python -m pytest -q tests/server/conformance

clean: ## remove what was built and the demo's data
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist
	find storage -mindepth 1 ! -name .gitkeep -delete
