# `make fit`, `make demo` and `make test` do everything on a machine that has Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: fit demo test setup lint clean
fit: setup
	$(BIN)/python -m fer_lightning fit $(ARGS)

demo: setup
	$(BIN)/python -m demo $(ARGS)

test: setup lint
	$(BIN)/python -m pytest $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: .venv/installed
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; try: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e '.[dev]' -c constraints.txt
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
