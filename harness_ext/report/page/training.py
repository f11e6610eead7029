"""Training runs as `align` leaves them on disk: what was trained, how far, and the curves of its log.

A run's folder holds ``final`` or, until it is through, ``checkpoint-N``, each with ``run.json`` (the settings) and
``trainer_state.json`` (the log; its TensorBoard files hold the same figures), ``stopped.json`` where it could not go on, and
``monitor.jsonl`` where a judge that watched it warned.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness_ext.benchmark import SOURCES
from harness_ext.common.errors import UserError

_RECORD: Final = "run.json"
_STATE: Final = "trainer_state.json"
_STOPPED: Final = "stopped.json"
_WARNED: Final = "monitor.jsonl"
# Of the rollouts since the last entry of the log, the share at which was warned.
_WARNINGS: Final = "monitor/warnings"
_CHECKPOINT: Final = re.compile(r"checkpoint-(\d+)")
# Runs of earlier versions kept it.
_TOKEN: Final = re.compile(r"(--hub[-_]token[ =])\S+")
_NO_CURVES: Final = {"step", "epoch"}

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Training:
    """One training run.

    Attributes:
        name: Its folder's name.
        folder: Its folder.
        source: What its rows are of, ``"unsafeconcepts"`` or ``"glyphworld"``.
        settings: What was trained, and how, for the reader of a table.
        curves: (optimiser step, value) of every figure that was logged more than once.
        notes: That it is not through, why it stopped, and where a judge that watched warned.
        warnings: The optimiser steps of those warnings.
        warns_beyond: The drift that they are about; ``None`` where no judge watched.
    """

    name: str
    folder: Path
    source: str
    settings: Mapping[str, str]
    curves: Mapping[str, Curve]
    notes: tuple[str, ...]
    warnings: tuple[float, ...] = ()
    warns_beyond: float | None = None


def read_trainings(folder: Path) -> list[Training]:
    """Every training run in or below ``folder``, by name; none where it holds none.

    Raises:
        UserError: A file of one cannot be read, or is of another version of this project.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder. Expected the --output_path of an evaluation or the folder of an align run."
        )
    kept = [record.parent for record in folder.rglob(_RECORD) if (record.parent / _STATE).is_file()]
    runs: dict[Path, Path] = {}
    for candidate in sorted(kept, key=_how_far):
        if math.isfinite(_how_far(candidate)) or candidate.name == "final":
            runs[candidate.parent] = candidate
    return [_read(run, runs[run]) for run in sorted(runs)]


def _how_far(folder: Path) -> float:
    """``final`` before the last checkpoint before earlier ones; minus infinity for any other folder."""
    if folder.name == "final":
        return math.inf
    named = _CHECKPOINT.fullmatch(folder.name)
    return float(named[1]) if named else -math.inf


def _read(run: Path, folder: Path) -> Training:
    record, state = _json(folder / _RECORD), _json(folder / _STATE)
    try:
        source, step = record["data"]["source"], int(record["step"])
        settings, curves = _settings(record), _curves(state["log_history"])
        warnings = tuple(float(each["step"]) for each in state["log_history"] if each.get(_WARNINGS))
        arguments = record["arguments"]
        warns_beyond = float(arguments["monitor_warn"]) if arguments.get("monitor") else None
        notes = []
        if folder.name != "final":
            notes.append(f"{run.name} is not through: the curves are those of {folder.name}.")
        if (run / _STOPPED).is_file():
            notes.append(f"{run.name} could not go on: {_json(run / _STOPPED)['reason']}")
        if warnings:
            notes.append(
                f"{run.name}: its reward drifted away from the judge that watched it: its log has warnings at the steps "
                f"{', '.join(f'{step:g}' for step in warnings)}; the responses are in {_WARNED}."
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{folder}: {_RECORD} or {_STATE} is not of this version of align ({type(error).__name__}: {error}). "
            "Train again, or leave the folder out."
        ) from error
    if source not in SOURCES:
        raise UserError(f"{folder / _RECORD}: expected data of {' or '.join(SOURCES)}, found {source!r}")
    shown = {"optimiser steps": str(step), **settings}
    return Training(run.name, run, source, shown, curves, tuple(notes), warnings, warns_beyond)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}). Was it cut off while writing?") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def _settings(record: Mapping[str, Any]) -> dict[str, str]:
    model, data, arguments = record["model"], record["data"], record["arguments"]
    return {
        "method": str(record["method"]).upper(),
        "base model": str(model["model"]),
        "its weights": str(model["weights"]),
        "LoRA": f"rank {model['lora_r']}, alpha {model['lora_alpha']}",
        "rewards": "none" if record["rewards"] is None else json.dumps(record["rewards"]),
        "watched by": str(arguments.get("monitor") or "none"),
        "data": f"{data['source']}, {data['rows']} rows, {data['passes']} {'pass' if data['passes'] == 1 else 'passes'}",
        "learning rate": f"{arguments['learning_rate']:g}, {arguments['lr_scheduler_type']}",
        "seed": str(arguments["seed"]),
        "seconds": f"{record['seconds']:.0f}",
        "made with": ", ".join(f"{name} {version}" for name, version in record["environment"].items()),
        "command": _TOKEN.sub(r"\1[hidden]", str(record["command"])),
    }


def _curves(log: list[Mapping[str, Any]]) -> dict[str, Curve]:
    found: dict[str, list[tuple[float, float]]] = {}
    for entry in log:
        for name, value in entry.items():
            if name not in _NO_CURVES and isinstance(value, int | float):
                found.setdefault(name, []).append((float(entry["step"]), float(value)))
    return {name: tuple(points) for name, points in found.items() if len(points) > 1}
