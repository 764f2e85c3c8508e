# `make` lists the targets. Everything runs in .venv, which `make install` sets up from constraints.txt.
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
VENV ?= .venv
BIN := $(CURDIR)/$(VENV)/bin
RUN ?= runs/demo
JOBS ?= 2
ACCELERATE := $(BIN)/accelerate launch --config_file recipes/accelerate/one_process.yaml
SEEN := en de cmn fr it es tr
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM := false

# `make demo SHORT=1` runs every step of the demo on a fraction of the corpus; its figures mean nothing.
ifdef SHORT
RUN := runs/demo-short
SPEECH := --languages en,de,nl,he --speakers 5 --utterances-per-class 2
TRAIN := --num_train_epochs 1
SEEN := en de
endif

.PHONY: help install demo test test-oldest test-newest test-upstream lint format bench clean
help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/installed ## set up .venv (GPU: install torch there first, or give another CONSTRAINTS file)
$(VENV)/installed: setup.cfg $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e ".[dev]"
	touch $@

demo: install ## synthesise, build, extend, fine-tune, evaluate, write the card, classify a wav (about 7 minutes on 2 cores)
	$(BIN)/python -m exhubert.demo $(RUN)/speech $(SPEECH)
	$(BIN)/exhubert emoset build --corpus demo=$(RUN)/speech --output $(RUN)/emoset
	$(BIN)/python recipes/demo_hubert.py --data $(RUN)/emoset --output $(RUN)/hubert --languages $(SEEN)
	$(ACCELERATE) recipes/train.py recipes/configs/demo_foundation.yaml --model $(RUN)/hubert --data $(RUN)/emoset \
		--output_dir $(RUN)/foundation --languages $(SEEN) --resume true $(TRAIN)
	$(BIN)/python recipes/extend.py $(RUN)/foundation $(RUN)/extended
	$(ACCELERATE) recipes/train.py recipes/configs/demo.yaml --model $(RUN)/extended --data $(RUN)/emoset \
		--output_dir $(RUN)/exhubert --resume true $(TRAIN)
	$(ACCELERATE) recipes/train.py recipes/configs/demo_plain.yaml --model $(RUN)/foundation --data $(RUN)/emoset \
		--output_dir $(RUN)/plain --resume true $(TRAIN)
	$(BIN)/python recipes/evaluate_model.py $(RUN)/foundation --data $(RUN)/emoset --output $(RUN)/evaluation/foundation
	$(BIN)/python recipes/evaluate_model.py $(RUN)/plain --data $(RUN)/emoset --output $(RUN)/evaluation/plain
	$(BIN)/python recipes/evaluate_model.py $(RUN)/exhubert --data $(RUN)/emoset --output $(RUN)/evaluation/exhubert \
		--baselines --card --compare "HuBERT before extension=$(RUN)/evaluation/foundation" \
		"plain HuBERT, fine-tuned=$(RUN)/evaluation/plain"
	$(BIN)/exhubert predict $(RUN)/speech/he/he_01_joy_01.wav $(RUN)/speech/he/he_01_sadness_01.wav --model $(RUN)/exhubert
	@echo "The card, with plots: $(RUN)/exhubert/README.md (synthetic speech: its figures say nothing about human speech)"

test: install ## run the tests, in two processes of one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(TESTS)

test-oldest: ## run the quick tests with the oldest versions promised, torch for CUDA among them (3 GB)
	$(MAKE) test VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt TESTS='-m "not slow"'

test-newest: ## run the quick tests with the newest Python promised
	$(MAKE) test VENV=.venv-newest PYTHON=python3.13 TESTS='-m "not slow"'

test-upstream: install ## run transformers' own common tests on our classes (fetches its source distribution)
	$(BIN)/python tests/upstream/run.py

lint: install ## check style, types, and that imports follow the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports setup.cfg

format: install ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## time prediction, training, loading and building against published usage (a few minutes)
	$(BIN)/python recipes/bench.py all --size tiny --clips 8 --rounds 2 --json runs/bench.json

clean: ## remove the environment, caches and runs
	rm -rf $(VENV) .venv-oldest .venv-newest .cache .pytest_cache .mypy_cache .ruff_cache runs build src/*.egg-info
