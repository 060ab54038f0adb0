# Everything this project does, with nothing installed but Python 3.10 or newer:
#
#   make demo     an example shop with an audit log, on a PostgreSQL of its own
#   make test     what a change must pass: lint, types, tests
#   make docs     the documentation, in docs/_build/html
#   make screenshots
#                 the pictures in the documentation; needs Chromium
#   make translations
#                 the catalogs of the pages, after a text was added or changed
#   make bench    what writing costs with auditing, without, and with what else there is; minutes
#   make bench-quick
#                 the same without what else there is, in less than two
#   make bench-guard
#                 whether that has become dearer than recorded; make bench-guard BENCH_ARGS=--record records it
#   make bench-reading
#                 a history of five million changes, how long reading it takes, and whether the plans are as promised
#   make bench-pages
#                 the same history, and how long each page of the audit log takes on it
#   make soak     a million transactions while the server is killed, the disk is full and so on, all of them
#                 counted; SOAK_ARGS="--requests 20000 --seconds 60" for less
#
# PYTHON=/path/to/python3.12 chooses the interpreter, VENV=.venv-3.12 the environment's folder.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-test
DOCS_STAMP := $(VENV)/.installed-docs
WORKERS ?= 2
BENCH_ARGS ?=
SOAK_ARGS ?=
PYTEST_ARGS ?=

.PHONY: help demo test lint types pytest docs screenshots translations bench bench-quick bench-guard \
	bench-reading bench-pages soak clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#  *make /  make /p' Makefile

demo: $(STAMP)
	$(BIN)/python -m example_app.demo

test: lint types pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(STAMP)
	$(BIN)/mypy

pytest: $(STAMP)
	$(BIN)/pytest -n $(WORKERS) $(PYTEST_ARGS)

docs: $(DOCS_STAMP)
	$(BIN)/sphinx-build --fail-on-warning --keep-going docs docs/_build/html

screenshots: $(DOCS_STAMP)
	$(BIN)/python -m tools.screenshots

translations: $(STAMP)
	$(BIN)/python -m tools.translations

bench: $(STAMP)
	$(BIN)/python -m benchmarks.writing $(BENCH_ARGS)

bench-quick: $(STAMP)
	$(BIN)/python -m benchmarks.writing --quick $(BENCH_ARGS)

bench-guard: $(STAMP)
	$(BIN)/python -m benchmarks.guard $(BENCH_ARGS)

bench-reading: $(STAMP)
	$(BIN)/python -m benchmarks.reading $(BENCH_ARGS)

bench-pages: $(STAMP)
	$(BIN)/python -m benchmarks.pages $(BENCH_ARGS)

soak: $(STAMP)
	$(BIN)/python -m soak $(SOAK_ARGS)

clean:
	rm -rf .venv .venv-* .ci/cache build dist docs/_build .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "flask-pg-audit needs Python 3.10 or newer; '$(PYTHON)' is not one." \
			"Name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@
