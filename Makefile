# Each target sets itself up: a virtual environment in .venv with retune and its tools.
PYTHON ?= python3
BIN := .venv/bin
# Not compiled by pip: most of what is installed is never imported, and Python keeps what it compiles for an import.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-all lint
.DEFAULT_GOAL := demo

.venv/ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e ".[dev]"
	touch $@

demo: .venv/ready  ## run the embedded study and write its report
	$(BIN)/retune run demo --dir runs/demo
	$(BIN)/retune report runs/demo

test: .venv/ready  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-all: .venv/ready  ## run all tests, those marked `thorough` and many more random examples among them
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m ""

lint: .venv/ready  ## format, lint, types and dead code, as CI checks them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/vulture
