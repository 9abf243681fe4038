# Two commands: `make serve` and `make test`. Each installs what it needs into .venv first.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Python compiles what it imports; to compile everything takes pip as long as all else it does.
INSTALL := $(BIN)/pip install --quiet --no-compile --constraint constraints.txt
INSTALLED := .venv/installed
INSTALLED_FOR_TESTS := .venv/installed-for-tests

.PHONY: serve test lint benchmarks

serve: $(INSTALLED)
	$(BIN)/serfiq serve

test: $(INSTALLED_FOR_TESTS)
	$(BIN)/pytest

lint: $(INSTALLED_FOR_TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmarks: $(INSTALLED_FOR_TESTS)
	$(INSTALL) --editable '.[bench]'
	$(BIN)/python -m benchmarks.core; $(BIN)/python -m benchmarks.serve

# insightface asks for opencv-python, which needs a display's libraries (libGL). The headless build
# has the same modules and needs none: it goes in last, in the other's place.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	$(BIN)/pip uninstall --quiet --yes opencv-python opencv-python-headless
	$(INSTALL) --no-deps opencv-python-headless
	touch $(INSTALLED)

$(INSTALLED_FOR_TESTS): $(INSTALLED)
	$(INSTALL) --editable '.[dev]'
	touch $(INSTALLED_FOR_TESTS)
