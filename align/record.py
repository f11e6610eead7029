"""The record of a run (``run.json`` in each folder it writes), by which it resumes only with its settings; the model card."""

import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import torch
from datasets import Dataset
from jinja2 import StrictUndefined, Template
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from align.anchors import ANCHOR
from align.data import fingerprint
from align.labels import labels_told
from align.models import Base
from align.rewards.base import Reward, rest_of
from align.settings import DataConfig, RunSettings
from align.sharding import sharding
from align.vllm import is_used, noted
from harness_ext.common.errors import UserError
from harness_ext.common.files import write_text
from harness_ext.common.options import problem
from harness_ext.common.reading import read_json
from harness_ext.judges import RuleJudge
from harness_ext.judges.base import BatchJudge
from harness_ext.models.checkpoint import weights_identity
from harness_ext.models.vllm import version_of_vllm
from harness_ext.registry import benchmark_named
from harness_ext.report.page.training import RECORD_FILE

Record = dict[str, Any]
CARD_FILE: Final = "README.md"


class _Read(TypedDict, total=False):
    """What is read of a record, as far as it is there: earlier versions lacked some."""

    method: str
    model: dict[str, Any]
    data: dict[str, Any]
    rewards: list[dict[str, Any]] | None
    rests_on: dict[str, str]
    arguments: dict[str, Any]
    processes: int
    noise: str
    environment: dict[str, Any]
    step: int
    seconds: float
    cpu_seconds: float


_READ: Final = TypeAdapter(_Read)

_LIBRARIES: Final = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "unsafeconcepts")
# Arguments that change where a run is written, how it is watched, or when it gives up, but not its result.
_BESIDE: Final = (
    "dataloader_in_order dataloader_multiprocessing_context dataloader_num_workers dataloader_persistent_workers "
    "dataloader_pin_memory dataloader_prefetch_factor disable_tqdm hub_token local_rank log_level log_level_replica "
    "log_on_each_node max_kl max_mismatch monitor_stop monitor_warn output_dir project report_to run_name save_total_limit "
    "stop_on_na vllm_gpu_memory_utilization vllm_group_port vllm_server_base_url vllm_server_host "
    "vllm_server_port vllm_server_timeout"
)
# Without effect where no judge watches.
_OF_MONITOR: Final = "monitor_first monitor_options monitor_window"
# Options of a judge that change how it is asked, but not what it answers.
_OF_ASKING: Final = ("answers", "api_key_variable", "backoff", "concurrency", "max_retries", "most_calls", "timeout")


def make_record(
    settings: RunSettings,
    base: Base,
    rows: Dataset,
    rests_on: Mapping[str, str],
    command: str,
    found: Mapping[str, Any],
) -> Record:
    """The record of a run that is about to start, on ``rows`` with their targets; ``rests_on`` is from :func:`judges_of`.

    ``found`` says what the original model, asked before training, had to say of the rows.
    """
    anchors = sum(rows[ANCHOR]) if ANCHOR in rows.column_names else 0
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
            **({"split": split} if (split := benchmark_named(settings.data.source).split) else {}),
            "rows": len(rows) - anchors,
            **({"anchors": anchors} if anchors else {}),
            **labels_told(settings.data),
            **found,
            "fingerprint": fingerprint(rows),
        },
        "rewards": settings.rewards,
        "rests_on": dict(rests_on),
        "arguments": dict(sorted(settings.arguments.to_dict().items())),
        "processes": settings.arguments.world_size,
        **noted(settings.arguments),
        **({"sharding": engine} if (engine := sharding(settings.arguments)) is not None else {}),
        "environment": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _LIBRARIES},
            **({"vllm": version_of_vllm()} if is_used(settings.arguments) else {}),
            "device": torch.cuda.get_device_name() if settings.arguments.device.type == "cuda" else "cpu",
        },
    }
    # As it is read back, so that a tuple is not another thing than a list.
    return dict(json.loads(json.dumps(record)))


def judges_of(rewards: Sequence[Reward], monitor: BatchJudge | None) -> dict[str, str]:
    """By reward, and for the judge that watches, the identity of the judge or model that reads the responses.

    Code alone, the rule judge too, is left out: the package's version identifies it.
    """
    of_rewards = {f"the reward {each.__name__}": rest_of(each) for each in rewards}
    found = of_rewards | {"the monitor": monitor.name if monitor is not None else None}
    return {name: rest for name, rest in found.items() if rest not in (None, RuleJudge.name)}


def write_record(
    folder: Path, record: Record, step: int, seconds: float, cpu_seconds: float, num_tokens: int = 0
) -> None:
    """Write ``run.json``: the record, the step, the time of training so far, and that a seal belongs to the folder.

    ``seconds`` are by the clock, ``cpu_seconds`` the main process's own, which other programs do not lengthen. ``num_tokens``
    is what the trainer has counted, where it does not count in its own state.
    """
    spent = {"seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1), "num_tokens": num_tokens}
    text = json.dumps({**record, "step": step, **spent, "sealed": True}, indent=2, ensure_ascii=False)
    write_text(folder / RECORD_FILE, text + "\n")


def read_record(folder: Path) -> Record:
    """The record that `write_record` wrote. Raises ``UserError`` where it cannot be read."""
    file = folder / RECORD_FILE
    found = read_json(file)
    try:
        _READ.validate_python(found, strict=True)
    except ValidationError as error:
        raise UserError(f"{file}: not a record of this version of align: {problem(error)}") from error
    return found


def bears_record(folder: Path) -> bool:
    """Whether ``folder`` holds a record, so that a run of align wrote it."""
    try:
        return read_record(folder).keys() >= {"method", "arguments", "step"}
    except UserError:
        return False


def differences(before: Record, now: Record) -> list[str]:
    """The settings that differ and would change the result, one line each; empty for the same run."""
    old, new = dict(_compared(before)), dict(_compared(now))
    found = [
        f"{name}: {_short(old.get(name))} there, {_short(new.get(name))} now"
        for name in new | old
        if old.get(name) != new.get(name)
    ]
    return found + list(_other_judges(before.get("rests_on"), now.get("rests_on", {})))


def other_environment(before: Record, now: Record) -> list[str]:
    """Versions and devices that differ: a run may resume with them, but not to the same bits."""
    old, new = before.get("environment", {}), now["environment"]
    return [f"{name}: {old.get(name)} there, {new[name]} now" for name in new if old.get(name) != new[name]]


def _compared(record: Record) -> Iterator[tuple[str, Any]]:
    yield "method", record.get("method")
    # The weights' identity counts, not their name or their place on this machine; a switch that is off is as none.
    of_model = ((name, value) for name, value in record.get("model", {}).items() if value is not False)
    yield from ((name, value) for name, value in of_model if name not in ("model", "pretrained"))
    # A setting that an earlier version lacked had the value that is its default now.
    data = {each.name: each.default for each in fields(DataConfig)} | record.get("data", {})
    yield from _of_verdicts(data, "own_judge_options").items()
    rewards = record.get("rewards")
    yield "rewards", [_of_verdicts(each, "judge_options") for each in rewards] if rewards else rewards
    arguments = _of_verdicts(record.get("arguments", {}), "monitor_options")
    beside = (_BESIDE if arguments.get("monitor") else f"{_BESIDE} {_OF_MONITOR}").split()
    yield from ((name, value) for name, value in arguments.items() if name not in beside)
    yield from ((name, record.get(name)) for name in ("processes", "sharding"))


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


def write_card(folder: Path, base: Base, record: Record, step: int) -> None:
    """Write ``README.md``, the hub's model card, for an adapter of ``base`` after ``step`` steps; no row, no response."""
    text = Path(__file__).with_name("card.md.jinja").read_text(encoding="utf-8")
    card = Template(text, trim_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined)
    write_text(folder / CARD_FILE, card.render(base=base, step=step, **record))
