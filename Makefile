# The course in two commands: `make book` and `make test`. Both need Python >= 3.11 with venv, and a network.
# Another Python: `make book PYTHON=python3.12`.

SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8000
WORKERS ?= 2

# Real archives beside the checkout, where there are any; the course does without.
ifneq ($(wildcard ../shared/data/mnist),)
export GAN_COURSE_DATA ?= $(abspath ../shared/data)
endif

CHAPTERS := $(wildcard notebooks/*.ipynb)
MODULES := $(shell find gan_course -name '*.py' -o -name '*.js')
OPENING := notebooks/01_generation.ipynb
OPENING_RUN := _build/opening/01_generation.ipynb
SOURCE := _build/source
JUPYTER_BOOK := $(BIN)/jupyter-book build --quiet -W -n --keep-going

.PHONY: help book opening render serve test lint unit notebooks lab execute stale results address clean distclean

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

# --- the environment ---------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "The course needs Python 3.11 or later; $(PYTHON) is not. Another one: make PYTHON=python3.12"; exit 1; }
	@echo "Making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.book: pyproject.toml $(BIN)/python
	@echo "Installing the course with what the book needs (PyTorch is large: a few minutes)"
	@$(BIN)/python -m pip install --quiet --no-compile --editable '.[book]'
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.book
	@echo "Installing what the tests need"
	@$(BIN)/python -m pip install --quiet --no-compile --editable '.[book,test]'
	@touch $@

# --- the book ----------------------------------------------------------------------------------------------------

book: opening render  ## train the opening chapter on this machine, then render the book

opening: $(OPENING_RUN)  ## run the opening chapter in full, into _build (the stored chapter is left alone)

$(OPENING_RUN): $(OPENING) $(MODULES) | $(VENV)/.book
	@echo "Running the opening chapter on the embedded digits (under three minutes on two cores)"
	@mkdir -p $(@D)
	@$(BIN)/gan-course execute --output $@ $(OPENING)

render: $(VENV)/.book  ## render the book from the stored chapters (the opening one as run here, if it was)
	@rm -rf $(SOURCE) && mkdir -p $(SOURCE)
	@cp -Rp _config.yml _toc.yml index.md book notebooks $(SOURCE)/
	@if [ -e $(OPENING_RUN) ]; then cp -p $(OPENING_RUN) $(SOURCE)/notebooks/; fi
	@$(JUPYTER_BOOK) --path-output . $(SOURCE)
	@echo
	@echo "The book:    $(CURDIR)/_build/html/index.html"
	@if [ -e $(OPENING_RUN) ]; then echo "Chapter 1 shows what was trained on this machine: $(OPENING_RUN)"; fi
	@echo "To serve it: make serve   (then open http://localhost:$(PORT))"

serve:  ## serve the rendered book at http://localhost:8000 (PORT=...)
	@[ -e _build/html/index.html ] || { echo "There is no book yet: make book"; exit 1; }
	@echo "http://localhost:$(PORT)   (Ctrl-C to stop)"
	@$(PYTHON) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

# --- the tests ---------------------------------------------------------------------------------------------------

test: lint unit notebooks  ## everything: style, layers, unit tests, chapters as tests, the book, the browser
	@echo "All tests passed."

lint: $(VENV)/.test  ## ruff over the code and the chapters
	@$(BIN)/ruff check .

unit: $(VENV)/.test  ## unit tests, layer contract, the book with warnings as errors, the book in a browser
	@$(BIN)/python tests/book/browser.py
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile tests

notebooks: $(VENV)/.test  ## every chapter as a test, in smoke mode
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile \
	  --nbval-lax --nbval-current-env --nbval-cell-timeout=300 --nbval-sanitize-with tests/book/sanitise.cfg notebooks

# --- working with the chapters -----------------------------------------------------------------------------------

lab: $(VENV)/.book  ## JupyterLab with the chapters and the live figures
	@$(BIN)/jupyter lab --notebook-dir notebooks

execute: $(VENV)/.book  ## run chapters in full and store their outputs: make execute CHAPTER=notebooks/02_minimax_gan.ipynb
	@[ -n "$(CHAPTER)" ] || { echo "Which chapter? make execute CHAPTER=$(OPENING)"; exit 1; }
	@$(BIN)/gan-course execute $(CHAPTER)

stale: $(VENV)/.book  ## list the chapters made with another version of the code they import
	@$(BIN)/gan-course stale $(CHAPTERS)

results: $(VENV)/.book  ## write the tables and the picture of the results page from benchmarks/results and benchmarks/races
	@$(BIN)/python benchmarks/results.py
	@$(BIN)/python -m benchmarks.standings

address:  ## write the address of pyproject.toml wherever it is repeated
	@$(PYTHON) book/address.py

clean:  ## remove what was built
	rm -rf _build dist runs .pytest_cache .ruff_cache .import_linter_cache

distclean: clean  ## remove the virtual environment too
	rm -rf $(VENV)
