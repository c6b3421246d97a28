# Every recipe is one line; whatever is longer lives in tools/. Each target sets up what it needs, and can be run twice.

PYTEST := .venv/bin/pytest
# Lanes of tests side by side: one more than cores, as many tests wait; four at most, as each may hold a cluster in memory.
LANES ?= $(shell n=$$(nproc); echo $$((n < 3 ? n + 1 : 4)))
export PATH := $(PATH):/usr/sbin:/sbin
# Tests start hundreds of Pythons: each would compile all it imports where a machine forbids keeping what was compiled.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-print-directory

.PHONY: help demo test test-all check fmt crds monitoring pages docs release-dry manifests bpf tools images e2e soak vm fresh setup doctor clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: ready-net bpf ## watch real XDP on this machine absorb a burst, after a look at what the machine can do
	@tools/demo.sh

test: ready-all bpf static tools ## the whole ladder, with at most 2 minutes of its slow ones in each lane
	@$(PYTEST) -n $(LANES) --slow=slice

test-all: ready-all bpf static tools ## everything that this machine can run
	@$(PYTEST) -n $(LANES) --slow=all

check: ready-check bpf static ## what every commit must pass: style, types, contracts, unit, conformance and BPF tests
	@$(PYTEST) -n $(LANES) --slow=none $(wildcard tests/unit tests/conformance tests/bpf)

fmt: ready-check ## lay out Python and C as `make check` wants them
	@.venv/bin/ruff check --fix-only . && .venv/bin/ruff format . && $(MAKE) -C bpf format

crds: ready-check ## write crds/, the chart's copy and docs/reference from the models in api/
	@.venv/bin/python -m sentinel_api.crdgen

monitoring: ready-check ## write alerts, runbooks and Grafana's dashboards from tools/monitoring
	@PYTHONPATH=tools/monitoring .venv/bin/python -m monitoring

pages: ready-check bpf ## write the reference pages that follow from the code, and the chart's README
	@PYTHONPATH=tools/pages .venv/bin/python -m pages

docs: ready-check ## build the documentation site to out/site/, strictly
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet --config-file tools/site/mkdocs.yml --site-dir ../../out/site

release-dry: tools ## build wheel, chart and changelog to out/release/ and check that they agree (IMAGES=1: images too)
	@tools/release.sh

manifests: tools ## render the chart to one file for kubectl apply
	@tools/manifests.sh

bpf: ready-check ## compile every BPF object to bpf/build/
	@$(MAKE) -s -C bpf all tests

tools: ready-cluster ## build etcd, kube-apiserver, kubelet and friends into the cache (once; 10 minutes on 2 cores)
	@tools/cluster-tools.sh

images: ready-cluster ## build the operator's and the agent's image to out/images/, without a daemon
	@tools/images.sh

e2e: tools images bpf ## the whole on a cluster of its own: install, faults, removal: make e2e [FORMER=checkout of the last release]
	@SENTINEL_FORMER=$(FORMER) $(PYTEST) tests/e2e -m 'not soak'

soak: tools images bpf ## random faults under load on a cluster of its own: make soak [MINUTES=30] [SEED=…]
	@SENTINEL_SOAK_MINUTES=$(or $(MINUTES),30) SENTINEL_SOAK_SEED=$(SEED) $(PYTEST) -s tests/e2e/test_soak.py

vm: ready-vm bpf ## run tests inside another kernel: make vm [TEST=tests/…] [KERNEL=name|all]
	@tools/vm/run $(if $(KERNEL),--kernel $(KERNEL)) $(TEST)

fresh: ready-cluster ## what a new user meets: make fresh [SUITE=bookworm|trixie|noble] [TARGET=check]
	@tools/fresh.sh $(or $(SUITE),noble) $(or $(TARGET),check)

setup: ready-all ## only set up: packages, Python environment (everything above does it by itself)

doctor: ready-check ## what this machine can do, and what is missing
	@.venv/bin/sentinel doctor

clean: ## remove what was built in the tree (ALL=1: the Python environment too; the cache folder stays)
	@rm -rf build out dist bpf/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache $(if $(ALL),.venv)

# Set-up levels (tools/setup.sh): quick when nothing is to do.
.PHONY: ready-check ready-net ready-cluster ready-vm ready-all static
ready-check:
	@tools/setup.sh check
ready-net:
	@tools/setup.sh check net
ready-cluster:
	@tools/setup.sh check net cluster
ready-vm:
	@tools/setup.sh check net vm
ready-all:
	@tools/setup.sh check net cluster vm

static: ready-check
	@tools/check.sh
