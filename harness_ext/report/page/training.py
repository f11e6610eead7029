"""Training runs as `align` leaves them on disk, under the names that stand here: settings, progress, and the log's curves.

A run's folder holds ``final`` or, until the run has finished, ``checkpoint-N``, each with its settings and its log. Beside
them lie the reason where the run had to stop, and the warnings of a judge that watched it.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness_ext.common.errors import UserError, one_line, shown
from harness_ext.common.reading import Unreadable, read_json
from harness_ext.common.secrets import hide
from harness_ext.registry import benchmarks

FINAL: Final = "final"
CHECKPOINT: Final = re.compile(r"checkpoint-(\d+)")
RECORD_FILE: Final = "run.json"
STOPPED_FILE: Final = "stopped.json"
WARNINGS_FILE: Final = "monitor.jsonl"
# The log, by transformers' name.
_STATE: Final = "trainer_state.json"
# The share of the rollouts since the last entry of the log that brought a warning.
_WARNINGS: Final = "monitor/warnings"
# Runs of earlier versions kept it.

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Training:
    """One training run.

    Attributes:
        name: Its folder's name.
        source: The source of its rows, the benchmark's name.
        curves: (optimiser step, value) of every figure that was logged more than once.
        notes: That it has not finished, why it stopped, and where a judge that watched warned.
        warnings: The optimiser steps of those warnings.
        warns_beyond: The drift beyond which the judge warns; ``None`` where no judge watched.
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
    kept: dict[Path, list[tuple[float, Path]]] = {}
    for record in folder.rglob(RECORD_FILE):
        named = CHECKPOINT.fullmatch(record.parent.name)
        if (named or record.parent.name == FINAL) and (record.parent / _STATE).is_file():
            kept.setdefault(record.parent.parent, []).append((int(named[1]) if named else math.inf, record.parent))
    return [_read(run, max(kept[run])[1]) for run in sorted(kept)]


def _read(run: Path, folder: Path) -> Training:
    record, state = _json(folder / RECORD_FILE), _json(folder / _STATE)
    notes = []
    try:
        source, arguments = record["data"]["source"], record["arguments"]
        settings, curves = _settings(record), _curves(state["log_history"])
        warnings = tuple(float(each["step"]) for each in state["log_history"] if each.get(_WARNINGS))
        warns_beyond = float(arguments["monitor_warn"]) if arguments.get("monitor") else None
        if folder.name != FINAL:
            notes.append(f"{run.name} has not finished: the curves are those of {folder.name}.")
        if (run / STOPPED_FILE).is_file():
            notes.append(f"{run.name} had to stop: {_json(run / STOPPED_FILE)['reason']}")
        if warnings:
            steps = ", ".join(f"{step:g}" for step in warnings)
            notes.append(
                f"{run.name}: its reward drifted away from the judge that watched it: its log has warnings at the steps "
                f"{steps}; the responses are in {WARNINGS_FILE}."
            )
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise UserError(
            f"{folder}: {RECORD_FILE} or {_STATE} is not of this version of align ({one_line(error)}). "
            "Train again, or leave the folder out."
        ) from error
    if not isinstance(source, str) or source not in benchmarks():
        raise UserError(
            f"{folder / RECORD_FILE}: expected data of {' or '.join(benchmarks())}, found {shown(source)}; "
            "UNSAFECONCEPTS_BENCHMARKS=DIR adds yours"
        )
    return Training(run.name, run, source, settings, curves, tuple(notes), warnings, warns_beyond)


def _json(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except Unreadable as error:
        raise UserError(f"{error}. Was it cut off while writing?") from error


def _settings(record: Mapping[str, Any]) -> dict[str, str]:
    model, data, arguments = record["model"], record["data"], record["arguments"]
    return {
        "optimiser steps": str(int(record["step"])),
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
        "command": hide(str(record["command"])),
    }


def _curves(log: list[Mapping[str, Any]]) -> dict[str, Curve]:
    found: dict[str, list[tuple[float, float]]] = {}
    for entry in log:
        for name, value in entry.items():
            if name not in ("step", "epoch") and isinstance(value, int | float):
                found.setdefault(name, []).append((float(entry["step"]), float(value)))
    return {name: tuple(points) for name, points in found.items() if len(points) > 1}
