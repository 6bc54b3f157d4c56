# What one does with a checkout. Another interpreter: make setup PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
SEEDS ?= 1000

.PHONY: setup check test simulate clean

setup:  ## a virtual environment with the package as it is here, and the tools
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable '.[dev]'

check:  ## format, lint, types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	mkdir -p .cache && ln -sfn .. .cache/stenella
	$(VENV)/bin/mypy

test:  ## all tests, 50 seeds of the simulation among them
	$(VENV)/bin/pytest

simulate:  ## more seeds: make simulate SEEDS=5000
	$(VENV)/bin/pytest tests/simulation --seeds $(SEEDS)

clean:  ## what builds and tools leave behind; the virtual environment stays
	rm -rf build dist .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
