# A fresh machine needs Python 3.11 to 3.13 and make; everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode --python
INSTALL := $(UV_INSTALL) $(BIN)/python --constraint constraints.txt --editable

# Apache Beam holds other packages back, so it has an environment and constraints of its own.
BEAM_VENV := .venv-apache-beam
PRETRAINED := seq2seq/pretrained/phrasebook-en-de
PRETRAINED_BUILD := build/phrasebook-en-de
# constraints.txt pins what `make check` installs, and nothing that is only in other extras.
DEV := pyproject.toml --extra analysis --extra tensorboard --extra cjk --extra int8 --group dev --group docs
UPGRADE := --upgrade
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --quiet

# Compiled once, not by each of the processes that tests start.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: quickstart pretrained notebooks notebooks-run test test-apache-beam check lint docs site lock clean

quickstart: $(VENV)/installed  ## train a small translator and show what it does
	$(BIN)/seq2seq quickstart

pretrained: $(VENV)/installed  ## train the model that ships with the package again; another machine may train a different model
	rm -rf $(PRETRAINED_BUILD)
	$(BIN)/seq2seq quickstart --output $(PRETRAINED_BUILD)/run
	$(BIN)/seq2seq export $(PRETRAINED_BUILD)/run $(PRETRAINED_BUILD)/float16 --dtype float16
	$(BIN)/seq2seq data phrasebook --output $(PRETRAINED_BUILD) --train-pairs 1 --held-out-pairs 500 --lexicon basic
	cut -f 1 $(PRETRAINED_BUILD)/test.tsv > $(PRETRAINED_BUILD)/test.en
	cut -f 2 $(PRETRAINED_BUILD)/test.tsv > $(PRETRAINED_BUILD)/test.de
	$(BIN)/seq2seq evaluate $(PRETRAINED_BUILD)/float16 --source $(PRETRAINED_BUILD)/test.en \
		--reference $(PRETRAINED_BUILD)/test.de --json > $(PRETRAINED_BUILD)/phrasebook-test.json
	rm -rf $(PRETRAINED)
	$(BIN)/seq2seq export $(PRETRAINED_BUILD)/float16 $(PRETRAINED) --licence apache-2.0 \
		--evaluation $(PRETRAINED_BUILD)/phrasebook-test.json

notebooks: $(VENV)/installed  ## open the notebooks
	$(INSTALL) '.[notebooks]'
	$(BIN)/jupyter lab notebooks

notebooks-run: $(VENV)/installed-dev  ## run all notebooks at full size, and store their outputs in them
	$(BIN)/python notebooks/run.py

test: $(VENV)/installed-dev  ## run the tests; three workers keep two cores busy while some wait for processes that they start
	$(BIN)/python -m pytest -n 3 --dist worksteal

test-apache-beam: $(BEAM_VENV)/installed  ## run the tests of --engine apache-beam, in an environment of their own
	$(BEAM_VENV)/bin/python -m pytest -m apache_beam tests/integration/test_apache_beam.py

check: lint test  ## what CI runs

lint: $(VENV)/installed-dev  ## formatting, style, import rules, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: $(VENV)/installed-dev  ## write docs/configuration.md from the schema, and the drawings in docs/images/
	$(BIN)/python -m seq2seq.config.reference > docs/configuration.md
	$(BIN)/python -m drawings

site: $(VENV)/installed-dev  ## build the documentation site into site/, without network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock: $(VENV)/ready  ## resolve both constraints files again, for every supported Python; UPGRADE= keeps the versions
	$(COMPILE) $(DEV) $(UPGRADE) --output-file constraints.txt
	cp constraints.txt constraints-apache-beam.txt  # the versions to keep where Apache Beam allows them
	$(COMPILE) pyproject.toml --extra apache-beam --group test --output-file constraints-apache-beam.txt

clean:
	rm -rf $(VENV) $(BEAM_VENV) build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache

$(VENV)/ready:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else f"{sys.version}: need Python 3.11 to 3.13, set PYTHON=python3.x")'
	$(PYTHON) -m venv $(@D)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	touch $@

$(VENV)/installed: $(VENV)/ready pyproject.toml constraints.txt
	$(INSTALL) .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) . --requirement $(DEV)
	touch $@

$(BEAM_VENV)/installed: $(VENV)/ready pyproject.toml constraints-apache-beam.txt
	$(PYTHON) -m venv $(@D)
	$(UV_INSTALL) $(BEAM_VENV)/bin/python --constraint constraints-apache-beam.txt --editable '.[apache-beam]' --group test
	touch $@
