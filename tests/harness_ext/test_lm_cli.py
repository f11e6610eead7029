"""lm-eval's own command with our names: what it is given, and what several processes make of it."""

import json

import pytest
from benchmark_hub import BenchmarkHub

from harness_ext.common.secrets import secret_in
from harness_ext.lm_cli import _with_our_tasks, main
from harness_ext.probes.files import tasks_folder


def test_our_tasks_are_known_where_tasks_are_asked_for():
    ours = ["--include_path", str(tasks_folder("lm_eval"))]
    asked = ["run", "--model", "hf-vlm", "--tasks", "retention_text"]
    assert _with_our_tasks(asked) == [*asked, *ours]
    assert _with_our_tasks(["--tasks=mmlu"]) == ["--tasks=mmlu", *ours]
    for other in (["ls", "tasks"], [*asked, "--include_path", "/mine"], [*asked, "--include_path=/mine"]):
        assert _with_our_tasks(other) == other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "hf-vlm", "--model_args", "pretrained=/nowhere"), "cannot load the processor of '/nowhere'"),
        (("--model", "gpt-4v"), "model 'gpt-4v' (backend api) has no language side"),
    ],
)
def test_what_cannot_be_scored_is_said_without_a_traceback(run_warm, arguments, message):
    finished = run_warm("unsafeconcepts", "lm_eval", *arguments, "--tasks", "unsafeconcepts_text")
    assert finished.returncode == 2
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["model=m,openai_api_key=k"], "openai_api_key would be written"),
        (["model=m", "token=k"], "token would be written"),
        (['{"hf_token": "k"}'], "hf_token would be written"),
        (["base_url=http://me:k@localhost/v1"], "a password in an address would be written"),
    ],
)
def test_a_key_that_lm_eval_would_write_down_is_refused(arguments, says, capsys):
    assert (
        main(["run", "--model", "local-completions", "--tasks", "unsafeconcepts_text", "--model_args", *arguments]) == 2
    )
    assert says in capsys.readouterr().err
    for harmless in ("add_bos_token=True,tokenizer=me/mine", "base_url=http://localhost:8000/v1"):
        assert secret_in(harmless) is None


def test_missing_context_questions_show_before_a_model_is_loaded(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("UNSAFECONCEPTS_CONTEXT_QUESTIONS", str(tmp_path / "missing.json"))
    tasks = "arc_challenge,unsafeconcepts_context_text_safe"
    assert main(["run", "--model", "hf-vlm", "--model_args", "pretrained=/nowhere", "--tasks", tasks]) == 2
    said = capsys.readouterr().err
    assert "missing.json cannot be read" in said and "/nowhere" not in said


def test_two_processes_score_what_one_scores(run, untrained_vlm, tmp_path):
    launchers = {
        "one": ("python",),
        "two": ("python", "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29519"),
    }
    scored = {}
    with BenchmarkHub() as hub:
        environment = hub.environment(tmp_path / "home", OMP_NUM_THREADS="1")
        for name, launcher in launchers.items():
            finished = run(
                *launcher, "-m", "harness_ext.lm_cli", "run", "--model", "hf-vlm", "--model_args",
                f"pretrained={untrained_vlm},device=cpu", "--tasks", "arc_challenge,truthfulqa_mc2", "--batch_size", "4",
                "--log_samples", "--output_path", tmp_path / name, env=environment,
            )  # fmt: skip
            assert finished.returncode == 0, finished.stderr
            (results,) = (tmp_path / name).rglob("results_*.json")
            rows = [
                json.loads(line)
                for file in sorted((tmp_path / name).rglob("samples_*.jsonl"))
                for line in file.read_text().splitlines()
            ]
            likelihoods = {
                (row["prompt_hash"], row["doc_id"]): [float(said[0]) for said in row["filtered_resps"]] for row in rows
            }
            scored[name] = json.loads(results.read_text())["results"], likelihoods
    (one, of_one), (two, of_two) = scored["one"], scored["two"]
    assert of_one.keys() == of_two.keys() and len(of_one) == 6
    for row, likelihoods in of_one.items():
        assert of_two[row] == pytest.approx(likelihoods, abs=1e-4)
    for task, metrics in one.items():
        assert two[task]["acc,none"] == pytest.approx(metrics["acc,none"], abs=1e-5)
