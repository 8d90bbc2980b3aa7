# Two commands do everything: `make up` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet install
export PIP_NO_INPUT := 1
PATH ?= /usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export PATH

# Tests of one database that make sense through a pooler too.
POOLED := $(addprefix brex_sync_tests/, engine/test_equality.py engine/test_run_log.py \
	engine/test_crash.py warehouse/test_leases.py warehouse/test_request_loans.py \
	connections/test_alerts.py workflows/test_run.py webhooks/test_receiver.py \
	webhooks/test_processing.py)

.PHONY: up test browser-test crash-test dbt-test history-test pooler-test mutation-test bench docs \
	lock clean

up: $(VENV)/run.done  ## install, start everything, sync
	@$(BIN)/brex-sync up

test: $(VENV)/dev.done  ## install, check style and types, run the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not crash and not browser and not history and not pooler and not dbt"

crash-test: $(VENV)/dev.done  ## kill syncs and workflows at many moments, and look
	$(BIN)/pytest -n 2 --dist worksteal -m crash

history-test: $(VENV)/dev.done  ## live through hundreds of histories of every stream
	$(BIN)/pytest -n 2 --dist worksteal -m history

pooler-test: $(VENV)/dev.done  ## sync, and all else, through PgBouncer in transaction mode
	@command -v pgbouncer >/dev/null || test -x /usr/sbin/pgbouncer || \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq pgbouncer; \
		else echo "pooler-test needs PgBouncer: apt-get install pgbouncer" >&2; exit 1; fi
	$(BIN)/pytest -m pooler
	$(BIN)/pytest --pooler -m "not crash and not pooler" $(POOLED)

mutation-test: $(VENV)/dev.done  ## break the engine on purpose, and see that tests notice
	$(BIN)/python -m brex_sync_tests.mutants

browser-test: $(VENV)/browser.done  ## click through the UI in Chromium
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq chromium; \
		else echo "browser-test needs Chromium: apt-get install chromium" >&2; exit 1; fi
	$(BIN)/pytest -m browser

dbt-test: $(VENV)/dev.done $(VENV)-dbt/done  ## parse, test and build on the dbt package, with dbt
	BREX_SYNC_TEST_DBT=$(CURDIR)/$(VENV)-dbt/bin/dbt $(BIN)/pytest -m dbt

bench: $(VENV)/bench.done  ## measure, and write docs/benchmarks.md
	$(BIN)/python -m benchmarks

docs: $(VENV)/dev.done  ## write docs/tables, docs/marts, docs/errors.md and generated tables from the code
	$(BIN)/python -m docs.generator

lock:  ## resolve setup.py into requirements/*.lock (needs uv)
	requirements/lock.sh

clean:  ## forget the virtual environment; data in BREX_SYNC_HOME stays
	rm -rf $(VENV) $(VENV)-dbt

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "brex-sync needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "this Python lacks venv: on Debian, apt-get install python3-venv" >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)-dbt/done: requirements/dbt.lock
	@$(PYTHON) -m venv $(VENV)-dbt
	@$(VENV)-dbt/bin/pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

$(VENV)/%.done: requirements/%.lock setup.py | $(VENV)/bin/pip
	@echo "Installing the locked dependencies ($*), once; this takes a minute or two …"
	@$(PIP) --require-hashes -r requirements/$*.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@
