"""Runs that are killed, and gone on with: `python killed_runs.py CHECKPOINT OUT PLACES` prints what each came to, as JSON.

``PLACES`` is JSON: by method ("sft", or "sft 2" on two processes), where a run is killed, time and again, before it is let to
its end. Every attempt is a child of this process, which has imported everything and trained nothing; it kills itself by
SIGKILL where it is to be killed.
"""

import hashlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any
from unittest.mock import patch

from transformers import AutoModelForImageTextToText

import align.run  # noqa: F401 - so that no child has to import it
from align import commands
from align.folder import RunFolder, WholeCheckpoints
from align.record import RECORD_FILE

SETTINGS: dict[str, Any] = {
    "renders": 1,
    "passes": 1,
    "max_steps": 6,
    "learning_rate": 1e-3,
    "lora_r": 4,
    "lora_dropout": 0.2,
    "per_device_train_batch_size": 15,
    "gradient_accumulation_steps": 2,
    "gradient_checkpointing": False,
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
    "logging_steps": 1,
}
ROLLOUTS: dict[str, Any] = {
    "save_steps": 2,
    "num_iterations": 2,
    "max_completion_length": 4,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
}
OF: dict[str, dict[str, Any]] = {
    "sft": {"save_steps": 1},
    "dpo": {"save_steps": 1, "disable_dropout": False},
    # What untrained models say has no verdict: the reward is another one than the judge's that watches.
    "ppo": ROLLOUTS
    | {"stop_on_na": False, "critic_warmup": 1, "rewards": "[{name: length, cap: 3}]", "monitor": "rules"},
    "grpo": ROLLOUTS | {"num_generations": 2},
    "rloo": ROLLOUTS | {"num_generations": 2},
}


def main() -> None:
    checkpoint, out, places = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    # So that no child has to import the model's code, nor to compile what its weights' names are matched by.
    AutoModelForImageTextToText.from_pretrained(checkpoint)
    ends = {}
    for run, names in places.items():
        method, processes = run.split()[0], int([*run.split(), "1"][1])
        given = SETTINGS | OF[method] | {"model": checkpoint}
        options = [word for key, value in given.items() for word in (f"--{key}", str(value))]
        whole, killed = out / run.replace(" ", "-"), out / f"{run.replace(' ', '-')}-killed"
        for name in names:
            command = [method, *options, "--output_dir", str(killed)]
            assert -signal.SIGKILL in in_children(partial(killings()[name], command), processes), f"{run}, {name}"
            left = sorted(each.name for each in killed.iterdir() if not each.name.startswith("."))
            assert left and all((killed / each / RECORD_FILE).is_file() for each in left), f"{run}, {name}: {left}"
            assert "final" not in left, f"{run}, {name}: {left}"
        for folder in (whole, killed):
            command = [method, *options, "--output_dir", str(folder)]
            assert set(in_children(partial(train, command), processes)) == {0}, f"{folder}"
        ends[run] = [of(whole), of(killed)]
    print(json.dumps(ends))


def killings() -> dict[str, Callable[[list[str]], None]]:
    """By where a run is killed, after a whole checkpoint each; an epoch of SFT and DPO has four steps."""
    publish, step = RunFolder.publish, WholeCheckpoints.training_step
    save = WholeCheckpoints._save_checkpoint

    def while_writing(self: RunFolder, name: str) -> None:
        if name == "checkpoint-2":
            (self.unfinished / name / "optimizer.pt").unlink()
            die()
        publish(self, name)

    def while_finishing(self: RunFolder, name: str) -> None:
        if name == "final":
            die()
        publish(self, name)

    def in_a_pass(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 3:
            die()
        return step(self, *args, **kwargs)

    def after(number: int) -> Callable[..., Any]:
        def saved(self: Any, *args: Any, **kwargs: Any) -> Any:
            save(self, *args, **kwargs)
            if self.state.global_step == number:
                die()

        return saved

    return {
        "while a checkpoint is written": lambda command: patched(RunFolder, "publish", while_writing, command),
        "in a step": lambda command: patched(WholeCheckpoints, "training_step", in_a_pass, command),
        "at the end of an epoch": lambda command: patched(WholeCheckpoints, "_save_checkpoint", after(4), command),
        "while it finishes": lambda command: patched(RunFolder, "publish", while_finishing, command),
    }


def patched(owner: type, name: str, to: Callable[..., Any], command: list[str]) -> None:
    with patch.object(owner, name, to):
        train(command)


def train(command: list[str]) -> None:
    with patch.object(sys, "argv", ["align", *command]):
        commands.main()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_children(run: Callable[[], None], processes: int) -> list[int]:
    """For each of as many processes, minus the signal that ended it, or its exit status."""
    if processes > 1:
        with socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    children = []
    for rank in range(processes):
        child = os.fork()
        if child:
            children.append(child)
            continue
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        if processes > 1:
            of_launcher = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
            os.environ.update({name: str(value) for name, value in of_launcher.items()}, MASTER_ADDR="127.0.0.1")
        status = 1
        try:
            run()
            status = 0
        except Exception:
            traceback.print_exc()  # for nobody else will: the process ends at once
        finally:
            sys.stderr.flush()
            os._exit(status)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def of(folder: Path) -> dict[str, Any]:
    """What a run came to: digests of its weights, the checkpoints it left, and losses and tokens on its way."""
    final = folder / "final"
    history = json.loads((final / "trainer_state.json").read_text())["log_history"]
    return {
        "weights": {each.name: digest(each) for each in sorted(final.glob("*.safetensors"))},
        "left": sorted(each.name for each in folder.iterdir()),
        "random states": len([*folder.glob("checkpoint-2/rng_state*.pth")]),
        "losses": [entry["loss"] for entry in history if "loss" in entry],
        "tokens": [entry["num_tokens"] for entry in history if "num_tokens" in entry],
    }


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
