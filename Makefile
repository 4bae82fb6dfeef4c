# `make run` does everything; `make help` lists the rest.
PROFILE ?= congested
STEPS ?=
PYTHON ?=
export PYTHON

PY := .venv/bin/python
PACKAGES := offload envs agents edge_server netem testbed evidence client_library examples tests benchmarks

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run setup setup-dev train evaluate test lint format tensorboard benchmark bench pretrained clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Variables: PROFILE=$(PROFILE), STEPS=... (training steps), QUICK=1 (benchmark), PYTHON=python3.12"

run: train evaluate  ## set everything up, train briefly, evaluate on PROFILE

setup:  ## .venv, Python packages and, where it may, system packages
	@scripts/setup.sh

setup-dev:
	@scripts/setup.sh --dev

train: setup  ## train an agent (STEPS=... sets how long)
	$(PY) train.py $(if $(STEPS),--steps $(STEPS))

evaluate: setup  ## compare every policy on a network profile (PROFILE=congested)
	$(PY) evaluate.py --profile $(PROFILE)

# Two workers more than cores: one has the tests of links, one the chaos suite, which mostly wait
# (tests/conftest.py).
# Every test is in one of the two parts; the second runs, and is reported, whatever the first found.
test: lint  ## linters, types, and the whole test suite: a part side by side, the rest one by one
	@failed=0; set -x; \
	$(PY) -m pytest -m "not alone" -n $$(($$(nproc) + 2)) --no-loadscope-reorder || failed=1; \
	$(PY) -m pytest -m alone || failed=1; \
	exit $$failed

lint: setup-dev  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

pretrained: setup-dev  ## train the bundles that ship, in agents/pretrained
	$(PY) -m agents.pretrain

format: setup-dev  ## let ruff put the sources in shape
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

tensorboard: setup  ## watch the training curves of runs/
	$(PY) -m tensorboard.main --logdir runs

benchmark: setup  ## key figures of every link and policy, live (QUICK=1: two minutes instead of twenty)
	$(PY) -m evidence.suite $(if $(QUICK),--quick)

bench: setup  ## regenerate the figures of benchmarks/
	@for script in benchmarks/*.py; do echo "== $$script"; $(PY) $$script || exit 1; done

clean:  ## remove caches; .venv, runs/ and results/ stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist ./*.egg-info
	find $(PACKAGES) -type d -name __pycache__ -prune -exec rm -rf {} +
