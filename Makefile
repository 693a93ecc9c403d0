# Everything happens in .venv; a stamp there, named by a checksum of what it stands for, makes a second call instant.
#   make run     set up and do the main job: every question in analyses/, its table, its forest plots, the report page
#   make test    set up and pass the tests
#   make check   what a change must pass: lint, types, contracts, tests, the records themselves
#   make docs       builds the documentation's site into site/;  make notebooks  opens the notebooks
#   make test-all, wheel, bench, lock, format, clean: see CONTRIBUTING.md

VENV  := .venv
BIN   := $(VENV)/bin
PY    := $(BIN)/python
STAMP := $(VENV)/stamps

# The first Python that can do it: 3.11 is what the locks were resolved for and CI runs.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
    "$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

checksum = $(firstword $(shell cat $(1) 2>/dev/null | cksum))
RUN  := $(STAMP)/run-$(call checksum,requirements/run.txt)
DEV  := $(STAMP)/dev-$(call checksum,requirements/dev.txt)
ALL  := $(STAMP)/all-$(call checksum,requirements/all.txt)
OURS := $(STAMP)/ours-$(call checksum,pyproject.toml)
READY := $(STAMP)/venv
UV   := $(STAMP)/uv-$(call checksum,requirements/lock.txt)

PIP := $(PY) -m pip --disable-pip-version-check
# Everything but what takes minutes or builds the wheel; tests that need R or Chromium skip themselves where it is missing.
QUICK := not slow and not wheel and not extra

.PHONY: run test test-all lint format types contracts check wheel bench docs notebooks lock clean setup setup-dev setup-all
.DELETE_ON_ERROR:
.NOTPARALLEL:

run: setup
	@$(BIN)/mtmeta run
	@$(BIN)/mtmeta report

test: setup-dev
	$(PY) -m pytest -m "$(QUICK)"

test-all: setup-all
	$(PY) -m pytest

lint: setup-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: setup-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: setup-dev
	$(BIN)/mypy

contracts: setup-dev
	$(BIN)/lint-imports

check: lint types contracts test
	$(BIN)/mtmeta check

wheel: setup-dev
	$(PY) -m build --no-isolation --wheel --outdir dist

docs: setup-all
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --clean
	@echo "open site/index.html"

notebooks: setup-all
	$(BIN)/jupyter lab analyses/notebooks

bench: setup-all
	$(PY) benchmarks/run.py $(BENCH)

# Resolved together: `all` first, the others held to its versions, one version of a package for every Python and system.
# `make lock` keeps what is pinned and adds what is new; `make lock UPGRADE=--upgrade` takes the newest of everything.
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --universal --fork-strategy fewest --python-version 3.11 \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links $(UPGRADE)
lock: $(UV)
	$(COMPILE) requirements/all.in -o requirements/all.txt
	$(COMPILE) -c requirements/all.txt requirements/dev.in -o requirements/dev.txt
	$(COMPILE) -c requirements/all.txt requirements/run.in -o requirements/run.txt
	$(COMPILE) requirements/lock.in -o requirements/lock.txt

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# ---- setting up -----------------------------------------------------------------------------------------------------

setup: $(RUN) $(OURS)
setup-dev: $(RUN) $(DEV) $(OURS)
setup-all: $(RUN) $(DEV) $(ALL) $(OURS)

$(READY):
	@test -n "$(PYTHON)" || { echo "mtmeta needs Python 3.11 or newer with venv and pip (on Debian: python3 and python3-venv);" \
	  "none was found under the names python3.11, python3, python3.12 to python3.14. Install one, or say where it is:" \
	  "make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version), once; this takes a minute or two." >&2
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMP) && touch $@

# Names, versions and hashes come from the lock; where packages come from is left to pip's own settings (PIP_*, pip.conf).
define install
	@$(PIP) install -qq --require-hashes -r requirements/$(1).txt
	@rm -f $(STAMP)/$(1)-* && touch $@
endef

$(RUN): | $(READY)
	$(call install,run)

$(DEV): | $(READY) $(RUN)
	$(call install,dev)

$(ALL): | $(READY) $(DEV)
	$(call install,all)

$(OURS): | $(READY) $(RUN)
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@rm -f $(STAMP)/ours-* && touch $@

$(UV): | $(READY)
	@$(PIP) install -qq --require-hashes -r requirements/lock.txt
	@rm -f $(STAMP)/uv-* && touch $@
