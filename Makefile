# `make demo` and `make test` are all a new user needs; both make .venv first, from the lock file, and work again after an
# interruption. `make help` lists the rest.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
OUT ?= results/runs/demo
OUTPUTS ?= SaferVLM/outputs
BATCH ?= 64
# Nothing of the demo or the tests is on a model hub.
OFFLINE := HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false

.PHONY: help install demo test test-newest lint lock results own-demo likelihood judges published clean

help:
	@echo "make demo     evaluate the embedded stand-in (glyphworld) and draw its modality gap"
	@echo "make test     ruff, mypy and all tests"
	@echo "make test-newest  what pip install . gives today, in an environment of its own: evaluations, trainings, a report"
	@echo "make results  make demo, and write what it prints into results/glyphworld"
	@echo "make likelihood   ask that model by likelihood too, into results/glyphworld"
	@echo "make own-demo     a benchmark of one's own: emoji under a sample policy, two models asked, a page drawn"
	@echo "make judges   every judge on the labelled responses of tests/, into results/judge"
	@echo "make published    OUTPUTS=SaferVLM/outputs: the authors' published answers, into results/published"
	@echo "make align-demo      train that model by SFT, DPO and PPO, evaluate all, and compare them"
	@echo "make align-tuning    what was tried of SFT and PPO on seed 0 before, into results/align/tuning (align-tuning-dpo: of DPO)"
	@echo "make align-results   the same on SEEDS, into results/align"
	@echo "make align-ablations what each part of PPO, and of SFT, is worth, on the first three of them, into results/align"
	@echo "make ways            every way to close the gap, defences too: after align-results, into results/ways"
	@echo "make align-watched   reward hacking, and a judge that sees it: after align-results, into results/align"
	@echo "make leaderboard     the lines of align-results in results/leaderboard.jsonl, its tables and figure"
	@echo "make lock     resolve requirements.lock anew from setup.cfg, and constraints.txt from it"
	@echo "make clean    remove the virtual environment and the runs"

# The stamps are written last: an install that was cut off starts over.
.venv/.locked: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear .venv
	@# The lock is complete, so nothing is left to resolve, and an old pip cannot resolve it otherwise.
	$(BIN)/pip install --quiet --require-hashes --no-deps --requirement requirements.lock
	@touch $@

# A Chromium for the tests of the HTML page.
.venv/.browser: .venv/.installed tests/support/browser.py
	PYTHONPATH=benchmarks $(BIN)/python tests/support/browser.py
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

# A benchmark of one's own, whose pictures npm fetches once (150 MB), and the same under another policy. Asked are a server with known
# errors, under both, and the embedded model, which knows nothing of emoji.
OWN := results/runs/own-demo
ASK := $(BIN)/lmms_eval --log_samples --benchmark
GUARD := --models-file benchmarks/own_demo/models.yaml --model guard-stub
own-demo: install
	$(OFFLINE) $(BIN)/python benchmarks/own_demo.py $(OWN)
	$(OFFLINE) $(BIN)/unsafeconcepts check $(OWN)/emoji-policy
	$(OFFLINE) $(BIN)/unsafeconcepts glyphworld build
	rm -rf $(OWN)/guard-stub $(OWN)/guard-stub-adults $(OWN)/glyph-vlm
	$(OFFLINE) UNSAFECONCEPTS_ANSWERS=none $(BIN)/python benchmarks/guard_stub.py $(OWN)/emoji-policy \
	    $(ASK) $(OWN)/emoji-policy --tasks emoji-policy,emoji-policy_contexts $(GUARD) --output_path $(OWN)/guard-stub
	$(OFFLINE) UNSAFECONCEPTS_ANSWERS=none $(BIN)/python benchmarks/guard_stub.py $(OWN)/emoji-adults \
	    $(ASK) $(OWN)/emoji-adults --tasks emoji-adults_gap $(GUARD) --output_path $(OWN)/guard-stub-adults
	$(OFFLINE) $(ASK) $(OWN)/emoji-policy --tasks emoji-policy,emoji-policy_contexts --model glyph-vlm --batch_size $(BATCH) --output_path $(OWN)/glyph-vlm
	$(OFFLINE) $(BIN)/unsafeconcepts table $(OWN)/guard-stub --figure $(OWN)/guard-stub.png --markdown $(OWN)/guard-stub.md
	$(OFFLINE) $(BIN)/unsafeconcepts table $(OWN)/glyph-vlm --markdown $(OWN)/glyph-vlm.md
	$(OFFLINE) $(BIN)/unsafeconcepts compare $(OWN)/guard-stub $(OWN)/guard-stub-adults --task '*_image' --task '*_text' --markdown $(OWN)/policies.md
	$(OFFLINE) $(BIN)/unsafeconcepts report $(OWN)/guard-stub $(OWN)/glyph-vlm -o $(OWN)/page.html

# All judges that need nothing from a hub, on the labelled responses of tests/; the classifiers are trained on responses.jsonl first.
LABELLED := tests/harness_ext/judges
JUDGES := results/runs/judges
judges: install
	rm -rf $(JUDGES)
	$(ONE_THREAD) $(BIN)/unsafeconcepts train-judge $(LABELLED)/responses.jsonl --base tiny --probe alignment -o $(JUDGES)/alignment
	$(ONE_THREAD) $(BIN)/unsafeconcepts train-judge $(LABELLED)/responses.jsonl --base tiny --probe perception -o $(JUDGES)/perception
	$(ONE_THREAD) $(BIN)/python benchmarks/judges.py $(LABELLED)/unseen.jsonl --judge rules \
	    --judge classifier:alignment=$(JUDGES)/alignment,perception=$(JUDGES)/perception \
	    --json results/judge/judges.json --markdown results/judge/judges.md
	$(ONE_THREAD) $(BIN)/python benchmarks/judges.py $(LABELLED)/responses.jsonl --judge rules --json results/judge/rules_responses.json

# The authors' published answers, from a checkout of github.com/TrustAIRLab/SaferVLM at 4246835. SCORES=FILE.csv has other scores of
# LLaVA-Bench than the workbooks there.
published: install
	$(ONE_THREAD) $(BIN)/python benchmarks/published_results.py $(OUTPUTS) $(if $(CONTEXTS),--contexts $(CONTEXTS)) $(if $(SCORES),--llava-bench $(SCORES)) -o results/published

# What align's methods came to: align-demo, align-tuning, align-results, align-ablations.
include benchmarks/align.mk

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two processes with a thread each, a file's tests in one of them, the long files first: as fast on two cores as tests can be.
test: lint .venv/.browser
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=40

lock:
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip compile setup.cfg --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --output-file requirements.lock
	rm -rf .venv-lock
	$(MAKE) --no-print-directory constraints.txt

# The same versions without their hashes, which pip takes for all packages or for none: for `pip install . -c constraints.txt`.
constraints.txt: requirements.lock
	sed -n 's/^\([a-zA-Z0-9].*[^ ]\) *\\$$/\1/p' requirements.lock > $@

# What `pip install .` gives today: .ci/newest says how.
test-newest:
	.ci/newest

clean:
	rm -rf .venv results/runs
