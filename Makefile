# make demo    train, compile, certify and run the model of the Hudson Bay pelts
# make test    the tests
# make format lint types examples docs clean
# make zoo                       every family of dynamic network, seconds each, into build/zoo/index.html
# make pictures                  those of the first page, from the report of the demo, into docs/pictures
# make conformance               the examples on other engines than onnxruntime, into docs/conformance.md
#
# make bench                     latency beside other engines, into benchmarks/results.json and docs/performance.md
# make sanitize                  every operation in C under the sanitizers of addresses and of undefined behaviour
#
# make PYTHON=python3.12 setup       another interpreter
# make PIP_OPTIONS=... setup           options for pip, such as an index that has torch without CUDA, a tenth of the size

PYTHON      ?= python3
PIP_OPTIONS ?=
VENV        := .venv
BIN         := $(VENV)/bin
READY       := $(VENV)/isocline-is-installed

.DEFAULT_GOAL := help
.PHONY: help setup demo pictures test examples zoo lint types format docs conformance bench sanitize clean

help:
	@sed -n '1,/^$$/s/^# //p' Makefile

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "isocline needs Python 3.11 or newer, and '$(PYTHON)' is not; name another one: make PYTHON=python3.12 setup" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) -c constraints.txt -e ".[cpu,compiler,dev]"
	@touch $@

demo: setup
	$(BIN)/isocline build examples/hare_lynx/hare_lynx.dyn -o build/hare_lynx
	$(BIN)/python examples/hare_lynx/demo.py build/hare_lynx

pictures: demo
	$(BIN)/python -m examples.pictures build/hare_lynx

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

examples: setup
	OMP_NUM_THREADS=1 $(BIN)/python examples/build_all.py

zoo: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m examples.zoo.run

lint: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

conformance: setup
	OMP_NUM_THREADS=1 $(BIN)/python examples/build_all.py --all
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) -e ".[conformance]"
	npm install --silent --no-audit --no-fund --prefix build/onnxruntime_web onnxruntime-web
	$(BIN)/python -m benchmarks.conformance

bench: setup
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) -c constraints.txt -e ".[bench]"
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.performance
	$(BIN)/python -m benchmarks.performance_page

sanitize: setup
	ISOCLINE_SANITIZE=address,undefined ASAN_OPTIONS=detect_leaks=0 OMP_NUM_THREADS=1 \
	  LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libstdc++.so)" \
	  $(BIN)/python -m pytest -p no:xdist -q tests/native/test_to_c.py tests/native/test_composed.py

docs: setup
	$(BIN)/python -m isocline_compiler.reference docs/language.md docs/attribution.md
	$(BIN)/python -m examples.zoo.catalogue docs/catalogue.md

clean:
	rm -rf build dist runs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
