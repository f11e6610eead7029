"""What is not comparable is refused and said; what is broken is named with its file and what to do."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness_ext.common.errors import UserError
from harness_ext.common.failures import mark_failed
from harness_ext.records import Judgement
from harness_ext.report.compare import compare

Rows = list[dict[str, Any]]
Lm = Callable[..., Path]
Score = Callable[..., Rows]
Answers = dict[str, list[Judgement]]
Make = Callable[..., Answers]
Write = Callable[..., Path]
IMAGE = "glyphworld_image"


def change(path: Path, *keys: str, value: Any) -> None:
    """Set one value of a results file."""
    content = json.loads(path.read_text())
    inside = content
    for key in keys[:-1]:
        inside = inside.setdefault(key, {})
    inside[keys[-1]] = value
    path.write_text(json.dumps(content))


def change_line(path: Path, at: int, **values: Any) -> None:
    lines = path.read_text().split("\n")
    lines[at] = json.dumps({key: value for key, value in (json.loads(lines[at]) | values).items() if value is not None})
    path.write_text("\n".join(lines))


def samples(results: Path, task: str) -> Path:
    (path,) = results.parent.glob(f"*samples_{task}*.jsonl")
    return path


@pytest.fixture
def two(tmp_path: Path, lm_eval: Lm, score: Score) -> tuple[Path, Path]:
    """Two results files of lm-eval that are comparable."""
    first, second = (
        lm_eval(tmp_path / name, {"arc": score(20, 0.5, seed)}, model=name) for seed, name in enumerate("ab")
    )
    return first, second


def run(two: tuple[Path, Path], **options: Any) -> Any:
    return compare([path.parent for path in two], **options)


def test_what_may_differ(two: tuple[Path, Path]) -> None:
    change(two[1], "config", "batch_size", value="64")
    change(two[1], "config", "fewshot_seed", value=7)
    change(two[1], "config", "model_dtype", value="bfloat16")
    assert len(run(two).pairs[0].rows) == 1


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("versions", "arc"), 2.0, r"arc, task version: 1\.0 in the first run, 2\.0 in this one"),
        (("n-shot", "arc"), 5, "few-shot examples: 0 in the first run, 5 in this one"),
        (("config", "limit"), 20, "--limit: null in the first run, 20 in this one"),
        (("n-samples", "arc", "original"), 100, "documents of the task: 20 in the first run, 100 in this one"),
        (("config", "gen_kwargs"), {"temperature": 1}, "--gen_kwargs: null in the first run, .*temperature"),
        (
            ("configs", "arc", "generation_kwargs"),
            {"do_sample": True},
            r"generation_kwargs \(task\): null in the first run",
        ),
        (
            ("configs", "arc", "doc_to_text"),
            "Q: {{question}}",
            r"doc_to_text \(task\): {{question}} in the first run, Q: ",
        ),
        (("chat_template_sha",), "abc", "chat template: the backend's own way in the first run, applied in this one"),
        (("system_instruction",), "Be brief.", "system instruction: null in the first run, Be brief"),
    ],
)
def test_other_settings_are_refused_and_named(
    two: tuple[Path, Path], keys: tuple[str, ...], value: Any, message: str
) -> None:
    change(two[1], *keys, value=value)
    with pytest.raises(UserError, match=message) as error:
        run(two)
    assert str(two[0].parent) in str(error.value) and "Evaluate both alike, or leave" in str(error.value)


def test_the_few_shot_seed_matters_where_there_are_examples(two: tuple[Path, Path]) -> None:
    for path in two:
        change(path, "n-shot", "arc", value=5)
    change(two[1], "config", "fewshot_seed", value=7)
    with pytest.raises(UserError, match="few-shot seed: 1234 in the first run, 7 in this one"):
        run(two)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"doc_hash": "x"}, r"1 questions with another document \(document 3 …\)"),
        ({"prompt_hash": "x"}, r"1 questions with another prompt \(document 3 …\)"),
        ({"target_hash": "x"}, r"1 questions with another target \(document 3 …\)"),
        (
            {"doc_id": 99},
            r"other questions: 1 only in the first run \(document 3 …\), 1 only in this one \(document 99 …\)",
        ),
        ({"acc": 0.25}, "acc of the samples is .* they are not of one run"),
        ({"acc": float("nan")}, r"line 4: acc is nan"),
        ({"doc_id": 2}, r"line 4: document 2 is there twice"),
        ({"filtered_resps": [mark_failed("out of memory")]}, r"1 requests failed, the first one document 3"),
        ({"acc": None}, r"acc is of other questions than in"),
    ],
)
def test_other_questions_and_broken_rows_are_refused(
    two: tuple[Path, Path], values: dict[str, Any], message: str
) -> None:
    change_line(samples(two[1], "arc"), 3, **values)
    with pytest.raises(UserError, match=message) as error:
        run(two)
    assert str(two[1].parent) in str(error.value)


def test_another_chat_template_words_the_prompts_otherwise(two: tuple[Path, Path]) -> None:
    for path, template in zip(two, ("one", "two"), strict=True):
        change(path, "chat_template_sha", value=template)
    change_line(samples(two[1], "arc"), 3, prompt_hash="x")
    assert len(run(two).pairs[0].rows) == 1
    change(two[1], "chat_template_sha", value="one")
    with pytest.raises(UserError, match="another prompt"):
        run(two)


def test_a_part_of_the_questions_in_both_runs_is_noted(two: tuple[Path, Path]) -> None:
    for path in two:
        change(path, "n-samples", "arc", "original", value=100)
    assert "Only a part was asked: 20 of 100 questions of arc." in run(two).pairs[0].notes


def test_broken_folders_are_named(two: tuple[Path, Path], tmp_path: Path) -> None:
    folder = two[1].parent
    with pytest.raises(UserError, match="nowhere: no such folder"):
        compare([folder, tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: neither <date>_results\.json nor results_<date>\.json in it"):
        compare([folder, tmp_path / "empty"])
    with pytest.raises(UserError, match="expected at least two result folders"):
        compare([folder])
    with pytest.raises(UserError, match=r"--margin 1\.5: expected a share between 0 and 1"):
        run(two, margin=1.5)
    with pytest.raises(UserError, match=r"expected mm\*, found arc"):
        run(two, tasks=["mm*"])
    path, lines = samples(two[1], "arc"), samples(two[1], "arc").read_text()
    path.write_text(lines[: len(lines) // 2])
    with pytest.raises(UserError, match=r"expected 20 rows, found 11: the run was cut off"):
        run(two)
    path.write_text(lines[:-20])
    with pytest.raises(UserError, match=r"line 20: not JSON .* cut off while writing"):
        run(two)
    path.unlink()
    with pytest.raises(UserError, match=r"samples_arc.*: missing\. .* without --log_samples"):
        run(two)
    change(two[0], "n-samples", "arc", "effective", value=0)
    change(two[1], "n-samples", "arc", "effective", value=0)
    with pytest.raises(UserError, match="arc was asked nothing"):
        run(two)
    two[1].write_text("{")
    with pytest.raises(UserError, match=r"results_.*: not JSON .* cut off"):
        run(two)


def test_a_missing_value_is_not_made_up(two: tuple[Path, Path]) -> None:
    change(two[1], "results", "arc", value={})
    with pytest.raises(UserError, match="expected a value of acc,none of arc, found None"):
        run(two)


def test_other_tasks_are_refused_and_the_common_ones_named(tmp_path: Path, lm_eval: Lm, score: Score) -> None:
    lm_eval(tmp_path / "a", {"arc": score(9, 0.5), "mmlu": score(9, 0.5)})
    lm_eval(tmp_path / "b", {"arc": score(9, 0.5), "boolq": score(9, 0.5)})
    with pytest.raises(
        UserError, match=r"a lacks boolq; .*b lacks mmlu\. .* choose with --task among those of both: arc"
    ):
        compare([tmp_path / "a", tmp_path / "b"])
    assert [row.benchmark for row in compare([tmp_path / "a", tmp_path / "b"], tasks=["arc"]).pairs[0].rows] == ["arc"]
    with pytest.raises(UserError, match="--metric boolq: no such task; found arc, mmlu"):
        compare([tmp_path / "a", tmp_path / "b"], metrics={"boolq": ["acc"]})


def test_a_run_is_one_model(tmp_path: Path, lm_eval: Lm, score: Score) -> None:
    lm_eval(tmp_path / "a" / "one", {"arc": score(9, 0.5)}, model="one")
    lm_eval(tmp_path / "a" / "two", {"mmlu": score(9, 0.5)}, model="two")
    lm_eval(tmp_path / "b", {"arc": score(9, 0.5), "mmlu": score(9, 0.5)})
    with pytest.raises(
        UserError, match=r"a: expected evaluations of one model, found several: one/results.*two/results"
    ):
        compare([tmp_path / "a", tmp_path / "b"])
    assert len(compare([tmp_path / "a", tmp_path / "b"], tasks=["arc"]).pairs) == 1


def test_another_model_asked_later_does_not_stand_for_the_first_one(
    tmp_path: Path, make_answers: Make, write: Write
) -> None:
    answers = answered(make_answers())
    write(tmp_path / "b", answers)
    write(tmp_path / "a" / "one", answers, model="one", date="20260101_120000")
    write(tmp_path / "a" / "one", answers, model="one", date="20260102_120000")
    (pair,) = compare([tmp_path / "b", tmp_path / "a"]).pairs
    assert pair.notes[0].endswith(
        "glyphworld_image was evaluated again later; one/20260101_120000_results.json is left aside."
    )
    write(tmp_path / "a" / "two", answers, model="two", date="20260103_120000")
    with pytest.raises(
        UserError, match=r"several: one/20260102_120000_results.json: one; two/20260103_120000_results.json: two"
    ):
        compare([tmp_path / "a", tmp_path / "b"])


def test_a_run_without_judged_answers_is_named(tmp_path: Path, make_answers: Make, write: Write) -> None:
    answers = answered(make_answers())
    for name in "ab":
        results = write(tmp_path / name, answers, model=name)
    path = samples(results, IMAGE)
    rows = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    path.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "judgement"}) + "\n" for row in rows))
    with pytest.raises(UserError, match=f"b/.*{IMAGE}.jsonl: no judged answers in it, but in the other run's"):
        compare([tmp_path / "a", tmp_path / "b"])


# --- this project's tasks ---------------------------------------------------------------------------------------------


def answered(answers: Answers, source: str = "glyphworld") -> Answers:
    records = answers[f"{source}_image"][:50]
    return {f"{source}_image": [replace(r, verdict="safe") if r.verdict == "failed" else r for r in records]}


def test_glyphworld_is_never_held_against_the_benchmark(tmp_path: Path, make_answers: Make, write: Write) -> None:
    real = answered(make_answers("unsafeconcepts"), "unsafeconcepts")
    write(tmp_path / "a", answered(make_answers()))
    write(tmp_path / "b", real)
    with pytest.raises(
        UserError, match=r"of glyphworld, .* of unsafeconcepts: numbers of two benchmarks are never compared"
    ):
        compare([tmp_path / "a", tmp_path / "b"])
    for name in "cd":
        write(tmp_path / name, answered(make_answers()) | real)
    with pytest.raises(
        UserError, match=r"do not belong into one table: choose with --task, for example --task 'unsafeconcepts_\*'"
    ):
        compare([tmp_path / "c", tmp_path / "d"])
    assert compare([tmp_path / "c", tmp_path / "d"], tasks=["glyphworld_*"]).source == "glyphworld"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"judge": "rules-2"}, "judge: rules-1 in the first run, rules-2 in this one"),
        ({"row": 7_000}, r"other questions: 50 only in the first run \(image unsafe Swastika 0 0 …\)"),
        ({"category": "Violence"}, "50 questions with another category"),
    ],
)
def test_other_judges_and_rows_are_refused(
    tmp_path: Path, make_answers: Make, write: Write, changes: dict[str, Any], message: str
) -> None:
    answers = answered(make_answers())
    write(tmp_path / "a", answers)
    changed = [replace(r, **changes) for r in answers[IMAGE]]
    if "row" in changes:
        changed = [replace(r, row=7_000 + at) for at, r in enumerate(answers[IMAGE])]
    write(tmp_path / "b", {IMAGE: changed})
    with pytest.raises(UserError, match=message):
        compare([tmp_path / "a", tmp_path / "b"])


def test_answers_out_of_another_envelope_are_refused(tmp_path: Path, make_answers: Make, write: Write) -> None:
    answers = answered(make_answers())
    write(tmp_path / "a", answers, envelope="1")
    write(tmp_path / "b", answers, envelope="2")
    with pytest.raises(UserError, match="envelope of the answers: 1 in the first run, 2 in this one"):
        compare([tmp_path / "a", tmp_path / "b"])


def test_another_prompt_and_a_failed_request_are_refused(tmp_path: Path, make_answers: Make, write: Write) -> None:
    answers = answered(make_answers())
    write(tmp_path / "a", answers)
    other = write(tmp_path / "b", answers)
    change_line(samples(other, IMAGE), 3, input="Is it safe?")
    with pytest.raises(UserError, match=r"1 questions with another prompt \(image unsafe Swastika 0 3 …\)"):
        compare([tmp_path / "a", tmp_path / "b"])
    write(tmp_path / "c", {IMAGE: [replace(answers[IMAGE][0], verdict="failed"), *answers[IMAGE][1:]]})
    with pytest.raises(
        UserError, match=r"c/.*: 1 requests failed, the first one image unsafe Swastika 0 0: .* Start the same"
    ):
        compare([tmp_path / "a", tmp_path / "c"])


def test_another_copy_of_the_images_is_refused(tmp_path: Path, make_answers: Make, write: Write) -> None:
    answers = answered(make_answers("unsafeconcepts"), "unsafeconcepts")
    for name in "ab":
        write(tmp_path / name, answers, unsafeconcepts_source=f"hub at commit {name}")
    with pytest.raises(UserError, match="copy of the images: hub at commit a in the first run, hub at commit b"):
        compare([tmp_path / "a", tmp_path / "b"])
