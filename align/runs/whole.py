"""Whether a checkpoint holds all that a run resumes from; transformers resumes in silence without a part."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from transformers.trainer import OPTIMIZER_NAME, SCALER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME

from align.monitor import MONITOR_FILE
from align.ppo.critic import CRITIC_FILE, HEAD_FILE
from align.ppo.trainer import PPO_FILE
from align.runs.record import Record
from harness_ext.errors import UserError
from harness_ext.models.checkpoint import read_json, require_whole

FINAL: Final = "final"
ADAPTER_FILES: Final = ("adapter_config.json", "adapter_model.safetensors", TRAINER_STATE_NAME)


def require_first_whole(folders: Sequence[Path], record: Record) -> None:
    """Raise ``UserError`` unless the first of ``folders`` is whole; it names the first one that is.

    Args:
        folders: ``final`` and checkpoints of one run, in the order in which the run would resume from them.
        record: What is about to be run, as :func:`align.runs.record.make_record` says it.
    """
    damaged: list[str] = []
    problem: UserError | None = None
    then = "begins anew"
    for folder in folders:
        try:
            _require_whole(folder, record)
        except UserError as error:
            problem = problem or error
            damaged.append(folder.name)
        else:
            then = f"resumes from {folder.name}"
            break
    if problem is not None:
        raise UserError(f"{problem}\nOr remove {', '.join(damaged)}: the same command then {then}") from problem


def _require_whole(folder: Path, record: Record) -> None:
    for name in _files_of(folder, record):
        if name.endswith(".json"):
            read_json(folder / name)
        else:
            require_whole(folder / name, f"cannot resume from {folder.name}: ")


def _files_of(folder: Path, record: Record) -> list[str]:
    """What a checkpoint, or ``final``, of such a run holds."""
    arguments, is_ppo = record["arguments"], record["method"] == "ppo"
    names = [*ADAPTER_FILES, *([HEAD_FILE] if is_ppo else [])]
    if folder.name == FINAL:
        return names
    processes = record["processes"]
    names += [f"rng_state_{rank}.pth" for rank in range(processes)] if processes > 1 else ["rng_state.pth"]
    names += [OPTIMIZER_NAME, SCHEDULER_NAME, *([SCALER_NAME] if arguments.get("fp16") else [])]
    names += [CRITIC_FILE, PPO_FILE] if is_ppo else []
    return names + ([MONITOR_FILE] if arguments.get("monitor") else [])
