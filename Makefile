# The commands of this project. Each makes what it needs; `make` alone lists them.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
NATIVE  := hatch_build.py smrdsl/native/build.py $(wildcard smrdsl/native/*.cpp smrdsl/native/*.h)

.PHONY: help demo test lint bench fuzz clean

help:            ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort

$(READY): pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,demo,render]"
	@touch $@

demo: $(READY)   ## compile specs/quickstart.smr, draw it, train it on digits, stream through it
	$(BIN)/python specs/demo.py

test: $(READY)   ## lint, then the test suite
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2

lint: $(READY)   ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: $(READY)  ## measure compiling, us beside the peers (S4=, MEGA=, MINIMAL= name folders of theirs), steps and plans
	$(BIN)/python -m benchmarks.compile_time
	$(BIN)/python -m benchmarks.peers --threads 1 2 \
	  $(if $(S4),--s4 $(S4)) $(if $(MEGA),--mega $(MEGA)) $(if $(MINIMAL),--mamba-minimal $(MINIMAL))
	$(BIN)/python -m benchmarks.decode
	$(BIN)/python -m benchmarks.regret

fuzz: $(READY)   ## native kernels under AddressSanitizer and UBSan, with random shapes
	$(BIN)/python -m tests.native.fuzz

clean:           ## remove what was built
	rm -rf $(VENV) build smrdsl/native/kernels.*
