"""What PPO's critic holds at LLaVA-1.5-7B's width: its replay, and the most while a rollout is scored and learned from.

    python benchmarks/critic_memory.py [--json PATH]                      # on a CPU: a minute

A rollout is that of ``paper_fixed``: 32 responses of 20 to 128 tokens after 640 of a prompt, in passes of four; the replay
has its 10 rollouts. Hidden states are random and no language model runs, so what is printed is the critic's part alone. Not
counted: the value head, its gradient and its Adam, which were there before. Measured as resident memory of a process of its
own, once for weights in bfloat16, once for weights in float32 under bfloat16 autocast, once in float32.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import torch
from accelerate import Accelerator

from align.ppo.config import PPOConfig
from align.ppo.credit import Credit, Scored
from align.ppo.critic import Critic, Recording

WIDTH, RESPONSES, TOKENS, PROMPT, IN_A_PASS, REPLAY = 4096, 32, 128, 640, 4, 10
WAYS = ("bfloat16", "autocast", "float32")
_MIB = 2**20


class Peak(threading.Thread):
    """Watches how much memory the process has resident, in MiB above what it has now."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process()
        self._before, self.most = self._process.memory_info().rss, 0.0

    def now(self) -> float:
        """What it has now, above what it began with."""
        return (self._process.memory_info().rss - self._before) / _MIB

    def run(self) -> None:
        """Look until the process ends."""
        while True:
            self.most = max(self.most, self.now())
            time.sleep(0.002)


def measured(way: str) -> dict[str, Any]:
    """Three rollouts beyond a full replay."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = {"per_device_train_batch_size": IN_A_PASS, "steps_per_generation": RESPONSES // IN_A_PASS}
        args = PPOConfig(folder, **sizes, critic_steps=1, critic_replay=REPLAY, use_cpu=True, bf16=False)
    critic = Critic(2 * WIDTH, args, torch.device("cpu"))
    critic.learn(torch.randn(512, 2 * WIDTH), torch.zeros(512), torch.zeros(512), 1)  # Adam's moments are made
    critic._replay.clear()
    credit = Credit(critic, args, Accelerator(cpu=True))
    states = torch.randn(
        IN_A_PASS, PROMPT + TOKENS, WIDTH, dtype=torch.bfloat16 if way == "bfloat16" else torch.float32
    )
    peak = Peak()
    peak.start()
    for number in range(REPLAY + 3):
        if number == REPLAY:
            peak.most = 0.0
        lengths = torch.randint(20, TOKENS + 1, (RESPONSES,), generator=torch.Generator().manual_seed(number))
        lengths[0] = TOKENS
        mask = (torch.arange(TOKENS) < lengths[:, None]).long()
        computing = torch.autocast("cpu", torch.bfloat16) if way == "autocast" else nullcontext()
        with torch.no_grad(), computing:
            recording = Recording(mask, 2 * WIDTH)
            for _ in range(RESPONSES // IN_A_PASS):
                recording.early(states.clone())
                recording.late(states.clone())
        zeros = torch.zeros(RESPONSES, TOKENS)
        judged = torch.ones(RESPONSES, dtype=torch.bool)
        credit.assign(Scored(torch.zeros(RESPONSES), zeros, zeros, mask, recording.features, judged), 0.0, number)
        del recording
    replayed = sum(seen.features.untyped_storage().nbytes() for seen in critic._replay) / _MIB
    figures = {"replay": replayed, "resident after a rollout": peak.now(), "most resident": peak.most}
    return {"precision": str(critic._replay[0].features.dtype)} | {name: round(each) for name, each in figures.items()}


def main() -> None:
    """Measure every way in a process of its own; MiB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measured(options.way)))
        return
    figures = {}
    for way in WAYS:
        # What is freed goes back to the system at once, so that resident is what is held.
        env = os.environ | dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(_MIB))
        command = [sys.executable, __file__, "--way", way]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        figures[way] = json.loads(printed.stdout.splitlines()[-1])
        print(f"{way}: {json.dumps(figures[way])}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
