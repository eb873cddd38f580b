# Every target does the set-up it needs by itself; `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
STAMP := $(VENV)/.installed
SOURCES := operator sandbox tests bench tools
ARGS ?=
# Processes that run tests: auto is two a core, because most tests wait; 0 runs one test after the other in this process.
WORKERS ?= auto
# Where the environment forbids byte code, every process compiles what it imports, and starts two to three times as slowly.
unexport PYTHONDONTWRITEBYTECODE
PYTEST = $(BIN)/pytest -n $(WORKERS) --durations=10
# Without bytecode every process of a run would compile every test and every library anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-fast lint fmt bench bench-peers docs chaos cluster chart-files dashboard-picture image images image-test release-check terraform lock clean

help:  ## Show this help
	@grep -hE '^[a-zA-Z0-9_-]+:.*?## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*?## "}; {printf "  \033[36m%-18s\033[0m %s\n", $$1, $$2}'

setup: $(STAMP)  ## Create .venv with everything; the command is then .venv/bin/mfa-operator

$(STAMP): pyproject.toml sandbox/pyproject.toml requirements/dev.txt requirements/uv.txt operator/mfa_operator/__init__.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . --editable sandbox
	touch $@

demo: setup  ## Run the operator on an embedded AWS and Kubernetes; ARGS=--once ends after the first pass
	$(BIN)/mfa-operator demo $(ARGS)

test: setup  ## Run every test, WORKERS=N at a time (the first run builds a Kubernetes control plane, about 10 minutes)
	$(PYTEST) $(ARGS)

test-fast: setup  ## Run the tests that need no control plane
	$(PYTEST) tests/unit tests/aws tests/kube $(ARGS)

docs: setup  ## Write the API and metrics references and the picture of the architecture from CRDs and code
	$(BIN)/python -m tools.reference

chaos: setup  ## Kill the operator 200 times, freeze the leader 60 times, play 500 random stories: a quarter of an hour
	MFA_CHAOS_RUNS=200 MFA_CHAOS_FREEZES=60 MFA_CHAOS_EXAMPLES=500 $(PYTEST) tests/faults $(ARGS)
	MFA_CHAOS_EXAMPLES=500 $(PYTEST) -m hypothesis tests/unit $(ARGS)

lint: setup  ## Check format, lint, types and layers
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: setup  ## Format the code and apply safe fixes
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(VENV)/.installed-bench  ## Measure calls, time and memory; results go to bench/README.md and bench/results
	$(BIN)/python -m bench $(ARGS)

$(VENV)/.installed-bench: $(STAMP) requirements/bench.txt
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/bench.txt
	touch $@

bench-peers: setup  ## Make virtual environments with the tools that the bench compares us with
	test -x .venv-prowler/bin/python || $(PYTHON) -m venv .venv-prowler
	$(UV) pip install --quiet --compile-bytecode --python .venv-prowler/bin/python prowler
	test -x .venv-custodian/bin/python || $(PYTHON) -m venv .venv-custodian
	$(UV) pip install --quiet --compile-bytecode --python .venv-custodian/bin/python c7n

cluster: setup  ## Start a real Kubernetes control plane with the CRDs and print its KUBECONFIG
	$(BIN)/python -m tests.controlplane $(ARGS)

terraform: setup  ## Have Terraform itself make what its modules say, compared with CloudFormation; needs terraform and its AWS provider
	$(BIN)/python -m tools.terraform

chart-files:  ## Copy the CRDs, alerts and dashboard into the chart, which can hold nothing from outside
	cp deploy/crds/*.yaml deploy/helm/mfa-operator/files/crds/
	cp deploy/prometheus/rules.yaml deploy/grafana/mfa-operator.json deploy/helm/mfa-operator/files/

dashboard-picture: $(VENV)/.installed-bench  ## Draw docs/images/dashboard.png: the dashboard's queries on a real Prometheus with sample data
	$(BIN)/python -m tools.dashboard_picture

IMAGE ?= mfa-operator:$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' operator/mfa_operator/__init__.py)
BUILDER ?= $(shell command -v buildah || command -v docker || echo docker)

image:  ## Build the image for this machine's architecture with buildah or docker; IMAGE=name:tag, ARGS="--build-arg PYTHON_IMAGE=…@sha256:…"
	$(BUILDER) build $(ARGS) --build-arg VERSION=$(lastword $(subst :, ,$(IMAGE))) -t $(IMAGE) -f Dockerfile .

PLATFORMS ?= linux/amd64,linux/arm64

images:  ## Build the image for amd64 and arm64 and push both under one name; IMAGE=registry/name:tag
	@case "$(IMAGE)" in */*:*) ;; *) echo "IMAGE=$(IMAGE) names no registry and tag to push to: IMAGE=registry.example.com/mfa-operator:0.1.0" >&2; exit 2;; esac
ifeq ($(notdir $(BUILDER)),buildah)
	if $(BUILDER) manifest exists $(IMAGE); then $(BUILDER) manifest rm $(IMAGE); fi
	$(BUILDER) build $(ARGS) --platform $(PLATFORMS) --manifest $(IMAGE) --build-arg VERSION=$(lastword $(subst :, ,$(IMAGE))) -f Dockerfile .
	$(BUILDER) manifest push --all $(IMAGE) docker://$(IMAGE)
else
	$(BUILDER) buildx build $(ARGS) --platform $(PLATFORMS) --push --build-arg VERSION=$(lastword $(subst :, ,$(IMAGE))) -t $(IMAGE) -f Dockerfile .
endif

image-test: setup  ## Build and start the image; PYTHON_IMAGE or BASE_ROOTFS name another base (see tests/image)
	$(BIN)/pytest tests/image -s $(ARGS)

release-check: setup  ## Build wheels, sdists, chart and image into dist/ and hold them to the one version; TAG=vX.Y.Z
	$(BIN)/python -m tools.release_check $(ARGS)

lock: setup  ## Resolve requirements/*.txt; pins stay as they are where they can, ARGS=--upgrade takes the newest
	$(LOCK) requirements/uv.in -o requirements/uv.txt
	$(LOCK) pyproject.toml -o requirements/runtime.txt
	$(LOCK) pyproject.toml sandbox/pyproject.toml --group dev -c requirements/runtime.txt -o requirements/dev.txt
	$(LOCK) pyproject.toml sandbox/pyproject.toml --group dev --group bench -c requirements/dev.txt -o requirements/bench.txt
	$(LOCK) requirements/sbom.in -c requirements/dev.txt -o requirements/sbom.txt

# The two distributions of this tree are installed from it, and looked up nowhere.
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header \
	--no-emit-package mfa-operator --no-emit-package mfa-operator-sandbox $(ARGS)

clean:  ## Remove the virtual environment and caches of this tree
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
