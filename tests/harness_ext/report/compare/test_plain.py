"""Other benchmarks: each value is the harness's own, and units are what is independent."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from harness_ext.common.errors import UserError
from harness_ext.metrics.paired_tests import mcnemar
from harness_ext.report.compare import Row, compare

Rows = list[dict[str, Any]]
Lm = Callable[..., Path]
Score = Callable[..., Rows]


def only(rows: tuple[Row, ...]) -> Row:
    (row,) = rows
    return row


def test_right_and_wrong_of_lm_eval(tmp_path: Path, lm_eval: Lm, score: Score) -> None:
    runs = [score(500, 0.6, seed=1), score(500, 0.7, seed=2)]
    for name, rows in zip("ab", runs, strict=True):
        lm_eval(tmp_path / name, {"arc": rows}, model=name)
    row = only(compare([tmp_path / "a", tmp_path / "b"]).pairs[0].rows)
    pairs = [(one["acc"], other["acc"]) for one, other in zip(*runs, strict=True)]
    assert (row.before, row.after) == (sum(a for a, _ in pairs) / 500, sum(b for _, b in pairs) / 500)
    assert (row.gained, row.lost) == (pairs.count((0.0, 1.0)), pairs.count((1.0, 0.0)))
    assert row.gained is not None and row.lost is not None
    expected = binomtest(row.gained, row.gained + row.lost).pvalue
    assert row.mcnemar_p == pytest.approx(expected) and row.p == pytest.approx(expected)
    assert (row.unit, row.n_units, row.p_from) == ("sample", 500, "counted")


def test_a_results_file_without_groups(tmp_path: Path, lm_eval: Lm, score: Score) -> None:
    for name in "ab":
        lm_eval(tmp_path / name, {"arc": score(40, 0.6, seed=1)}, model=name)
        (results,) = (tmp_path / name).rglob("results_*.json")
        content = json.loads(results.read_text())
        del content["group_subtasks"]
        results.write_text(json.dumps(content))
    assert only(compare([tmp_path / "a", tmp_path / "b"]).pairs[0].rows).change == 0


def test_real_valued_scores(tmp_path: Path, lm_eval: Lm) -> None:
    before = [{"acc": 0.3 + 0.4 * (at % 7) / 7} for at in range(100)]
    after = [{"acc": row["acc"] - 0.2} for row in before]
    lm_eval(tmp_path / "a", {"truthfulqa_mc2": before})
    lm_eval(tmp_path / "b", {"truthfulqa_mc2": after})
    row = only(compare([tmp_path / "a", tmp_path / "b"]).pairs[0].rows)
    assert row.change == pytest.approx(-0.2)
    assert (row.gained, row.mcnemar_p) == (None, None)
    assert (row.difference, row.retention, row.p_from) == ("worse", "degraded", "random swaps")


def test_the_first_metric_is_taken_and_another_on_request(tmp_path: Path, lm_eval: Lm) -> None:
    rows = [{"acc": float(at % 2), "acc_norm": float(at % 4 == 0)} for at in range(40)]
    for name in "ab":
        lm_eval(tmp_path / name, {"hellaswag": rows})
    (pair,) = compare([tmp_path / "a", tmp_path / "b"]).pairs
    assert (only(pair.rows).metric, only(pair.rows).before) == ("acc", 0.5)
    assert any("acc_norm (--metric hellaswag=acc_norm compares it instead)" in note for note in pair.notes)
    (pair,) = compare([tmp_path / "a", tmp_path / "b"], metrics={"hellaswag": ["acc_norm"]}).pairs
    assert (only(pair.rows).metric, only(pair.rows).before) == ("acc_norm", 0.25)
    with pytest.raises(UserError, match=r"no metric 'f1' of hellaswag; it has acc, acc_norm"):
        compare([tmp_path / "a", tmp_path / "b"], metrics={"hellaswag": ["f1"]})


def test_a_filter_is_chosen_too(tmp_path: Path, lm_eval: Lm, score: Score) -> None:
    for name in "ab":
        lm_eval(tmp_path / name, {"gsm": score(20, 0.5)}, filters={"gsm": ["strict", "flexible"]})
    (pair,) = compare([tmp_path / "a", tmp_path / "b"]).pairs
    assert (only(pair.rows).title, only(pair.rows).n_samples) == ("gsm (acc, strict)", 20)
    (pair,) = compare([tmp_path / "a", tmp_path / "b"], metrics={"gsm": ["acc,flexible"]}).pairs
    assert only(pair.rows).title == "gsm (acc, flexible)"


def test_a_group_is_one_benchmark(tmp_path: Path, lm_eval: Lm, score: Score) -> None:
    groups = {"mmlu": ["mmlu_a", "mmlu_b"]}
    for name, seed in (("a", 1), ("b", 2)):
        tasks = {"mmlu_a": score(30, 0.5, seed), "mmlu_b": score(90, 0.6, seed + 10), "arc": score(20, 0.5, seed)}
        lm_eval(tmp_path / name, tasks, grouping=groups)
    rows = {row.benchmark: row for row in compare([tmp_path / "a", tmp_path / "b"]).pairs[0].rows}
    assert rows.keys() == {"mmlu", "arc"}
    assert rows["mmlu"].n_units == 120
    assert {row.benchmark for row in compare([tmp_path / "a", tmp_path / "b"], tasks=["mmlu"]).pairs[0].rows} == {
        "mmlu"
    }


def test_a_group_by_the_mean_over_tasks_and_one_that_is_no_mean(tmp_path: Path, lm_eval: Lm, score: Score) -> None:
    tasks = {"x": score(30, 0.5, 1), "y": score(90, 0.8, 2)}
    mean = sum(sum(row["acc"] for row in rows) / len(rows) for rows in tasks.values()) / 2
    for name in "ab":
        for folder, value in ((tmp_path / name, mean), (tmp_path / "odd" / name, 0.123)):
            lm_eval(folder, tasks, grouping={"g": ["x", "y"]}, groups={"g": {"acc,none": value}})
    row = only(compare([tmp_path / "a", tmp_path / "b"]).pairs[0].rows)
    assert (row.benchmark, row.before) == ("g", pytest.approx(mean))
    (pair,) = compare([tmp_path / "odd" / "a", tmp_path / "odd" / "b"]).pairs
    assert {row.benchmark for row in pair.rows} == {"x", "y"}
    assert any(note.startswith("g: its value is no mean") for note in pair.notes)


# --- MME --------------------------------------------------------------------------------------------------------------


def mme_scores(rows: Rows) -> dict[str, float]:
    """By lmms-eval itself."""
    from lmms_eval.tasks.mme.utils import mme_aggregate_results

    names = ("mme_perception_score", "mme_cognition_score")
    return {name: mme_aggregate_results([row[name] for row in rows if name in row]) for name in names}


def test_mme_is_what_lmms_eval_makes_of_it(tmp_path: Path, lmms_eval: Lm, mme: Callable[..., Rows]) -> None:
    runs = [mme(1), mme(2, share=0.9)]
    for name, rows in zip("ab", runs, strict=True):
        lmms_eval(tmp_path / name, "mme", rows, mme_scores(rows))
    rows = {row.metric: row for row in compare([tmp_path / "a", tmp_path / "b"]).pairs[0].rows}
    perception, cognition = rows["mme_perception_score"], rows["mme_cognition_score"]
    assert perception.before * 400 == pytest.approx(mme_scores(runs[0])["mme_perception_score"])
    assert cognition.after * 200 == pytest.approx(mme_scores(runs[1])["mme_cognition_score"])
    assert (perception.unit, perception.n_units, perception.n_samples) == ("image", 10, 20)
    answers = [[row["mme_perception_score"]["score"] for row in run if "mme_perception_score" in row] for run in runs]
    pairs = list(zip(*answers, strict=True))
    assert perception.mcnemar_p == pytest.approx(mcnemar(pairs.count((0.0, 1.0)), pairs.count((1.0, 0.0))))


def test_mme_that_was_cut_or_changed_is_refused(tmp_path: Path, lmms_eval: Lm, mme: Callable[..., Rows]) -> None:
    rows = mme(1)
    lmms_eval(tmp_path / "a", "mme", rows, mme_scores(rows))
    lmms_eval(tmp_path / "b", "mme", rows, mme_scores(rows) | {"mme_cognition_score": 1.0})
    with pytest.raises(
        UserError, match=r"mme_cognition_score of the samples is .*, .* says 1: they are not of one run"
    ):
        compare([tmp_path / "a", tmp_path / "b"])
    for name in "cd":
        lmms_eval(tmp_path / name, "mme", rows[:-1], {"mme_perception_score": 1.0, "mme_cognition_score": 1.0})
    with pytest.raises(UserError, match=r"expected 2 questions about image code_reasoning/4\.png"):
        compare([tmp_path / "c", tmp_path / "d"], metrics={"mme": ["mme_cognition_score"]})


# --- HoliSafe ---------------------------------------------------------------------------------------------------------


def holisafe(seed: int, share: float) -> Rows:
    """Answers to ten requests of each type."""
    rng = random.Random(seed)

    def value(kind: str, error: int) -> dict[str, Any]:
        return {"type": kind, "subcategory": "race", "error": error}

    names = ("holisafe_avg_asr", "holisafe_rr", "holisafe_asr_usu")
    return [
        dict.fromkeys(names, value(kind, int(rng.random() < share)))
        for kind in ("SSS", "SSU", "USU", "UUU", "SUU")
        for _ in range(10 if kind != "SUU" else 20)
    ]


def test_holisafe_is_what_lmms_eval_makes_of_it(tmp_path: Path, lmms_eval: Lm) -> None:
    from lmms_eval.tasks.holisafe import utils

    runs = [holisafe(1, 0.9), holisafe(2, 0.3)]
    found = []
    for name, rows in zip("ab", runs, strict=True):
        results = {
            key: getattr(utils, key.replace("_", "_aggregate_", 1))([row[key] for row in rows]) for key in rows[0]
        }
        lmms_eval(tmp_path / name, "holisafe", rows, results)
        found.append(results)
    (pair,) = compare([tmp_path / "a", tmp_path / "b"]).pairs
    attacks, refused = pair.rows
    # Two scores about different requests; a third one is about some of the first one's.
    assert (attacks.metric, refused.metric) == ("holisafe_avg_asr", "holisafe_rr")
    assert any("--metric holisafe=holisafe_asr_usu" in note for note in pair.notes)
    for row in pair.rows:
        assert [row.before, row.after] == pytest.approx([results[row.metric] for results in found])
        assert not row.higher_is_better
    assert (attacks.n_samples, refused.n_samples, attacks.unit) == (50, 10, "sample")
    assert (attacks.difference, attacks.retention) == ("better", "retained")
    assert attacks.gained is not None and attacks.lost is not None and attacks.gained > attacks.lost

    (pair,) = compare(
        [tmp_path / "a", tmp_path / "b"], metrics={"holisafe": ["holisafe_asr_usu", "holisafe_avg_asr"]}
    ).pairs
    assert [(row.metric, row.n_samples) for row in pair.rows] == [("holisafe_asr_usu", 10), ("holisafe_avg_asr", 50)]

    lmms_eval(tmp_path / "c", "holisafe", runs[1], found[1] | {"holisafe_rr": 0.99})
    with pytest.raises(UserError, match=r"holisafe_rr of the samples is .*, .* says 0\.99: they are not of one run"):
        compare([tmp_path / "a", tmp_path / "c"])


def test_holisafe_of_two_judges_or_of_one_that_is_not_named_is_refused(tmp_path: Path, lmms_eval: Lm) -> None:
    task, metric = "retention_holisafe_judged", "holisafe_rr"
    for name, judge in (("a", "judge-1"), ("b", "judge-1"), ("c", "judge-2"), ("d", None)):
        error = {"type": "SSS", "subcategory": "race", "error": 1} | ({"judge": judge} if judge else {})
        file = lmms_eval(tmp_path / name, task, [{metric: error}] * 6, {metric: 1.0})
        if not judge:
            content = json.loads(file.read_text())
            content["configs"][task]["process_results"] = "<function holisafe_process_results_judge at 0x7f00>"
            file.write_text(json.dumps(content))
    assert only(compare([tmp_path / "a", tmp_path / "b"]).pairs[0].rows).change == 0
    with pytest.raises(UserError, match="judged by judge-2, the first run by judge-1"):
        compare([tmp_path / "a", tmp_path / "c"])
    with pytest.raises(UserError, match="its samples do not say who judged retention_holisafe_judged"):
        compare([tmp_path / "d", tmp_path / "d"])


# --- LLaVA-Bench ------------------------------------------------------------------------------------------------------


def test_llava_bench_is_what_lmms_eval_makes_of_it(tmp_path: Path, lmms_eval: Lm, llava: Callable[..., Rows]) -> None:
    task, metric = "llava_in_the_wild", "gpt_eval_llava_all"
    runs = [llava(1), llava(2, better=2)]
    for name, rows in zip("ab", runs, strict=True):
        scores = [row[metric]["scores"] for row in rows]
        value = round(100 * sum(model for _, model in scores) / sum(reference for reference, _ in scores), 1)
        lmms_eval(tmp_path / name, task, rows, {metric: value})
    row = only(compare([tmp_path / "a", tmp_path / "b"]).pairs[0].rows)
    scores = [answer[metric]["scores"] for answer in runs[0]]
    assert row.before == pytest.approx(sum(model for _, model in scores) / sum(reference for reference, _ in scores))
    assert (row.difference, row.n_units) == ("better", 30)

    failed = llava(1)
    failed[3][metric]["scores"] = [-1, -1]
    lmms_eval(tmp_path / "c", task, failed, {metric: 70.0})
    with pytest.raises(UserError, match="1 requests to the judge failed, the first one about document 3"):
        compare([tmp_path / "a", tmp_path / "c"])
    other = llava(1)
    other[0][metric]["eval_model"] = "judge-2"
    lmms_eval(tmp_path / "d", task, other, {metric: 70.0})
    with pytest.raises(UserError, match="judged by judge-1, judge-2, the first run by judge-1"):
        compare([tmp_path / "a", tmp_path / "d"])


# --- what cannot be compared ------------------------------------------------------------------------------------------


def test_scores_that_are_no_shares_or_whose_mean_is_not_the_value_are_left_out(tmp_path: Path, lm_eval: Lm) -> None:
    rows = [{"acc": float(at % 2), "perplexity": 3.0 + at} for at in range(10)]
    listed = [
        {"metric": name, "aggregation": how, "higher_is_better": True}
        for name, how in (("perplexity", "mean"), ("acc", "mean"))
    ]
    for name in "ab":
        lm_eval(tmp_path / name, {"t": rows}, configs={"t": {"metric_list": listed}})
    (pair,) = compare([tmp_path / "a", tmp_path / "b"]).pairs
    assert only(pair.rows).metric == "acc"
    assert any("perplexity: its scores are not between 0 and 1" in note for note in pair.notes)
    with pytest.raises(UserError, match=r"no metric of t can be compared .*not between 0 and 1"):
        compare([tmp_path / "a", tmp_path / "b"], metrics={"t": ["perplexity"]})

    odd = [{"metric": "acc", "aggregation": "matthews_corrcoef", "higher_is_better": True}]
    for name in "cd":
        lm_eval(tmp_path / name, {"t": rows}, configs={"t": {"metric_list": odd}}, results={"t": {"acc,none": 0.9}})
    with pytest.raises(UserError, match=r"it is not the mean of its samples' scores \(0\.5 against 0\.9\)"):
        compare([tmp_path / "c", tmp_path / "d"])
