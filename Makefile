# Two commands: `make demo` (a cluster, a real model and its index, releases) and `make test`.
# Each installs what it needs, says what it is doing, and can be repeated.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
export UV_SYSTEM_CERTS := 1
export PYTHONUNBUFFERED := 1
UV = $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
DEVCLUSTER := $(PYTHON) -m devcluster
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lockstep
LOGS := $(CACHE)/logs

.PHONY: help
help: ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/uv:
	@echo "== Python environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: set PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.demo: $(BIN)/uv pyproject.toml constraints.txt
	@echo "== Python packages for the demo"
	@$(UV) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(BIN)/uv pyproject.toml constraints.txt
	@echo "== Python packages for development (torch among them: a few GB, once)"
	@$(UV) --editable '.[dev]'
	@touch $@

.PHONY: venv
venv: $(VENV)/.dev ## The Python environment with every tool

# What a target still writes to the disk, before it starts; it fails where that cannot fit.
.PHONY: disk-images disk-demo disk-test
disk-images disk-demo disk-test: disk-%:
	@$(DEVCLUSTER) disk $*

.PHONY: up
up: ## A real cluster: kind where Docker runs, else our own
	@$(DEVCLUSTER) up

.PHONY: down
down: ## Take the cluster down; nothing is left running or mounted
	@$(DEVCLUSTER) down

IMAGES := operator encoder monitor indexer trainer

.PHONY: images
images: disk-images up ## Build the images from their Dockerfiles onto the cluster's node
	@for program in $(IMAGES); do \
	  folder=$$([ $$program = operator ] && echo operator || echo $$program-image); \
	  $(DEVCLUSTER) load --image lockstep.local/lockstep/$$program:dev --file $$folder/Dockerfile --context .; \
	done
	@$(DEVCLUSTER) load --image lockstep.local/lockstep/glyphs:dev --file examples/glyphs/Dockerfile --context .

.PHONY: demo
demo: disk-demo $(VENV)/.demo images ## A cluster; a model and its index released, a canary, a bad release, drift and its cure
	@$(BIN)/python -m examples.glyphs.demo

.PHONY: demo-down
demo-down: ## Remove the demo and its cluster
	@$(DEVCLUSTER) down --purge

.PHONY: lint
lint: $(VENV)/.dev ## Style, types, import rules, generated files
	@echo "== lint"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy core operator trainer-image encoder-image monitor-image indexer-image kubectl-lockstep devcluster examples benchmarks gitops/argo-cd/configmap.py
	@$(BIN)/lint-imports
	@$(BIN)/python -m lockstep_operator.api.crd --check
	@$(BIN)/python gitops/argo-cd/configmap.py --check

# Only checks of forms need it: without it they are skipped, in `make test` they fail.
.PHONY: promtool
promtool:
	@$(DEVCLUSTER) binaries promtool > /dev/null || echo "== without promtool: its tests will be skipped"

.PHONY: unit
unit: $(VENV)/.dev promtool ## Pure code: no cluster, no program of ours
	@echo "== unit tests"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit -q -n 2 --dist worksteal -m "not programs"

.PHONY: coverage
coverage: $(VENV)/.dev promtool ## All unit tests; branch coverage of the decisions and the core, at least 95 %
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit -q -n 2 --dist loadfile --cov=lockstep_core --cov=lockstep_operator.decide --cov-branch --cov-report=term:skip-covered --cov-fail-under=95

GATEWAY_TESTS := tests/cluster/test_gateway_traefik.py tests/cluster/test_gateway_envoy.py

.PHONY: cluster
cluster: $(VENV)/.dev ## Against a real API server, etcd and controller-manager
	@echo "== cluster tests"
	@$(BIN)/python -m pytest tests/cluster -q --durations=12 $(CLUSTER_ARGS)

.PHONY: gateways
gateways: $(VENV)/.dev ## Those of the cluster tests that need Traefik and Envoy, which are built first
	@echo "== gateway tests"
	@$(DEVCLUSTER) binaries traefik envoy-gateway > /dev/null
	@$(BIN)/python -m pytest $(GATEWAY_TESTS) -q --durations=4

.PHONY: scale
scale: $(VENV)/.dev ## Counts with hundreds of models, run by hand
	@$(BIN)/python -m pytest tests/scale -q -s

.PHONY: e2e
e2e: $(VENV)/.dev images ## Real images on a real node
	@echo "== end-to-end tests"
	@$(BIN)/python -m pytest tests/e2e -q --durations=12

.PHONY: reliability
reliability: $(VENV)/.dev images ## The whole fault matrix under load (SCENARIOS="slow* promotion" picks some)
	@set -f; $(BIN)/python -m tests.reliability $(if $(SCENARIOS),$(SCENARIOS),--write)

# The programs of the cluster are compiled while the tests that need none of them run. The cluster
# tests have an API server of their own and mostly wait, so they run beside the images and the
# end-to-end tests; so does the compiling of the gateways, with what CPU is idle, and the tests
# through them come when it is done. A test that is skipped is a failure here.
.PHONY: test
test: export PYTEST_ADDOPTS := $(PYTEST_ADDOPTS) -p tests.full_run
test: disk-test $(VENV)/.dev ## Every test: lint, unit, cluster, e2e
	@mkdir -p $(LOGS)
	@$(DEVCLUSTER) binaries promtool > /dev/null
	@$(DEVCLUSTER) binaries kubernetes buildkit coredns versitygw > $(LOGS)/binaries.log 2>&1 & builder=$$!; \
	trap 'kill $$builder 2>/dev/null || true' EXIT; \
	echo "== cluster programs: building in the background, log in $(LOGS)/binaries.log"; \
	$(MAKE) --no-print-directory lint coverage; \
	echo "== waiting for the cluster programs"; \
	wait $$builder || { tail -n 40 $(LOGS)/binaries.log; exit 1; }
	@$(DEVCLUSTER) binaries --idle traefik envoy-gateway metrics-server >> $(LOGS)/binaries.log 2>&1 & builder=$$!; \
	( failed=0; \
	  $(MAKE) --no-print-directory cluster CLUSTER_ARGS="$(addprefix --ignore=,$(GATEWAY_TESTS))" || failed=1; \
	  $(MAKE) --no-print-directory gateways || failed=1; \
	  exit $$failed ) > $(LOGS)/cluster.log 2>&1 & cluster=$$!; \
	trap 'kill $$builder $$cluster 2>/dev/null || true' EXIT; \
	echo "== cluster and gateway tests: in the background, log in $(LOGS)/cluster.log"; \
	$(MAKE) --no-print-directory images; \
	failed=0; $(MAKE) --no-print-directory e2e || failed=1; \
	echo "== waiting for the cluster and gateway tests"; \
	wait $$cluster || failed=1; \
	cat $(LOGS)/cluster.log; \
	wait $$builder || { tail -n 40 $(LOGS)/binaries.log; failed=1; }; \
	exit $$failed

.PHONY: crds
crds: $(VENV)/.dev ## Generate the CRDs from operator/lockstep_operator/api
	@$(BIN)/python -m lockstep_operator.api.crd
