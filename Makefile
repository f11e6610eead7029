# `make demo` and `make test` are all a new user needs; both make .venv first, from the lock file, and work again after an
# interruption. `make help` lists the rest.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
OUT ?= results/runs/demo
BATCH ?= 64
# Nothing of the demo or the tests is on a model hub.
OFFLINE := HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false

.PHONY: help install demo test lint lock results likelihood align-demo align-results clean

help:
	@echo "make demo     evaluate the embedded stand-in (glyphworld) and draw its modality gap"
	@echo "make test     ruff, mypy and all tests"
	@echo "make results  make demo, and write what it prints into results/glyphworld"
	@echo "make likelihood   ask that model by likelihood too, into results/glyphworld"
	@echo "make align-demo      train that model by SFT, DPO and PPO, evaluate all, and compare them"
	@echo "make align-results   the same on SEEDS, with GRPO, RLOO and the published reward too, into results/align"
	@echo "make lock     resolve requirements.lock anew from setup.cfg"
	@echo "make clean    remove the virtual environment and the runs"

# The stamps are written last: an install that was cut off starts over.
.venv/.locked: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear .venv
	@# The lock is complete, so nothing is left to resolve, and an old pip cannot resolve it otherwise.
	$(BIN)/pip install --quiet --require-hashes --no-deps --requirement requirements.lock
	@touch $@

.venv/.installed: .venv/.locked setup.cfg pyproject.toml
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/pip check
	@touch $@

install: .venv/.installed

demo: install
	$(OFFLINE) $(BIN)/unsafeconcepts glyphworld build
	rm -rf $(OUT)/lmms_eval
	$(OFFLINE) $(BIN)/lmms_eval --model glyph-vlm --tasks glyphworld --batch_size $(BATCH) --log_samples --output_path $(OUT)/lmms_eval
	$(OFFLINE) $(BIN)/unsafeconcepts table $(OUT)/lmms_eval --figure $(OUT)/modality_gap.png --markdown $(OUT)/table.md --json $(OUT)/summary.json

results: demo
	mkdir -p results/glyphworld
	cp $(OUT)/table.md $(OUT)/summary.json $(OUT)/modality_gap.png $(OUT)/modality_gap.svg results/glyphworld/
	$(OFFLINE) $(BIN)/unsafeconcepts glyphworld sheet results/glyphworld/contact_sheet.png

# The embedded model asked both ways: by generating, and by likelihood.
likelihood: install
	rm -rf $(OUT)/likelihood
	$(OFFLINE) $(BIN)/lmms_eval --model glyph-vlm --tasks glyphworld_gap,glyphworld_perception,glyphworld_likelihood --batch_size $(BATCH) --log_samples --output_path $(OUT)/likelihood
	$(OFFLINE) $(BIN)/unsafeconcepts table $(OUT)/likelihood --calibration results/glyphworld/calibration.png --markdown results/glyphworld/likelihood.md --json results/glyphworld/likelihood.json

# One seed's comparison: the model of glyphworld seed $(SEED), renders of its own, every method, all evaluated alike. Two things
# run at a time, the longest first.
SEED ?= 0
RENDERS ?= 32
METHODS ?= ppo dpo sft
ALIGN_OUT ?= results/runs/align/demo
ALIGN_TASKS := glyphworld_image,glyphworld_perception,glyphworld_text,glyphworld_capability
SEEDS ?= 1 2 3
ONE_THREAD := $(OFFLINE) OMP_NUM_THREADS=1

align-demo: install
	$(ONE_THREAD) $(BIN)/unsafeconcepts glyphworld build --seed $(SEED)
	$(MAKE) --no-print-directory -j2 $(addprefix evaluated-,original $(METHODS))
	$(ONE_THREAD) $(BIN)/align table $(ALIGN_OUT) --markdown $(ALIGN_OUT)/table.md --json $(ALIGN_OUT)/table.json --figure $(ALIGN_OUT)/table.png

# A run is named after a packaged recipe, with what is changed in it behind a dash. It trains on this seed's model, on renders
# that no other seed's run is trained on.
CHANGED_ppo-no-critic := --critic_steps 0 --critic_warmup 0 --lam 1
CHANGED_ppo-no-kl := --kl_coef 0
CHANGED_ppo-clip-0.2 := --epsilon_high 0.2
CHANGED_ppo-one-pass := --num_iterations 1
CHANGED_sft-unnamed := --name_concept false
CHANGED_dpo-unnamed := --name_concept false
# What was tried in tuning.
CHANGED_sft-lr-3e-5 := --learning_rate 3e-5
CHANGED_sft-lr-1e-4 := --learning_rate 1e-4
CHANGED_sft-lr-3e-4 := --learning_rate 3e-4
CHANGED_dpo-lr-1e-6 := --learning_rate 1e-6
CHANGED_dpo-lr-3e-6 := --learning_rate 3e-6
CHANGED_dpo-lr-1e-5 := --learning_rate 1e-5
CHANGED_dpo-lr-3e-6-beta-0.5 := --learning_rate 3e-6 --beta 0.5
CHANGED_dpo-lr-1e-5-beta-0.5 := --learning_rate 1e-5 --beta 0.5
CHANGED_dpo-lr-3e-5-beta-0.5 := --learning_rate 3e-5 --beta 0.5
CHANGED_dpo-lr-3e-5 := --learning_rate 3e-5
CHANGED_dpo-lr-1e-4 := --learning_rate 1e-4

.PRECIOUS: trained-%
trained-%:
	$(ONE_THREAD) $(BIN)/align $(subst upstream,ppo,$(firstword $(subst -, ,$*))) --config glyphworld_$(firstword $(subst -, ,$*)) --output_dir $(ALIGN_OUT)/$* \
	    --glyphworld_seed $(SEED) --seed $(SEED) --renders $(RENDERS) --first_render $$(( $(SEED) * $(RENDERS) )) $(CHANGED_$*)

evaluated-original:
	rm -rf $(ALIGN_OUT)/original
	$(ONE_THREAD) $(BIN)/lmms_eval --model hf-vlm --model_args pretrained=$$($(BIN)/unsafeconcepts glyphworld build --seed $(SEED)),device=cpu \
	    --tasks $(ALIGN_TASKS) --batch_size $(BATCH) --log_samples --output_path $(ALIGN_OUT)/original/eval

evaluated-%: trained-%
	rm -rf $(ALIGN_OUT)/$*/eval
	$(ONE_THREAD) $(BIN)/lmms_eval --model hf-vlm --model_args pretrained=$$($(BIN)/unsafeconcepts glyphworld build --seed $(SEED)),adapter=$(ALIGN_OUT)/$*/final,device=cpu \
	    --tasks $(ALIGN_TASKS) --batch_size $(BATCH) --log_samples --output_path $(ALIGN_OUT)/$*/eval

# Settings are chosen on seed 0 and on development renders, which no figure is reported on.
tuned-%: trained-%
	mkdir -p results/align/$(notdir $(ALIGN_OUT))
	$(ONE_THREAD) $(BIN)/unsafeconcepts glyphworld evaluate --seed $(SEED) --adapter $(ALIGN_OUT)/$*/final --development --json results/align/$(notdir $(ALIGN_OUT))/$*.json

align-tuning: install
	$(ONE_THREAD) $(BIN)/unsafeconcepts glyphworld build --seed 0
	$(MAKE) --no-print-directory -j2 ALIGN_OUT=results/runs/align/tuning RENDERS=64 $(addprefix tuned-,$(TUNED))

align-results: install
	for seed in $(SEEDS); do \
	    $(MAKE) --no-print-directory align-demo SEED=$$seed ALIGN_OUT=results/runs/align/results/seed$$seed RENDERS=64 METHODS="ppo dpo sft grpo rloo upstream" || exit 1; done
	mkdir -p results/align
	$(ONE_THREAD) $(BIN)/align table results/runs/align/results --markdown results/align/table.md --json results/align/table.json --figure results/align/table.png

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two processes with a thread each, a file's tests in one of them: as fast on two cores as tests can be.
test: lint
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

lock:
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip compile setup.cfg --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --output-file requirements.lock
	rm -rf .venv-lock

clean:
	rm -rf .venv results/runs
