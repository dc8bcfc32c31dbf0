# Everything a newcomer or a CI machine needs. `make help` lists the targets.
# Wants Python >= 3.11 (with venv), git and make; all else is installed into .venv, at the versions of constraints.txt.

PYTHON ?= python3
# Processes that run the tests; each of them computes with one thread.
WORKERS ?= 2
# More options for pytest, for instance: make test-quick PYTEST_ARGS="-k reversal"
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet
OLDEST := build/oldest

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# A failing test fails the target whatever it is piped into, and installs never run side by side.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help demo test test-quick test-main test-types test-oldest check lint types imports doctests docs format bench bench-check wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# ---- what people run ------------------------------------------------------------------------------------------------

demo: $(VENV)/.stamp-train ## train RTIL on bundled sensor recordings; writes runs/demo, then runs/demo-2 ... (minutes)
	$(BIN)/mmdisentangle train rtil --data basic-motions --out "$$($(NEXT_RUN))"

test: test-types test-main ## the whole suite: once with the shape types enforced, then everything

test-quick: $(VENV)/.stamp-test ## the suite without its slow and compiling tests, for use while writing
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not compile" $(PYTEST_ARGS)

check: lint types imports doctests ## the static checks: ruff, mypy, import-linter; and every example in the documents

bench: $(VENV)/.stamp-bench ## measure speed and memory on the CPU, a quarter of an hour; rewrites results, docs/speed.md and plots
	$(BIN)/python -m benchmarks

bench-check: $(VENV)/.stamp-bench ## do the measured ratios still hold? minutes; fails where one got worse
	$(BIN)/python -m benchmarks --check

docs: $(VENV)/.stamp-docs ## build the site into docs/_build/html (minutes); warnings and broken links are errors
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html
	$(BIN)/python docs/check_site.py docs/_build/html

format: $(VENV)/.stamp-dev ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/.stamp-dev ## build the wheel and the source archive into dist/
	$(BIN)/python -m build

clean: ## remove what was built and cached; .venv and runs/ stay
	rm -rf build dist docs/_build docs/api/generated docs/gallery .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

test-main test-types test-quick test-oldest doctests: export OMP_NUM_THREADS ?= 1

# ---- the parts of test and check ------------------------------------------------------------------------------------

test-main: $(VENV)/.stamp-test
	$(BIN)/python -m pytest -n $(WORKERS) --hypothesis-profile=ci $(PYTEST_ARGS)

# The hook that enforces shape types and torch.compile(fullgraph=True) cannot share a run.
test-types: $(VENV)/.stamp-test
	$(BIN)/python -m pytest tests/functional -n $(WORKERS) --hypothesis-profile=types -m "not bad_input and not compile" \
		--jaxtyping-packages=mmdisentangle.functional,beartype.beartype $(PYTEST_ARGS)

lint: $(VENV)/.stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.stamp-dev
	$(BIN)/mypy

imports: $(VENV)/.stamp-dev
	$(BIN)/lint-imports

doctests: $(VENV)/.stamp-dev
	$(BIN)/python -m pytest --doctest-modules mmdisentangle tests/packaging/test_documents.py

# ---- the oldest versions that pyproject.toml allows -----------------------------------------------------------------

test-oldest: $(OLDEST)/.stamp ## the suite with the oldest versions allowed, in an environment of its own (downloads several GB)
	$(OLDEST)/bin/python -m pytest -n $(WORKERS) --hypothesis-profile=ci $(OLDEST_WARNINGS) $(PYTEST_ARGS)

# Old packages beside newer ones warn of each other; what counts here is whether the library works.
OLDEST_WARNINGS := -W default::DeprecationWarning -W default::FutureWarning

$(OLDEST)/.stamp: pyproject.toml constraints-oldest.txt
	$(call require_python,$(PYTHON))
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet -c constraints-oldest.txt torch
	$(OLDEST)/bin/python -m pip install --quiet -c constraints-oldest.txt -e '.[test,text]'
	touch $@

# ---- the environment; a stamp is renewed only when what it depends on has changed ------------------------------------

define require_python
@$(1) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "mmdisentangle needs Python 3.11 or later; '$(1)' is $$($(1) --version 2>&1 || true)." \
	"Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
@$(1) -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "'$(1)' cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
endef

# The first of runs/demo, runs/demo-2, runs/demo-3 ... that holds no finished run: nothing is overwritten, and a demo that
# was interrupted goes on where it stopped.
NEXT_RUN = folder=runs/demo; n=1; while [ -e "$$folder/metrics.json" ]; do n=$$((n + 1)); folder=runs/demo-$$n; done; \
	echo "$$folder"

$(VENV)/.stamp-python:
	$(call require_python,$(PYTHON))
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	touch $@

# torch first and alone: later steps then find it there and never choose another build of it.
$(VENV)/.stamp-torch: constraints.txt | $(VENV)/.stamp-python
	@echo "Installing torch and the rest into $(VENV), once; this takes some minutes."
	$(PIP) -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	touch $@

$(VENV)/.stamp-train $(VENV)/.stamp-test $(VENV)/.stamp-dev $(VENV)/.stamp-docs: $(VENV)/.stamp-%: pyproject.toml $(VENV)/.stamp-torch
	$(PIP) -c constraints.txt -e '.[$*]'
	touch $@

# pytorch-adapt pins versions years old; its gradient reversal needs none of them.
$(VENV)/.stamp-bench: pyproject.toml constraints.txt $(VENV)/.stamp-train
	$(PIP) -c constraints.txt -e '.[bench]'
	$(PIP) --no-deps "$$(grep '^pytorch-adapt==' constraints.txt)"
	touch $@
