# The commands a person types. `make run` and `make test` work as the first command in a fresh clone.
PYTHON ?= python3.11
UV_VERSION := 0.13.9
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)

.PHONY: run test lint ui report lock help
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: .venv/.done ## environment, data, whole pipeline, table of results
	@dvc pull --quiet data.dvc
	@dvc repro
	@digits restore
	@digits results

test: .venv/.done ## the whole test suite (slow ones too)
	@pytest

lint: .venv/.done ## ruff and mypy
	@ruff check .
	@ruff format --check .
	@mypy src

ui: .venv/.done ## MLflow at http://127.0.0.1:5000
	@MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --workers 1 \
		--backend-store-uri sqlite:///$(CURDIR)/mlflow.db \
		--default-artifact-root file://$(CURDIR)/mlartifacts

report: .venv/.done ## the page with all results, in the browser
	@dvc repro --quiet report
	@python -m webbrowser file://$(CURDIR)/artifacts/report/index.html >/dev/null 2>&1 || true
	@echo $(CURDIR)/artifacts/report/index.html

lock: .venv/.done ## resolve requirements.lock anew
	@uv pip compile pyproject.toml --extra dev --python-version 3.11 --quiet --upgrade \
		--generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' --output-file requirements.lock

# A stamp, because an interrupted installation leaves a .venv that is no environment.
.venv/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "error: $(PYTHON) is not Python 3.11; name one with make PYTHON=…" >&2; exit 4; }
	@echo "environment: .venv (once)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
