# What one does with a checkout. `make test` alone is enough: each target makes the environment it
# needs first. Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
SEEDS ?= 1000
MINUTES ?= 3
FILE ?= bench.jsonl

.PHONY: setup check test simulate chaos bench clean

setup: $(VENV)/ready  ## a virtual environment with the package as it is here, and the tools

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable '.[dev]'
	touch $@

check: setup  ## format, lint, types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	mkdir -p .cache && ln -sfn .. .cache/stenella
	$(VENV)/bin/mypy

test: setup  ## all tests, 300 seeds of the simulation and half a minute of chaos among them
	$(VENV)/bin/pytest

simulate: setup  ## more seeds: make simulate SEEDS=5000
	$(VENV)/bin/pytest tests/simulation --seeds $(SEEDS)

chaos: setup  ## a real cluster that is killed, frozen and cut all the time: make chaos MINUTES=10
	$(VENV)/bin/python -m tests.chaos --minutes $(MINUTES)

bench: setup  ## all benchmarks, a line of JSON each appended: make bench FILE=today.jsonl
	$(VENV)/bin/stenella bench all $(FILE)

clean:  ## what builds and tools leave behind; the virtual environment stays
	rm -rf build dist .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
