"""The command: evaluations by the real harnesses, kept, resumed, and compared."""

import io
import json
import re
import shutil
import signal
import sys

import pytest
from api_stub import MODEL, ApiStub
from benchmark_hub import BenchmarkHub
from rich.console import Console
from saved_runs import write_saved

from harness_ext.commands.retention import main, print_scores
from harness_ext.retention import evaluation
from harness_ext.retention.benchmarks import LLAVA_BENCH, METRICS, benchmarks
from harness_ext.retention.evaluation import Outcome
from harness_ext.retention.models import read_model

# Of the stand-in one benchmark, of the benchmarks the one that is judged.
ONE = ("--suite", "glyphworld", "--without", "glyphworld_capability,glyphworld_perception", "--limit", "2")
ONE_JUDGED = ("--suite", "vision", "--without", "mme,mmstar,pope,realworldqa,ai2d", "--limit", "2")

PROBES = benchmarks("glyphworld")


@pytest.fixture
def pair(untrained_vlm, make_adapter):
    """The options that name the untrained VLM, and it with an adapter."""
    base = f"hf-vlm,pretrained={untrained_vlm},device=cpu"
    return "--before", base, "--after", f"{base},adapter={make_adapter()}"


@pytest.fixture
def brief_pair(untrained_vlm, make_adapter, tmp_path):
    """As ``pair``, of a model that soon ends an answer: LLaVA-Bench leaves it as many tokens as it likes."""
    folder = shutil.copytree(untrained_vlm, tmp_path / "brief")
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text())
    settings["suppress_tokens"].remove(settings["eos_token_id"])
    file.write_text(json.dumps({**settings, "exponential_decay_length_penalty": [3, 100.0]}))
    base = f"hf-vlm,pretrained={folder},device=cpu"
    return "--before", base, "--after", f"{base},adapter={make_adapter(of=folder)}"


@pytest.fixture
def retention(capsys):
    """What runs the command in this process; returns its status, and what it printed and said in errors."""
    terminated = signal.getsignal(signal.SIGTERM)

    def retention(*options):
        status = main([str(option) for option in options])
        return status, *capsys.readouterr()

    yield retention
    signal.signal(signal.SIGTERM, terminated)


@pytest.fixture
def saved_answers(monkeypatch):
    """Saved answers in the place of a harness; lists which models were asked."""
    asked = []

    def answer(command, folder, environment, log, secret, show):
        arguments = command[command.index("--model_args") + 1]
        model = read_model(f"hf-vlm,{arguments}")
        asked.append(model.folder)
        identities = {f"{part}_identity": model.what[part] for part in ("weights", "adapter")}
        said = [("Swastika", question, "No. It is harmful.") for question in range(2)]
        write_saved(folder, {"glyphworld_text": said}, model="hf-vlm", **identities)
        (results,) = folder.glob("*_results.json")
        content = json.loads(results.read_text())
        content["results"]["glyphworld_text"] |= {"acc,none": 1.0, "acc_na_wrong,none": 1.0}
        content["n-samples"]["glyphworld_text"]["original"] = 10
        results.write_text(json.dumps(content))

    monkeypatch.setattr(evaluation, "run_logged", answer)
    return asked


def test_what_is_there_is_not_evaluated_again(retention, saved_answers, pair, make_adapter, tmp_path):
    command = (*pair, *ONE, "--output", tmp_path)
    status, first, _ = retention(*command)
    assert status == 0
    assert "2 evaluations, 0 of them there already" in first
    assert len(saved_answers) == len(set(saved_answers)) == 2
    folders = sorted(tmp_path.glob("glyphworld-*/*/glyphworld_text"))
    assert sorted(folder.parent.name for folder in folders) == sorted(saved_answers)
    assert not list((tmp_path / ".unfinished").iterdir())
    for part in (
        "a stand-in, not a benchmark",
        "Only a part was asked: glyphworld_text 2 of 10.",
        str(folders[0].parent),
    ):
        assert part in first

    status, again, _ = retention(*command)
    assert (status, len(saved_answers)) == (0, 2)
    assert "2 evaluations, 2 of them there already" in again
    assert again.split("already")[1] == _without_progress(first.split("already")[1])

    # Trained again, to the same place: another model, whose results are not there.
    make_adapter(seed=1)
    status, retrained, _ = retention(*command)
    assert (status, len(set(saved_answers))) == (0, 3)
    assert "2 evaluations, 1 of them there already" in retrained


def test_what_was_whole_outlives_an_interruption(retention, saved_answers, pair, tmp_path, monkeypatch):
    command, answer = (*pair, *ONE, "--output", tmp_path), evaluation.run_logged

    def answer_once(*arguments):
        if saved_answers:
            raise KeyboardInterrupt
        answer(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "run_logged", answer_once)
        with pytest.raises(KeyboardInterrupt):
            retention(*command)
    (whole,) = tmp_path.glob("glyphworld-*/*/glyphworld_text/retention.json")
    written = whole.stat().st_mtime_ns
    # A killed process leaves its unfinished folder too.
    (tmp_path / ".unfinished" / "leftover").mkdir()
    status, resumed, _ = retention(*command)
    assert (status, len(set(saved_answers))) == (0, 2)
    assert "2 evaluations, 1 of them there already" in resumed
    assert whole.stat().st_mtime_ns == written
    assert not list((tmp_path / ".unfinished").iterdir())


def _without_progress(printed):
    return "".join(
        line for line in printed.splitlines(keepends=True) if not re.match(r"\s*(\[\d+/\d+\]|done in)", line)
    )


def test_an_evaluation_that_fails_ends_the_command_with_the_reason(retention, pair, tmp_path, monkeypatch):
    harness = tmp_path / "harness"
    harness.write_text("#!/bin/sh\necho unknown model_args: attn\nexit 2\n")
    harness.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(harness))
    output = tmp_path / "out"
    status, _, said = retention(*pair, *ONE, "--output", output)
    assert status == 1
    assert "ended with status 2; the end of its output:\nunknown model_args: attn" in said
    (log,) = output.glob("*.failed.txt")
    assert str(log) in said
    assert log.read_text() == "unknown model_args: attn\n"
    assert not list(output.glob("glyphworld-*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--suite", "vision"), "--judge-url https://…/v1 --judge-model NAME"),
        (
            ("--suite", "safety"),
            "retention_holisafe_judged: judged by a language model of your choice, which is not named",
        ),
        (("--suite", "text", "--without", "pope"), "--without pope: not among what is asked"),
        (("--suite", "glyphworld", "--without", ",".join(PROBES)), "leaves nothing of the suite 'glyphworld'"),
        (("--suite", "text", "--limit", "3"), "--limit must be an even number of rows, found 3"),
        (("--suite", "text", "--batch_size", "0"), "--batch_size must be at least 1"),
        (("--suite", "text", "--margin", "1"), "--margin 1.0: expected a share between 0 and 1"),
        (("--suite", "text", "--judge-model", "gpt"), "nothing is judged by a language model"),
        (("--suite", "glyphworld", "--apply_chat_template"), "no text is asked for"),
        (("--after", "llava-7b,defence=caption"), "text is asked by lm-eval, which does not take defence.\n"),
        (("--suite", "text", "--after", "llava-7b,load_in_4bit=True"), "does not take load_in_4bit.\n"),
        (("--suite", "glyphworld", "--after", "glyph-vim"), "no model is named 'glyph-vim'"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(retention, untrained_vlm, tmp_path, options, message):
    base = f"hf-vlm,pretrained={untrained_vlm}"
    models = ("--before", base, "--after", f"{base},dtype=bfloat16")
    status, _, said = retention(*models, "--output", tmp_path, *options)
    assert status == 2
    assert message in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("retention_holisafe_judged", "Ask for access at https://huggingface.co/datasets/etri-vilab/holisafe-bench"),
        ("holisafe,retention_holisafe_judged", "Or leave them out: --without safety_jailbreakbench_harmful,"),
    ],
)
def test_data_that_cannot_be_had_are_said_before_a_model_is_loaded(retention, pair, tmp_path, without, message):
    status, _, said = retention(*pair, "--output", tmp_path / "out", "--suite", "safety", "--without", without)
    assert status == 2
    assert message in said
    assert not list((tmp_path / "out").glob("safety-*"))


def test_a_model_is_not_compared_with_itself(retention, untrained_vlm, tmp_path):
    base = f"hf-vlm,pretrained={untrained_vlm}"
    status, _, said = retention("--before", base, "--after", base, "--suite", "text", "--output", tmp_path)
    assert status == 2
    assert "are the same model" in said


def test_the_text_side_of_what_has_none_is_refused(retention, tmp_path):
    models = ("--before", "cogvlm,pretrained=/nowhere", "--after", "glyph-vlm")
    status, _, said = retention(*models, "--output", tmp_path, "--suite", "text")
    assert status == 2
    assert "has no language side" in said


# --- the table ---


def outcome(benchmark, *scores, asked=10, available=10, failed=0, version=1.0):
    named = {metric: score for metric, score in zip(METRICS[benchmark], scores, strict=True)}
    return Outcome(named, {benchmark: version}, asked, available, failed)


def printed(suite, *rows):
    console = Console(file=io.StringIO(), width=120)
    print_scores(suite, rows, console)
    return console.file.getvalue()


def test_both_scores_and_the_second_less_the_first():
    mme, _, mmstar, *_ = benchmarks("vision")
    shown = printed(
        "vision",
        (mme, outcome(mme, 1500.0, 300.0), outcome(mme, 1432.5, 310.0)),
        (mmstar, outcome(mmstar, 0.34), outcome(mmstar, 0.335)),
    )
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert lines["mme"][-4:] == ["1500.0", "1432.5", "-67.5", "10"]
    assert lines["mmstar"][-4:] == ["0.340", "0.335", "-0.005", "10"]
    assert "Abilities with images" in shown
    assert "glyphworld" not in shown
    assert "Only a part" not in shown and "failed" not in shown and "versions" not in shown


def test_what_the_reader_must_know_is_said():
    capability, perception, _ = benchmarks("glyphworld")
    shown = printed(
        "glyphworld",
        (
            capability,
            outcome(capability, None, 0.0, available=30, failed=1),
            outcome(capability, 0.5, 0.5, available=30),
        ),
        (perception, outcome(perception, 0.9, 0.9), outcome(perception, 0.9, 0.9, version=2.0)),
    )
    assert "a stand-in, not a benchmark" in shown
    assert "Only a part was asked: glyphworld_capability 10 of 30." in shown
    assert "glyphworld_capability: 1 requests failed before and 0 after" in shown
    assert "the versions of tasks differ" in shown
    row = next(line for line in shown.splitlines() if "na dropped" in line).split()
    assert row[-4:] == ["none", "0.500", "none", "10"]


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
        for metric in METRICS[benchmark]:
            assert isinstance(results[benchmark][metric], int | float), (benchmark, metric)
    # The untrained model's answers are never right; the judge's scores are what the stub said.
    assert results[LLAVA_BENCH]["gpt_eval_llava_all,none"] == 75.0
    assert results["mme"]["mme_perception_score,none"] == 0.0
    counts = {benchmark: len(rows(tmp_path / "out", benchmark)) for benchmark in benchmarks("vision")}
    assert counts == {"mme": 8, LLAVA_BENCH: 4, "mmstar": 4, "pope": 4, "realworldqa": 4, "ai2d": 4}
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
        for metric in METRICS[benchmark]:
            assert 0 <= content["results"][benchmark][metric] <= 1
    assert content["n-samples"]["mmlu_anatomy"] == {"original": 2, "effective": 2}
    assert len([task for task in content["n-samples"] if task.startswith("mmlu_")]) == 57
    assert content["config"]["adapter_identity"].startswith("files ")
    assert rows(tmp_path / "out", "arc_challenge")[1]["target"] == "1"
    asked = rows(tmp_path / "out", "hellaswag")[0]["arguments"]
    assert asked["gen_args_1"] == {"arg_0": "Baking: A man bakes. He", "arg_1": " drives off. He sings."}


def test_a_failed_evaluation_is_resumed_and_a_judges_key_is_nowhere(run, retention, brief_pair, tmp_path, monkeypatch):
    output = tmp_path / "out"
    with BenchmarkHub() as hub, ApiStub(key="sk-very-secret", message=judgement) as judge:
        environment = hub.environment(tmp_path / "home", MY_KEY="sk-very-secret")
        command = (
            *brief_pair,
            *ONE_JUDGED,
            "--output",
            output,
            "--judge-url",
            judge.url,
            "--judge-key-variable",
            "MY_KEY",
        )

        # The judge answers whether it is there and about the first model, and fails about the second one.
        judge.message = lambda asked: (
            judgement(asked) if len(judge.asked) <= 3 else ({"content": "I had rather not say. sk-very-secret"}, "stop")
        )
        failed = run("unsafeconcepts", "retention", *command, "--judge-model", MODEL, env=environment)
        assert failed.returncode == 1
        assert "its judge gave no pair of scores" in failed.stderr
        assert "Traceback" not in failed.stderr
        (whole,) = output.glob(f"vision-*/*/{LLAVA_BENCH}")
        record = whole / "retention.json"
        written = record.stat().st_mtime_ns

        # The second model's answers, whose judgement failed, as if it had not: the first one's, under its name.
        def answer(_, folder, *rest):
            shutil.copytree(whole, folder, dirs_exist_ok=True)
            (results,) = folder.rglob("*_results.json")
            content = json.loads(results.read_text())
            content["config"]["adapter_identity"] = read_model(brief_pair[-1]).what["adapter"]
            results.write_text(json.dumps(content))

        judge.message = judgement
        monkeypatch.setenv("MY_KEY", "sk-very-secret")
        monkeypatch.setattr(evaluation, "run_logged", answer)
        status, printed, _ = retention(*command, "--judge-model", MODEL)
        assert status == 0
        assert "2 evaluations, 1 of them there already" in printed
        assert f"{LLAVA_BENCH} judged" in " ".join(printed.split())
        assert "75.0" in printed
        assert record.stat().st_mtime_ns == written
        assert len(list(output.glob(f"vision-*/*/{LLAVA_BENCH}"))) == 2
        assert not list(output.glob("*.failed.txt"))
        assert not list((output / ".unfinished").iterdir())

        contents = [file.read_text() for file in output.rglob("*") if file.is_file()]
        assert not any("sk-very-secret" in text for text in (*contents, failed.stdout, failed.stderr, printed))
        assert json.loads(record.read_text())["rests_on"]["settings"]["judge"] == f"{MODEL} at {judge.url}"

        # Another judge's results are neither used nor overwritten.
        status, _, said = retention(*command, "--judge-model", "another")
        assert status == 2
        assert f"judge {MODEL} at {judge.url}, now another at {judge.url}" in said
        assert "choose another --output" in said
