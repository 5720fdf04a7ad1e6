# `make fit`, `make demo` and `make test` do everything on a machine that has Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

# What `make paper` reads; PLAIN holds more options for plain_cnn, such as --trainer.precision bf16-mixed where the
# processor knows it.
CKPLUS ?= data/CK+48
FER2013 ?= data/fer2013
JOBS ?= 1
PLAIN ?=

.PHONY: fit demo test paper readme cells unpack setup lint clean
fit: setup
	$(BIN)/python -m fer_lightning fit $(ARGS)

demo: setup
	$(BIN)/python -m demo $(ARGS)

test: setup lint
	$(BIN)/python -m pytest $(ARGS)

# A run for each set. CK+'s fine-tuning starts from FER2013's grouped fold 2 of each network, and from a shipped checkpoint;
# docs/experiments.md says why the latter has seeds of its own.
CROSSVAL = $(BIN)/python -m fer_lightning crossval --jobs $(JOBS) --out runs/paper
FER = $(CROSSVAL)/fer2013 --data.source fer2013 --data.root $(FER2013) --trainer.max_epochs 10
CELL = runs/paper/fer2013/cells/fer2013-grouped-$(1)-scratch-seed42-fold2
TUNING = --data.augment strong --model.learning_rate 1e-3 --trainer.max_epochs 30
CK = $(CROSSVAL)/ckplus --data.root $(CKPLUS) --data.batch_size 32
paper: setup
	$(FER) --networks improved_cnn
	$(FER) --networks plain_cnn $(PLAIN)
	$(CK) --trainer.max_epochs 40
	$(CK) --starts $(call CELL,improved_cnn),$(call CELL,plain_cnn) $(TUNING)
	$(CK) --networks improved_cnn --starts fer2013_45_epochs=fer2013-improved_cnn --seeds 43,44,45 $(TUNING)
	$(MAKE) results/fer2013 results/ckplus readme

results/%: setup
	$(BIN)/python -m fer_lightning report runs/paper/$*
	rm -rf docs/results/$* && mkdir -p docs/results/$*/figures
	cp runs/paper/$*/report/report.md runs/paper/$*/report/scores.csv docs/results/$*/
	cp runs/paper/$*/report/figures/*.svg docs/results/$*/figures/

# README's tables, from both reports.
readme: setup
	$(BIN)/python docs/results/excerpt.py

# Finished cells without their weights, from which the reports are made again. `make unpack` brings them back where no
# such cell is, each into the run of its data's name; crossval then takes them for done, and nothing can start from them.
cells:
	mkdir -p docs/results/cells
	cd runs/paper && for cell in */cells/*/cell.json; do \
	  folder=$${cell%/cell.json}; run=$${folder%%/*}; \
	  (cd $$run && find $${folder#*/} -name cell.json -o -name predictions.csv -o -name history.csv | sort | \
	  tar -cJ -T - --mtime=@0 --owner=0 --group=0 --numeric-owner -f $(CURDIR)/docs/results/cells/$${folder##*/}.tar.xz) \
	  || exit 1; done

unpack:
	for cell in docs/results/cells/*.tar.xz; do \
	  name=$$(basename $$cell .tar.xz); run=runs/paper/$${name%%-*}; \
	  test -e $$run/cells/$$name || { mkdir -p $$run && tar -C $$run -xf $$cell; } || exit 1; done

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: .venv/installed
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; try: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e '.[dev]' -c constraints.txt
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
