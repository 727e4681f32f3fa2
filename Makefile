# make run: the app on 127.0.0.1:8501 · make test: everything that must hold
# make quick: what a change most often breaks, in about a minute
# make integrations: the bridges with the real packages
# make shots CHECK=1: whether every page looks as its picture, in both themes
# make coverage, make test-python PYTHON=python3.13, make hooks, make bench, make shots, make soak, make soak-files, make docs
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := .make/ready
PORT   ?= 8501
CORE   := tests/test_model.py $(addprefix tests/,profiling tuning store control recall)

.DEFAULT_GOAL := run
.PHONY: run test quick check coverage test-python integrations hooks bench shots soak soak-files browser pooler docs clean

run: $(READY)
	$(BIN)/athena-tuning dashboard --port $(PORT)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@mkdir -p $(@D) && touch $@

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

define from-apt
	@PATH="$$PATH:/usr/sbin" command -v $(1) >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -y -qq $(1) >/dev/null; } \
		|| echo 'No $(1), and it cannot be installed here (root and apt are needed): $(2) will skip.'
endef

browser:
	$(call from-apt,chromium,browser tests)

pooler:
	$(call from-apt,pgbouncer,tests behind PgBouncer)

test: check browser pooler
	$(BIN)/pytest -n 2 --dist worksteal --reruns 1 -m 'not soak' # a second try is told: others share the cores

quick: $(READY)
	$(BIN)/pytest -q -n 2 --dist worksteal -m quick --hypothesis-profile quick $(CORE)

coverage: $(READY) browser
	nice $(BIN)/pytest -n 2 --dist worksteal -m 'not soak' --cov --cov-report=term

test-python: # the core under another interpreter, in an environment of its own
	$(PYTHON) -m venv .make/$(notdir $(PYTHON))
	.make/$(notdir $(PYTHON))/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	.make/$(notdir $(PYTHON))/bin/pytest -n 2 --dist worksteal $(CORE)

BRIDGES := .make/integrations

integrations: $(BRIDGES)/ready # the real LangChain, LlamaIndex, Haystack and others, away from what [dev] pins
	$(BRIDGES)/bin/pytest -q tests/bridges tests/cluster

$(BRIDGES)/ready: pyproject.toml tests/bridges/requirements.txt
	$(PYTHON) -m venv $(BRIDGES)
	$(BRIDGES)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -e . 'pytest>=8.3' 'hypothesis>=6.100'
	$(BRIDGES)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -r tests/bridges/requirements.txt \
		|| for package in $$(cat tests/bridges/requirements.txt); do \
			$(BRIDGES)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check $$package \
				|| echo "No $$package, it cannot be installed here: its tests will skip."; done
	@touch $@

hooks: $(READY)
	$(BIN)/pre-commit install

soak: $(READY) # its faults want a small disk of their own: only root can mount one
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[soak]'
	$(BIN)/pytest -m soak tests/soak tests/recall

soak-files: $(READY)
	$(BIN)/pytest -m soak tests/interchange

bench: $(READY)
	missed=; for b in $$(grep -l __main__ benchmarks/*.py); do echo "== $$b"; $(BIN)/python $$b --quick || missed="$$missed $$b"; done; \
		[ -z "$$missed" ] || { echo "targets missed in:$$missed"; exit 1; }

shots: $(READY) browser
	$(BIN)/python docs/screenshots.py $(if $(CHECK),--check)

docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/zensical build --strict

clean:
	rm -rf $(VENV) .make build dist
