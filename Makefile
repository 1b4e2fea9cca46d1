# certledger: the commands that people and CI run. `make` alone lists them.

PYTHON ?= python3
# Further arguments: make test ARGS="-k merkle", make lock ARGS=--upgrade
ARGS ?=
# Processes that make test runs files in: most of them wait for browsers and nodes. 0: this one.
WORKERS ?= 2
# How long make soak and make kills take.
MINUTES ?= 10
# How many statements make statements reads, and a further interpreter that reads them.
STATEMENTS ?= 100000
OTHER ?=

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := -m pip --disable-pip-version-check --no-input install --quiet --progress-bar off
COMPILE := .venv-lock/bin/uv pip compile $(ARGS) --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help demo test test-postgresql serve soak kills statements screens messages characters formats figures lint style types imports contracts bench reference docs lock clean python

help:
	@echo "make demo       install, then run the whole story once on real processes"
	@echo "make test       install, then run the tests          (ARGS=... goes to pytest; WORKERS=2)"
	@echo "make test-postgresql  the same on a PostgreSQL server of its own   (ARGS=tests/audit ...)"
	@echo "make serve      a sample city with its pages on loopback, data in ./certledger-sample"
	@echo "make lint       style, types, import rules           (make -k lint: all findings)"
	@echo "make contracts  recompile the contracts and compare with what is committed"
	@echo "make bench      measure this machine"
	@echo "make soak       the pages in real browsers for MINUTES=10: nothing stuck, lost or growing"
	@echo "make kills      API processes and PostgreSQL killed in turn under load for MINUTES=10"
	@echo "make statements  STATEMENTS=100000, right and broken, in every reader   (OTHER=python3.13: in that, too)"
	@echo "make screens    pictures of every page into build/screens, the README's into docs/images"
	@echo "make messages   bring the pages' translations into step with their sources"
	@echo "make characters  the table of what a signed text may hold, made again (Python 3.11)"
	@echo "make formats    write docs/schemas and the tables of docs/formats.md from ledger/statement/kinds.py"
	@echo "make reference  write docs/reference and the index of decisions from the code and the ADRs"
	@echo "make docs       the documentation as a site, into build/docs; a broken link fails it"
	@echo "make figures    sizes of modules and functions, Any, SQL beside the tables, and their limits"
	@echo "make lock       write requirements/*.lock           (ARGS=--upgrade: newer versions)"
	@echo "make clean      remove environments and caches; data stays"
	@echo "PYTHON=python3.12 chooses the interpreter (3.11 or newer)"

# --- environments: made once, again when a lock or pyproject.toml changes -------------------------

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "certledger needs Python 3.11 or newer; $(PYTHON) is" \
	    "$$($(PYTHON) --version 2>&1 || true)." >&2; \
	  echo "Name another with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	  exit 1; }

define make_venv
@test -x $(1)/bin/python || $(PYTHON) -m venv $(1) || { rm -rf $(1); \
  echo "python -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
endef

define install_certledger
@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
endef

$(VENV)/.run: requirements/run.lock pyproject.toml | python
	$(call make_venv,$(VENV))
	@echo "Installing certledger into $(VENV) (a minute or so, once) ..."
	@$(BIN)/python $(PIP_INSTALL) --require-hashes --requirement requirements/run.lock
	$(install_certledger)
	@touch $@

# dev.lock holds run.lock and more, so it serves for both.
$(VENV)/.dev: requirements/dev.lock pyproject.toml | python
	$(call make_venv,$(VENV))
	@echo "Installing certledger and its tests' tools into $(VENV) (a minute or so, once) ..."
	@$(BIN)/python $(PIP_INSTALL) --require-hashes --requirement requirements/dev.lock
	$(install_certledger)
	@touch $(VENV)/.run $@

# The compiler cannot share an environment with the rest; see pyproject.toml.
.venv-contracts/.done: requirements/contracts.lock | python
	$(call make_venv,.venv-contracts)
	@echo "Installing the Vyper compiler into .venv-contracts ..."
	@.venv-contracts/bin/python $(PIP_INSTALL) --require-hashes --requirement $<
	@touch $@

.venv-docs/.done: requirements/docs.lock | python
	$(call make_venv,.venv-docs)
	@.venv-docs/bin/python $(PIP_INSTALL) --require-hashes --requirement $<
	@touch $@

.venv-lock/.done: | python
	$(call make_venv,.venv-lock)
	@.venv-lock/bin/python $(PIP_INSTALL) uv
	@touch $@

# --- what people run ------------------------------------------------------------------------------

demo: $(VENV)/.run
	@$(BIN)/certledger demo

serve: $(VENV)/.run
	@CERTLEDGER_DATA=certledger-sample $(BIN)/certledger serve --sample

bench: $(VENV)/.run
	@$(BIN)/certledger bench lookups
	@$(BIN)/certledger bench issue
	@$(BIN)/certledger bench trace --entries 100000
	@$(BIN)/certledger bench fsck --entries 100000
	@$(BIN)/certledger bench evidence

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS); outcome=$$?; \
	missing=""; \
	for tool in node npm go; do command -v $$tool >/dev/null 2>&1 || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then \
	  echo "Not found on this machine:$$missing. Skipped for it: those tests in tests/interop that"; \
	  echo "check the node and the log with programs in JavaScript and Go. certledger needs neither."; \
	fi; \
	if [ -z "$$CERTLEDGER_CHROMIUM" ] && ! command -v chromium >/dev/null 2>&1 \
	  && ! command -v chromium-browser >/dev/null 2>&1; then \
	  echo "No Chromium found on this machine. Skipped for it: the browser tests of the pages, in"; \
	  echo "tests/api/pages. On Debian: apt-get install chromium fonts-noto-cjk."; \
	fi; \
	if ! $(BIN)/python -c 'from tests.postgresql import programs; programs()' 2>/dev/null; then \
	  echo "No PostgreSQL server's programs found. Skipped for it: the tests of several processes."; \
	  echo "On Debian: apt-get install postgresql."; \
	fi; \
	exit $$outcome

# On a server that is made for it and gone after it.
test-postgresql: $(VENV)/.dev
	@$(PYTHON) tests/postgresql.py $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

# The pages under load in real browsers, for MINUTES.
soak: $(VENV)/.dev
	@CERTLEDGER_SOAK_MINUTES=$(MINUTES) $(BIN)/python -m pytest -s tests/api/pages/test_soak.py \
	  --timeout 3600

# Two API processes on PostgreSQL under 256 clients, each of the three killed five times in turn.
kills: $(VENV)/.dev
	@CERTLEDGER_KILL_MINUTES=$(MINUTES) $(BIN)/python -m pytest -s tests/api/service/test_processes_killed.py

# Every reader of statements on the same ones: Python, OTHER in an environment of its own, Node.js,
# Chromium.
statements: $(VENV)/.dev $(if $(OTHER),.venv-other/.dev)
	@CERTLEDGER_TEST_STATEMENTS=$(STATEMENTS) \
	  CERTLEDGER_TEST_PYTHONS=$(if $(OTHER),$(CURDIR)/.venv-other/bin/python) \
	  $(BIN)/python -m pytest tests/audit/test_statements.py --durations 8 --timeout 3600 $(ARGS)

.venv-other/.dev: requirements/dev.lock
	@test -x .venv-other/bin/python || $(OTHER) -m venv .venv-other
	@.venv-other/bin/python $(PIP_INSTALL) --require-hashes --requirement $<
	@touch $@

# Pictures of every page of a fresh sample city, to be looked at.
screens: $(VENV)/.dev
	@$(BIN)/python tests/api/pages/screens.py build/screens

# The pages' gettext catalogues, brought into step with templates and scripts.
messages: $(VENV)/.dev
	@$(BIN)/python -m api.generate.messages

# The table of what a text may hold, from a Python of Unicode 14.0 (3.11): never another version's.
characters: $(VENV)/.dev
	@$(BIN)/python -m api.generate.characters

# What follows from the declarations of statements; a test compares.
formats: $(VENV)/.dev
	@$(BIN)/python -m api.generate.formats

# Pages that follow from the code, and the exchange of bytes from a real run; tests compare.
reference: $(VENV)/.dev
	@$(BIN)/python -m api.generate.reference
	@$(BIN)/python -m tests.api.exchange

# Without a network; what a link names must be there. build/docs/index.html is the first page.
docs: .venv-docs/.done
	@.venv-docs/bin/python -m sphinx --builder html --fail-on-warning --keep-going --nitpicky \
	  --quiet --fresh-env --doctree-dir build/doctrees docs build/docs
	@! grep -rlE '<(script|link|img)[^>]* (src|href)="(https?:)?//' --include='*.html' build/docs || \
	  { echo "these pages fetch something from elsewhere" >&2; exit 1; }

# What tells whether the house is in order; over a limit it fails.
figures: $(VENV)/.dev
	@$(BIN)/python -m api.generate.figures

lint: style types imports

style: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev
	@$(BIN)/mypy

imports: $(VENV)/.dev
	@$(BIN)/lint-imports

contracts: .venv-contracts/.done
	@.venv-contracts/bin/python -m contracts.compile --check

lock: .venv-lock/.done
	@$(COMPILE) pyproject.toml requirements/build.in --output-file requirements/run.lock
	@$(COMPILE) pyproject.toml requirements/build.in --group dev \
	  --constraint requirements/run.lock --output-file requirements/dev.lock
	@$(COMPILE) --group pyproject.toml:contracts --output-file requirements/contracts.lock
	@$(COMPILE) --group pyproject.toml:docs --output-file requirements/docs.lock
	@! grep -n '://' requirements/*.lock || { echo "a lock holds an address" >&2; exit 1; }

clean:
	rm -rf $(VENV) .venv-contracts .venv-docs .venv-lock .venv-other build dist \
	  .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
