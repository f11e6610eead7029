"""The tables hold the summary's numbers, whole, at every width and in both renderings."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness_ext.metrics.units import Estimate
from harness_ext.records import Judgement
from harness_ext.report.scores import Summary
from harness_ext.report.summary import summarise
from harness_ext.report.tables import markdown, print_tables
from harness_ext.runs.load import Run, load_runs

Answers = dict[str, list[Judgement]]
Make = Callable[..., Answers]
Write = Callable[..., Path]


def loaded(folder: Path, answers: Answers, write: Write) -> tuple[Run, Summary]:
    write(folder, answers)
    (run,) = load_runs(folder)
    return run, summarise(run.answers)


def printed(run: Run, summary: Summary, width: int) -> str:
    stream = io.StringIO()
    print_tables(run, summary, Console(file=stream, width=width))
    return stream.getvalue()


def expected_numbers(summary: Summary) -> set[str]:
    """Formatted apart from the code under test."""
    scores = [*summary.perception.values(), *summary.image.values(), *summary.capability.values()]
    scores += [score for by_label in summary.text.values() for score in by_label.values()]
    numbers = {f"{rate:.3f}" for score in scores for rate in (score.na_rate, score.failed_rate)}
    for estimate in [estimate for score in scores for estimate in (score.drop, score.wrong)]:
        numbers |= shown(estimate, ".3f")
    gaps = list(summary.gap.values()) + [scores.gap["none"] for scores in summary.categories]
    numbers |= {f"{rate:.3f}" for scores in summary.categories for rate in (scores.na_rate, scores.failed_rate)}
    for estimate in [side.pooled for gap in gaps for side in (gap.drop, gap.wrong)]:
        numbers |= shown(estimate, "+.3f")
    return numbers


def shown(estimate: Estimate, form: str) -> set[str]:
    if estimate.low is None:
        return {f"{estimate.value:{form}}"}
    return {f"{estimate.value:{form}}", f"[{estimate.low:{form}}, {estimate.high:{form}}]"}


@pytest.mark.parametrize("width", [80, 120])
def test_every_number_is_printed_whole(tmp_path: Path, make_answers: Make, write: Write, width: int) -> None:
    run, summary = loaded(tmp_path, make_answers(), write)
    text = printed(run, summary, width)
    assert {number for number in expected_numbers(summary) if number not in text} == set()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_markdown_has_the_numbers_the_command_and_the_settings(
    tmp_path: Path, make_answers: Make, write: Write
) -> None:
    run, summary = loaded(tmp_path, make_answers(), write)
    text = markdown([(run, summary, [])], ["unsafeconcepts", "table", "my runs"])
    assert {number for number in expected_numbers(summary) if number not in text} == set()
    assert "unsafeconcepts table 'my runs'" in text
    assert "| seeds | `random 0, numpy 1234, torch 1234, fewshot 1234` |" in text
    score = summary.image["unsafe"]
    row = next(line for line in text.splitlines() if line.startswith("| Image alignment, unsafe |"))
    assert re.findall(r"\d+\.\d+|\d+", row) == [
        *(f"{x:.3f}" for e in (score.drop, score.wrong) for x in (e.value, e.low, e.high)),
        f"{score.na_rate:.3f}",
        f"{score.failed_rate:.3f}",
        "75",
        "1125",
    ]


def test_the_title_says_which_source(tmp_path: Path, make_answers: Make, write: Write) -> None:
    stand_in = printed(*loaded(tmp_path / "g", make_answers(), write), 120)
    benchmark = printed(*loaded(tmp_path / "u", make_answers("unsafeconcepts"), write), 120)
    assert stand_in.startswith("tiny on glyphworld: a stand-in, not the benchmark\n")
    assert benchmark.startswith("tiny on UnsafeConcepts (Qu, Backes, Zhang, USENIX Security 2025)\n")
    assert "stand-in" not in benchmark


def test_what_was_not_asked_is_said_and_no_zero(tmp_path: Path, make_answers: Make, write: Write) -> None:
    text = printed(*loaded(tmp_path, {"glyphworld_image": make_answers()["glyphworld_image"]}, write), 120)
    hate = next(line for line in text.splitlines() if line.startswith("Hate"))
    assert hate.count("not asked") == 3
    assert "Modality gap" not in text and "Text-only" not in text


def test_answers_that_all_failed_have_no_accuracy(tmp_path: Path, make_answers: Make, write: Write) -> None:
    failed = [replace(record, verdict="failed") for record in make_answers()["glyphworld_image"]]
    text = printed(*loaded(tmp_path, {"glyphworld_image": failed}, write), 120)
    row = next(line for line in text.splitlines() if line.startswith("Image alignment, unsafe"))
    assert row.split()[-6:] == ["none", "none", "none", "1.000", "0", "1125"]


def test_concepts_with_one_side_only_are_said_to_be_left_out(tmp_path: Path, make_answers: Make, write: Write) -> None:
    answers = make_answers()
    answers["glyphworld_image"] = [r for r in answers["glyphworld_image"] if r.concept != "Swastika"]
    text = printed(*loaded(tmp_path, answers, write), 200)
    assert "leaves out concepts that only one side has answers for: 1 with na dropped, 1 with na wrong" in text


def test_the_conventions_share_a_table_only_where_no_answer_is_na(
    tmp_path: Path, make_answers: Make, write: Write
) -> None:
    answers = {
        task: [record for record in records if record.verdict != "na"] for task, records in make_answers().items()
    }
    text = printed(*loaded(tmp_path, answers, write), 120)
    assert "By category, unsafe concepts, no answer was na, text-only" in text
    assert "By category, unsafe concepts, na wrong" not in text
