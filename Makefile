# Two commands: `make book` builds the book, `make test` tests everything. Both set up .venv first.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: book test check benchmark corpus

book: .venv/.book-installed
	@$(BIN)/attncourse book

test: .venv/.test-installed
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20

# What the continuous integration also checks: form, types, who may import whom, and spelling.
check: .venv/.test-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/codespell

# Ratios to torch's own functions and to stock nbgrader, each within one run; on a quiet machine.
benchmark: .venv/.test-installed
	$(BIN)/pytest tests/benchmarks --benchmark-quiet

# Hostile and broken submissions by stock nbgrader and by the referee, in the table that the
# instructor guide shows; about 15 minutes.
corpus: .venv/.test-installed
	@PYTHONPATH=tests $(BIN)/python -m instructor.corpus.compare --out book/results/corpus.csv

# .venv/.book-installed installs the extra `book`; the stamp is written once pip has succeeded.
.venv/.%-installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("The course needs Python 3.11 or later; $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
