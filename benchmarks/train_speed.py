"""What a rollout of 32 responses and its update cost: our PPO, TRL's GRPO, and the paper's scheme; as ratios in one run.

    python benchmarks/train_speed.py [--json PATH]                                         # on a CPU: some ten minutes
    python benchmarks/train_speed.py --shapes llava-7b --dtype bfloat16 --rank 128 [--json PATH]     # on a GPU

The model has LLaVA-1.5's shapes with random weights (576 image tokens; its layers narrowed unless ``--shapes llava-7b``).
Every response has ``--tokens`` tokens. Our PPO and GRPO are measured at the same settings (four passes over a rollout, a
reference, dropout off); GRPO draws its 32 responses as four to a prompt.

The paper's scheme is written out below as it is described, no line of its code taken: one pass over a rollout; a LoRA for the
policy and another one for the value, so that values take forward and backward passes of their own; every response padded to
512 tokens. Each way is run in a process of its own, in turns, so that peak memory is its own; each figure is the median over
rollouts, the first one of a process left out.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from shapes import SHAPES, llava, noise_images
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from align.ppo.config import PPOConfig
from align.ppo.maths import generalized_advantages, policy_loss, token_rewards, value_loss, whiten
from align.ppo.trainer import PPOTrainer
from harness_ext.benchmark.questions import IMAGE_QUESTIONS

ROLLOUT = 32
PADDED = 512  # the paper's response length
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
WAYS = {
    "PPO, one pass": {"way": "ppo", "passes": 1},
    "the paper's scheme, one pass": {"way": "paper", "passes": 1},
    "PPO, four passes": {"way": "ppo", "passes": 4},
    "GRPO, four passes": {"way": "grpo", "passes": 4},
}


def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """Any reward that costs nothing."""
    return [1.0 if ids[0] % 2 else -1.0 for ids in completion_ids]


def rows(count: int) -> Dataset:
    """Images of noise with alignment questions."""
    prompts = [[{"role": "user", "content": IMAGE_QUESTIONS[at % 5]}] for at in range(count)]
    return Dataset.from_dict({"image": noise_images(count), "prompt": prompts})


class Clock(TrainerCallback):
    """The seconds of every rollout with all of its updates."""

    def __init__(self, updates: int) -> None:
        self.updates, self.seconds, self._began = updates, [], 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A rollout begins with the first of its updates."""
        if state.global_step % self.updates == 0:
            self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """It ends with the last of them."""
        if state.global_step % self.updates == 0:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds.append(time.perf_counter() - self._began)


def with_trl(options: argparse.Namespace, folder: Path, output: str) -> list[float]:
    """Seconds a rollout of PPO or GRPO."""
    on_gpu = torch.cuda.is_available()
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=getattr(torch, options.dtype))
    common: dict[str, Any] = {
        "output_dir": output,
        "per_device_train_batch_size": options.batch,
        "gradient_accumulation_steps": ROLLOUT // options.batch,
        "steps_per_generation": ROLLOUT // options.batch,
        "num_iterations": options.passes,
        "max_steps": options.rollouts * options.passes,
        "max_completion_length": options.tokens,
        "disable_dropout": True,
        "bf16": on_gpu,
        "use_cpu": not on_gpu,
        "gradient_checkpointing": on_gpu,
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }
    clock = Clock(options.passes)
    lora = LoraConfig(r=options.rank, lora_alpha=2 * options.rank, target_modules=TARGETS)
    shared = {"processing_class": AutoProcessor.from_pretrained(folder), "peft_config": lora, "callbacks": [clock]}
    if options.way == "ppo":
        args = PPOConfig(**common, critic_warmup=0, stop_on_na=False, max_kl=1e9)
        trainer = PPOTrainer(model, reward, args, rows(ROLLOUT * options.rollouts), **shared)
    else:
        args = GRPOConfig(**common, num_generations=4, beta=0.1)
        trainer = GRPOTrainer(model, reward, args, rows(ROLLOUT * options.rollouts // 4), **shared)
    trainer.train()
    return clock.seconds


class PaperScheme:
    """PPO with a value adapter of its own, passes of its own for everything, and fixed padding."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.processor = AutoProcessor.from_pretrained(folder)
        base = AutoModelForImageTextToText.from_pretrained(folder, dtype=getattr(torch, options.dtype))
        lora = LoraConfig(r=options.rank, lora_alpha=2 * options.rank, target_modules=TARGETS)
        self.model = get_peft_model(base.to(self.device), lora, adapter_name="policy")
        self.model.add_adapter("value", lora)
        if torch.cuda.is_available():
            base.gradient_checkpointing_enable({"use_reentrant": False})
            self.model.enable_input_require_grads()
        width = base.config.get_text_config().hidden_size
        self.head = torch.nn.Linear(width, 1, dtype=torch.float32, device=self.device)
        named = [parameter for name, parameter in self.model.named_parameters() if "lora_" in name]
        for parameter in named:
            parameter.requires_grad_(True)
        self.optimizer = torch.optim.AdamW([*named, *self.head.parameters()], lr=3e-5)

    def rollout(self, batch: Dataset) -> None:
        """Draw responses, score them in three passes, and take one step from two more."""
        chats = [
            [{"role": "user", "content": [{"type": "image", "image": each["image"]}, {"type": "text", "text": text}]}]
            for each in batch
            for text in [each["prompt"][0]["content"]]
        ]
        kwargs = {"return_tensors": "pt", "padding": True}
        inputs = self.processor.apply_chat_template(
            chats, add_generation_prompt=True, tokenize=True, return_dict=True, processor_kwargs=kwargs
        ).to(self.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        self.model.set_adapter("policy")
        self.model.eval()
        with torch.no_grad():
            drawn = self.model.generate(**inputs, do_sample=True, max_new_tokens=self.options.tokens)
        width = inputs["input_ids"].shape[1]
        responses = drawn[:, width:]
        mask = torch.zeros(len(responses), PADDED, device=self.device)
        mask[:, : responses.shape[1]] = 1
        padded = torch.nn.functional.pad(responses, (0, PADDED - responses.shape[1]), value=0)
        ids = torch.cat([inputs["input_ids"], padded], dim=1)
        attention = torch.cat([inputs["attention_mask"], mask.long()], dim=1)
        whole = {"input_ids": ids, "attention_mask": attention, "pixel_values": inputs["pixel_values"]}
        with torch.no_grad():
            old = torch.cat([self._log_probabilities(part) for part in self._parts(whole)])
            with self.model.disable_adapter():
                reference = torch.cat([self._log_probabilities(part) for part in self._parts(whole)])
            self.model.set_adapter("value")
            values = torch.cat([self._values(part) for part in self._parts(whole)])
        scores = torch.tensor(reward(responses.tolist()), device=self.device)
        rewards = token_rewards(scores, old, reference, mask, 0.1)
        advantages = generalized_advantages(rewards, values, mask, 1.0, 1.0)
        returns, advantages = advantages + values, whiten(advantages, mask)
        kept = {"old": old, "values": values, "returns": returns, "advantages": advantages, "mask": mask}
        for part in self._parts({**whole, **kept}):
            self.model.set_adapter("policy")
            new = self._log_probabilities(part)
            loss = policy_loss(new, part["old"], part["advantages"], part["mask"], 0.2, 0.2).loss / mask.sum()
            loss.backward()
            self.model.set_adapter("value")
            error = value_loss(self._values(part), part["values"], part["returns"], 0.2)
            (0.1 * (error * part["mask"]).sum() / mask.sum()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _parts(self, whole: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        for first in range(0, ROLLOUT, self.options.batch):
            yield {name: each[first : first + self.options.batch] for name, each in whole.items()}

    def _hidden(self, part: dict[str, Tensor]) -> Tensor:
        inputs = {name: part[name] for name in ("input_ids", "attention_mask", "pixel_values")}
        return self.model.get_base_model().model(**inputs).last_hidden_state[:, -PADDED - 1 : -1]

    def _log_probabilities(self, part: dict[str, Tensor]) -> Tensor:
        logits = self.model.get_base_model().lm_head(self._hidden(part)).float()
        return logits.log_softmax(-1).gather(-1, part["input_ids"][:, -PADDED:, None])[..., 0]

    def _values(self, part: dict[str, Tensor]) -> Tensor:
        return self.head(self._hidden(part).float())[..., 0]


def in_the_papers_way(options: argparse.Namespace, folder: Path) -> list[float]:
    """Seconds a rollout of the paper's scheme."""
    scheme, seconds = PaperScheme(options, folder), []
    for at in range(options.rollouts):
        batch = rows(ROLLOUT * options.rollouts).select(range(at * ROLLOUT, (at + 1) * ROLLOUT))
        began = time.perf_counter()
        scheme.rollout(batch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return seconds


def one_way(options: argparse.Namespace) -> None:
    """Measure one way, in this process, and print its figures as JSON."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as output:
        paper = options.way == "paper"
        seconds = in_the_papers_way(options, options.model) if paper else with_trl(options, options.model, output)
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**30
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds[1:], "peak memory GiB": peak}))


def main() -> None:
    """Measure, print, and write the same figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", choices=tuple(SHAPES), default="narrow")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rank", type=int, default=16, help="of the LoRA")
    parser.add_argument("--tokens", type=int, default=32, help="of every response")
    parser.add_argument("--batch", type=int, default=4, help="responses in a forward and backward pass")
    parser.add_argument("--rollouts", type=int, default=3, help="in each process, the first one not counted")
    parser.add_argument("--turns", type=int, default=2, help="processes of each way")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--passes", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        one_way(options)
        return
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        llava(
            options.shapes, Path(folder), getattr(torch, options.dtype), "cuda" if torch.cuda.is_available() else "cpu"
        )
        for _ in range(options.turns):
            for name, way in WAYS.items():
                given = {
                    **{key: getattr(options, key) for key in ("dtype", "rank", "tokens", "batch", "rollouts")},
                    **way,
                }
                flags = [text for key, value in given.items() for text in (f"--{key}", str(value))]
                command = [sys.executable, __file__, "--model", folder, *flags]
                run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found[name].append(json.loads(run.stdout.strip().splitlines()[-1]))
                print(f"{name}: {[round(each, 2) for each in found[name][-1]['seconds']]} s", flush=True)
    figures: dict[str, Any] = {
        "options": {
            key: value for key, value in vars(options).items() if key not in ("json", "way", "passes", "model")
        },
        "processor": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "ways": {
            name: {
                "seconds a rollout": statistics.median(second for turn in turns for second in turn["seconds"]),
                "peak memory GiB": max(turn["peak memory GiB"] for turn in turns),
            }
            for name, turns in found.items()
        },
    }
    ways = figures["ways"]
    seconds = {name: of_one["seconds a rollout"] for name, of_one in ways.items()}
    figures["times as fast as the paper"] = seconds["the paper's scheme, one pass"] / seconds["PPO, one pass"]
    figures["share of the time of GRPO"] = seconds["PPO, four passes"] / seconds["GRPO, four passes"]
    print(f"\nLLaVA-1.5 shapes ({options.shapes}), random weights, {options.dtype}, rollouts of {ROLLOUT} responses")
    print(f"{'':<30} {'s a rollout':>12} {'responses/s':>12} {'peak GiB':>9}")
    for name, of_one in ways.items():
        time_of = of_one["seconds a rollout"]
        print(f"{name:<30} {time_of:>12.2f} {ROLLOUT / time_of:>12.2f} {of_one['peak memory GiB']:>9.2f}")
    print(f"PPO is {figures['times as fast as the paper']:.2f} times as fast as the paper's scheme")
    print(f"and takes {figures['share of the time of GRPO']:.2f} of GRPO's time")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
