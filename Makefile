# `make run` and `make test` need nothing but make and Python 3.11 or newer; they set up the rest in .venv, once.

PYTHON ?= python3
BIN := .venv/bin
LOCK := $(BIN)/pip-compile --quiet --no-header --strip-extras --annotation-style=line \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# Packages that only some nodes need: make run EXTRAS="agents mcp". What was installed once is kept up to date.
EXTRAS ?=
ALL_EXTRAS := $(patsubst extras/%.txt,%,$(wildcard extras/*.txt))
INSTALLED := $(filter $(ALL_EXTRAS),$(patsubst .venv/%.stamp,%,$(wildcard .venv/*.stamp)))

.PHONY: run test check soak bench docs lock clean
.NOTPARALLEL:

run: .venv/runtime.stamp $(patsubst %,.venv/%.stamp,$(sort $(EXTRAS) $(INSTALLED)))  ## serve on http://127.0.0.1:8000
	@exec $(BIN)/python workflow_server.py

# Tests that kill servers or measure them want the machine for themselves; all others share it, a process each core.
ALONE := tests/faults tests/test_benchmarks.py

test: .venv/dev.stamp  ## all tests; choose with ARGS="-k word"
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(ALONE:%=--ignore=%)
	@$(BIN)/python -m pytest $(ALONE)
endif

check: .venv/dev.stamp  ## lint, format, types, then all tests, among them those of the generated documents
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(MAKE) --no-print-directory test ARGS=

soak: .venv/dev.stamp  ## kill servers at random for ten minutes; HEADRACE_SOAK_SECONDS says for how long, ARGS="-k word" chooses
	@HEADRACE_SOAK_SECONDS=$${HEADRACE_SOAK_SECONDS:-600} $(BIN)/python -m pytest tests/faults -m soak $(ARGS)

bench: .venv/dev.stamp  ## measure all that docs/performance.md describes, each for a short time
	@$(BIN)/python benchmarks/engine.py
	@$(BIN)/python benchmarks/startup.py --repeat 3
	@$(BIN)/python benchmarks/requests.py --rounds 1
	@$(BIN)/python benchmarks/webhook.py --rounds 1
	@$(BIN)/python benchmarks/schedules.py
	@$(BIN)/python benchmarks/history.py --runs 200000
	@$(BIN)/python benchmarks/recovery.py

docs: .venv/runtime.stamp  ## write what is generated from the code: settings, nodes, credentials
	@$(BIN)/python config.py > docs/settings.md
	@$(BIN)/python -m nodes.page > docs/nodes.md
	@$(BIN)/python -m nodes.credentials_page > docs/credential-types.md
	@$(BIN)/python config.py --env > .env.example

lock: $(BIN)/python  ## pin everything that the .in files ask for, keeping the pins that still fit
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-tools
	@$(LOCK) --output-file requirements.txt requirements.in
	@for extra in extras/*.in; do $(LOCK) --output-file $${extra%.in}.txt $$extra || exit 1; done
	@$(LOCK) --output-file requirements-dev.txt requirements-dev.in

clean:  ## remove what the other targets made, but never data/
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis

.venv/runtime.stamp: requirements.txt | $(BIN)/python
	@echo "Installing packages"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# requirements-dev.txt has the runtime packages too.
.venv/dev.stamp: requirements.txt requirements-dev.txt | $(BIN)/python
	@echo "Installing packages for development"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ .venv/runtime.stamp

.venv/%.stamp: extras/%.txt .venv/runtime.stamp
	@echo "Installing packages for $*"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

extras/%.txt:
	@echo "There is no extra $*; there are: $(ALL_EXTRAS)"; exit 1

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Headrace needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv --clear .venv
