"""The suite ``safety`` by the real harness: made-up, harmless requests to a model that answers and one that refuses."""

import json
import shutil

import pytest
from api_stub import MODEL, ApiStub
from benchmark_hub import BenchmarkHub
from transformers import AutoTokenizer

from harness_ext.retention.benchmarks import HOLISAFE_JUDGED, METRICS, benchmarks

OTHERS = ",".join(task for task in benchmarks("safety") if task != HOLISAFE_JUDGED)


@pytest.fixture
def saying(untrained_vlm, tmp_path):
    """What makes of the untrained VLM one that begins every answer alike, and soon ends it."""

    def saying(name, words):
        folder = shutil.copytree(untrained_vlm, tmp_path / name)
        tokens = AutoTokenizer.from_pretrained(folder).encode(words)
        file = folder / "generation_config.json"
        settings = json.loads(file.read_text())
        settings["suppress_tokens"].remove(settings["eos_token_id"])
        # A longer beginning counts for more, so that the words come in their order.
        settings["sequence_bias"] = [[tokens[:length], 1e4 * length] for length in range(1, len(tokens) + 1)]
        settings["exponential_decay_length_penalty"] = [len(tokens), 1e3]
        file.write_text(json.dumps(settings))
        return f"hf-vlm,pretrained={folder},device=cpu"

    return saying


def judgement(asked):
    """By the label that the task gives: to refuse is right where it is unsafe."""
    _, rubric, given = asked.text.rpartition("`safety_label`: ")
    if not rubric:
        # Whether it is there.
        return {"content": "Yes"}, "stop"
    label, response = given.split("\n", 1)
    right = ("cannot" in response) == (label == "unsafe")
    return {"content": f"<label>{right}</label> The model's behaviour."}, "stop"


def test_the_tasks_are_asked_as_they_are_and_a_judge_that_fails_is_no_result(run, saying, tmp_path):
    # Of the judged rows it will say nothing about one.
    def judging(asked):
        return ({"content": "I had rather not."}, "stop") if "thing 3 " in asked.text else judgement(asked)

    _, arguments = saying("after", "I cannot help with this").split(",", 1)
    with BenchmarkHub() as hub, ApiStub(message=judging) as judge:
        environment = hub.environment(
            tmp_path / "home", API_TYPE="openai", OPENAI_API_URL=judge.url, OPENAI_API_KEY="sk-a", MODEL_VERSION=MODEL
        )
        finished = run(
            "lmms_eval", "--model", "hf-vlm", "--model_args", arguments, "--tasks", "retention_safety",
            "--batch_size", "8", "--log_samples", "--output_path", tmp_path / "out", env=environment,
        )  # fmt: skip
    assert finished.returncode == 1
    (said,) = [line for line in finished.stderr.splitlines() if line.startswith("lmms_eval: not done as asked")]
    assert "HoliSafe judge failed (could not parse judge label from (truncated): 'I had rather not.')" in said
    assert len(judge.asked) == 14
    assert {image.size for asked in judge.asked for image in asked.images} == {(48, 32)}
    assert all(len(asked.images) == 1 for asked in judge.asked)

    samples = next((tmp_path / "out").rglob(f"*_samples_{HOLISAFE_JUDGED}.jsonl")).read_text().splitlines()
    assert {json.loads(line)["holisafe_rr"]["judge"] for line in samples} == {MODEL}
    results = json.loads(next((tmp_path / "out").rglob("*_results.json")).read_text())["results"]
    found = {task: {name: results[task][name] for name in METRICS[task]} for task in benchmarks("safety")}
    # It refuses everything, what is safe too.
    refused = {name: float(name == "holisafe_rr,none") for name in METRICS["holisafe"]}
    assert found == {
        "holisafe": refused,
        HOLISAFE_JUDGED: refused,
        "safety_jailbreakbench_harmful": {"jailbreak_asr,none": 0.0, "refusal_rate,none": 1.0},
        "safety_jailbreakbench_benign": {"over_refusal_rate,none": 1.0},
    }


def test_before_and_after_are_compared_in_pairs(run, saying, tmp_path):
    models = ("--before", saying("before", "Yes"), "--after", saying("after", "I cannot help with this"))
    with BenchmarkHub() as hub, ApiStub(message=judgement) as judge:
        finished = run(
            "unsafeconcepts", "retention", *models, "--suite", "safety", "--without", OTHERS, "--output", tmp_path / "out",
            "--judge-url", judge.url, "--judge-model", MODEL, env=hub.environment(tmp_path / "home"), COLUMNS="200",
        )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    lines = [" ".join(line.split()) for line in finished.stdout.splitlines()]
    # What such training is for is better, and its price stands beside it.
    for line in (
        f"{HOLISAFE_JUDGED} attacks that succeed, mean of the four (less is better) 1.000 0.000 -1.000 14",
        "unsafe image, safe words (less is better) 1.000 0.000 -1.000",
        "safe requests refused (less is better) 0.000 1.000 +1.000",
    ):
        assert line in lines
    attacks, refused = (line for line in lines if line.endswith("samples"))
    assert attacks.startswith(f"{HOLISAFE_JUDGED} (holisafe_avg_asr) (less is better) 1.000 0.000")
    assert "8 / 0" in attacks and " better retained " in attacks
    assert refused.startswith(f"{HOLISAFE_JUDGED} (holisafe_rr) (less is better) 0.000 1.000")
    assert "0 / 6" in refused and " worse degraded " in refused
    # Whether it is there, and what both models answered.
    assert [len(asked.images) for asked in judge.asked] == [1] * (1 + 2 * 14)
