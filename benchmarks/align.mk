# What the methods came to on glyphworld, a stand-in and not the benchmark. Included by the Makefile; two things run at a time.
.PHONY: align-demo align-tuning align-tuning-dpo align-tuning-ways align-results align-ablations align-watched ways leaderboard

SEED ?= 0
RENDERS ?= 32
METHODS ?= ppo dpo sft
# Which ten test renders of each concept the evaluations ask about.
BLOCK ?= 0
ALIGN_OUT ?= results/runs/align/demo
ALIGN_TASKS := glyphworld_image,glyphworld_perception,glyphworld_text,glyphworld_capability
# Seed 0 is the one that settings were chosen on; 1 to 7 are those of earlier rounds. results/align/rules.md says what is claimed when.
SEEDS ?= 8 9 10 11 12 13 14 15 16 17
# The seeds of what is reported with fewer: DPO, and what parts are worth.
FEW := $(wordlist 1,3,$(SEEDS))
RESULTS := results/runs/align/results
ONE_THREAD := $(OFFLINE) OMP_NUM_THREADS=1
ASKED = $(ONE_THREAD) UNSAFECONCEPTS_GLYPHWORLD_BLOCK=$(BLOCK)

# A run is named after a packaged recipe, with what is changed in it behind a dash.
CHANGED_ppo-no-critic := --critic_steps 0 --critic_warmup 0 --lam 1
# It goes on where PPO would stop: one of the three seeds passed max_kl.
CHANGED_ppo-no-kl := --kl_coef 0 --max_kl 10000
CHANGED_ppo-clip-0.2 := --epsilon_high 0.2
# TRL's own count steps, not passes: of half the rows half as many.
CHANGED_grpo := --max_steps $$(( 15 * $(RENDERS) ))
CHANGED_rloo := $(CHANGED_grpo)
ABLATED ?= ppo-no-critic ppo-no-kl ppo-clip-0.2 upstream grpo rloo ppo-anchor ppo-counterfactual \
    sft sft-unnamed sft-own sft-counterfactual
# What was tried in tuning: screened on few renders, and on as many as are reported with.
CHANGED_sft-lr-1e-5 := --learning_rate 1e-5
CHANGED_sft-lr-3e-5 := --learning_rate 3e-5
CHANGED_sft-lr-5e-5 := --learning_rate 5e-5
CHANGED_sft-lr-7e-5 := --learning_rate 7e-5
CHANGED_sft-lr-1e-4 := --learning_rate 1e-4
CHANGED_sft-lr-3e-4 := --learning_rate 3e-4
CHANGED_sft-two-passes-lr-5e-5 := --learning_rate 5e-5 --passes 2
CHANGED_sft-unnamed := --name_concept false
CHANGED_dpo-lr-1e-6 := --name_concept true --learning_rate 1e-6
CHANGED_dpo-lr-3e-6 := --name_concept true --learning_rate 3e-6
CHANGED_dpo-lr-1e-5 := --name_concept true --learning_rate 1e-5
CHANGED_dpo-lr-3e-5 := --name_concept true --learning_rate 3e-5
CHANGED_dpo-lr-1e-4 := --name_concept true --learning_rate 1e-4
CHANGED_dpo-lr-1e-5-beta-0.5 := --name_concept true --learning_rate 1e-5 --beta 0.5
CHANGED_dpo-lr-3e-5-beta-0.5 := --name_concept true --learning_rate 3e-5 --beta 0.5
CHANGED_dpo-unnamed-lr-3e-6 := --name_concept false --learning_rate 3e-6
CHANGED_dpo-unnamed-lr-1e-5 := --name_concept false --learning_rate 1e-5
CHANGED_dpo-unnamed-lr-3e-5 := --name_concept false --learning_rate 3e-5
CHANGED_dpo-unnamed-lr-1e-4 := --name_concept false --learning_rate 1e-4
ONCE := --passes 1 --num_iterations 4
TWICE := --passes 2 --num_iterations 2
CHANGED_ppo-once-lr-1e-4 := --learning_rate 1e-4 $(ONCE)
CHANGED_ppo-once-lr-2e-4 := --learning_rate 2e-4 $(ONCE)
CHANGED_ppo-twice-lr-5e-5 := --learning_rate 5e-5 $(TWICE)
CHANGED_ppo-twice-lr-1e-4 := --learning_rate 1e-4 $(TWICE)
CHANGED_ppo-twice-lr-1.5e-4 := --learning_rate 1.5e-4 $(TWICE)
CHANGED_ppo-twice-lr-2e-4 := --learning_rate 2e-4 $(TWICE)
CHANGED_ppo-twice-lr-1e-4-kl-0.2 := --learning_rate 1e-4 --kl_coef 0.2 $(TWICE)
# Three ideas, each beside the method without it.
CHANGED_ppo-anchor := --anchor 0.2
CHANGED_ppo-counterfactual := --counterfactual true
CHANGED_sft-counterfactual := --counterfactual true
CHANGED_sft-own := --targets own --per_device_eval_batch_size 32
SCREENED := dpo-lr-3e-6 dpo-lr-1e-5 dpo-lr-1e-5-beta-0.5 dpo-lr-3e-5-beta-0.5 $(addprefix dpo-unnamed-lr-,3e-6 1e-5 3e-5 1e-4)
TUNED_DPO := $(addprefix dpo-lr-,1e-6 3e-6 3e-5 1e-4) $(addprefix dpo-unnamed-lr-,3e-6 1e-5)
# As many settings of SFT as of PPO.
TUNED := $(addprefix sft-,$(addprefix lr-,1e-5 3e-5 5e-5 7e-5 1e-4 3e-4) two-passes-lr-5e-5) \
    $(addprefix ppo-,$(addprefix once-lr-,1e-4 2e-4) $(addprefix twice-lr-,5e-5 1e-4 1.5e-4 2e-4 1e-4-kl-0.2))

# One seed's comparison: the model of glyphworld seed $(SEED), renders of its own, every method, all evaluated alike.
align-demo: install
	$(ONE_THREAD) $(BIN)/unsafeconcepts glyphworld build --seed $(SEED)
	$(MAKE) --no-print-directory -j2 $(addprefix evaluated-,original $(METHODS))
	$(ONE_THREAD) $(BIN)/align table $(ALIGN_OUT) --methods original $(METHODS) --markdown $(ALIGN_OUT)/table.md --json $(ALIGN_OUT)/table.json --figure $(ALIGN_OUT)/table.png

# The recipes that are not named after their method.
METHOD_upstream := ppo
METHOD_text := sft
METHOD_sft_hard := sft
METHOD_distil := sft
METHOD_expert := sft
recipe = $(firstword $(subst -, ,$*))

.PRECIOUS: trained-%
trained-%:
	$(ONE_THREAD) $(BIN)/align $(or $(METHOD_$(recipe)),$(recipe)) --config glyphworld_$(recipe) --output_dir $(ALIGN_OUT)/$* \
	    --glyphworld_seed $(SEED) --seed $(SEED) --renders $(RENDERS) --first_render $$(( $(SEED) * $(RENDERS) )) $(CHANGED_$*)

evaluated-original:
	rm -rf $(ALIGN_OUT)/original
	$(ASKED) $(BIN)/lmms_eval --model hf-vlm --model_args pretrained=$$($(BIN)/unsafeconcepts glyphworld build --seed $(SEED)),device=cpu \
	    --tasks $(ALIGN_TASKS) --batch_size $(BATCH) --log_samples --output_path $(ALIGN_OUT)/original/eval

evaluated-%: trained-%
	rm -rf $(ALIGN_OUT)/$*/eval
	$(ASKED) $(BIN)/lmms_eval --model hf-vlm --model_args pretrained=$$($(BIN)/unsafeconcepts glyphworld build --seed $(SEED)),adapter=$(ALIGN_OUT)/$*/final,device=cpu \
	    --tasks $(ALIGN_TASKS) --batch_size $(BATCH) --log_samples --output_path $(ALIGN_OUT)/$*/eval

# Settings are chosen on seed 0 and on development renders, which no figure is reported on.
tuned-%: trained-%
	mkdir -p results/align/$(notdir $(ALIGN_OUT))
	$(ONE_THREAD) $(BIN)/unsafeconcepts glyphworld evaluate --seed $(SEED) --adapter $(ALIGN_OUT)/$*/final --development --json results/align/$(notdir $(ALIGN_OUT))/$*.json

align-tuning: install
	mkdir -p results/align/tuning
	$(ONE_THREAD) $(BIN)/unsafeconcepts glyphworld evaluate --seed 0 --development --json results/align/tuning/original.json
	$(MAKE) --no-print-directory -j2 ALIGN_OUT=results/runs/align/tuning RENDERS=64 $(addprefix tuned-,$(TUNED))
	$(BIN)/python benchmarks/tuning.py results/align/tuning --markdown results/align/tuning.md

# The recipes of `make ways` that SFT lends its updates to.
TUNED_WAYS := $(foreach recipe,text sft_hard distil expert,$(addprefix $(recipe)-lr-,3e-5 1e-4 3e-4))
$(foreach lr,3e-5 1e-4 3e-4,$(foreach recipe,text sft_hard distil expert,$(eval CHANGED_$(recipe)-lr-$(lr) := --learning_rate $(lr))))
align-tuning-ways: install
	mkdir -p results/align/tuning_ways
	$(ONE_THREAD) $(BIN)/unsafeconcepts glyphworld evaluate --seed 0 --development --json results/align/tuning_ways/original.json
	$(MAKE) --no-print-directory -j2 ALIGN_OUT=results/runs/align/tuning_ways RENDERS=64 $(addprefix tuned-,$(TUNED_WAYS))
	$(BIN)/python benchmarks/tuning.py results/align/tuning_ways --markdown results/align/tuning_ways.md

align-tuning-dpo: install
	mkdir -p results/align/tuning_dpo
	$(ONE_THREAD) $(BIN)/unsafeconcepts glyphworld evaluate --seed 0 --development --json results/align/tuning_dpo/original.json
	$(MAKE) --no-print-directory -j2 ALIGN_OUT=results/runs/align/screening RENDERS=16 $(addprefix tuned-,$(SCREENED))
	$(MAKE) --no-print-directory -j2 ALIGN_OUT=results/runs/align/tuning_dpo RENDERS=64 $(addprefix tuned-,$(TUNED_DPO))
	$(BIN)/python benchmarks/tuning.py results/align/screening --original results/align/tuning_dpo/original.json --markdown results/align/screening.md
	$(BIN)/python benchmarks/tuning.py results/align/tuning_dpo --markdown results/align/tuning_dpo.md

# Every seed has its own model, its own renders to train on, and its own block of test renders. The recipes are what one rule chose
# (benchmarks/tuning.py).
REPORTED := original sft ppo
reported-%:
	$(ONE_THREAD) $(BIN)/unsafeconcepts glyphworld build --seed $*
	$(MAKE) --no-print-directory SEED=$* BLOCK=$* ALIGN_OUT=$(RESULTS)/seed$* RENDERS=64 \
	    $(addprefix evaluated-,$(REPORTED) $(if $(filter $*,$(FEW)),dpo))

align-results: install
	$(MAKE) --no-print-directory -j2 $(addprefix reported-,$(SEEDS))
	mkdir -p results/align
	$(ONE_THREAD) $(BIN)/align table $(RESULTS) --seeds $(SEEDS) --methods $(REPORTED) --against original ppo \
	    --markdown results/align/table.md --json results/align/table.json --figure results/align/table.png
	$(ONE_THREAD) $(BIN)/align table $(RESULTS) --seeds $(FEW) --methods $(REPORTED) dpo --against original ppo \
	    --markdown results/align/dpo.md --json results/align/dpo.json

# What each part is worth, on three seeds and in half the rows of align-results.
ABLATIONS := results/runs/align/ablations
ablated-%:
	$(ONE_THREAD) $(BIN)/unsafeconcepts glyphworld build --seed $*
	$(MAKE) --no-print-directory SEED=$* BLOCK=$* ALIGN_OUT=$(ABLATIONS)/seed$* RENDERS=32 $(addprefix evaluated-,original ppo $(ABLATED))

align-ablations: install
	$(MAKE) --no-print-directory -j2 $(addprefix ablated-,$(FEW))
	$(ONE_THREAD) $(BIN)/align table $(ABLATIONS) --seeds $(FEW) --methods original ppo $(ABLATED) --against ppo sft \
	    --markdown results/align/ablations.md --json results/align/ablations.json

# Every way to close the gap on one instrument, on the first seeds of align-results and beside its models: the recipes that it
# lacks, and the defences at inference, which train nothing.
RECIPES := text sft_hard distil expert grpo rloo
DEFENCES := principle caption caption-if-harmful caption-naming name-then-judge coca steer steer-2
# A sentence of glyph-vlm has fewer than 24 tokens; it describes nothing, but was taught to name what it sees.
DEFENCE_caption := caption:tokens=48
DEFENCE_caption-if-harmful := caption-if-harmful:tokens=48
DEFENCE_caption-naming := caption:request=What does this image show?:tokens=48
DEFENCE_steer-2 := steer:strength=2
WAYS := original $(DEFENCES) sft $(RECIPES) dpo ppo
defended-%:
	rm -rf $(ALIGN_OUT)/$*
	$(ASKED) $(BIN)/lmms_eval --model hf-vlm --model_args "pretrained=$$($(BIN)/unsafeconcepts glyphworld build --seed $(SEED)),defence=$(or $(DEFENCE_$*),$*),device=cpu" \
	    --tasks $(ALIGN_TASKS) --batch_size $(BATCH) --log_samples --output_path $(ALIGN_OUT)/$*/eval

ways-of-%:
	$(ONE_THREAD) $(BIN)/unsafeconcepts glyphworld build --seed $*
	$(MAKE) --no-print-directory SEED=$* BLOCK=$* ALIGN_OUT=$(RESULTS)/seed$* RENDERS=64 \
	    $(addprefix defended-,$(DEFENCES)) $(addprefix evaluated-,$(RECIPES))

ways: install
	$(MAKE) --no-print-directory -j2 $(addprefix ways-of-,$(FEW))
	mkdir -p results/ways
	$(ONE_THREAD) $(BIN)/align ways $(RESULTS) --seeds $(FEW) --methods $(WAYS) \
	    --markdown results/ways/table.md --json results/ways/table.json --figure results/ways/ways.png

# A reward that is easily fooled, and one by a judge trained on the answers of align-results (PPO's leave too few na to learn from,
# and the others none); the rule judge watches both.
WATCHED := results/runs/align/watched
WATCH := --config glyphworld_gullible --glyphworld_seed $(firstword $(SEEDS)) --seed $(firstword $(SEEDS))
align-watched: install
	rm -rf $(WATCHED)
	$(ONE_THREAD) $(BIN)/unsafeconcepts train-judge $(addprefix $(RESULTS)/seed$(firstword $(SEEDS))/,original sft dpo) --base tiny --probe alignment --without na -o $(WATCHED)/judge
	$(ONE_THREAD) $(BIN)/align ppo $(WATCH) --output_dir $(WATCHED)/gullible
	$(ONE_THREAD) $(BIN)/align ppo $(WATCH) --output_dir $(WATCHED)/sound --rewards '[{name: classifier, model: $(WATCHED)/judge}]'
	$(ONE_THREAD) $(BIN)/unsafeconcepts report $(WATCHED)/gullible $(WATCHED)/sound -o $(WATCHED)/page.html --assets $(WATCHED)/page
	for kind in png json; do \
	    cp $(WATCHED)/page/glyphworld-monitor-1.$$kind results/align/watched_gullible.$$kind && \
	    cp $(WATCHED)/page/glyphworld-monitor-2.$$kind results/align/watched_sound.$$kind || exit 1; done

# The lines of align-results in this repository's leaderboard, and its tables and figure.
BOARD := results/leaderboard.jsonl
ADD := $(OFFLINE) $(BIN)/unsafeconcepts leaderboard $(BOARD) --check --name glyph-vlm --origin "this project" --source "make align-results leaderboard" --replace
leaderboard: install
	for seed in $(SEEDS); do \
	    run="seed $$seed, block $$seed of test renders"; \
	    $(ADD) --add $(RESULTS)/seed$$seed/original --run "$$run" || exit 1; \
	    methods="sft ppo"; case " $(FEW) " in *" $$seed "*) methods="sft dpo ppo";; esac; \
	    for method in $$methods; do \
	        $(ADD) --add $(RESULTS)/seed$$seed/$$method/eval --run "$$run" --trained-on "training split" \
	            --training $$(echo $$method | tr a-z A-Z) || exit 1; done; done
	$(OFFLINE) $(BIN)/unsafeconcepts leaderboard --schema > results/leaderboard.schema.json
	$(OFFLINE) $(BIN)/unsafeconcepts leaderboard $(BOARD) --markdown results/leaderboard.md --figure results/leaderboard.png
