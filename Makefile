# Each target sets up what it needs first, and is fast when nothing changed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv

.PHONY: setup course lab run test test-browser test-wheel test-newest trust check wheel licences audit bench test-reference lock clean help
.DEFAULT_GOAL := help

include deploy/sglang-cpu/rules.mk deploy/skypilot/rules.mk deploy/router/rules.mk deploy/lint/rules.mk deploy/lite/rules.mk deploy/jupyterhub/rules.mk deploy/site/rules.mk pocket/rules.mk

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup:           ## the environment of the course and its tests in .venv, from the hashed lock
	@$(PYTHON) -m kit.setup --tests

course:
	@$(PYTHON) -m kit.setup

$(UV):
	@$(PYTHON) -m kit.setup --tests

lab: course      ## open the course in JupyterLab, on the embedded twin
	$(BIN)/kit lab

run: course      ## execute the whole course headlessly; pages in build/
	$(BIN)/kit run

test: setup      ## unit tests, and every lesson
	$(BIN)/python -m pytest

NEWEST  = $(shell for p in python3.15 python3.14 python3.13 ~/.pyenv/versions/3.1[3-9]*/bin/python3; do \
            $$p -V >/dev/null 2>&1 && echo $$p && break; done)
test-newest:     ## lesson 00 and the quicker unit tests on the newest Python that is here, in .venv-newest
	@test -n "$(NEWEST)" || echo "no Python newer than 3.12 is here; NEWEST=/path/to/python3.14 names one"
	@test -z "$(NEWEST)" || { KIT_VENV=.venv-newest $(NEWEST) -m kit.setup --tests && \
	  .venv-newest/bin/python -m pytest -p no:cacheprovider --ignore=tests/trust --ignore=tests/conformance \
	  $(addprefix --ignore-glob=tests/test_,twin* views* bench* cli*) tests notebooks/00_start_here.ipynb; }

trust: setup     ## the long tests: faults, hostile input, secrets, life and death
	$(BIN)/python -m pytest -m trust_long --timeout=600 -s tests

test-browser: setup $(SITE_VENV)/.ready  ## the widgets and lessons in JupyterLab, in chromium
	$(BIN)/python -m pytest -m "browser and not trust_long" tests/browser tests/trust

wheel: setup     ## the course as one file, lessons and all, in dist/
	$(BIN)/python -m hatchling build -t wheel

test-wheel: setup  ## that file, installed in an environment of its own: lesson 00, kit lab
	$(BIN)/python -m pytest -o addopts= -q tests/wheel

check: setup     ## lint, format, types, and the committed notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

licences: setup  ## the licences of the locked packages; fails on one that does not go with Apache-2.0
	$(BIN)/python deploy/packages.py licences

audit: setup     ## known vulnerabilities of the locked packages, where a database can be reached
	$(BIN)/python deploy/packages.py audit

bench: setup     ## measure, side by side; writes benchmarks/README.md
	$(BIN)/python benchmarks/report.py

test-reference: sglang-cpu  ## parameters and memory plans against transformers and SGLang itself
	$(SGLANG_CPU)/python -m pytest -o addopts= -q tests/reference

lock: $(UV)      ## compile requirements.txt anew from pyproject.toml
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --upgrade --extra pocket --extra test pyproject.toml -o requirements.txt
	$(PYTHON) deploy/pins.py

clean:           ## remove the environment and everything built
	rm -rf $(VENV) .venv-newest $(SGLANG_VENV) $(SKYPILOT_VENV) $(ROUTER_VENV) $(LINT_VENV) $(LITE_VENV) $(HUB_VENV) $(SITE_VENV) $(POCKET_VENV) build dist .pytest_cache .mypy_cache .ruff_cache
