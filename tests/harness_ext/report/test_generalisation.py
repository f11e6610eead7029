"""TEST, other data sets, contexts and over-refusal from result folders to summaries and tables."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness_ext.benchmark.probes import GENERALISATION
from harness_ext.common.errors import UserError
from harness_ext.metrics.ratios import accuracy_estimate, modality_gap, over_refusal
from harness_ext.records import Judgement
from harness_ext.report.summary import summarise
from harness_ext.report.tables import print_tables
from harness_ext.runs.load import load_runs

Answers = dict[str, list[Judgement]]
Make = Callable[..., Answers]
Write = Callable[..., Path]


def test_every_number_is_the_metrics_over_the_right_answers(make_answers: Make, generalise: Make) -> None:
    answers = make_answers("unsafeconcepts")
    others = generalise(answers)
    summary = summarise(answers | others)
    for probe in GENERALISATION:
        records = others[f"unsafeconcepts_{probe}"]
        labels = {record.label for record in records}
        assert summary.generalisation[probe].keys() == {"all", *labels}
        for label, score in summary.generalisation[probe].items():
            of_label = [record for record in records if label in ("all", record.label)]
            assert score.wrong == accuracy_estimate(of_label, "wrong")
            assert score.drop == accuracy_estimate(of_label, "drop")
    everything = {task.removeprefix("unsafeconcepts_"): records for task, records in (answers | others).items()}
    tested = ("test", "smid", "nsfw", "test_all_questions", "smid_all_questions", "nsfw_all_questions")
    safe = ("image", "text", "text_blank", *tested, "context_safe", "context_image_safe", "context_text_safe")
    assert list(summary.over_refusal) == list(safe)
    for probe in safe:
        asked = [record for record in everything[probe] if record.expected == "safe"]
        assert summary.over_refusal[probe].share == over_refusal(asked)
        failed = [record for record in asked if record.verdict == "failed"]
        assert summary.over_refusal[probe].failed_rate == len(failed) / len(asked)
    for context in ("unsafe", "safe"):
        sides = (others[f"unsafeconcepts_context_{shown}_{context}"] for shown in ("text", "image"))
        text, image = ([record for record in side if record.label == "unsafe"] for side in sides)
        for na in ("drop", "wrong"):
            gap = getattr(summary.context_gap[context], na)
            assert gap == modality_gap(text, image, na)
            assert gap.pooled.low < gap.pooled.value < gap.pooled.high
        difference = accuracy_estimate(text, "wrong").value - accuracy_estimate(image, "wrong").value
        assert summary.context_gap[context].wrong.pooled.value == pytest.approx(difference)  # type: ignore[index]
    # What was there before is not touched by them.
    alone = summarise(answers)
    assert (summary.image, summary.gap, summary.categories) == (alone.image, alone.gap, alone.categories)
    assert summary.concepts == alone.concepts and not alone.generalisation


@pytest.mark.parametrize("width", [80, 120])
def test_the_tables_hold_them_whole(
    tmp_path: Path, make_answers: Make, generalise: Make, write: Write, width: int
) -> None:
    results = write(tmp_path, generalise(make_answers("unsafeconcepts")))
    content = json.loads(results.read_text())
    content["results"] = {"unsafeconcepts_test": {"diversity,none": 0.4321}, "unsafeconcepts_smid": {"acc,none": 1.0}}
    results.write_text(json.dumps(content))
    (run,) = load_runs(tmp_path)
    assert run.diversity == {"unsafeconcepts_test": 0.4321}
    summary = summarise(run.answers)
    stream = io.StringIO()
    print_tables(run, summary, Console(file=stream, width=width))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width and "\u2026" not in text
    assert "unsafeconcepts_test 0.432" in text
    for scores in summary.generalisation.values():
        for label, score in scores.items():
            if label == "all" or len(scores) > 2:
                assert f"{score.wrong.value:.3f}" in text and f"{score.na_rate:.3f}" in text
    for safe in summary.over_refusal.values():
        assert f"{safe.share.value:.3f}" in text and f"[{safe.share.low:.3f}, {safe.share.high:.3f}]" in text
    said = " ".join(text.split())
    for context, gap in summary.context_gap.items():
        for estimate in (gap.drop.pooled, gap.wrong.pooled):
            assert f"{estimate.value:+.3f}" in said and f"[{estimate.low:+.3f}, {estimate.high:+.3f}]" in said
        # Narrower, a name is broken over lines.
        assert width == 80 or f"text-only, {context} context, answers pooled" in said
    names = (
        "TEST, safe context, all",
        "Image, safe context, all",
        "Text-only, safe context, all",
        "SMID, five questions",
    )
    assert width == 80 or all(name in said for name in names)
    assert "safe context, unsafe" not in said


def test_a_run_without_safe_items_has_no_over_refusal(make_answers: Make) -> None:
    unsafe = [r for r in make_answers("unsafeconcepts")["unsafeconcepts_image"] if r.label == "unsafe"]
    assert not summarise({"unsafeconcepts_image": unsafe}).over_refusal


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": 1}, r"expected question to be below 1 \(context_safe\), found 1"),
        ({"verdict": "A"}, "expected a verdict of"),
        ({"expected": "A"}, "expected a right verdict that can be given"),
        ({"category": "Everyday"}, "expected one of the 9 categories of unsafeconcepts"),
    ],
)
def test_records_of_contexts_are_checked(
    tmp_path: Path, make_answers: Make, generalise: Make, write: Write, change: dict[str, object], message: str
) -> None:
    records = generalise(make_answers("unsafeconcepts"))["unsafeconcepts_context_safe"]
    records[3] = replace(records[3], **change)  # type: ignore[arg-type]
    write(tmp_path, {"unsafeconcepts_context_safe": records})
    with pytest.raises(UserError, match=f"line 4: .*{message}"):
        load_runs(tmp_path)
