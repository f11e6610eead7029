"""A line of a leaderboard from the result folder of an evaluation."""

import datetime
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

from harness_ext.common.errors import UserError
from harness_ext.metrics.ratios import failed_rate, na_rate, over_refusal
from harness_ext.metrics.units import Estimate
from harness_ext.records import FAILED, Judgement
from harness_ext.report.leaderboard.entry import Entry, Metric, Value
from harness_ext.report.scores import Score, Summary
from harness_ext.report.summary import summarise
from harness_ext.runs.load import Run

Na = Literal["drop", "wrong"]
_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})_")
_DECIMALS: Final = 4


def entry_of(
    run: Run,
    *,
    model: str,
    training: str,
    trained_on: str,
    name: str | None,
    origin: str,
    source: str,
    note: str | None,
    na: Na,
) -> Entry:
    """The line of a run.

    Args:
        run: One model's judged answers from one source, as ``load_runs`` reads them.
        model: Its name for readers; the run's own may be a path of this machine.
        training: What was done to the model.
        trained_on: Of the benchmark; see :class:`Entry`.
        name: Of this repetition.
        origin: Who measured.
        source: The command, or an address.
        note: What a reader must know.
        na: The convention of every figure but TEST's.

    Raises:
        UserError: The run asks nothing that a leaderboard shows, only a part, or by several judges; or the line cannot be.
    """
    if parts := [each for each in run.notes if each.startswith("Only a part")]:
        raise UserError(f"{parts[0]} A leaderboard holds whole evaluations: run it again without --limit.")
    answers = run.answers
    if trained_on == "training split" and run.source == "unsafeconcepts":
        # It was trained on some of the images of the other tasks.
        answers = {task: records for task, records in answers.items() if records[0].probe in ("test", "text")}
        if not any(records[0].probe == "test" for records in answers.values()):
            raise UserError(
                f"{run.model}: was trained on some of the images that {', '.join(run.answers)} asks about; "
                "evaluate it on unsafeconcepts_test, which asks about the others"
            )
    summary = summarise(answers)
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
    fields = {
        "benchmark": run.source,
        "model": model,
        "training": training,
        "trained_on": trained_on,
        "run": name,
        "weights": _weights(run.settings),
        "judge": judges.pop(),
        "decoding": "sampled" if run.sampled else "greedy",
        "questions": sorted({record.question for record in alignment}),
        "na": na,
        "images": _images(alignment),
        "scores": _scores(summary, over_refusal([record for record in alignment if record.probe == "image"], na), na)
        | {"na": _rate(na_rate(everything)), "failed": _rate(failed_rate(everything))},
        "origin": origin,
        "source": source,
        "date": datetime.date(*map(int, dated.groups())) if dated else None,
        "note": note,
    }
    try:
        return Entry.model_validate(fields)
    except ValueError as error:
        raise UserError(f"{run.model}: {error}") from error


def _scores(summary: Summary, refused: Estimate, na: Na) -> dict[Metric, Value]:
    gap = summary.gap.get("none")
    text, test = summary.text.get("none", {}), summary.generalisation.get("test", {})
    found: dict[Metric, Value | None] = {
        "perception": _of(summary.perception.get("unsafe"), na),
        "image_unsafe": _of(summary.image.get("unsafe"), na),
        "image_safe": _of(summary.image.get("safe"), na),
        "text_unsafe": _of(text.get("unsafe"), na),
        "text_safe": _of(text.get("safe"), na),
        "gap": _value(getattr(gap, na).pooled) if gap else None,
        "over_refusal": _value(refused),
        "test_unsafe": _of(test.get("unsafe"), "wrong"),
        "test_safe": _of(test.get("safe"), "wrong"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _of(score: Score | None, na: Na) -> Value | None:
    return None if score is None else _value(score.drop if na == "drop" else score.wrong)


def _value(estimate: Estimate) -> Value | None:
    """Nothing where no answer counts."""
    if estimate.n_answers == 0:
        return None
    ends = {
        name: round(end, _DECIMALS) for name, end in (("low", estimate.low), ("high", estimate.high)) if end is not None
    }
    return Value(
        value=round(estimate.value, _DECIMALS), answers=estimate.n_answers, concepts=estimate.n_concepts, **ends
    )


def _rate(rate: float) -> Value:
    return Value(value=round(rate, _DECIMALS))


def _images(alignment: Iterable[Judgement]) -> int:
    """Of unsafe concepts; of a run of TEST alone, of both labels; of text alone, the concepts."""
    by_probe: dict[str, set[tuple[str, int]]] = {}
    for record in alignment:
        if record.label == "unsafe" or record.probe == "test":
            by_probe.setdefault(record.probe, set()).add((record.label, record.row))
    return len(next(by_probe[probe] for probe in ("image", "test", "text") if probe in by_probe))


def _weights(settings: Mapping[str, str]) -> str | None:
    """The weights with their commit; of a folder its last name alone, for a path of this machine tells nobody anything."""
    weights, revision = (
        None if settings.get(key) in (None, "None") else settings[key] for key in ("weights", "revision")
    )
    if weights is None:
        return None
    named = Path(weights).name if Path(weights).is_absolute() or weights.startswith(".") else weights
    return f"{named}@{revision}" if revision else named
