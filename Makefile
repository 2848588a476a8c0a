# `make train` is the whole experiment, `make lab` the notebooks, `make test` every test. Each makes
# .venv first.
#   make train ARGS="--seed 1 --run runs/seed1"     any option of `python -m azr_mini train`
#   make test TORCH_INDEX=URL                        take torch from the index PyTorch's install page names
#   make test PYTHON=python3.12                      another interpreter, 3.11 or newer

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
TORCH_INDEX ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: train lab test test-fast lint
train: $(READY)
	$(BIN)/python -m azr_mini train $(ARGS)

lab: $(READY)
	$(BIN)/jupyter lab notebooks/00_absolute_zero_in_five_minutes.ipynb $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest -rs $(ARGS)

test-fast: $(READY)
	$(BIN)/python -m pytest -rs -m "not slow" $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .

# torch is pinned in the same command as everything else: resolved apart, peft and accelerate would
# pull the newest CUDA build, several GB.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found; install one or name it: make PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
		-c constraints.txt "torch==2.13.0" -e ".[dev]"
	touch $@
