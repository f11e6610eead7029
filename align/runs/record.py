"""What a run was, as ``run.json`` in every folder it writes: method, settings, data, versions, command.

A run goes on only with what it began with: `differences` compares two records.
"""

import importlib.metadata
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from datasets import Dataset

from align.data.show import fingerprint
from align.models import Base
from align.settings import Settings
from harness_ext.models.checkpoint import read_json
from harness_ext.models.identity import weights_identity

RECORD_FILE: Final = "run.json"
Record = dict[str, Any]


@dataclass(frozen=True)
class Taken:
    """What a run's training has taken so far.

    Attributes:
        seconds: On the clock.
        cpu_seconds: Of processor time, in the main process: also on a machine that does other things.
    """

    seconds: float
    cpu_seconds: float

    @classmethod
    def of(cls, record: Record) -> "Taken":
        """As `write_record` wrote it."""
        return cls(float(record["seconds"]), float(record["cpu_seconds"]))


_LIBRARIES: Final = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "unsafeconcepts")
# Arguments that say where a run is written, how it is watched, and when it gives up, not what comes out.
_BESIDE: Final = (
    "dataloader_in_order",
    "dataloader_multiprocessing_context",
    "dataloader_num_workers",
    "dataloader_persistent_workers",
    "dataloader_pin_memory",
    "dataloader_prefetch_factor",
    "disable_tqdm",
    "hub_token",
    "local_rank",
    "log_level",
    "log_level_replica",
    "log_on_each_node",
    "max_kl",
    "monitor_stop",
    "monitor_warn",
    "output_dir",
    "project",
    "report_to",
    "run_name",
    "save_total_limit",
    "stop_on_na",
)
# Without effect where no judge watches.
_OF_MONITOR: Final = ("monitor_first", "monitor_options", "monitor_window")


def make_record(settings: Settings, base: Base, rows: Dataset, processes: int, command: str) -> Record:
    """What is about to be run.

    Args:
        settings: The run's settings.
        base: The model that is trained on.
        rows: The rows, with their targets, each once.
        processes: How many take part.
        command: The command line.
    """
    record = {
        "method": settings.method,
        "command": command,
        "model": {
            **asdict(settings.model),
            "pretrained": base.pretrained,
            "revision": base.commit,
            "weights": weights_identity(base.pretrained, base.commit),
            "prompt": base.prompt,
            "template_options": dict(base.template_options),
        },
        "data": {**asdict(settings.data), "rows": len(rows), "fingerprint": fingerprint(rows)},
        "rewards": settings.rewards.rewards if settings.rewards else None,
        "arguments": dict(sorted(settings.arguments.to_dict().items())),
        "processes": processes,
        "environment": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _LIBRARIES},
            "device": torch.cuda.get_device_name() if settings.arguments.device.type == "cuda" else "cpu",
        },
    }
    # As it is read back, so that a tuple is not another thing than a list.
    return dict(json.loads(json.dumps(record)))


def write_record(folder: Path, record: Record, step: int, taken: Taken) -> None:
    """Write ``run.json``, the last file of a folder: what was run, how far, and how long that took."""
    spent = {name: round(value, 1) for name, value in asdict(taken).items()}
    text = json.dumps({**record, "step": step, **spent}, indent=2, ensure_ascii=False)
    (folder / RECORD_FILE).write_text(text + "\n", encoding="utf-8")


def read_record(folder: Path) -> Record:
    """What `write_record` wrote. Raises ``UserError`` where it cannot be read."""
    return read_json(folder / RECORD_FILE)


def differences(before: Record, now: Record) -> list[str]:
    """What would come out differently, one line each; empty for the same run."""
    old, new = dict(_compared(before)), dict(_compared(now))
    names = [*new, *(name for name in old if name not in new)]
    return [
        f"{name}: {_short(old.get(name))} there, {_short(new.get(name))} now"
        for name in names
        if old.get(name) != new.get(name)
    ]


def other_environment(before: Record, now: Record) -> list[str]:
    """Versions and devices that differ: a run may go on with them, but not to the same bits."""
    old, new = before.get("environment", {}), now["environment"]
    return [f"{name}: {old.get(name)} there, {new[name]} now" for name in new if old.get(name) != new[name]]


def _compared(record: Record) -> Iterator[tuple[str, Any]]:
    yield "method", record.get("method")
    # Not what the weights are called and where this machine keeps them, but what they are.
    yield from ((name, value) for name, value in record.get("model", {}).items() if name not in ("model", "pretrained"))
    yield from record.get("data", {}).items()
    yield "rewards", record.get("rewards")
    arguments = record.get("arguments", {})
    beside = _BESIDE if arguments.get("monitor") else _BESIDE + _OF_MONITOR
    yield from ((name, value) for name, value in arguments.items() if name not in beside)
    yield "processes", record.get("processes")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"
