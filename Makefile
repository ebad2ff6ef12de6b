PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ONESOURCE := $(BIN)/onesource

.PHONY: run test check fix lock bench prove clean

run: $(VENV)/run.stamp   ## set everything up, build the demo city, serve it
	$(ONESOURCE) serve

test: $(VENV)/dev.stamp  ## set everything up, run every test, two files at a time
	$(BIN)/pytest -q -n 2 --dist loadfile

check: $(VENV)/dev.stamp ## format, lint, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: $(VENV)/dev.stamp   ## format and mend what a tool can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/dev.stamp ## the look-up against the same queries by hand, as a ratio; decisions at any number of rules
	$(BIN)/python -m benchmarks.lookup
	$(BIN)/python -m benchmarks.policy
	$(BIN)/python -m benchmarks.connectors
	$(BIN)/python -m benchmarks.ledger
	$(BIN)/python -m benchmarks.sources

prove: $(VENV)/dev.stamp ## the long proofs
	$(BIN)/pytest -q tests/demo/prove_memory.py
	$(BIN)/pytest -q tests/policies/prove_engine.py tests/policies/prove_races.py
	$(BIN)/pytest -q -s tests/leaks/prove_twins.py tests/leaks/prove_routes.py tests/leaks/prove_mutants.py
	$(BIN)/pytest -q tests/audit/prove_kill.py
	$(BIN)/pytest -q tests/audit/prove_tamper.py tests/audit/prove_sealing_kill.py

lock:                    ## resolve the versions anew (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra build pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra build --extra dev pyproject.toml -c requirements.lock -o requirements-dev.lock

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "onesource needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q && apt-get install -y -q python3-venv && $(PYTHON) -m venv $(VENV); \
	  else echo "Python cannot make a virtual environment here: apt-get install python3-venv" >&2; exit 1; fi; }

$(VENV)/run.stamp: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@ $(VENV)/run.stamp

clean:                   ## remove the environment and everything that was built
	rm -rf $(VENV) var
