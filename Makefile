# Every target works alone from a fresh clone; nothing here needs to be run first.
# PYTHON is the interpreter that the virtual environment is made from (3.11 or later).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_INSTALLED := $(VENV)/.installed-demo
TEST_INSTALLED := $(VENV)/.installed-test
# Modules are compiled when they are first imported: 15,461 files in the demo's set, most never are.
# Python has to be allowed to keep what it has compiled: else each process takes 8 s instead of 3.
unexport PYTHONDONTWRITEBYTECODE
COMPILE := $(BIN)/python -c 'import workbench.pipeline.runner, workbench.report' >/dev/null 2>&1 &
PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt
STUDIES := quickstart quickstart-gpt
ADAPTER := exports/quickstart-lora
# One worker per core; a test that waits for a machine does not keep the others waiting.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal
REPORT := exports/quickstart-report
ASSETS := minilm-l6 bbc-news smollm2-135m bbc-headlines

# Two of the sets cannot be installed at the same time.
.NOTPARALLEL:
.PHONY: help venv assets demo test test-all test-rest test-avx2 nightly check schema ui bench gpu torture build clean

help:
	@echo "make demo       fine-tune a real BERT and a small GPT four ways each and compare"
	@echo "make ui         open the UI"
	@echo "make test       unit tests, tiny trainings, one path on the real model and one in a browser"
	@echo "make test-all   and all on the real models, in the browser and on several processes"
	@echo "make test-avx2  make test as on a processor without AVX-512 and bf16"
	@echo "make nightly    the long sweeps, and what asserts a time"
	@echo "make check      lint, formatting and types"
	@echo "make schema     write recipes/schema.json, which editors complete recipes from"
	@echo "make bench      side by side with HF Trainer + PEFT; forecasts against measurements"
	@echo "make gpu        what needs a GPU, each figure beside its bar: one report in 8 minutes"
	@echo "make torture    kill, fill and damage tiny runs over and over: nothing may be lost"
	@echo "make build      wheel and sdist in dist/"
	@echo "make clean      remove the virtual environment and what was built; runs are kept"

# What is installed already stays: each set adds what it lacks.
venv: $(TEST_INSTALLED)

# pip 26.3 installs in 0.8 of the time of 23.2, which Python 3.11 brings.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; name another: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile pip==26.3
	@touch $@

$(DEMO_INSTALLED): $(VENV)/.created pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[demo]'
	@$(COMPILE)
	@touch $@

$(TEST_INSTALLED): $(VENV)/.created pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[test]'
	@$(COMPILE)
	@touch $(DEMO_INSTALLED) $@

assets: $(DEMO_INSTALLED)
	$(BIN)/workbench assets pull $(ASSETS)

demo: assets
	$(BIN)/workbench run $(STUDIES) --runs runs
	@for study in $(STUDIES); do \
		$(BIN)/workbench compare runs/$$study --baseline full || exit 1; echo; done
	@rm -rf $(ADAPTER)
	@lora=$$(dirname "$$(ls -t runs/quickstart/lora-s0-*/result.json | head -n 1)"); \
		$(BIN)/workbench export "$$lora" --output $(ADAPTER) >/dev/null & exporting=$$!; \
		$(BIN)/workbench report runs/quickstart --output $(REPORT) >/dev/null && wait $$exporting
	@echo
	@echo "report:       $(CURDIR)/$(REPORT)/report.html"
	@echo "adapter:      $(CURDIR)/$(ADAPTER)"
	@echo "open the UI:  $(BIN)/workbench ui"

# The tiers; README says what each protects.
REST := assets or browser or slow
LONG := nightly or perf

test: venv
	$(BIN)/workbench assets pull minilm-l6 bbc-news
	$(PYTEST) -m "smoke or not ($(REST) or $(LONG))"

test-all: test test-rest

test-rest: venv assets
	$(PYTEST) --timeout 600 -m "($(REST)) and not (smoke or $(LONG))"

# A kind of processor that many rented machines are, hidden from torch, oneDNN, MKL and OpenBLAS.
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
	OPENBLAS_CORETYPE=Haswell

test-avx2: venv assets
	$(AVX2) $(PYTEST) -m "smoke or not ($(REST) or $(LONG))"

nightly: venv assets test-avx2
	$(PYTEST) --timeout 3600 -m "nightly and not perf"
	$(BIN)/python -m pytest --timeout 3600 -m perf

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

schema: venv
	$(BIN)/python -c 'import json; from workbench.recipe import json_schema; \
		print(json.dumps(json_schema(), indent=2, ensure_ascii=False))' > recipes/schema.json.new
	mv recipes/schema.json.new recipes/schema.json

ui: $(DEMO_INSTALLED)
	$(BIN)/workbench ui

bench: venv assets
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.later_runs
	$(BIN)/python -m benchmarks.forecast
	$(BIN)/python -m benchmarks.ray_makespan

gpu: venv assets
	$(BIN)/python -m benchmarks.gpu

torture: venv
	$(BIN)/python -m tests.torture

build: venv
	rm -rf dist
	$(BIN)/python -m build --no-isolation

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
