"""The record of a run, ``run.json`` in each folder it writes (method, settings, data, versions, command), and the model card.

A run resumes only with the settings it began with: `differences` compares two records.
"""

import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
import yaml
from datasets import Dataset

from align.data import fingerprint
from align.models import Base
from align.rewards.base import Reward, rest_of
from align.settings import RunSettings
from harness_ext.benchmark.splits import SPLIT
from harness_ext.common.errors import UserError
from harness_ext.common.files import write_text
from harness_ext.judges import RuleJudge
from harness_ext.judges.base import BatchJudge
from harness_ext.models.checkpoint import read_json, weights_identity
from harness_ext.report.page.training import RECORD_FILE

Record = dict[str, Any]


_LIBRARIES: Final = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "unsafeconcepts")
# Arguments that change where a run is written, how it is watched, or when it gives up, but not its result.
_BESIDE: Final = (
    "dataloader_in_order dataloader_multiprocessing_context dataloader_num_workers dataloader_persistent_workers "
    "dataloader_pin_memory dataloader_prefetch_factor disable_tqdm hub_token local_rank log_level log_level_replica "
    "log_on_each_node max_kl monitor_stop monitor_warn output_dir project report_to run_name save_total_limit stop_on_na"
)
# Without effect where no judge watches.
_OF_MONITOR: Final = "monitor_first monitor_options monitor_window"
# Options of a judge that change how it is asked, but not what it answers.
_OF_ASKING: Final = ("answers", "api_key_variable", "backoff", "concurrency", "max_retries", "most_calls", "timeout")


@dataclass(frozen=True)
class TimeTaken:
    """The time that a run's training has taken so far.

    Attributes:
        seconds: Wall-clock time.
        cpu_seconds: Processor time of the main process, which other programs do not lengthen.
    """

    seconds: float
    cpu_seconds: float

    @classmethod
    def of(cls, record: Record) -> "TimeTaken":
        """As `write_record` wrote it."""
        return cls(float(record["seconds"]), float(record["cpu_seconds"]))


def make_record(
    settings: RunSettings, base: Base, rows: Dataset, rests_on: Mapping[str, str], processes: int, command: str
) -> Record:
    """The record of a run that is about to begin or to resume.

    ``rows`` are those with their targets, each once; ``rests_on`` is what :func:`judges_of` returns.
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
        "data": {
            **asdict(settings.data),
            **({"split": SPLIT} if settings.data.source == "unsafeconcepts" else {}),
            "rows": len(rows),
            "fingerprint": fingerprint(rows),
        },
        "rewards": settings.rewards,
        "rests_on": dict(rests_on),
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


def judges_of(rewards: Sequence[Reward], monitor: BatchJudge | None) -> dict[str, str]:
    """By reward, and for the judge that watches, the identity of the judge or model that reads the responses.

    Those that are code alone are left out, the rule judge too: the package's version identifies them.
    """
    of_rewards = {f"the reward {each.__name__}": rest_of(each) for each in rewards}
    found = of_rewards | {"the monitor": monitor.name if monitor is not None else None}
    return {name: rest for name, rest in found.items() if rest not in (None, RuleJudge.name)}


def write_record(folder: Path, record: Record, step: int, taken: TimeTaken) -> None:
    """Write ``run.json``, the last file of a folder: the record, the step, and the time it took."""
    spent = {name: round(value, 1) for name, value in asdict(taken).items()}
    text = json.dumps({**record, "step": step, **spent}, indent=2, ensure_ascii=False)
    write_text(folder / RECORD_FILE, text + "\n")


def read_record(folder: Path) -> Record:
    """The record that `write_record` wrote. Raises ``UserError`` where it cannot be read."""
    return read_json(folder / RECORD_FILE)


def bears_record(folder: Path) -> bool:
    """Whether ``folder`` holds a record, so that a run of align wrote it."""
    try:
        return read_record(folder).keys() >= {"method", "arguments", "step"}
    except UserError:
        return False


def differences(before: Record, now: Record) -> list[str]:
    """The settings that differ and would change the result, one line each; empty for the same run."""
    old, new = dict(_compared(before)), dict(_compared(now))
    names = [*new, *(name for name in old if name not in new)]
    found = [
        f"{name}: {_short(old.get(name))} there, {_short(new.get(name))} now"
        for name in names
        if old.get(name) != new.get(name)
    ]
    return found + list(_other_judges(before.get("rests_on"), now.get("rests_on", {})))


def other_environment(before: Record, now: Record) -> list[str]:
    """Versions and devices that differ: a run may resume with them, but not to the same bits."""
    old, new = before.get("environment", {}), now["environment"]
    return [f"{name}: {old.get(name)} there, {new[name]} now" for name in new if old.get(name) != new[name]]


def _compared(record: Record) -> Iterator[tuple[str, Any]]:
    yield "method", record.get("method")
    # The weights' identity counts, not their name or their place on this machine.
    yield from ((name, value) for name, value in record.get("model", {}).items() if name not in ("model", "pretrained"))
    yield from record.get("data", {}).items()
    rewards = record.get("rewards")
    yield "rewards", [_of_verdicts(each, "judge_options") for each in rewards] if rewards else rewards
    arguments = _of_verdicts(record.get("arguments", {}), "monitor_options")
    beside = (_BESIDE if arguments.get("monitor") else f"{_BESIDE} {_OF_MONITOR}").split()
    yield from ((name, value) for name, value in arguments.items() if name not in beside)
    yield "processes", record.get("processes")


def _other_judges(old: Mapping[str, str] | None, new: Mapping[str, str]) -> Iterator[str]:
    """The rewards that rest on another judge or model; ``old`` is ``None`` for a run from before they were recorded."""
    for name in {**(old or {}), **new}:
        if old is None:
            yield f"{name} rests on {new[name]} now, and what it rested on there was not recorded"
        elif old.get(name) != new.get(name):
            yield f"{name} rests on {old.get(name, 'code alone')} there, on {new.get(name, 'code alone')} now"


def _of_verdicts(given: Mapping[str, Any], key: str) -> dict[str, Any]:
    """``given``, without those of a judge's options, under ``key``, that change no verdict."""
    rest = {name: value for name, value in given.items() if name != key}
    options = {name: value for name, value in (given.get(key) or {}).items() if name not in _OF_ASKING}
    return rest | {key: options} if options else rest


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"


# --- the model card ---------------------------------------------------------------------------------------------------

_METHODS: Final = {
    "sft": "supervised fine-tuning (SFT)",
    "dpo": "direct preference optimisation (DPO)",
    "ppo": "proximal policy optimisation (PPO)",
    "grpo": "group relative policy optimisation (GRPO)",
    "rloo": "REINFORCE leave-one-out (RLOO)",
}
_STAND_IN: Final = """**Glyphworld is a stand-in, not the benchmark.** Its images are harmless abstract glyphs that bear the \
concepts' names; what comes of training on them shows that everything runs end to end, and says nothing about a real model.
"""
_BENCHMARK: Final = """Trained to judge images of the concepts of UnsafeConcepts (Qu, Backes, Zhang, USENIX Security 2025, \
[arXiv 2507.11155](https://arxiv.org/abs/2507.11155)). The labels are about concepts, not about every image of them; whoever \
uses it decides whether they are right for the purpose. The images are gated, and for research only.
"""


def write_card(folder: Path, base: Base, record: Record, step: int) -> None:
    """Write ``README.md``, the hub's model card, for an adapter of ``base`` after ``step`` steps; no row, no response."""
    model, data, arguments = record["model"], record["data"], record["arguments"]
    is_stand_in = data["source"] == "glyphworld"
    head: dict[str, Any] = {
        "library_name": "peft",
        "pipeline_tag": "image-text-to-text",
        "tags": ["lora", "trl", record["method"], "unsafeconcepts"],
    }
    if base.commit is not None:
        head = {"base_model": base.pretrained, **head}
    if not is_stand_in:
        head["datasets"] = ["yiting/UnsafeConcepts", "yiting/imagenet_1k_unique_class"]
    rows = {
        "base model": f"{model['model']} ({base.pretrained}, commit {base.commit})" if base.commit else model["model"],
        "its weights": model["weights"],
        "method": _METHODS[record["method"]],
        "rewards": record["rewards"],
        "read by": "; ".join(f"{name} rests on {what}" for name, what in record["rests_on"].items()) or None,
        "LoRA": f"rank {model['lora_r']}, alpha {model['lora_alpha']}; on {', '.join(model['lora_modules'])}",
        "data": f"{data['source']}: {data['rows']} rows, {data['passes']} passes, sha256 {data['fingerprint']}",
        "left out": f"{left} rows, longer than max_length" if (left := record["left_out"]) else None,
        "optimiser steps": step,
        "learning rate": f"{arguments['learning_rate']:g}, {arguments['lr_scheduler_type']}",
        "seed": arguments["seed"],
        "command": f"`{record['command']}`",
        "made with": ", ".join(f"{name} {version}" for name, version in record["environment"].items()),
    }
    name, options = base.asked_as
    asked = ",".join(each for each in (options, "adapter=THIS_FOLDER") if each)
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False).rstrip(),
        "---",
        "",
        f"# A LoRA for {model['model']} by {record['method'].upper()}",
        "",
        _STAND_IN if is_stand_in else _BENCHMARK,
        "| | |",
        "| --- | --- |",
        *(f"| {key} | {value} |" for key, value in rows.items() if value is not None),
        "",
        "```bash",
        f"lmms_eval --model {name} --model_args {asked} --tasks {data['source']} --log_samples --output_path runs",
        "```",
        "",
        "All settings are in `run.json`.",
        "",
    ]
    write_text(folder / "README.md", "\n".join(lines))
