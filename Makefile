# Only Python 3.11+ and make are needed. Every target makes the environment it wants.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint venv clean

demo: .venv/.base
	$(BIN)/fewview demo --out demo_out --force

venv: .venv/.dev

test: .venv/.dev
	$(BIN)/python -m pytest

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

$(BIN)/python:
	$(PYTHON) -c "import sys; sys.exit('fewview needs Python 3.11 or newer; this is ' + sys.version) if sys.version_info < (3, 11) else None"
	$(PYTHON) -m venv .venv

.venv/.base: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	touch $@

.venv/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable ".[dev]"
	touch $@ .venv/.base

clean:
	rm -rf .venv demo_out build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
