# The commands a person types. `make run` and `make test` work as the first command in a fresh clone;
# PYTHON=python3.12 chooses the Python of the environment.
# GNU make 3.81, as on macOS, looks for programs on our PATH only with a shell that is not /bin/sh.
SHELL := /bin/bash
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
DEMO_PORT ?= 7860
ui: MLFLOW_PORT ?= 5000

.PHONY: install run test test-all lint docs ui report data-docs demo up down team team-down lock help
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.done ## the environment only: .venv with all packages

run: .venv/.done ## environment, data, what changed of the pipeline, table of results
	@[ -f data.dvc ] || { echo 'error: data: no data.dvc yet: put images into data/, then `dvc add data`' >&2; exit 3; }
	@dvc pull --quiet data.dvc $(wildcard backbones/*.dvc) 2> >(grep -v '^No remote provided' >&2) || { echo 'error: data: differs from data.dvc, or cannot be fetched: `dvc pull data.dvc` says why; `dvc add data` keeps what lies there, `dvc pull --force data.dvc` overwrites it' >&2; exit 3; }
	@digits run

# One process more than cores: tests of servers wait.
PYTEST = pytest --dist loadfile --no-loadscope-reorder --numprocesses $$(python -c 'import os; print(min(4, 1 + os.cpu_count()))')

test: .venv/.done ## what a change can break, in about 5 minutes
	@$(PYTEST) -m "not slow" $(TESTS)

test-all: .venv/.done ## all tests, with those that are slow: workers, outages, browser, a team's servers
	@$(PYTEST) $(TESTS)

test-library: .venv/.done ## the library alone: its wheel in an empty environment, and its tests there
	@sh library/tests/alone.sh $(TESTS)

lint: .venv/.done ## ruff, mypy and import-linter
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports --no-cache >.venv/imports.log || { cat .venv/imports.log; exit 1; }

docs: .venv/.done ## the documentation as a site
	@python -m sphinx --quiet --fresh-env --write-all --fail-on-warning --keep-going docs docs/_build
	@echo "$(CURDIR)/docs/_build/index.html"

ui: export MLFLOW_TRACKING_URI := # the page shows the file below, wherever else runs may be logged
ui: export MLFLOW_DISABLE_TELEMETRY := true
ui: export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
ui: .venv/.done ## MLflow in the browser: errors, time and curves of all models
	@(( 0 < 10#$(MLFLOW_PORT) && 10#$(MLFLOW_PORT) < 65536 )) 2>/dev/null || { \
		echo "error: MLFLOW_PORT: '$(MLFLOW_PORT)' is no port; 1 to 65535 is allowed" >&2; exit 2; }
	@python -c "import socket; socket.create_server(('127.0.0.1', $(MLFLOW_PORT)))" 2>/dev/null || { \
		echo "error: port $(MLFLOW_PORT) is taken; choose another with make ui MLFLOW_PORT=…" >&2; exit 6; }
	@mkdir -p .state
	@address=$$(digits ui $(MLFLOW_PORT)) || exit; \
		( until (exec 3<>/dev/tcp/127.0.0.1/$(MLFLOW_PORT)); do kill -0 $$$$ && sleep 0.5 || exit; done; \
			echo "$$address   Ctrl-C ends it" >&3; python -m webbrowser "$$address" ) 3>&1 >/dev/null 2>&1 & \
		mlflow ui --app-name imageproof --port $(MLFLOW_PORT) --workers 1 \
			--backend-store-uri "sqlite:///$(CURDIR)/mlflow.db" \
			--default-artifact-root "file://$(CURDIR)/mlartifacts" >.state/ui.log 2>&1 & \
		server=$$!; trap 'kill $$server; wait $$server; exit 0' INT TERM; \
		wait $$server || { echo "error: MLflow ended; see .state/ui.log" >&2; exit 4; }

report: .venv/.done ## the page with all results, in the browser
	@[ -d data ] || { echo 'error: report: no results yet: `make run` makes them, `dvc pull && digits restore` fetches the published ones' >&2; exit 3; }
	@digits run report
	@python -m webbrowser "file://$(CURDIR)/artifacts/report/index.html" >/dev/null 2>&1 || true
	@echo "$(CURDIR)/artifacts/report/index.html"

DATA_DOCS := artifacts/validate/data_docs
data-docs: .venv/.done ## the checks of the data as Great Expectations' Data Docs, in the browser
	@rm -rf $(DATA_DOCS)
	@dvc repro --quiet pack
	@python -m digits.stages.validate --docs || [ -f $(DATA_DOCS)/index.html ]
	@python -m webbrowser "file://$(CURDIR)/$(DATA_DOCS)/index.html" >/dev/null 2>&1 || true
	@echo "$(CURDIR)/$(DATA_DOCS)/index.html"

demo: .venv/.done ## draw or drop a picture; champion and challenger say what they see
	@digits demo --browser --port $(DEMO_PORT) || [ $$? -eq 130 ]

up: .venv/.done ## MLflow, a Prefect server and a worker in the background, with the deployments
	@deploy/servers.sh up

down: ## stop what `make up` started
	@deploy/servers.sh down

team: .venv/.done ## the servers of a team on this machine: PostgreSQL, S3, MLflow, Prefect, Dask, workers
	@deploy/servers.sh team

team-down: ## stop what `make team` started
	@deploy/servers.sh team-down

bench: .venv/.done ## measure everything side by side, about three hours: docs/benchmarks.md
	@python -m benchmarks

COMPILE = uv pip compile --universal --python-version 3.11 --fork-strategy fewest --quiet \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'
NEWER ?= --upgrade
lock: .venv/.done ## resolve requirements*.lock anew, for each Python and platform
	@$(COMPILE) pyproject.toml --all-extras --group dev --group docs $(NEWER) \
		--no-emit-package imageproof --output-file requirements.lock
	@for group in serve serve-log; do $(COMPILE) --group library/pyproject.toml:$$group \
		--constraint requirements.lock $(NEWER) --no-annotate \
		--output-file library/requirements-$$group.lock || exit; done

.venv/.done: FORCE
	@sh environment.sh $(PYTHON)
FORCE:
