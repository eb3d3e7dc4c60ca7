# OpenTrail. `make help` lists what there is. Everything runs from a bare clone with Python 3.11 or newer.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory --no-builtin-rules

VENV := .venv
PY := $(VENV)/bin/python
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv)
WORKERS ?= 2
PYTEST ?=
FIND_PYTHON = for name in python3.13 python3.12 python3.11 python3; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then command -v $$name; break; fi; done

.PHONY: help
help: ## list these goals
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(VENV)/.runtime ## the whole way on generated records: ingest, deliver, validate, tamper, see it caught
	@$(VENV)/bin/opentrail demo

.PHONY: test
test: $(VENV)/.dev ## set everything up, run all checks and all tests, the ones on real servers too
	@$(MAKE) check
	@$(PY) -m tests.servers get
	@$(PY) -m pytest -n $(WORKERS) --dist worksteal $(PYTEST)

.PHONY: check
check: $(VENV)/.dev ## lint, format, types, and that the generated gRPC code is what proto/ makes
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/mypy
	@$(PY) proto/generate.py --check

.PHONY: bench
bench: $(VENV)/.dev ## measure each part, the whole path with real servers, and the validator (benchmarks/README.md)
	@$(PY) -m tests.servers get
	@$(PY) -m benchmarks

.PHONY: proto
proto: $(VENV)/.dev ## make the gRPC code from proto/ anew
	@$(PY) proto/generate.py

.PHONY: soak
soak: $(VENV)/.dev ## the long form of the tests: full crash matrix, many more random examples (hours)
	@$(PY) -m tests.servers get
	@OPENTRAIL_TEST_SOAK=1 $(PY) -m pytest -n $(WORKERS) --dist worksteal --timeout 7200 $(PYTEST)

.PHONY: soak-kills
MINUTES ?= 30
KILLS ?= 200
soak-kills: $(VENV)/.dev ## of `make soak` only this: services killed 200 times in 30 minutes (MINUTES=, KILLS=, SEED=)
	@$(PY) -m tests.servers get
	@$(PY) -m tests.soak --minutes $(MINUTES) --kills $(KILLS) $(if $(SEED),--seed $(SEED))

# Universal locks: for every platform and Python that pyproject.toml allows. `make lock UPGRADE=--upgrade` for newer versions.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(UPGRADE)
.PHONY: lock
lock: ## resolve pyproject.toml's dependencies into requirements/ (needs uv)
	@test -n "$(UV)" || { echo "make lock needs uv (a package of that name)" >&2; exit 1; }
	@$(COMPILE) pyproject.toml --extra all --group dev --output-file requirements/dev.txt
	@$(COMPILE) pyproject.toml --extra all --constraint requirements/dev.txt --output-file requirements/runtime.txt
	@for version in 1.46.2 1.45.11; do \
		echo "awscli==$$version" | $(COMPILE) --no-annotate - --output-file requirements/awscli-$$version.txt || exit 1; done

.PHONY: clean
clean: ## remove what these goals made in the checkout (not the cache of test servers)
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One virtual environment: what runs OpenTrail (.runtime), and what builds and tests it on top (.dev).

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml
	@$(call install,requirements/runtime.txt)
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml
	@$(call install,requirements/dev.txt)
	@touch $(VENV)/.runtime $@

define install
	set -e; \
	if ! $(PY) -c 'import sys' 2>/dev/null || { [ -z "$(UV)" ] && ! $(PY) -c 'import pip' 2>/dev/null; }; then \
		python=$$($(FIND_PYTHON)); \
		if [ -z "$$python" ]; then \
			echo "OpenTrail needs Python 3.11 or newer; looked for python3.13, python3.12, python3.11 and python3." >&2; exit 1; fi; \
		echo "making $(VENV) with $$python"; \
		if [ -n "$(UV)" ]; then uv venv --quiet --clear --python "$$python" $(VENV); else "$$python" -m venv --clear $(VENV); fi; \
	fi; \
	echo "installing $(1)"; \
	if [ -n "$(UV)" ]; then \
		uv pip install --quiet --python $(PY) --require-hashes --requirement $(1); \
		uv pip install --quiet --python $(PY) --no-deps --editable .; \
	else \
		$(PY) -m pip install --quiet --require-hashes --requirement $(1); \
		$(PY) -m pip install --quiet --no-deps --editable .; \
	fi
endef
