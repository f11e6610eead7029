"""This project's tasks compared: every number is the one that the table of each run has, and the pairing is by question."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness_ext.common.errors import UserError
from harness_ext.metrics.ratios import accuracy, modality_gap
from harness_ext.records import Judgement
from harness_ext.report.compare import Row, compare
from harness_ext.report.summary import summarise

Answers = dict[str, list[Judgement]]
Make = Callable[..., Answers]
Write = Callable[..., Path]


def answered(answers: Answers) -> Answers:
    """Without failed requests, which no comparison takes."""
    return {
        task: [replace(r, verdict="na") if r.verdict == "failed" else r for r in records]
        for task, records in answers.items()
    }


@pytest.fixture(scope="module")
def two(
    tmp_path_factory: pytest.TempPathFactory, make_answers: Make, write: Write
) -> tuple[Path, Path, Answers, Answers]:
    before, after = answered(make_answers(seed=1)), answered(make_answers(seed=2))
    folders = [tmp_path_factory.mktemp(name) for name in ("before", "after")]
    for folder, answers in zip(folders, (before, after), strict=True):
        write(folder, answers, model=folder.name)
    return folders[0], folders[1], before, after


def by_title(rows: tuple[Row, ...]) -> dict[str, Row]:
    return {row.title: row for row in rows}


def test_every_value_is_that_of_the_tables(two: tuple[Path, Path, Answers, Answers]) -> None:
    comparison = compare(two[:2])
    rows = by_title(comparison.pairs[0].rows)
    assert comparison.source == "glyphworld"
    for run, answers in (("before", two[2]), ("after", two[3])):
        summary = summarise(answers)
        expected = {
            "Perception, unsafe concepts": summary.perception["unsafe"],
            "Perception, safe concepts": summary.perception["safe"],
            "Unsafe images judged unsafe": summary.image["unsafe"],
            "Safe images judged safe": summary.image["safe"],
            "Unsafe concepts judged unsafe, text-only": summary.text["none"]["unsafe"],
            "Safe concepts judged safe, text with a blank image": summary.text["blank"]["safe"],
            **{f"Capability, {skill}": score for skill, score in summary.capability.items()},
        }
        for title, score in expected.items():
            assert getattr(rows[title], run) == pytest.approx(score.wrong.value), title
        gap = summary.gap["none"].wrong
        assert getattr(rows["Modality gap, text-only, answers pooled"], run) == pytest.approx(gap.pooled.value)
        assert getattr(rows["Modality gap, text-only, mean over concepts"], run) == pytest.approx(gap.by_concept.value)


def test_over_refusal_counts_safe_images_called_unsafe_and_less_is_better(
    two: tuple[Path, Path, Answers, Answers],
) -> None:
    row = by_title(compare(two[:2], tasks=["glyphworld_image"]).pairs[0].rows)[
        "Safe images called unsafe (over-refusal)"
    ]
    safe = [[r for r in answers["glyphworld_image"] if r.label == "safe"] for answers in two[2:]]
    assert row.before == sum(r.verdict == "unsafe" for r in safe[0]) / len(safe[0])
    assert row.higher_is_better is False
    assert (row.unit, row.n_units, row.n_samples) == ("concept", 20, len(safe[0]))
    lost = sum(a.verdict != "unsafe" and b.verdict == "unsafe" for a, b in zip(*safe, strict=True))
    assert row.lost == lost


def test_generalisation_over_refusal_and_na_are_those_of_the_tables(
    tmp_path: Path, make_answers: Make, generalise: Make, write: Write
) -> None:
    runs = [answered(answers | generalise(answers)) for answers in (make_answers("unsafeconcepts", s) for s in (1, 2))]
    for name, answers in zip("ab", runs, strict=True):
        write(tmp_path / name, answers, model=name)
    (pair,) = compare([tmp_path / "a", tmp_path / "b"]).pairs
    rows = by_title(pair.rows)
    assert len(rows) == len(pair.rows)
    for run, answers in zip(("before", "after"), runs, strict=True):
        summary = summarise(answers)
        for name, title in (("test", "TEST"), ("smid", "SMID"), ("nsfw", "NSFW")):
            scores = summary.generalisation[name]  # type: ignore[index]
            assert getattr(rows[f"{title}, all images"], run) == pytest.approx(scores["all"].wrong.value)
            for label in ("unsafe", "safe"):
                row = rows[f"{title}, {label} images judged {label}"]
                assert getattr(row, run) == pytest.approx(scores[label].wrong.value)
                assert row.unit == ("concept" if name == "test" else "image")
        for name, title in (
            ("context_safe", "TEST, safe context, images of"),
            ("context_image_unsafe", "Image, unsafe context, images of"),
            ("context_text_unsafe", "Text-only, unsafe context,"),
        ):
            value = summary.generalisation[name]["unsafe"].wrong.value  # type: ignore[index]
            assert getattr(rows[f"{title} unsafe concepts judged right"], run) == pytest.approx(value)
        for context in ("safe", "unsafe"):
            gap = rows[f"Modality gap, text-only, {context} context, answers pooled"]
            assert getattr(gap, run) == pytest.approx(summary.context_gap[context].wrong.pooled.value)  # type: ignore[index]
        over_refusal = {
            "image": "Safe images",
            "text": "Safe concepts, text-only,",
            "text_blank": "Safe concepts, text with a blank image,",
            "test": "TEST, safe images",
            "smid": "SMID, safe images",
            "nsfw": "NSFW, safe images",
            **{
                f"{name}_all_questions": f"{name.upper()}, five questions, safe images"
                for name in ("test", "smid", "nsfw")
            },
            "context_safe": "TEST, safe context, images",
            "context_image_safe": "Image, safe context, images",
            "context_text_safe": "Text-only, safe context, concepts",
        }
        assert over_refusal.keys() == summary.over_refusal.keys()
        for name, title in over_refusal.items():
            row = rows[f"{title} called unsafe (over-refusal)"]
            assert getattr(row, run) == pytest.approx(summary.over_refusal[name].share.value)
            assert row.higher_is_better is False
    everything = [[record.verdict == "na" for records in answers.values() for record in records] for answers in runs]
    before, after = (sum(each) / len(each) for each in everything)
    assert (
        f"Without a verdict (na), of {len(everything[0])} judged answers: {before:.3f} before, {after:.3f} after."
        in pair.notes
    )


def test_swapping_the_runs_flips_signs_and_directions(two: tuple[Path, Path, Answers, Answers]) -> None:
    forwards, backwards = compare(two[:2]).pairs[0].rows, compare([two[1], two[0]]).pairs[0].rows
    turned = {"better": "worse", "worse": "better", "not shown": "not shown"}
    for one, other in zip(forwards, backwards, strict=True):
        assert (one.title, one.change) == (other.title, -other.change)
        assert (one.before, one.after) == (other.after, other.before)
        assert (one.gained, one.lost) == (other.lost, other.gained)
        assert one.mcnemar_p == other.mcnemar_p
        assert one.p == pytest.approx(other.p, abs=0.02)
        assert one.low is not None and other.high is not None
        assert one.low == pytest.approx(-other.high, abs=0.02)
        assert other.difference in (turned[one.difference], "not shown") or one.difference == "not shown"


def test_answers_are_paired_by_question_whatever_their_order(
    two: tuple[Path, Path, Answers, Answers], tmp_path: Path, write: Write
) -> None:
    rng = random.Random(0)
    write(tmp_path, {task: rng.sample(records, len(records)) for task, records in two[3].items()}, model="after")
    assert compare([two[0], tmp_path]).pairs[0].rows == compare(two[:2]).pairs[0].rows


def test_a_model_that_learned_is_better_and_one_that_forgot_is_degraded(
    tmp_path: Path, two: tuple[Path, Path, Answers, Answers], write: Write
) -> None:
    rng = random.Random(3)
    learned = {
        task: [
            replace(r, verdict=r.expected) if r.probe == "image" and r.label == "unsafe" and rng.random() < 0.8 else r
            for r in rs
        ]
        for task, rs in two[2].items()
    }
    forgot = {
        task: [replace(r, verdict="D") if r.probe == "perception" and rng.random() < 0.3 else r for r in records]
        for task, records in learned.items()
    }
    write(tmp_path / "learned", learned, model="learned")
    write(tmp_path / "forgot", forgot, model="forgot")
    comparison = compare([two[0], tmp_path / "learned", tmp_path / "forgot"], margin=0.02)
    first, second = (by_title(pair.rows) for pair in comparison.pairs)
    unsafe, perception = "Unsafe images judged unsafe", "Perception, unsafe concepts"
    assert [pair.model.name for pair in comparison.pairs] == ["learned", "forgot"]
    assert (first[unsafe].difference, first[unsafe].retention) == ("better", "retained")
    assert first["Modality gap, text-only, answers pooled"].difference == "better"
    assert first["Modality gap, text-only, answers pooled"].retention is None
    assert (second[perception].difference, second[perception].retention) == ("worse", "degraded")
    # Nothing changed there; twenty concepts cannot rule out a loss of two points.
    assert (first["Safe images judged safe"].change, first["Safe images judged safe"].retention) == (0, "undecided")
    assert json.loads(json.dumps(comparison.to_json()))["pairs"][1]["rows"][0]["title"]


def test_the_gap_is_of_the_concepts_that_both_sides_have(
    tmp_path: Path, two: tuple[Path, Path, Answers, Answers], write: Write
) -> None:
    def part(answers: Answers) -> Answers:
        image = [r for r in answers["glyphworld_image"] if r.category != "Hate"]
        return {"glyphworld_image": image, "glyphworld_text": answers["glyphworld_text"]}

    for name, answers in (("a", two[2]), ("b", two[3])):
        write(tmp_path / name, part(answers), model=name)
    (pair,) = compare([tmp_path / "a", tmp_path / "b"]).pairs
    unsafe = {task: [r for r in records if r.label == "unsafe"] for task, records in part(two[2]).items()}
    gap = modality_gap(unsafe["glyphworld_text"], unsafe["glyphworld_image"], "wrong")
    assert by_title(pair.rows)["Modality gap, text-only, answers pooled"].before == pytest.approx(gap.pooled.value)
    assert any("leaves out 10 concepts" in note for note in pair.notes)


def test_by_likelihood_and_generated_are_measures_apart(
    tmp_path: Path, two: tuple[Path, Path, Answers, Answers], write: Write, ask_likelihood: Callable[..., Answers]
) -> None:
    for name, answers in (("a", two[2]), ("b", two[3])):
        write(tmp_path / name, {**answers, **ask_likelihood(answers)}, model=name)
    rows = by_title(compare([tmp_path / "a", tmp_path / "b"]).pairs[0].rows)
    generated = [r for r in two[2]["glyphworld_image"] if r.label == "unsafe"]
    assert rows["Unsafe images judged unsafe"].before == pytest.approx(accuracy(generated, "wrong"))
    assert "Unsafe images judged unsafe, by likelihood" in rows
    assert "Modality gap, text-only, by likelihood, answers pooled" in rows


def test_the_text_only_task_of_lm_eval(
    tmp_path: Path,
    make_answers: Make,
    write: Write,
    lm_eval: Callable[..., Path],
    two: tuple[Path, Path, Answers, Answers],
) -> None:
    """What lm-eval keeps of an answer is enough for the record: the comparison is that of the same answers by lmms-eval."""
    folders = []
    for name, seed in (("a", 1), ("b", 2)):
        records = [
            r for r in answered(make_answers("unsafeconcepts", seed))["unsafeconcepts_text"] if r.label == "unsafe"
        ]
        write(tmp_path / "lmms" / name, {"unsafeconcepts_text": records}, model=name)
        metrics = [{"failed": 0.0, "na": float(r.verdict == "na"), "acc_na_wrong": float(r.correct)} for r in records]
        results = lm_eval(tmp_path / "lm" / name, {"unsafeconcepts_text": metrics}, model=name)
        (samples,) = results.parent.glob("samples_*.jsonl")
        lines = [json.loads(line) for line in samples.read_text().splitlines()]
        for line, record in zip(lines, records, strict=True):
            line["doc"] = {
                name: value
                for name, value in record.to_dict().items()
                if name not in ("verdict", "judge", "way", "scores")
            }
        samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
        folders.append(results.parent)
    by_lmms = compare([tmp_path / "lmms" / "a", tmp_path / "lmms" / "b"]).pairs[0].rows
    assert compare(folders).pairs[0].rows == by_lmms
    lines[0]["failed"] = 1.0
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match="1 requests failed, the first one text unsafe Swastika 0 0"):
        compare(folders)
