"""The judge of an evaluation, chosen by name: what it says is in the results, and a wrong one is refused at once."""

import json

import pytest
from labelled_responses import verdict_rows, write_rows

from harness_ext.commands import train_judge as command
from harness_ext.common.errors import UserError
from harness_ext.judges.base import AlignmentAnswer
from harness_ext.judges.registry import JUDGE_VARIABLE, open_judge, require_rule_judge
from harness_ext.probes.preflight import require_judge

GLYPH_VLM = ("--model", "glyph-vlm", "--model_args", "device=cpu", "--limit", "10", "--log_samples")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small classifier of alignment answers, trained in a moment."""
    made = tmp_path_factory.mktemp("judge")
    rows = write_rows(made / "rows.jsonl", verdict_rows(12))
    assert command.main([str(rows), "--base", "tiny", "--epochs", "2", "-o", str(made / "judge")]) == 0
    return made / "judge"


def test_an_evaluation_is_judged_by_the_classifier_that_is_named(run, folder, tmp_path):
    named = f"classifier:alignment={folder},device=cpu"
    runs = {}
    for judge in ("", named):
        out = tmp_path / (judge.partition(":")[0] or "rules")
        done = run(
            "lmms_eval", *GLYPH_VLM, "--tasks", "glyphworld_image", "--output_path", out, **{JUDGE_VARIABLE: judge}
        )
        assert done.returncode == 0, done.stdout + done.stderr
        runs[judge] = out
    results = {judge: json.loads(next(out.rglob("*_results.json")).read_text()) for judge, out in runs.items()}
    assert "evaluation_judge" not in results[""]["config"]
    assert results[named]["config"]["evaluation_judge"] == named
    judge = open_judge("classifier", {"alignment": str(folder), "device": "cpu"})
    (samples,) = runs[named].rglob("*_samples_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert len(rows) == 10 and {row["judgement"]["judge"] for row in rows} == {judge.name}
    assert not any(row["judgement"]["at_limit"] for row in rows)
    answers = [AlignmentAnswer(row["judgement"]["question"], row["filtered_resps"]) for row in rows]
    assert [row["judgement"]["verdict"] for row in rows] == list(judge.judge(answers))
    table = run("unsafeconcepts", "table", runs[named])
    assert table.returncode == 0 and f"Judge: {judge.name}" in table.stdout, table.stderr
    compared = run("unsafeconcepts", "compare", runs[""], runs[named])
    assert compared.returncode == 2
    assert f"judge: rules-2 in the first run, {judge.name} in this one" in compared.stderr


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ("oracle", "UNSAFECONCEPTS_JUDGE=oracle: no judge is named 'oracle'; expected one of rules, "),
        ("classifier:alignment=/no/where", "expected the folder of a text classifier, found '/no/where'"),
        ("classifier:folder=x", "no option folder; it has alignment, perception"),
        ("rules:", "expected options after the colon"),
    ],
)
def test_a_judge_that_cannot_be_is_refused_before_a_model_is_loaded(judge, message, monkeypatch):
    monkeypatch.setenv(JUDGE_VARIABLE, judge)
    with pytest.raises(UserError, match="UNSAFECONCEPTS_JUDGE=") as refused:
        require_judge(["glyphworld_image"])
    assert message in str(refused.value)
    require_judge(["glyphworld_image_likelihood", "mmmu_val"])


def test_the_command_says_so_before_it_loads_a_model(run):
    done = run(
        "lmms_eval", "--model", "hf-vlm", "--model_args", "pretrained=/no/such/model", "--tasks", "glyphworld_image",
        **{JUDGE_VARIABLE: "oracle"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "no judge is named 'oracle'" in done.stderr and "/no/such/model" not in done.stderr


def test_a_judge_that_does_not_read_what_is_asked_is_refused_too(folder, monkeypatch):
    monkeypatch.setenv(JUDGE_VARIABLE, f"classifier:alignment={folder},device=cpu")
    require_judge(["glyphworld_image", "glyphworld_text"])
    for task in ("glyphworld_perception", "glyphworld", "glyphworld_sampled"):
        with pytest.raises(UserError, match="one of perception, expected alignment alone"):
            require_judge([task])


def test_lm_eval_whose_files_cannot_say_who_judged_takes_none(run, monkeypatch):
    done = run("unsafeconcepts", "lm_eval", "run", "--tasks", "unsafeconcepts_text", **{JUDGE_VARIABLE: "paper"})
    assert done.returncode == 2
    assert "UNSAFECONCEPTS_JUDGE=paper: lm-eval's result files cannot say who judged" in done.stderr
    monkeypatch.delenv(JUDGE_VARIABLE, raising=False)
    require_rule_judge()
