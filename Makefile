# Everything runs in .venv, made on the first call from the exact pins in requirements*.txt.
.DEFAULT_GOAL := help
.PHONY: help install demo demo-score evidence evidence-settings evidence-score test check-static check-tests check-slow check-gpu docs-check check-teachers check-learned bench bench-quick peers format clean

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
INSTALLED := .venv/installed
DEVELOP := .venv/installed-dev
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

# Annotations, tensor shapes too, are checked while tests run; an int passes for a float.
TYPES := tutelage,beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest "--jaxtyping-packages=$(TYPES)" -n $(WORKERS) --dist loadfile

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Tutelage needs Python 3.11 or newer: make PYTHON=python3.12 …") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

$(INSTALLED): requirements.txt pyproject.toml | .venv/bin/python
	@echo "Installing Tutelage into .venv: some minutes the first time"
	@$(PIP) -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(DEVELOP): requirements-dev.txt $(INSTALLED)
	@$(PIP) -r requirements-dev.txt
	@touch $@

install: $(INSTALLED) ## Install Tutelage and its dependencies into .venv

demo: $(INSTALLED) ## Run the proving ground; the report is runs/demo/report.html
	$(BIN)/tutelage demo

evidence: $(INSTALLED) ## Test every claim and control; some hours, resumable. Fills docs/evidence.md
	$(BIN)/tutelage train evidence --directory runs/evidence
	$(BIN)/tutelage train judge_calls --directory runs/judge_calls
	$(BIN)/python docs/write_evidence.py runs/evidence
	$(BIN)/python -m docs.write_judge_calls runs/judge_calls

evidence-settings: $(INSTALLED) ## The trials behind the evidence, on validation seeds: every method's settings, and the search for a recipe
	$(BIN)/tutelage train evidence_tuning --directory runs/tuning
	$(BIN)/tutelage train evidence_recipes --directory runs/recipes
	$(BIN)/python docs/write_evidence.py runs/recipes

demo-score: $(INSTALLED) ## Models that correct themselves, in minutes; the report is runs/score/report.html
	$(BIN)/tutelage train score_world --directory runs/score
	@cat runs/score/table.md

evidence-score: $(INSTALLED) ## Every claim on SCoRe, every baseline, five seeds; long, resumable. Fills docs/evidence.md
	$(BIN)/tutelage train score_evidence --directory runs/score-evidence
	$(BIN)/python docs/write_evidence.py runs/score-evidence

test: $(DEVELOP) ## All checks but the slow ones; the static ones run beside the tests
	@log=$$(mktemp); \
	{ $(MAKE) --no-print-directory check-static >"$$log" 2>&1; code=$$?; cat "$$log"; rm -f "$$log"; exit $$code; } & static=$$!; \
	$(MAKE) --no-print-directory check-tests; tests=$$?; \
	wait $$static; static=$$?; \
	[ $$static -eq 0 ] || echo "The static checks failed: make check-static"; \
	[ $$tests -eq 0 ] || echo "The tests failed: make check-tests"; \
	[ $$static -eq 0 ] && [ $$tests -eq 0 ]

check-static: $(DEVELOP) ## Format, lint, layers, types
	@code=0; for check in "ruff format --check ." "ruff check ." lint-imports pyright; do \
		echo "== $$check"; $(BIN)/$$check || code=1; \
	done; exit $$code

check-tests: $(DEVELOP) ## The tests, with types and shapes checked
	$(PYTEST) -m "not slow and not gpu"

check-slow: $(DEVELOP) ## The costly proofs
	$(PYTEST) -m slow

check-gpu: $(DEVELOP) ## The tests that need a CUDA device; skipped where there is none
	$(PYTEST) -m gpu

docs-check: $(DEVELOP) ## Run the code in README and docs, follow their links
	$(PYTEST) tests/test_docs.py

# Pins are complete, so nothing is resolved; --no-deps leaves out what the wheels ask for and text models do without.
.venv-%/installed: benchmarks/requirements-%.txt
	@echo "Installing $(@D): a minute or two"
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install -qq --disable-pip-version-check --no-deps -r $<
	@touch $@

peers: .venv-trl/installed .venv-vllm/installed ## Install what the benchmarks compare with, each in an environment of its own

bench-quick: $(INSTALLED) peers ## The main rows beside the peers, at most 15 minutes on 2 cores
	$(BIN)/python -m benchmarks quick

bench: $(INSTALLED) peers ## Every row; some hours (`python -m benchmarks all --missing` goes on). Fills the table of docs/performance.md
	$(BIN)/python -m benchmarks all

check-teachers: $(DEVELOP) ## What is claimed of teachers on servers, in 8 minutes; writes runs/teachers/summary.json
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.teachers

check-learned: $(INSTALLED) ## What is claimed of teachers that are trained here; resumable. Writes docs/results/learned.json
	$(BIN)/tutelage train learned --directory runs/learned
	$(BIN)/tutelage train thinking --directory runs/thinking
	$(BIN)/python docs/write_learned.py runs/learned/report/learned.json runs/thinking/learned_thinking.json

format: $(DEVELOP) ## Format the code and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove caches and build outputs; .venv and runs/ stay
	rm -rf build dist src/*.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
