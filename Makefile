# Two commands: `make book` builds the book, `make test` tests everything. Both set up .venv first.
#   make book PYTHON=python3.12   with this Python, whichever made the .venv that is here
#   make book TORCH=cpu           with PyTorch's build without CUDA: an eighth of the download on Linux

PYTHON ?= python3
TORCH ?=
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
# `python -m`, not the scripts beside it: those do not start where a path has both a blank and a $.
RUN := $(BIN)/python -m
CHOSEN := $(if $(filter file default undefined,$(origin PYTHON)),,--chosen)

.PHONY: book test check pins benchmark corpus for-book for-test

book: for-book
	@$(RUN) attncourse.cli book

test: for-test
	@$(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20

# What the continuous integration also checks: form, types, who may import whom, and spelling.
check: for-test
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(RUN) codespell_lib

# That every pin can be installed on every Python and system that the README names; asks the index.
pins: for-test
	@$(RUN) pytest -q -n 4 tests/machines/test_pins.py

# Ratios to torch's own functions and to stock nbgrader, each within one run; on a quiet machine.
benchmark: for-test
	$(RUN) pytest tests/benchmarks --benchmark-quiet

# Hostile and broken submissions by stock nbgrader and by the referee, in the table that the
# instructor guide shows; about 25 minutes.
corpus: for-test
	@PYTHONPATH=tests $(BIN)/python -m instructor.corpus.compare --out book/results/corpus.csv

for-book for-test: for-%:
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) here. Name the Python to take: make $* PYTHON=/path/of/python3" >&2; exit 1; }
	@"$(PYTHON)" environment.py $* $(CHOSEN) --torch "$(TORCH)"
