# dsrkit: everything a user or CI runs. `make help` lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= python3
VENV ?= .venv
TEST_VENV ?= .venv-test
PYTEST_ARGS ?= -n 2
LAB_ENGINES ?= host uml
FUZZ_MUTANTS ?= 100000
FUZZ_SECONDS ?= 300
BENCH_ARGS ?=

export PIP_REQUIRE_VIRTUALENV := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

# Directories are listed too: a deleted module changes its directory, and the package is built again. Not pcaps itself:
# that is the name of a target.
PACKAGE := $(shell find dsrkit -name __pycache__ -prune -o \( -type d -o -name '*.py' -o -name '*.pxd' -o -name '*.json' -o -name '*.j2' -o -name py.typed \) -print) \
    $(shell find pcaps -mindepth 1)
BUILD_FILES := pyproject.toml setup.py MANIFEST.in README.md LICENSE

.PHONY: help demo test lint docs docs-serve docs-output docs-tables bench bench-full fuzz lab-all record pcaps build clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=$(PYTHON)  VENV=$(VENV) (demo)  TEST_VENV=$(TEST_VENV) (everything else)  PYTEST_ARGS='$(PYTEST_ARGS)'"

demo: $(VENV)/.installed ## Install dsrkit into .venv, verify a few recorded captures, craft one
	@scripts/demo.sh $(VENV)/bin/dsrkit

# pytest comes last, so that its summary is the end of the output; it runs outside the checkout's root, against the wheel
test: lint docs ## Lint, types, docs, and the tests against the built wheel
	@scripts/ensure.sh programs
	cd tests && DSRKIT_TEST_WHEEL=1 ../$(TEST_VENV)/bin/pytest -p no:cacheprovider $(PYTEST_ARGS)

lint: $(TEST_VENV)/.installed ## ruff, its formatter, mypy --strict on the package and on the public API as installed
	$(TEST_VENV)/bin/ruff check .
	$(TEST_VENV)/bin/ruff format --check .
	$(TEST_VENV)/bin/mypy
	cd tests/typing && ../../$(TEST_VENV)/bin/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache/api api.py

lab-all: $(TEST_VENV)/.installed ## Build every mode for real, in every engine that can; as root (LAB_ENGINES='host uml')
	@scripts/ensure.sh programs
	@scripts/labs.sh $(TEST_VENV)/bin/dsrkit $(LAB_ENGINES)

# BENCH_ARGS=--write puts the results into docs/benchmarks.md
bench: $(TEST_VENV)/.installed ## Measure dsrkit beside tshark, tcpdump, dpkt and scapy; minutes (BENCH_ARGS)
	$(TEST_VENV)/bin/python benchmarks/compare.py $(BENCH_ARGS)

bench-full: $(TEST_VENV)/.installed ## The same with 1 and 10 million packets per tap; needs 10 GB in TMPDIR
	$(TEST_VENV)/bin/python benchmarks/compare.py --packets 1000000 --rounds 5 --full $(BENCH_ARGS)

fuzz: $(TEST_VENV)/.installed ## Examine mutated captures, then let atheris look for more (FUZZ_MUTANTS, FUZZ_SECONDS)
	$(TEST_VENV)/bin/python scripts/fuzz.py mutants $(FUZZ_MUTANTS)
	@if $(TEST_VENV)/bin/python -m pip install --quiet --only-binary :all: atheris; then \
	    $(TEST_VENV)/bin/python scripts/fuzz.py guided $(FUZZ_SECONDS); \
	else \
	    echo "atheris has no wheel for this Python: mutants only"; \
	fi

docs: $(TEST_VENV)/.installed ## Build the documentation into site/, strictly
	NO_MKDOCS_2_WARNING=1 $(TEST_VENV)/bin/mkdocs build --strict --quiet

docs-serve: $(TEST_VENV)/.installed ## Serve the documentation on http://127.0.0.1:8000/
	$(TEST_VENV)/bin/mkdocs serve

docs-output: $(TEST_VENV)/.installed ## Run the commands shown in README.md and docs/ and paste their output
	$(TEST_VENV)/bin/python scripts/outputs.py --write
	$(TEST_VENV)/bin/python scripts/pasted.py --write

docs-tables: $(TEST_VENV)/.installed ## Print what the package knows as tables into docs/
	$(TEST_VENV)/bin/python scripts/tables.py --write

record: $(TEST_VENV)/.installed ## Record the cases lab-* of pcaps/ anew, as root (CASES='NAME ...' for some)
	$(TEST_VENV)/bin/python scripts/record.py $(CASES)
	$(TEST_VENV)/bin/python scripts/pcaps.py

pcaps: $(TEST_VENV)/.installed ## Craft the cases of pcaps/crafted/ anew, and complete what is derived of all cases
	$(TEST_VENV)/bin/python scripts/pcaps.py $(CASES)

build: $(TEST_VENV)/.installed ## Build sdist and wheel into dist/
	rm -rf dist
	$(TEST_VENV)/bin/python -m build --outdir dist

clean: ## Remove everything that make has built
	rm -rf $(TEST_VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	[ ! -f $(VENV)/.made-by-make ] || rm -rf $(VENV)
	find dsrkit tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# --- virtual environments: dependencies when pyproject.toml changes, the package when any of its files does ---------

define environment
$(1)/.tools: pyproject.toml setup.py scripts/ensure.sh
	@scripts/ensure.sh compiler $$(PYTHON)
	@[ -d $(1) ] && new= || new=yes; scripts/ensure.sh venv $$(PYTHON) $(1); [ -z "$$$$new" ] || touch $(1)/.made-by-make
	$(1)/bin/python -m pip install --quiet --upgrade pip build
	@touch $$@

$(1)/.installed: $(1)/.tools $$(PACKAGE) $$(BUILD_FILES)
	rm -rf $(1)/dist
	$(1)/bin/python -m build --outdir $(1)/dist . >$(1)/build.log 2>&1 || { cat $(1)/build.log; exit 1; }
	wheel=$$$$(ls $(1)/dist/*.whl) && \
	    $(1)/bin/python -m pip install --quiet "$$$$wheel$(2)" && \
	    $(1)/bin/python -m pip install --quiet --force-reinstall --no-deps "$$$$wheel"
	@touch $$@
endef

$(eval $(call environment,$(VENV),))
TEST_EXTRAS := [test,docs]
$(eval $(call environment,$(TEST_VENV),$(TEST_EXTRAS)))
