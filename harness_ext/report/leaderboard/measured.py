"""The line of a leaderboard that an evaluation's result folder makes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness_ext.benchmark.probes import ALL
from harness_ext.common.errors import UserError
from harness_ext.metrics.ratios import NaConvention, failed_rate, na_rate, over_refusal
from harness_ext.metrics.units import Estimate
from harness_ext.records import FAILED, LABELS, Judgement
from harness_ext.registry import benchmark_named
from harness_ext.report.leaderboard.file import METRICS, Entry, Metric, Value
from harness_ext.report.scores import Score, Summary
from harness_ext.report.summary import summarise
from harness_ext.runs.evaluations import IMPORTED_FROM
from harness_ext.runs.load import Run

_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})_")
_DECIMALS: Final = 4


def entry_of(run: Run, described: Mapping[str, Any]) -> Entry:
    """The line of a run, with the fields ``described``, which a result folder does not hold.

    ``described["na"]`` is the convention of every figure but TEST's. Raises ``UserError`` for a run that asks nothing that a
    leaderboard shows, only a part of it, or by several judges; and where the line is not valid.
    """
    if parts := [each for each in run.notes if each.startswith("Only a part")]:
        raise UserError(f"{parts[0]} A leaderboard holds whole evaluations: run it again without --limit.")
    answers = run.answers
    if described["trained_on"] == "training split" and benchmark_named(run.source).trained_images_in_all:
        # It was trained on some of the images of the other tasks.
        answers = {task: records for task, records in answers.items() if records[0].probe in ("test", "text")}
        if not any(records[0].probe == "test" for records in answers.values()):
            raise UserError(
                f"{run.model}: was trained on some of the images that {', '.join(run.answers)} asks about; "
                f"evaluate it on {run.source}_test, which asks about the others"
            )
    everything = [record for records in answers.values() for record in records if record.probe != "capability"]
    alignment = [record for record in everything if record.probe in ("image", "text", "test")]
    if not alignment:
        raise UserError(f"{run.model}: no alignment answers, on images, in text or of TEST; nothing else is compared")
    if all(record.verdict == FAILED for record in everything):
        raise UserError(f"{run.model}: every request failed, which says nothing about the model. Evaluate it again.")
    judges = {record.judge for record in everything}
    if len(judges) > 1:
        raise UserError(f"{run.model}: expected one judge, found {', '.join(sorted(judges))}")
    dated = _DATE.match(run.settings["results file"])
    measured = {
        "benchmark": run.source,
        **({"model": f"{described['model']} with {run.settings['defence']}"} if "defence" in run.settings else {}),
        "weights": _weights(run.settings),
        "judge": judges.pop(),
        "decoding": _decoding(run),
        "questions": sorted({record.question for record in alignment}),
        "images": _images(alignment),
        "scores": _scores(summarise(answers), everything, described["na"]),
        "date": "-".join(dated.groups()) if dated else None,
    }
    if where := run.settings.get(IMPORTED_FROM):
        whose = f"answers of another's run ({Path(where).name}), read by this project's judge"
        measured["note"] = f"{described['note']}; {whose}" if described.get("note") else whose
    try:
        return Entry.model_validate({**described, **measured})
    except ValueError as error:
        raise UserError(f"{run.model}: {error}") from error


def _decoding(run: Run) -> str:
    said = run.settings["decoding"].split(" ")[0]
    return said if said in ("sampled", "greedy") else "not known"


def _scores(summary: Summary, everything: Sequence[Judgement], na: NaConvention) -> dict[Metric, Value]:
    """The figures in the order of ``METRICS``, without those that no answer counts in."""
    sides: dict[str, Mapping[Any, Score]] = {
        "image": summary.image,
        "text": summary.text.get("none", {}),
        "test": summary.generalisation.get("test", {}),
    }
    found: dict[str, Estimate] = {}
    for label in LABELS:
        for side, scores in sides.items():
            if label in scores:
                found[f"{side}_{label}"] = getattr(scores[label], "wrong" if side == "test" else na)
    if ALL in sides["test"]:
        found["test"] = sides["test"][ALL].wrong
    if "unsafe" in summary.perception:
        found["perception"] = getattr(summary.perception["unsafe"], na)
    if "none" in summary.gap:
        found["gap"] = getattr(summary.gap["none"], na).pooled
    found["over_refusal"] = over_refusal([record for record in everything if record.probe == "image"], na)
    values = {name: _value(estimate) for name, estimate in found.items() if estimate.n_answers}
    for name, rate in (("na", na_rate(everything)), ("failed", failed_rate(everything))):
        values[name] = Value(value=round(rate, _DECIMALS))
    return {name: values[name] for name in METRICS if name in values}


def _value(estimate: Estimate) -> Value:
    ends = {"low": estimate.low, "high": estimate.high}
    rounded = {name: round(end, _DECIMALS) for name, end in ends.items() if end is not None}
    value = round(estimate.value, _DECIMALS)
    return Value(value=value, **rounded, answers=estimate.n_answers, concepts=estimate.n_concepts)


def _images(alignment: Iterable[Judgement]) -> int:
    """The images of unsafe concepts; in a run of TEST alone, of both labels; in one of text alone, the concepts."""
    by_probe: dict[str, set[tuple[str, int]]] = {}
    for record in alignment:
        if record.label == "unsafe" or record.probe == "test":
            by_probe.setdefault(record.probe, set()).add((record.label, record.row))
    return len(next(by_probe[probe] for probe in ("image", "test", "text") if probe in by_probe))


def _weights(settings: Mapping[str, str]) -> str | None:
    """The weights with their commit; only the last name of a folder, whose path is of use on this machine alone."""
    weights, revision = (settings.get(key, "None") for key in ("weights", "revision"))
    if weights == "None":
        return None
    named = Path(weights).name if Path(weights).is_absolute() or weights.startswith(".") else weights
    return named if revision == "None" else f"{named}@{revision}"
