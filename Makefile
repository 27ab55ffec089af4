# Everything a newcomer or a machine needs; `make` alone lists it. Each target sets up what it needs by itself.
#
#   make test KUBECONFIG=~/.kube/dev     uses a cluster of one's own. Only when given like this, on the command line:
#                                        a variable that happens to be in the environment is never used.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
PY := .venv/bin/python
OWN_CLUSTER :=
ifeq ($(origin KUBECONFIG),command line)
OWN_CLUSTER := $(abspath $(patsubst ~/%,$(HOME)/%,$(KUBECONFIG)))
export ACCORD_TEST_KUBECONFIG := $(OWN_CLUSTER)
endif
unexport KUBECONFIG

# In this order to four processes: most tests wait more than they compute. What has a cluster to itself is one group
# (tests/conftest.py), and the longest is begun first. The local cluster is tested only where it is what the others run
# on, and the trainer outside of one only where images are built here.
SUITES := $(wildcard $(addprefix tests/,e2e $(if $(OWN_CLUSTER),,devcluster trainer) apiserver prometheus envoy gateways kueue ray gitops page \
	example golden unit))
SIDE_BY_SIDE := --numprocesses=4 --no-loadscope-reorder --every-right-used
# All of the decisions, each branch.
COVERAGE := --cov=accord.domain --cov-branch --cov-report=term:skip-covered --cov-fail-under=95
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host $(if $(UPGRADE),--upgrade)

.PHONY: help
help: ## This list
	@echo "make TARGET, where TARGET is one of:"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 12
	@echo "demo and test take KUBECONFIG=FILE on the command line, to use a cluster of your own."

.PHONY: demo
demo: .venv/.ready ## A cluster, Accord and live traffic on it, from nothing
	$(PY) -m demo $(if $(OWN_CLUSTER),--kubeconfig $(OWN_CLUSTER))

.PHONY: test
test: .venv/.ready ## All tests, on real programs (TESTS=tests/unit for some)
ifdef TESTS
	@$(PY) -m tools.groundwork --few
	$(PY) -m pytest $(TESTS)
else
	@$(PY) -m tools.groundwork $(if $(OWN_CLUSTER),--few)
	$(PY) -m pytest $(SIDE_BY_SIDE) $(COVERAGE) $(SUITES)
endif

.PHONY: test-stores
test-stores: .venv/.ready ## Tests of Prometheus on Prometheus 3 and VictoriaMetrics, built from source
	@$(PY) -c "from devcluster import programs, progress; programs.ensure(programs.OF_STORES, progress.Progress())"
	for store in prometheus victoria-metrics; do ACCORD_TEST_STORE=$$store $(PY) -m pytest tests/prometheus || exit 1; done

.PHONY: test-alerts
test-alerts: .venv/.ready ## Every alert provoked once, on a real Prometheus and operator (six minutes, most of them waiting)
	$(PY) -m pytest -s tests/alerts

.PHONY: test-argocd
test-argocd: .venv/.ready ## GitOps with a real Argo CD, built from source (nine minutes, once)
	$(PY) -m pytest -s tests/argocd

.PHONY: test-flux
test-flux: .venv/.ready ## GitOps with a real Flux, built from source (fifteen minutes, once)
	$(PY) -m pytest -s tests/flux

.PHONY: test-collector
test-collector: .venv/.ready ## Spans through a real OpenTelemetry Collector, built from source (three minutes, once)
	ACCORD_TEST_COLLECTOR=1 $(PY) -m pytest tests/apiserver/test_traces.py

.PHONY: test-lessons
test-lessons: .venv/.ready ## Every command of the tutorials, typed on the local cluster
	$(PY) -m pytest -s tests/lessons

.PHONY: test-upgrade
test-upgrade: .venv/.ready ## Chart upgraded from an earlier commit, taken back and removed, under load (FROM=REF)
	$(if $(FROM),ACCORD_UPGRADE_FROM="$(FROM)") $(PY) -m pytest -s tests/upkeep/test_upgrade.py

.PHONY: test-report
test-report: .venv/.ready ## The demo, told on a cluster of its own, and what `accord report` says of it and of faults
	$(PY) -m pytest -s tests/upkeep/test_report.py

.PHONY: check
check: .venv/.ready ## Form, types, layers, generated files, chart and manifests; no cluster
	@$(PY) -m tools.check

.PHONY: format
format: .venv/.ready ## Put all Python files into form
	.venv/bin/ruff check --quiet --fix-only .
	.venv/bin/ruff format --quiet .

.PHONY: up
up: ## Start the local cluster, or mend it
	$(PYTHON) -m devcluster up

.PHONY: down
down: ## Remove the local cluster without a trace
	$(PYTHON) -m devcluster down

.PHONY: lock
lock: .venv/.ready ## Pin the dependencies in requirements/ (UPGRADE=1 for newer ones)
	for name in requirements/operator requirements/cli requirements/traces requirements/build requirements/dev requirements/bench requirements/site requirements/audit examples/service/requirements devcluster/csi/requirements; do \
	  $(COMPILE) --output-file $$name.txt $$name.in || exit 1; done
	$(PY) -m tools.pins requirements/trainer

.PHONY: crds
crds: .venv/.ready ## Generate CRDs, the chart's copies, the kustomize base and the reference pages
	.venv/bin/accord crds --write crds
	$(PY) -m tools.reference
	$(PY) -m tools.generate

.PHONY: golden
golden: .venv/.ready ## Rewrite the expected outputs in tests/golden; read the difference before you commit
	ACCORD_GOLDEN=write $(PY) -m pytest --quiet tests/unit tests/golden

.PHONY: bench
bench: .venv/.bench ## Measure latencies, scale and idleness
	for bench in tests/bench/bench_*.py; do PYTHONPATH=.:operator:trainer $(PY) $$bench || exit 1; done

.PHONY: site
site: .venv/.site ## The documentation as a site in build/site, every link of it checked
	@$(PY) -m tools.site

.PHONY: audit
audit: .venv/.audit ## Known vulnerabilities of the pinned Python packages, as PyPI has them (needs its JSON API)
	.venv/bin/pip-audit --strict --disable-pip --require-hashes $(addprefix --requirement=,$(wildcard requirements/*.txt))

.PHONY: release
release: .venv/.ready ## Everything that is published of HEAD, in dist/VERSION (VERSION=1.2.3)
	@$(PY) -m tools.release "$(VERSION)"

.PHONY: clean
clean: ## Remove .venv and what tools left in the checkout; the cache of programs stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name '*.egg-info' -type d -prune -exec rm -rf {} +

# Brought up to date whenever the lock changes; an interrupted run continues where it stopped.
.venv/.ready: requirements/dev.txt pyproject.toml
	@test -x .venv/bin/pip || $(PYTHON) -m venv .venv || { echo "python3 cannot make a virtual environment: apt-get install python3-venv" >&2; exit 1; }
	@echo "setting up .venv from requirements/dev.txt"
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.bench: requirements/bench.txt .venv/.ready
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/bench.txt
	@touch $@

.venv/.audit: requirements/audit.txt .venv/.ready
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/audit.txt
	@touch $@

.venv/.site: requirements/site.txt .venv/.ready
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/site.txt
	@touch $@
