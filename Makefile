# Every habit of this project is a target here; CI calls the same ones.

# The newest Python that will do; another one: make PYTHON=python3.12 ...
PYTHON ?= $(firstword $(foreach name,python3.14 python3.13 python3.12 python3.11 python3,$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))

VENV := .venv
BIN := $(VENV)/bin
SCHEMAS := $(wildcard schemas/*.json)

# Which classes of the clinical backends clients may watch.
WATCHED := Message,LabResult,ECGReport,WoundAssessment,TreatmentPlan,Appointment

.DEFAULT_GOAL := help
.PHONY: help install run test test-all check format coverage conformance bench docs clean

help: ## Tell what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found on the PATH."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.served: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.developed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.served

install: $(VENV)/.served ## Install the server into .venv

run: export PARSE_SERVER_LIVEQUERY_CLASSNAMES ?= $(WATCHED)
run: $(VENV)/.served ## Serve on port 1337, with the data in ./data
	@$(BIN)/parse-clone serve --cloud cloud_code $(foreach file,$(SCHEMAS),--schemas $(file))

test: $(VENV)/.developed ## Run the tests; what this machine lacks is left out and named
	@$(BIN)/python -m tests.programs
	@$(BIN)/python -m pytest -q

test-all: export CI := true
test-all: test ## Run the tests; nothing may be left out

check: $(VENV)/.developed ## Format, lint, types, import contracts, spelling
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell

format: $(VENV)/.developed ## Format the code and repair what can be repaired
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

coverage: $(VENV)/.developed ## Run the tests and tell which lines they miss
	@$(BIN)/python -m pytest -q --cov --cov-report=term-missing:skip-covered --cov-report=html

conformance: $(VENV)/.developed ## Run parse-server's own specs against this server
	@$(BIN)/python -m tests.conformance

bench: $(VENV)/.developed ## Measure this server beside the npm parse-server
	@$(BIN)/python -m benchmarks

docs: $(VENV)/.served ## Write the pages that are made from the code
	@$(BIN)/parse-clone options > docs/settings.md
	@$(BIN)/python -m cloud_code.rights_page docs/healthcare.md

clean: ## Delete what was made; the data in ./data stay
	rm -rf $(VENV) build dist htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
