"""What a rollout of 32 responses and its update cost: our PPO, TRL's GRPO, and the paper's scheme; as ratios in one run.

    python benchmarks/train_speed.py [--json PATH]                                         # on a CPU: some ten minutes
    python benchmarks/train_speed.py --shapes llava-7b --dtype bfloat16 --rank 128 [--json PATH]     # on a GPU

The model has LLaVA-1.5's shapes with random weights (576 image tokens; its layers narrowed unless ``--shapes llava-7b``).
Every response has ``--tokens`` tokens. Our PPO and GRPO are measured at the same settings (four passes over a rollout, a
reference, dropout off); GRPO draws its responses as four to a prompt. The paper's scheme: ``paper_scheme.py``.

All ways have the same precision and the same checkpointing of activations (by default on a GPU, bfloat16 autocast and
checkpointing; on a CPU neither), and an entropy bonus; what a layer of the model saw while it was trained is written beside
the figures. Each way is run in a process of its own, in turns, so that peak memory is its own; each figure is the median over
rollouts, the first one of a process left out. A way that has trained nothing, or responses of another length, end the
benchmark.
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
from pathlib import Path
from typing import Any

import torch
from observed import Observed
from paper_scheme import PaperScheme
from peft import LoraConfig
from phases import synchronize
from shapes import SHAPES, llava, question_rows
from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from align.ppo.config import PPOConfig
from align.ppo.trainer import PPOTrainer

TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
ENTROPY = 0.02
WAYS = {
    "PPO, one pass": {"way": "ppo", "passes": 1},
    "the paper's scheme, one pass": {"way": "paper", "passes": 1},
    "PPO, four passes": {"way": "ppo", "passes": 4},
    "GRPO, four passes": {"way": "grpo", "passes": 4},
}
PASSED_ON = ("dtype", "rank", "tokens", "padded", "batch", "rollout", "rollouts")
MEMORY = {
    "cuda": "the most that PyTorch's allocator had given out, torch.cuda.max_memory_allocated, the model's loading included",
    "cpu": "the most that the process had resident, ru_maxrss: Python, its libraries and the model's loading included",
}


class Clock(TrainerCallback):
    """The seconds of every rollout with all of its updates, and how many of them drawing its responses took."""

    def __init__(self, updates: int, observed: Observed) -> None:
        self.updates, self.observed = updates, observed
        self.seconds: list[float] = []
        self.generating: list[float] = []

    def begin(self) -> None:
        """A rollout begins."""
        self._began, self._generated = time.perf_counter(), self.observed.generating

    def end(self) -> None:
        """It ends, its updates included."""
        synchronize()
        self.seconds.append(time.perf_counter() - self._began)
        self.generating.append(self.observed.generating - self._generated)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A rollout begins with the first of its updates."""
        if state.global_step % self.updates == 0:
            self.begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """It ends with the last of them."""
        if state.global_step % self.updates == 0:
            self.end()


def lora(options: argparse.Namespace) -> LoraConfig:
    """The LoRA of every way; without dropout."""
    return LoraConfig(r=options.rank, lora_alpha=2 * options.rank, target_modules=TARGETS)


def with_trl(options: argparse.Namespace, output: str) -> Clock:
    """Times of PPO's rollouts, or GRPO's."""
    on_gpu = torch.cuda.is_available()
    model = AutoModelForImageTextToText.from_pretrained(options.model, dtype=getattr(torch, options.dtype))
    observed = Observed(model)
    common: dict[str, Any] = {
        "output_dir": output,
        "per_device_train_batch_size": options.batch,
        "gradient_accumulation_steps": options.rollout // options.batch,
        "steps_per_generation": options.rollout // options.batch,
        "num_iterations": options.passes,
        "max_steps": options.rollouts * options.passes,
        "max_completion_length": options.tokens,
        "entropy_coef": ENTROPY,
        "disable_dropout": True,
        "bf16": on_gpu,
        "use_cpu": not on_gpu,
        "gradient_checkpointing": options.checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }
    clock = Clock(options.passes, observed)
    processor = AutoProcessor.from_pretrained(options.model)
    shared = {"processing_class": processor, "peft_config": lora(options), "callbacks": [clock]}
    prompts = options.rollout * options.rollouts
    if options.way == "ppo":
        args = PPOConfig(**common, critic_warmup=0, stop_on_na=False, max_kl=1e9)
        trainer = PPOTrainer(model, observed.reward, args, question_rows(prompts), **shared)
    else:
        args = GRPOConfig(**common, num_generations=4, beta=0.1)
        trainer = GRPOTrainer(model, observed.reward, args, question_rows(prompts // 4), **shared)
    trainer.train()
    return clock


def in_the_papers_way(options: argparse.Namespace) -> Clock:
    """Times of the rollouts of the paper's scheme."""
    base = AutoModelForImageTextToText.from_pretrained(options.model, dtype=getattr(torch, options.dtype))
    observed = Observed(base)
    scheme = PaperScheme(
        base,
        AutoProcessor.from_pretrained(options.model),
        lora(options),
        observed.reward,
        tokens=options.tokens,
        padded=options.padded,
        batch=options.batch,
        entropy_coef=ENTROPY,
        checkpointing=options.checkpointing,
    )
    prompts, clock = question_rows(options.rollout * options.rollouts), Clock(1, observed)
    for first in range(0, len(prompts), options.rollout):
        batch = prompts.select(range(first, first + options.rollout))
        clock.begin()
        scheme.rollout(batch)
        clock.end()
    return clock


def one_way(options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one way, measured in this process."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as output:
        clock = in_the_papers_way(options) if options.way == "paper" else with_trl(options, output)
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**30
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "seconds": clock.seconds[1:],
        "generating": clock.generating[1:],
        "peak memory GiB": peak,
        **clock.observed.figures(options.tokens),
    }


def of_way(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one way: medians, and every rollout's own seconds, process by process."""
    return {
        "seconds a rollout": statistics.median(second for turn in turns for second in turn["seconds"]),
        "of these, drawing responses": statistics.median(second for turn in turns for second in turn["generating"]),
        "seconds of each rollout": [turn["seconds"] for turn in turns],
        "peak memory GiB": max(turn["peak memory GiB"] for turn in turns),
        **{key: value for key, value in turns[-1].items() if key not in ("seconds", "generating", "peak memory GiB")},
    }


def summary(options: argparse.Namespace, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The figures of the ways that were measured, from those of the processes of each."""
    on_gpu = torch.cuda.is_available()
    ways = {name: of_way(turns) for name, turns in found.items() if turns}
    arithmetic = {name: of_one["arithmetic"] for name, of_one in ways.items()}
    if any(each != next(iter(arithmetic.values())) for each in arithmetic.values()):
        raise RuntimeError(f"the ways do not compare, for they compute differently: {arithmetic}")
    ratios = {
        "times as fast as the paper": ("the paper's scheme, one pass", "PPO, one pass"),
        "share of the time of GRPO": ("PPO, four passes", "GRPO, four passes"),
    }
    hidden = ("json", "way", "passes", "model")
    return {
        "options": {key: value for key, value in vars(options).items() if key not in hidden},
        "processor": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "peak memory is": MEMORY["cuda" if on_gpu else "cpu"],
        "ways": ways,
        **{
            name: ways[one]["seconds a rollout"] / ways[other]["seconds a rollout"]
            for name, (one, other) in ratios.items()
            if one in ways and other in ways
        },
    }


def parser() -> argparse.ArgumentParser:
    """The command line; what it does not show is told to the process of one way."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--shapes", choices=tuple(SHAPES), default="narrow")
    made.add_argument("--dtype", default="float32")
    made.add_argument("--rank", type=int, default=16, help="of the LoRA")
    made.add_argument("--tokens", type=int, default=32, help="of every response")
    made.add_argument("--padded", type=int, default=512, help="tokens that the paper's scheme pads a response to")
    made.add_argument("--batch", type=int, default=4, help="responses in a forward and backward pass")
    made.add_argument("--rollout", type=int, default=32, help="responses in a rollout")
    made.add_argument("--rollouts", type=int, default=3, help="in each process, the first one not counted")
    made.add_argument("--turns", type=int, default=2, help="processes of each way")
    made.add_argument(
        "--checkpointing",
        action=argparse.BooleanOptionalAction,
        default=torch.cuda.is_available(),
        help="of activations; by default on a GPU",
    )
    made.add_argument("--json", type=Path)
    made.add_argument("--way", help=argparse.SUPPRESS)
    made.add_argument("--passes", type=int, help=argparse.SUPPRESS)
    made.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    return made


def turn(name: str, options: argparse.Namespace, folder: Path, limit: float | None = None) -> dict[str, Any]:
    """Measure one way in a process of its own.

    Args:
        name: Of the way.
        options: Of the command line.
        folder: The model.
        limit: Seconds.

    Raises:
        subprocess.CalledProcessError: It failed.
        subprocess.TimeoutExpired: It took longer than ``limit``.
    """
    given = {**{key: getattr(options, key) for key in PASSED_ON}, **WAYS[name]}
    flags = [text for key, value in given.items() for text in (f"--{key}", str(value))]
    flags.append("--checkpointing" if options.checkpointing else "--no-checkpointing")
    command = [sys.executable, __file__, "--model", str(folder), *flags]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=limit)
    found: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


def in_turns(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Measure every way, each time in a process of its own."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        llava(options.shapes, Path(folder), getattr(torch, options.dtype), device)
        for _ in range(options.turns):
            for name in WAYS:
                found[name].append(turn(name, options, Path(folder)))
                print(f"{name}: {[round(each, 2) for each in found[name][-1]['seconds']]} s", flush=True)
    return found


def show(figures: dict[str, Any]) -> None:
    """The table of the ways that were measured, and how they compare."""
    options = figures["options"]
    told = f"{options['dtype']}, rollouts of {options['rollout']} responses"
    print(f"\nLLaVA-1.5 shapes ({options['shapes']}), random weights, {told}")
    print(f"{'':<30} {'s a rollout':>12} {'drawing':>9} {'responses/s':>12} {'peak GiB':>9}")
    for name, of_one in figures["ways"].items():
        time_of = of_one["seconds a rollout"]
        print(
            f"{name:<30} {time_of:>12.2f} {of_one['of these, drawing responses']:>9.2f} "
            f"{options['rollout'] / time_of:>12.2f} {of_one['peak memory GiB']:>9.2f}"
        )
    if (times := figures.get("times as fast as the paper")) is not None:
        print(f"PPO is {times:.2f} times as fast as the paper's scheme")
    if (share := figures.get("share of the time of GRPO")) is not None:
        print(f"and takes {share:.2f} of GRPO's time")


def main() -> None:
    """Measure, print, and write the same figures if asked."""
    options = parser().parse_args()
    if options.way:
        print(json.dumps(one_way(options)))
        return
    figures = summary(options, in_turns(options))
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
