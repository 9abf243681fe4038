# `make serve` and `make test` are all it takes: each installs what it needs into .venv first.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Python compiles what it imports; to compile everything takes pip as long as all else it does.
PIP_INSTALL := $(BIN)/pip install --quiet --no-compile --constraint constraints.txt
INSTALLED := .venv/installed
INSTALLED_FOR_TESTS := .venv/installed-for-tests

# insightface asks for opencv-python, which needs a display's libraries (libGL). The headless build
# has the same modules and needs none: it goes in last, in the other's place.
define install
$(PIP_INSTALL) --editable $(1)
$(BIN)/pip uninstall --quiet --yes opencv-python opencv-python-headless
$(PIP_INSTALL) --no-deps opencv-python-headless
endef

.PHONY: serve test lint evaluate benchmarks

serve: $(INSTALLED)
	$(BIN)/serfiq serve

test: $(INSTALLED_FOR_TESTS)
	$(BIN)/pytest

lint: $(INSTALLED_FOR_TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What `serfiq evaluate` needs besides: matplotlib, pyarrow, jinja2.
evaluate: $(INSTALLED)
	$(call install,'.[evaluate]')

benchmarks: $(INSTALLED_FOR_TESTS)
	$(call install,'.[bench]')
	status=0; $(BIN)/python -m benchmarks.core || status=$$?; \
	$(BIN)/python -m benchmarks.serve || status=$$?; exit $$status

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(call install,.)
	touch $(INSTALLED)

$(INSTALLED_FOR_TESTS): $(INSTALLED)
	$(call install,'.[dev]')
	touch $(INSTALLED_FOR_TESTS)
