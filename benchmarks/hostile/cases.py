"""What is damaged: each kind of file that this project reads, with the command or function that reads it."""

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Literal

from forked import finish, run
from judge_stub import MODEL
from labelled_responses import verdict_rows, write_rows
from make import lay_out as lay_out_runs
from own_folders import own_folder
from readers import adapter, classifier, labelled, names, plugin, recipe, warned, weights

from harness_ext.common.files import write_text
from harness_ext.glyphworld.build import ensure_model

ROOT: Final = Path(__file__).parents[2]
RETENTION: Final = (
    "unsafeconcepts retention --before hf-vlm,pretrained=runs/before --after hf-vlm,pretrained=runs/after "
    "--suite glyphworld --output retained"
)
TRAINED: Final = (
    "--model glyph-vlm --output_dir out/run --renders 1 --passes 1 --max_steps 6 --save_steps 2 "
    "--per_device_train_batch_size 4 --gradient_accumulation_steps 1 --lora_r 2 --gradient_checkpointing false "
    "--logging_steps 1 --report_to none --disable_tqdm true --use_cpu true"
)
PPO: Final = (
    f"align ppo {TRAINED} --max_completion_length 12 --rewards '[{{name: gullible}}]' --monitor rules --monitor_first 2 "
    "--monitor_window 1 --num_iterations 2 --critic_warmup 1"
)
TRAIN_JUDGE: Final = "unsafeconcepts train-judge verdicts.jsonl --base tiny --epochs 6 --batch-size 8 -o out/judge"
# ``{url}`` stands for a judging server.
ASK: Final = f"unsafeconcepts judge runs/responses.jsonl --judge llm --judge_args model={MODEL},base_url={{url}}"


@dataclass(frozen=True)
class Case:
    """What reads files, a command or a function, and these, each damaged by itself.

    Attributes:
        copied: A folder that the reader may change: it gets a copy, of the same name, in ``out``.
        expects: ``"refused"`` where any change has to be, ``"same"`` where what is read despite of one changes no result.
        foreign: Whether it is a library that reads the files, and takes what we would not.
        weight: Of this case's damages, the share that is tried where all are: a command may take a second.
    """

    name: str
    reader: str | Callable[[], None]
    files: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    copied: str = ""
    expects: Literal["", "refused", "same"] = ""
    foreign: bool = False
    weight: float = 1.0


_RUN: Final = "runs/{}/generated/*/*"
_MODELS: Final = {"UNSAFECONCEPTS_MODELS": "models.yaml"}
_KEPT: Final = {"UNSAFECONCEPTS_ANSWERS": "out/kept"}
_CHECKPOINT: Final = (
    *("run.json", "trainer_state.json", "monitor.json", "adapter_config.json", "adapter_model.safetensors"),
    *("value_head.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "critic_state.pt", "ppo_state.pt"),
)
_CLASSIFIER: Final = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
_WEIGHTS: Final = (*_CLASSIFIER, "generation_config.json", "processor_config.json", "chat_template.jinja")
_ADAPTER: Final = ("adapter_config.json", "adapter_model.safetensors")


def _in(folder: str, files: Sequence[str]) -> list[str]:
    return [f"{folder}/{name}" for name in files]


CASES: Final = (
    Case(
        "table",
        "unsafeconcepts table runs/original",
        [_RUN.format("original") + "_results.json", _RUN.format("original") + "_glyphworld_image.jsonl"],
    ),
    Case("table of ratings", "unsafeconcepts table runs/rated/ppo --task glyphworld_test",
         ["runs/rated/ppo/*/*_quality_*.jsonl"]),
    Case(
        "compare",
        "unsafeconcepts compare runs/original/generated runs/sft/generated",
        [_RUN.format("sft") + "_results.json", _RUN.format("sft") + "_glyphworld_perception.jsonl"],
    ),
    Case(
        "compare other benchmarks",
        "unsafeconcepts compare runs/lm_eval/original runs/lm_eval/sft",
        ["runs/lm_eval/sft/*/results_*.json", "runs/lm_eval/sft/*/samples_arc*.jsonl"],
    ),
    Case(
        "quality",
        "unsafeconcepts quality runs/rated/original runs/rated/ppo",
        ["runs/rated/ppo/*/*_quality_*.jsonl", "runs/rated/ppo/*/*_results.json"],
    ),
    Case("a person's sheet", "unsafeconcepts quality runs/rated/ppo --ratings sheet/clara.csv --key sheet/key.json",
         ["sheet/key.json", "sheet/clara.csv"]),
    Case(
        "agreement",
        "unsafeconcepts agreement runs/original/generated runs/rejudged --human runs/labels.jsonl",
        ["runs/labels.jsonl", "runs/rejudged/*/*_glyphworld_image.jsonl"],
    ),
    Case("judge", "unsafeconcepts judge runs/responses.jsonl", ["runs/responses.jsonl"]),
    Case("kept answers", ASK, ["kept/*/*.jsonl", "kept/*/identity.json"], _KEPT, "kept", "same"),
    Case("judge a run", "unsafeconcepts judge runs/sampled --judge rules -o out/judged",
         ["runs/sampled/*/*/*_results.json", "runs/sampled/*/*/*_samples_*.jsonl"]),
    Case("leaderboard", "unsafeconcepts leaderboard board.jsonl --markdown out/board.md", ["board.jsonl"]),
    Case("report", "unsafeconcepts report runs/ppo -o out/page.html", _in("runs/ppo/final", _CHECKPOINT[:2]), weight=0.3),
    Case("align table", "align table runs/methods --methods original sft ppo --against original",
         ["runs/methods/ppo/final/run.json"], weight=0.5),
    Case("checkpoint", PPO, _in("run/checkpoint-4", _CHECKPOINT), copied="run", expects="refused", weight=0.4),
    Case("seal of a checkpoint", PPO, ["run/checkpoint-4/digests.json"], copied="run", weight=0.4),
    Case("a monitor's warnings", warned, ["monitor.jsonl"]),
    Case("retention", RETENTION, ["retained/*/*/*/retention.json", "retained/*/*/*/*_results.json"], weight=0.5),
    Case("import", "unsafeconcepts import given -o out/imported --partial", ["given/*.json"]),
    Case("check", "unsafeconcepts check own", ["own/benchmark.yaml", "own/images/metadata.jsonl", "own/images/cup/0.png"]),
    Case("models by name", names, ["models.yaml"], _MODELS),
    Case("plugin", plugin, ["models.yaml"], _MODELS),
    Case("recipe", recipe, ["recipe.yaml"]),
    Case("labelled responses", labelled, ["labelled.jsonl"]),
    Case("adapter", partial(adapter, "adapter"), _in("adapter", _ADAPTER)),
    Case("sealed adapter", partial(adapter, "sealed"), _in("sealed", _ADAPTER), expects="refused"),
    Case("classifier", partial(classifier, "unsealed"), _in("unsealed", _CLASSIFIER), foreign=True),
    Case("weights", weights, _in("weights", _WEIGHTS), foreign=True),
    Case("sealed classifier", partial(classifier, "judge"), _in("judge", _CLASSIFIER), expects="refused"),
    Case("seal of a classifier", partial(classifier, "judge"), ["judge/digests.json"]),
)  # fmt: skip


def lay_out(folder: Path, url: str) -> None:
    """The files, undamaged; ``url`` is a judging server's."""
    lay_out_runs(folder)
    # Saved runs answer retention in the place of a harness, which it starts by the interpreter.
    sys.executable = str(folder / "saved_harness")
    write_rows(folder / "verdicts.jsonl", verdict_rows(12))
    own_folder(folder / "own")
    nothing_kept = {"UNSAFECONCEPTS_ANSWERS": "none"}
    for command in (RETENTION, "unsafeconcepts quality runs/rated/ppo --sheet sheet", PPO, TRAIN_JUDGE):
        finish(run(shlex.split(command), folder, nothing_kept))
    finish(run(shlex.split(ASK.format(url=url)), folder, {"UNSAFECONCEPTS_ANSWERS": "kept"}))
    for made in ("run", "judge"):
        (folder / "out" / made).rename(folder / made)
    # As if it had been killed after its checkpoint-4, which alone is left.
    for other in ("checkpoint-2", "checkpoint-6", "final"):
        shutil.rmtree(folder / "run" / other)
    shutil.copytree(folder / "judge", folder / "unsealed")
    (folder / "unsealed/digests.json").unlink()
    shutil.copytree(ensure_model(0), folder / "weights")
    for name in ("adapter", "sealed"):
        finish(run(partial(adapter, name, make=True), folder, {}))
    key = json.loads((folder / "sheet/key.json").read_text(encoding="utf-8"))
    rows = [f"{name},3,4" for name in list(key["answers"])[:5]]
    write_text(folder / "sheet/clara.csv", "\n".join(["id,soundness,informativeness", *rows, ""]))
    write_text(folder / "board.jsonl", (ROOT / "results/leaderboard.jsonl").read_text(encoding="utf-8"))
    write_text(folder / "given/unsafeconcepts_text_result.json", json.dumps(given()))
    write_text(
        folder / "models.yaml",
        "mine:\n  weights: some/where\n  generation: {max_new_tokens: 5}\n"
        "  needs:\n    memory_gib: 1.5\n    packages: [einops]\n",
    )
    write_rows(folder / "labelled.jsonl", verdict_rows(2))
    warnings = [{"step": step, "judge": "rules-2", "drift": 0.5, "responses": [{"row": 1}]} for step in range(4)]
    write_rows(folder / "monitor.jsonl", warnings)
    write_text(folder / "recipe.yaml", (ROOT / "align/recipes/glyphworld_sft.yaml").read_text(encoding="utf-8"))


def given() -> list[dict[str, str]]:
    """Answers that others saved, of the benchmark's text probe."""
    from harness_ext.benchmark.questions import TEXT_QUESTIONS
    from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

    asked = [question.format(concept=each.name) for each in CONCEPTS for question in TEXT_QUESTIONS]
    return [
        {"idx": str(at), "prompt": text, "image_fname": "blank.png", "output": "No."} for at, text in enumerate(asked)
    ]
