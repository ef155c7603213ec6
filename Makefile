# make demo   the main job: train, compare the policies, export, serve, classify
# make test   the tests
# make test-fast  those of a minute: commands, flags, the rules of the house, the equations
# make lint   style, types, flag files, import directions
# make docs   the site of the Markdown pages, docs/_build/index.html
# make bench  what a gate costs in training; of the input pipeline see benchmarks/input_pipeline.py
# Each sets up .venv first.
PYTHON ?= python3
BIN := .venv/bin
# The tests start Python too, and TensorFlow reports each time which CPU it found and that no GPU.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test test-fast lint docs bench setup

demo: .venv/installed
	$(BIN)/python train.py --flagfile=flags/demo.cfg
	$(BIN)/python -m tfgates.tools.export --run=runs/demo
	$(BIN)/python serving/demo.py --run=runs/demo

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# No network is trained here.
FAST := tests/base tests/settings tests/house/imports_test.py tests/house/chance_test.py \
    $(patsubst %,tests/method/%_test.py,losses noise norms policies schedules) \
    tests/client/wire_test.py tests/client/client_images_test.py

test-fast: .venv/installed
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(wildcard $(FAST))

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/settings/flagfiles_test.py tests/house/imports_test.py

docs: .venv/installed
	$(BIN)/python -m sphinx -q -E -n -W --keep-going -c docs . docs/_build

bench: .venv/installed
	$(BIN)/python -m benchmarks.training_step

setup: .venv/installed

.venv/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev,docs]"
	touch $@
