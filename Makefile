# Only Python 3.11+ and make are needed. Every target makes the environment it wants.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# train-small: the paired data set (VOLUMES: micro-CT files, else simulated hind limbs) and the small networks, an hour or two on a CPU.
#   make train-small VOLUMES="$$(ls volumes/*.nii.gz)"        ends in trained/unet.pt, lpd.pt, pixelnerf.pt, mednerf.pt
# Cut off, the same command goes on where it was. TRAIN_ARGS go to every `fewview train`, such as --seed 1.
VOLUMES ?=
PHANTOMS ?= 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24
TRAINED ?= trained
TRAIN_ARGS ?=
# The networks are those that the registry of methods names (recon/method/registry.py).
NETWORKS = $(shell $(BIN)/python -c "from fewview.recon.method import names_of_kind; print(*names_of_kind('learned'))")

.PHONY: demo test lint venv clean train-small train-shipped train-shipped-smoke

demo: .venv/.base
	$(BIN)/fewview demo --out fewview_demo --force

venv: .venv/.dev

test: .venv/.dev
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

train-small: .venv/.dev
	$(MAKE) $(NETWORKS:%=$(TRAINED)/%.pt)

# train-shipped: the weights that come with fewview, made anew from procedural volumes alone. The scans take 1.5 hours of two cores and are kept in
# trained/bank; the training begins with the first of them, and takes minutes on a GPU, and a day on two cores with DEVICE=cpu. On a machine
# with more cores: make train-shipped TRAIN_ARGS="--workers 15". docs/model_cards.md says how the files that come with fewview were made.
# The second member of the network goes on from the first, and learns heads, and a third network looks again at what both made of a scan, learns
# heads better, and keeps to what it learned of all else; docs/model_cards.md says why.
# The last lines make the intervals of tvnet and total variation (docs/intervals.md) and the weights of wcrr (docs/wcrr.md), in some minutes.
# train-shipped-smoke: the same commands in trained/smoke, on so little that they teach nothing, to see that they run to their end.
DEVICE ?= cuda
SECOND_ARGS ?=
AGAIN_ARGS ?=
SPREAD_ARGS ?=
RIDGE_ARGS ?=
train-shipped: .venv/.dev
	$(BIN)/python -m fewview.nerf.patchwise --bank $(TRAINED)/bank --out $(TRAINED)/first.pt --device $(DEVICE) $(TRAIN_ARGS)
	$(BIN)/python -m fewview.nerf.merging --others $(TRAINED)/first.pt --bank $(TRAINED)/bank --out $(TRAINED)/second.pt --device $(DEVICE) $(SECOND_ARGS)
	$(BIN)/python -m fewview.nerf.merging.joined $(TRAINED)/first.pt $(TRAINED)/second.pt --out $(TRAINED)/both.pt
	$(BIN)/python -m fewview.nerf.merging.again $(TRAINED)/both.pt --bank $(TRAINED)/bank --out $(TRAINED)/again.pt --device $(DEVICE) $(AGAIN_ARGS)
	$(BIN)/python -m fewview.nerf.merging.again $(TRAINED)/again.pt --keep --bank $(TRAINED)/bank --out $(TRAINED)/kept.pt --device $(DEVICE) $(AGAIN_ARGS)
	$(BIN)/python -m fewview.nerf.weights tvnet $(TRAINED)/kept.pt $(TRAINED)/tvnet.pt
	$(BIN)/python -m fewview.nerf.spread --weights $(TRAINED)/tvnet.pt --bank $(TRAINED)/bank --out $(TRAINED)/spreads.json $(SPREAD_ARGS)
	$(BIN)/python -m fewview.nerf.ridge --out $(TRAINED)/wcrr.npz $(RIDGE_ARGS)

train-shipped-smoke: .venv/.dev
	rm -rf $(TRAINED)/smoke
	$(MAKE) train-shipped TRAINED=$(TRAINED)/smoke DEVICE=cpu TRAIN_ARGS="--scans 1 --held 1 --steps 2 --batch 1 --workers 1" \
		SECOND_ARGS="--scans 1 --steps 2 --batch 1 --workers 1" AGAIN_ARGS="--scans 1 --steps 2 --batch 1 --workers 1" SPREAD_ARGS="--scans 2" RIDGE_ARGS="--steps 2 --volumes 2"

$(TRAINED)/%.pt: $(TRAINED)/data/split.json
	$(BIN)/fewview train $* --data $(TRAINED)/data --out $@ $(if $(wildcard $@.state),--resume) $(TRAIN_ARGS)

$(TRAINED)/data/split.json: | .venv/.dev
	$(BIN)/fewview simulate $(VOLUMES) $(if $(VOLUMES),,--phantom $(PHANTOMS)) --layout bonemet --out $(TRAINED)/data

$(BIN)/python:
	$(PYTHON) -c "import sys; sys.exit('fewview needs Python 3.11 or newer; this is ' + sys.version) if sys.version_info < (3, 11) else None"
	$(PYTHON) -m venv .venv

.venv/.base: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	$(BIN)/python .ci/link_source.py
	touch $@

.venv/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable ".[dev]"
	$(BIN)/python .ci/link_source.py
	touch $@ .venv/.base

clean:
	rm -rf .venv fewview_demo build *.egg-info .pytest_cache .ruff_cache .import_linter_cache
