.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
ADDRESS ?= 127.0.0.1
PORT ?= 8000
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EXTRAS := eventlet,gunicorn,redis,celery,dev
NODE_MODULES := static/node_modules/.package-lock.json
TEST_MODULES := static/node_modules/happy-dom/package.json
BUILT := dtws_sio/static/dtws_sio/socket.io.min.js

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "variables: PYTHON=$(PYTHON) ADDRESS=$(ADDRESS) PORT=$(PORT) ARGS=... (handed to pytest and to the benchmarks)"

.PHONY: run
run: $(INSTALLED) $(BUILT) ## serve the sample project (ADDRESS, PORT)
	@$(BIN)/python sample_project/manage.py migrate --verbosity 0
	@$(BIN)/python sample_project/manage.py runsocketio $(ADDRESS):$(PORT)

.PHONY: test
test: $(INSTALLED) $(TEST_MODULES) $(BUILT) ## run all tests; as root, Debian packages they lack are installed (ARGS="-k chat")
	@.ci/system-packages
	@cd static && npm test --silent -- --test-reporter=dot
	@.ci/test $(BIN)/pytest $(ARGS)

.PHONY: lint
lint: $(INSTALLED) ## check style, types and which module imports which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: bench
bench: $(INSTALLED) $(BUILT) $(VENV)/.bench-installed ## measure beside Node's socket.io; two minutes (ARGS="--all": an hour)
	@$(BIN)/python benchmarks/run.py $(ARGS)

.PHONY: matrix
matrix: $(BUILT) ## run the quick tests on other versions of Python and Django that this machine has (ARGS="3.13")
	@.ci/matrix $(ARGS)

.PHONY: soak
soak: $(INSTALLED) $(BUILT) ## break the server for minutes: 100,000 conversations, connects and clients
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-100000} $(BIN)/pytest -n auto tests/fuzz
	@ATTACK_CONNECTS=$${ATTACK_CONNECTS:-100000} $(BIN)/pytest tests/attack/test_floods.py::test_so_many_may_connect
	@$(BIN)/python benchmarks/soak.py

.PHONY: clean
clean: ## remove everything that was built, but keep the virtual environment
	@rm -rf build dist *.egg-info dtws_sio/static static/node_modules benchmarks/node/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -not -path "./.venv*" -prune -exec rm -rf {} +

# The stamps below let a second `make run` start at once.

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "no virtual environment could be made with $(PYTHON); on Debian: apt-get install python3-venv" >&2; exit 1; }

$(INSTALLED): setup.cfg setup.py pyproject.toml | $(BIN)/python $(BUILT)
	@echo "installing the Python packages into $(VENV)"
	@$(BIN)/python -m pip install --quiet -e ".[$(EXTRAS)]"
	@touch $@

$(VENV)/.bench-installed: setup.cfg $(INSTALLED)
	@$(BIN)/python -m pip install --quiet -e ".[bench]"
	@touch $@

$(NODE_MODULES): static/package.json static/package-lock.json
	@command -v npm >/dev/null || { echo "npm was not found; install Node 20 or later (https://nodejs.org)" >&2; exit 1; }
	@echo "installing the official JavaScript client into static/node_modules"
	@cd static && npm ci --omit=dev --no-audit --no-fund --silent
	@touch $@

$(TEST_MODULES): $(NODE_MODULES)
	@echo "installing what the tests of the browser files need into static/node_modules"
	@cd static && npm ci --no-audit --no-fund --silent
	@touch $(NODE_MODULES) $@

$(BUILT): $(NODE_MODULES) static/build.mjs static/src $(wildcard static/src/*)
	@cd static && npm run --silent build
