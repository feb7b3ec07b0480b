# On a fresh machine: `make demo` and `make test`; both make .venv first. Needs Python 3.11 or newer and PyPI.
# The local Triton of the demo and of the slow tests runs on Python 3.11 or 3.12, so these are preferred.
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.13 python3.14; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	&& { echo $$p; exit; }; done; \
	for p in python3 python3.14 python3.13; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	&& { echo $$p; exit; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
PYTEST_ARGS ?=

.PHONY: help setup test demo lint format wheel clean

help:
	@echo "make demo    the operator on a real chest CT with a Triton that it starts itself"
	@echo "make test    every test, the slow ones included, with coverage"
	@echo "make setup   the environment in $(VENV) (PYTHON=... chooses the interpreter)"
	@echo "make lint    ruff and mypy        make format  ruff's formatter"
	@echo "make wheel   dist/*.whl           make clean   build outputs, caches and $(VENV) away"

setup: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found: install one, or make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	@touch $@

test: setup
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

demo: setup
	$(BIN)/gpu-infer demo --output demo_output

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: setup
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean:
	rm -rf $(VENV) dist build demo_output .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find gpu_infer tests models -name __pycache__ -type d -prune -exec rm -rf {} +
