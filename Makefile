# make demo   the main job: train, compare the policies, export, serve, classify
# make test   the tests
# make lint   style, types, flag files, import directions
# make docs   the site of the Markdown pages, docs/_build/index.html
# make bench  what a gate costs in training; of the input pipeline see benchmarks/input_pipeline.py
# Each sets up .venv first.
PYTHON ?= python3
BIN := .venv/bin
# TensorFlow reports at every start which CPU it found and that there is no GPU.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test lint docs bench setup

demo: .venv/installed
	$(BIN)/python train.py --flagfile=flags/demo.cfg
	$(BIN)/python -m tfgates.tools.export --run=runs/demo
	$(BIN)/python serving/demo.py --run=runs/demo

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

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
