# A fresh machine needs Python 3.11 to 3.13 and make; everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: quickstart notebooks test check lint docs lock clean

quickstart: $(VENV)/installed  ## train a small translator and show what it does
	$(BIN)/seq2seq quickstart

notebooks: $(VENV)/installed  ## open the notebooks
	$(INSTALL) '.[notebooks]'
	$(BIN)/jupyter lab notebooks

test: $(VENV)/installed-dev  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: lint test  ## what CI runs

lint: $(VENV)/installed-dev  ## formatting, style, import rules, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: $(VENV)/installed-dev  ## write docs/configuration.md from the schema
	$(BIN)/python -m seq2seq.config.reference > docs/configuration.md

lock: $(VENV)/installed-dev  ## resolve constraints.txt anew, for every supported Python
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --constraint constraints.in --upgrade --output-file constraints.txt

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache

$(VENV)/python-ready:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else f"{sys.version}: need Python 3.11 to 3.13, set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/installed: $(VENV)/python-ready pyproject.toml constraints.txt
	$(INSTALL) .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) '.[dev]'
	touch $@
