"""The command, as a user runs it: evaluations by the real harnesses, kept, gone on with when killed, and compared."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from api_stub import MODEL, ApiStub
from benchmark_hub import BenchmarkHub

from harness_ext.retention.benchmarks import JUDGED, benchmarks

# The quickest that is asked: no image, of the first concepts alone.
ONE = ("--suite", "glyphworld", "--without", "glyphworld_capability,glyphworld_perception", "--limit", "2")


@pytest.fixture
def pair(untrained_vlm, make_adapter):
    """The options that name the untrained VLM, and it with an adapter."""
    base = f"hf-vlm,pretrained={untrained_vlm},device=cpu"
    return "--before", base, "--after", f"{base},adapter={make_adapter()}"


def texts(output):
    """The folders of whole evaluations of the text probe."""
    return sorted(output.glob("glyphworld-*/*/glyphworld_text"))


def test_what_is_there_is_not_evaluated_again_and_what_was_killed_is(run, pair, make_adapter, tmp_path):
    output = tmp_path / "out"
    command = ("retention", *pair, *ONE, "--output", str(output))
    killed = subprocess.Popen(
        [Path(sys.executable).parent / "unsafeconcepts", *command], stdout=subprocess.PIPE, cwd=tmp_path
    )
    while not texts(output):
        assert killed.poll() is None
        time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (before,) = texts(output)
    written = (before / "retention.json").stat().st_mtime_ns

    resumed = run("unsafeconcepts", *command)
    assert resumed.returncode == 0, resumed.stderr
    assert "2 evaluations, 1 of them there already" in resumed.stdout
    assert (before / "retention.json").stat().st_mtime_ns == written
    assert len(texts(output)) == 2
    assert not list((output / ".unfinished").iterdir())
    for part in ("a stand-in, not a benchmark", "glyphworld_text", "Only a part was asked", str(before.parent)):
        assert part in resumed.stdout

    again = run("unsafeconcepts", *command)
    assert again.returncode == 0, again.stderr
    assert "2 evaluations, 2 of them there already" in again.stdout
    assert again.stdout.split("already")[1] == _without_progress(resumed.stdout.split("already")[1])

    # Trained again, to the same place: another model, whose results are not there.
    make_adapter(seed=1)
    retrained = run("unsafeconcepts", *command)
    assert retrained.returncode == 0, retrained.stderr
    assert "2 evaluations, 1 of them there already" in retrained.stdout
    assert len(texts(output)) == 3


def _without_progress(printed):
    return "".join(
        line for line in printed.splitlines(keepends=True) if not re.match(r"\s*(\[\d+/\d+\]|done in)", line)
    )


def test_an_evaluation_that_fails_ends_the_command_with_the_reason(run, untrained_vlm, tmp_path):
    finished = run(
        "unsafeconcepts", "retention", "--before", f"hf-vlm,pretrained={untrained_vlm},device=cpu,attn=sdpa",
        "--after", f"hf-vlm,pretrained={untrained_vlm},device=cpu", *ONE, "--output", tmp_path,
    )  # fmt: skip
    assert finished.returncode == 1
    assert "unknown model_args: attn" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not texts(tmp_path)
    (log,) = tmp_path.glob("*.failed.txt")
    assert str(log) in finished.stderr
    assert "unknown model_args: attn" in log.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--suite", "vision"), "--judge-url https://…/v1 --judge-model NAME"),
        (("--suite", "text", "--without", "pope"), "--without pope: not among what is asked"),
        (("--suite", "text", "--limit", "3"), "--limit must be an even number of rows, found 3"),
        (("--suite", "text", "--batch_size", "0"), "--batch_size must be at least 1"),
        (("--suite", "text", "--margin", "1"), "--margin 1.0: expected a share between 0 and 1"),
        (("--suite", "text", "--judge-model", "gpt"), "nothing is judged by a language model"),
        (("--suite", "glyphworld", "--apply_chat_template"), "no text is asked for"),
        (("--suite", "glyphworld", "--after", "glyph-vim"), "no model is named 'glyph-vim'"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(run, untrained_vlm, tmp_path, options, message):
    base = f"hf-vlm,pretrained={untrained_vlm}"
    refused = run(
        "unsafeconcepts",
        "retention",
        "--before",
        base,
        "--after",
        f"{base},dtype=bfloat16",
        "--output",
        tmp_path,
        *options,
    )
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list(tmp_path.iterdir())


def test_a_model_is_not_compared_with_itself(run, untrained_vlm, tmp_path):
    base = f"hf-vlm,pretrained={untrained_vlm}"
    refused = run(
        "unsafeconcepts", "retention", "--before", base, "--after", base, "--suite", "text", "--output", tmp_path
    )
    assert refused.returncode == 2
    assert "are the same model" in refused.stderr


def test_the_text_side_of_what_has_none_is_refused(run, tmp_path):
    options = ("--before", "cogvlm,pretrained=/nowhere", "--after", "glyph-vlm", "--output", tmp_path)
    refused = run("unsafeconcepts", "retention", *options, "--suite", "text")
    assert refused.returncode == 2
    assert "has no language side" in refused.stderr


# --- through the benchmarks' own tasks ---------------------------------------------------------------------------------


def judgement(asked):
    """What a judge says of two answers, in the form that the benchmark asks for."""
    return {"content": "8 6\nThe second one is wrong."}, "stop"


def rows(folder, task):
    (file,) = folder.rglob(f"*samples_{task}*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_benchmark_with_images_is_asked_as_it_is(run, untrained_vlm, tmp_path):
    with BenchmarkHub() as hub, ApiStub(message=judgement) as judge:
        environment = hub.environment(
            tmp_path / "home", API_TYPE="openai", OPENAI_API_URL=judge.url, OPENAI_API_KEY="sk-a", MODEL_VERSION=MODEL
        )
        finished = run(
            "lmms_eval", "--model", "hf-vlm", "--model_args", f"pretrained={untrained_vlm},device=cpu",
            "--tasks", "retention_vision", "--gen_kwargs", "max_new_tokens=4", "--batch_size", "8", "--log_samples",
            "--output_path", tmp_path / "out", env=environment,
        )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    results = json.loads(next((tmp_path / "out").rglob("*_results.json")).read_text())["results"]
    for benchmark in benchmarks("vision"):
        for metric in benchmark.metrics:
            assert isinstance(results[benchmark.task][metric.name], int | float), (benchmark.task, metric.name)
    # The untrained model's answers are never right; the judge's scores are what the stub said.
    assert results[JUDGED]["gpt_eval_llava_all,none"] == 75.0
    assert results["mme"]["mme_perception_score,none"] == 0.0
    counts = {benchmark.task: len(rows(tmp_path / "out", benchmark.task)) for benchmark in benchmarks("vision")}
    assert counts == {"mme": 8, JUDGED: 4, "mmstar": 4, "pope": 4, "realworldqa": 4, "ai2d": 4}
    # As the task words it, its own addition in the place of the data set's.
    assert (
        rows(tmp_path / "out", "mme")[0]["input"]
        == "Is it a colour?\nAnswer the question using a single word or phrase."
    )
    assert len(judge.asked) == 4


def test_every_benchmark_in_text_is_asked_as_it_is(run, untrained_vlm, make_adapter, tmp_path):
    with BenchmarkHub() as hub:
        finished = run(
            "unsafeconcepts", "lm_eval", "--model", "hf-vlm", "--model_args",
            f"pretrained={untrained_vlm},adapter={make_adapter()}", "--device", "cpu", "--tasks", "retention_text",
            "--batch_size", "16", "--log_samples", "--output_path", tmp_path / "out", env=hub.environment(tmp_path / "home"),
        )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    content = json.loads(next((tmp_path / "out").rglob("results_*.json")).read_text())
    for benchmark in benchmarks("text"):
        for metric in benchmark.metrics:
            assert 0 <= content["results"][benchmark.task][metric.name] <= 1
    assert content["n-samples"]["mmlu_anatomy"] == {"original": 2, "effective": 2}
    assert len([task for task in content["n-samples"] if task.startswith("mmlu_")]) == 57
    assert content["config"]["adapter_identity"].startswith("files ")
    assert rows(tmp_path / "out", "arc_challenge")[1]["target"] == "1"
    asked = rows(tmp_path / "out", "hellaswag")[0]["arguments"]
    assert asked["gen_args_1"] == {"arg_0": "Baking: A man bakes. He", "arg_1": " drives off. He sings."}


def test_a_judges_failure_fails_the_command_and_its_key_is_nowhere(run, pair, tmp_path):
    output, without = tmp_path / "out", "mme,mmstar,pope,realworldqa,ai2d"
    with BenchmarkHub() as hub, ApiStub(key="sk-very-secret", message=judgement) as judge:
        environment = hub.environment(tmp_path / "home", MY_KEY="sk-very-secret")
        command = (
            "unsafeconcepts", "retention", *pair, "--suite", "vision", "--without", without, "--limit", "2",
            "--output", output, "--judge-url", judge.url, "--judge-model", MODEL, "--judge-key-variable", "MY_KEY",
        )  # fmt: skip
        judge.message = lambda asked: ({"content": "I had rather not say. sk-very-secret"}, "stop")
        failed = run(*command, env=environment)
        assert failed.returncode == 1
        assert "its judge gave no pair of scores" in failed.stderr
        assert not list(output.glob("vision-*"))
        judge.message = judgement
        finished = run(*command, env=environment)
    assert finished.returncode == 0, finished.stderr
    assert f"{JUDGED} judged" in " ".join(finished.stdout.split())
    assert "75.0" in finished.stdout
    written = [file.read_bytes() for file in output.rglob("*") if file.is_file()]
    said = [text.encode() for process in (failed, finished) for text in (process.stdout, process.stderr)]
    assert not any(b"sk-very-secret" in text for text in written + said)
    record = json.loads(next(output.rglob("retention.json")).read_text())
    assert record["rests_on"]["settings"]["judge"] == f"{MODEL} at {judge.url}"


def test_another_judges_results_are_neither_used_nor_overwritten(run, pair, tmp_path):
    output, without = tmp_path / "out", "mme,mmstar,pope,realworldqa,ai2d"
    shared = (
        "unsafeconcepts",
        "retention",
        *pair,
        "--suite",
        "vision",
        "--without",
        without,
        "--limit",
        "2",
        "--output",
        output,
    )
    with BenchmarkHub() as hub, ApiStub(message=judgement) as judge:
        environment = hub.environment(tmp_path / "home")
        finished = run(*shared, "--judge-url", judge.url, "--judge-model", MODEL, env=environment)
        assert finished.returncode == 0, finished.stderr
        other = run(*shared, "--judge-url", judge.url, "--judge-model", "another", env=environment)
    assert other.returncode == 2
    assert f"judge {MODEL} at {judge.url}, now another at {judge.url}" in other.stderr
    assert "choose another --output" in other.stderr
