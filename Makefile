# Every target makes its own environment when it is missing: python3 with pip, and make, are all it takes.
ifdef VIRTUAL_ENV
# an active environment may have no pip: .venv has none
PYTHON ?= $(shell "$$VIRTUAL_ENV/bin/python" -c 'import sys; print(sys.base_prefix + "/bin/python3")')
endif
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := .cache/uv/bin/uv
LOCKS := $(wildcard .requirements/py3*.txt)
READY := $(VENV)/.ready
DOCS := .cache/docs/.ready
EXTRAS := .cache/extras/.ready
export UV_PYTHON_DOWNLOADS = never
export UV_COMPILE_BYTECODE = 1
# bytecode makes every start twice as fast
unexport PYTHONDONTWRITEBYTECODE

# of the interpreter, as in the names of the lists of versions: py311
MINOR = $$($(PYTHON) -c 'import sys; print("py%d%d" % sys.version_info[:2])')

# what the interpreter lacks is said in one line, before anything is downloaded
define CHECK_PYTHON
@command -v $(PYTHON) > /dev/null || { echo "lightseg: error: $(PYTHON): not found; install Python 3.11 or newer, or name one: make install PYTHON=…" >&2; exit 2; }
@$(PYTHON) .requirements/check_python.py
endef

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-gpu test-extras fuzz lint type format docs bench bench-peers requirements clean

help:  ## show what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

install: $(READY)  ## make the environment in .venv: exactly the tested versions, checked by hash

demo: $(READY)  ## train the demo recipe and show its table (about a minute on two cores)
	$(BIN)/python -m lightseg.fit --config experiments/shapes/unet.yaml

test: $(READY)  ## run the fast tests
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu and not extras"

test-slow: $(READY)  ## run the slow tests: every recipe, several processes, signals
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow and not extras"

test-gpu: $(READY)  ## run the tests that need a CUDA device
	$(BIN)/python -m pytest -m "gpu and not extras"

test-extras: $(EXTRAS)  ## run the tests of packages that the environment is without, since they slow every start
	.cache/extras/bin/python -m pytest -n 2 --dist loadfile -m extras

fuzz: $(READY)  ## give every verb 1,350 inputs that are wrong: ARGS="--share 0.1", ARGS=configs:137
	$(BIN)/python -m tests.fuzz $(ARGS)

lint: $(READY)  ## check style, format and the layers of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

type: $(READY)  ## check types
	$(BIN)/mypy

format: $(READY)  ## mend what can be mended of style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS)  ## build the documentation into .cache/site: strictly, without a network
	NO_MKDOCS_2_WARNING=1 .cache/docs/bin/mkdocs build --strict --config-file .github/mkdocs.yml

bench: $(READY)  ## measure lightseg beside what else there is: ARGS="--camvid ROOT --cifar ROOT"
	$(BIN)/python experiments/benchmarks/run.py $(ARGS)

bench-peers: $(UV)  ## make the environment of Keras, which `make bench` compares with
	@echo "making .cache/peers …"
	@# TensorFlow has no wheels for Python 3.14 yet
	@$(UV) venv --quiet --clear --no-project --python '>=3.11,<3.14' .cache/peers
	@$(UV) pip sync --quiet --python .cache/peers/bin/python --require-hashes .requirements/peers.txt

requirements: $(UV)  ## resolve the newest versions anew and write their hashes
	for minor in 11 12 13 14; do \
	  $(UV) pip compile pyproject.toml --group dev --universal --python-version 3.$$minor --generate-hashes \
	    --upgrade --quiet --no-header --no-annotate --output-file .requirements/py3$$minor.txt || exit 1; \
	done
	$(UV) pip compile --group extras --universal --python-version 3.11 --generate-hashes \
	  --constraint .requirements/py311.txt --excludes .requirements/py311.txt \
	  --upgrade --quiet --no-header --no-annotate --output-file .requirements/extras.txt
	$(UV) pip compile --group docs --universal --python-version 3.11 --generate-hashes \
	  --upgrade --quiet --no-header --no-annotate --output-file .requirements/docs.txt
	printf 'tensorflow-cpu\nkeras>=3\n' | $(UV) pip compile - --universal --python-version 3.11 --generate-hashes \
	  --upgrade --quiet --no-header --no-annotate --output-file .requirements/peers.txt
	echo uv | $(UV) pip compile - --universal --python-version 3.11 --generate-hashes \
	  --upgrade --quiet --no-header --no-annotate --output-file .requirements/uv.txt

clean:  ## remove the environment and every cache; runs are kept
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache dist build

$(UV): .requirements/uv.txt
	$(CHECK_PYTHON)
	@echo "getting uv …"
	@PIP_ROOT_USER_ACTION=ignore $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --upgrade --target .cache/uv \
	  --require-hashes --requirement .requirements/uv.txt
	@touch $(UV)

$(READY): $(UV) $(LOCKS) pyproject.toml
	$(CHECK_PYTHON)
	@echo "making $(VENV) …"
	@$(UV) venv --quiet --clear --python $(PYTHON) $(VENV)
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes .requirements/$(MINOR).txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)
	@echo "ready; for commands without make: source $(BIN)/activate"

$(DOCS): $(UV) .requirements/docs.txt
	$(CHECK_PYTHON)
	@echo "making .cache/docs …"
	@$(UV) venv --quiet --clear --no-project --python $(PYTHON) .cache/docs
	@$(UV) pip sync --quiet --python .cache/docs/bin/python --require-hashes .requirements/docs.txt
	@touch $(DOCS)

$(EXTRAS): $(UV) $(LOCKS) .requirements/extras.txt pyproject.toml
	$(CHECK_PYTHON)
	@echo "making .cache/extras …"
	@$(UV) venv --quiet --clear --no-project --python $(PYTHON) .cache/extras
	@$(UV) pip sync --quiet --python .cache/extras/bin/python --require-hashes .requirements/$(MINOR).txt .requirements/extras.txt
	@$(UV) pip install --quiet --python .cache/extras/bin/python --no-deps --no-build-isolation --editable .
	@# what the extras need of the other list is not resolved with it
	@$(UV) pip check --quiet --python .cache/extras/bin/python
	@touch $(EXTRAS)
