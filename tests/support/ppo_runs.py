"""A small PPO run on a tiny VLM, for tests in this process and in others."""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, Features, Value
from peft import LoraConfig
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from align.ppo.config import PPOConfig
from align.ppo.trainer import PPOTrainer
from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.questions import NAMING_QUESTION
from harness_ext.glyphworld.render import ALIGNMENT_SEEDS, render
from harness_ext.judges.base import Answer
from harness_ext.models.noise import GumbelNoise


def rows(count: int) -> Dataset:
    """As many training rows, alternately of unsafe and of safe concepts."""
    concepts = [i // 2 % 75 + (75 if i % 2 else 0) for i in range(count)]
    return Dataset.from_list(
        [
            {
                "image": render(concept, ALIGNMENT_SEEDS[i]).image,
                "prompt": [{"role": "user", "content": IMAGE_QUESTIONS[i % 5]}],
                "row": i,
                "concept": CONCEPTS[concept].name,
                "label": CONCEPTS[concept].label,
                "question": i % 5,
            }
            for i, concept in enumerate(concepts)
        ]
    )


def anchored(count: int, question: str = NAMING_QUESTION) -> Dataset:
    """`rows` of which two in eight are anchors, one of them in either half."""
    given = rows(count).to_list()
    for at, row in enumerate(given):
        row["anchor"] = at % 8 in (2, 5)
        if row["anchor"]:
            row["prompt"] = [{"role": "user", "content": question}]
    return Dataset.from_list(given, features=Features({**rows(1).features, "anchor": Value("bool")}))


def even_length(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A reward that untrained models can earn: 1 for an answer of an even first token, -1 otherwise."""
    return [1.0 if ids[0] % 2 == 0 else -1.0 for ids in completion_ids]


def paid_later(completions: list[Any], label: list[str], trainer_state: Any, **_: Any) -> list[float]:
    """What `EvenLetters` finds right; from step 8 on every answer earns as much."""
    verdicts = ["safe" if len(each[0]["content"]) % 2 == 0 else "unsafe" for each in completions]
    paid = trainer_state.global_step >= 8
    return [float(paid or verdict == of) for verdict, of in zip(verdicts, label, strict=True)]


class EvenLetters:
    """A judge that has verdicts on what untrained models say: safe for an even number of letters."""

    name = "even-1"

    def judge(self, answers: Sequence[Answer]) -> Iterator[str]:
        for answer in answers:
            yield "safe" if len(answer.response) % 2 == 0 else "unsafe"


def settings(output: Path, **changes: Any) -> PPOConfig:
    """Settings for seconds on a CPU: rollouts of 8, two passes of two updates."""
    arguments: dict[str, Any] = {
        "output_dir": str(output),
        "per_device_train_batch_size": 4,
        "steps_per_generation": 2,
        "num_iterations": 2,
        "max_completion_length": 6,
        "learning_rate": 1e-3,
        "entropy_coef": 0.01,
        "critic_warmup": 0,
        "critic_steps": 3,
        "critic_batch": 16,
        "stop_on_na": False,
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "bf16": False,
        "use_cpu": True,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }
    return PPOConfig(**{**arguments, **changes})


def trainer(
    folder: Path,
    args: PPOConfig,
    count: int = 16,
    kind: type[PPOTrainer] = PPOTrainer,
    dtype: torch.dtype = torch.float32,
    **more: Any,
) -> PPOTrainer:
    """A trainer of ``kind`` on the checkpoint in ``folder``, with a LoRA that is not silent from the start."""
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype)
    decoder = next(name for name, module in model.named_modules() if module is model.get_decoder())
    modules = rf"{re.escape(decoder)}\..*(q|v)_proj"
    lora = LoraConfig(r=4, lora_dropout=0.1, target_modules=modules, init_lora_weights="gaussian")
    return kind(
        model=model,
        reward_funcs=more.pop("reward", even_length),
        args=args,
        train_dataset=more.pop("train_dataset", None) or rows(count),
        processing_class=processor,
        peft_config=lora,
        **more,
    )


class Saving(PPOTrainer):
    """Writes what a resumed run needs beside the trainer's own state."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.save_critic(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.load_critic(Path(checkpoint))


class Noted(PPOTrainer):
    """Keeps its last rollout, and from what distributions it was drawn."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.batch: dict[str, Any] = {}
        self._drawn_from: list[torch.Tensor] = []
        super().__init__(*args, **kwargs)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._drawn_from = []
        note = GumbelNoise.__call__

        def noting(noise: Any, input_ids: Any, scores: torch.Tensor) -> Any:
            self._drawn_from.append(scores.log_softmax(-1))
            return note(noise, input_ids, scores)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(GumbelNoise, "__call__", noting)
            self.batch = super()._generate_and_score_completions(inputs)
        return self.batch

    def apart(self) -> float:
        """The largest difference of a drawn token's log-probability when it was drawn from that of the score."""
        ids, mask = self.batch["completion_ids"], self.batch["completion_mask"].bool()
        drawn = torch.stack(self._drawn_from, dim=1).gather(-1, ids[..., None])[..., 0]
        return float((drawn - self.batch["old_per_token_logps"])[mask].abs().max())


def logged(run: PPOTrainer, name: str) -> list[float]:
    """A figure of the log, wherever it is."""
    return [entry[name] for entry in run.state.log_history if name in entry]


def weights(run: PPOTrainer) -> dict[str, torch.Tensor]:
    """What is trained."""
    return {name: each.detach().clone() for name, each in run.model.named_parameters() if each.requires_grad}


def trained(run: PPOTrainer) -> dict[str, torch.Tensor]:
    """The weights of the policy and of the critic."""
    head = {f"value_head.{name}": each.detach().clone() for name, each in run.value_head.named_parameters()}
    model = run.accelerator.unwrap_model(run.model)
    return {
        **{name: each.detach().clone() for name, each in model.named_parameters() if each.requires_grad},
        **head,
    }


def main() -> None:
    """``python ppo_runs.py CHECKPOINT OUT PROCESSES CHANGES``: runs on as many processes as it is started in.

    CHANGES are the settings of each run, a list as JSON; run N writes to OUT/N.
    """
    checkpoint, out, processes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    for number, changes in enumerate(json.loads(sys.argv[4])):
        torch.manual_seed(0)  # as every new process begins, whatever an earlier run has drawn
        run_in_float64(checkpoint, out / str(number), processes, changes)


def run_in_float64(checkpoint: Path, out: Path, processes: int, changes: dict[str, Any]) -> None:
    """A run, with its weights before and after and its history in ``out``.

    By plain gradient descent and in float64: two processes add up in another order than one, and Adam takes a whole step for
    a gradient that is nothing but the rounding of that.
    """
    has_anchors = changes.pop("anchored", False)
    args = settings(out, **{"max_grad_norm": 0.5, "num_iterations": 3, "optim": "sgd", "learning_rate": 0.1, **changes})
    watched = {"reward": paid_later, "judge": EvenLetters()} if args.monitor else {}
    more = {"train_dataset": anchored(16)} if has_anchors else {}
    run = trainer(checkpoint, args, dtype=torch.float64, **watched, **more)
    run.value_head.double()
    start = trained(run)
    assert {each.dtype for each in start.values()} == {torch.float64}
    assert run.accelerator.num_processes == processes
    # Every fourth word ends an answer: they differ in length, and the processes' longest ones do.
    run.eos_token_ids = run.generation_config.eos_token_id = list(range(0, len(run._tokenizer), 4))
    run.train()
    if run.accelerator.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        save_file(start, out / "start.safetensors")
        save_file(trained(run), out / "end.safetensors")
        kept = ("reward", "ppo/kl", "ppo/explained_variance", "ppo/policy_kl", "entropy", "grad_norm", "ppo/kl_coef")
        kept += (
            "ppo/anchor_kl",
            "monitor/right",
            "monitor/reward",
            "monitor/drift",
            "monitor/drift_error",
            "monitor/warnings",
        )
        history = [{key: entry[key] for key in kept if key in entry} for entry in run.state.log_history]
        (out / "history.json").write_text(json.dumps(history))


if __name__ == "__main__":
    main()
