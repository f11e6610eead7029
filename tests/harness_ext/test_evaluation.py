"""Whole evaluations through the real harnesses, as a user runs them: from another folder, by command."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

LIMIT = ("--limit", "6", "--gen_kwargs", "max_new_tokens=8")
TOKENS = {"environment": f"hf_{'e' * 34}", "option": f"hf_{'o' * 34}"}


def sample_rows(folder):
    """Every judged row below ``folder``, by task, without what differs from run to run."""
    rows = {}
    for file in sorted(folder.rglob("*_samples_*.jsonl")):
        task = file.stem.split("_samples_")[1]
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        # By what was asked: the number of a row depends on how many processes there are.
        rows[task] = sorted(
            (row["judgement"]["row"], row["judgement"]["question"], row["filtered_resps"], row["judgement"])
            for row in lines
        )
    return rows


@pytest.fixture(scope="module")
def evaluate(run_warm, untrained_vlm, tmp_path_factory):
    """Evaluate the untrained VLM with a command of one's choice; returns the process and the result folder."""

    def evaluate(tasks, *options, command=("lmms_eval",), limit=LIMIT, run=run_warm, **environment):
        out = tmp_path_factory.mktemp("out")
        model = ("--model", "hf-vlm", "--model_args", f"pretrained={untrained_vlm},device=cpu", "--batch_size", "8")
        written = ("--log_samples", "--output_path", out)
        return run(*command, *model, "--tasks", tasks, *limit, *written, *options, **environment), out

    return evaluate


@pytest.fixture(scope="module")
def glyphworld(evaluate, run):
    """One short evaluation of everything that glyphworld asks, in a process that nothing was done for."""
    # As of somebody who logged in, and of somebody who pushes results.
    option = ("--hf_hub_log_args", f"token={TOKENS['option']}")
    finished, out = evaluate("glyphworld", *option, run=run, HF_TOKEN=TOKENS["environment"])
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished, out


def test_an_evaluation_writes_a_judged_row_for_every_question(glyphworld):
    _, out = glyphworld
    rows = sample_rows(out)
    assert {task: len(answers) for task, answers in rows.items()} == {
        f"glyphworld_{task}": 6 for task in ("perception", "image", "text", "text_blank", "capability")
    }
    for answers in rows.values():
        assert all(record["source"] == "glyphworld" and record["verdict"] != "failed" for *_, record in answers)
        # An untrained model ends no answer by itself.
        assert all(record["at_limit"] for *_, record in answers)


def test_a_token_is_in_no_result_and_in_no_log(glyphworld):
    finished, out = glyphworld
    written = "".join(file.read_text() for file in out.rglob("*.*"))
    assert "[HF_TOKEN]" in finished.stdout
    for token in TOKENS.values():
        assert token not in written + finished.stdout + finished.stderr


def test_without_a_verdict_no_gap_is_made_up(glyphworld):
    # The untrained model's answers are all `na`: no accuracy without them exists, and none is made up.
    _, out = glyphworld
    results = json.loads(next(out.rglob("*_results.json")).read_text())["results"]
    assert "acc_unsafe,none" not in results["glyphworld_gap"]


def test_the_table_reads_what_the_harness_wrote(glyphworld, run, tmp_path):
    _, out = glyphworld
    table = run("unsafeconcepts", "table", out, "--markdown", tmp_path / "t.md", "--figure", tmp_path / "gap.png")
    assert table.returncode == 0, table.stderr
    assert "stand-in" in table.stdout
    assert "6 of 6 responses of glyphworld_image ended at the limit of their tokens." in " ".join(table.stdout.split())
    assert (tmp_path / "gap.png").stat().st_size > 10_000
    assert "glyphworld" in (tmp_path / "t.md").read_text()


@pytest.mark.parametrize("command", [("lmms-eval",), ("python", "-m", "lmms_eval")], ids=" ".join)
def test_lmms_evals_own_commands_see_tasks_and_models(evaluate, run, glyphworld, command):
    finished, out = evaluate("glyphworld_image", command=command, run=run)
    assert finished.returncode == 0, finished.stderr
    assert sample_rows(out)["glyphworld_image"] == sample_rows(glyphworld[1])["glyphworld_image"]


def torchrun(port):
    """The README's data-parallel command, on two processes."""
    return (
        "python",
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--master_port",
        str(port),
        "-m",
        "harness_ext.cli",
    )


def test_two_processes_give_the_answers_and_the_numbers_of_one(run_warm, tmp_path):
    # Of every tenth image or so, so that several categories, and a model's right and wrong answers, are in the sums.
    tasks = "glyphworld_gap,glyphworld_image_sampled,glyphworld_image_likelihood"
    evaluation = ("--model", "glyph-vlm", "--tasks", tasks, "--limit", "370", "--batch_size", "32")
    results = {}
    for name, command in (("one", ("lmms_eval",)), ("two", torchrun(29517))):
        out = tmp_path / name
        finished = run_warm(*command, *evaluation, "--log_samples", "--output_path", out)
        assert finished.returncode == 0, finished.stderr
        printed = json.loads(next(out.rglob("*_results.json")).read_text())["results"]
        results[name] = sample_rows(out), {task: _numbers(metrics) for task, metrics in printed.items()}
    # A probability is never the same to the last bit in another batch; what is read in it is.
    scores = {name: _without_scores(rows.pop("glyphworld_image_likelihood")) for name, (rows, _) in results.items()}
    numbers = {name: metrics.pop("glyphworld_image_likelihood") for name, (_, metrics) in results.items()}
    assert scores["one"] == scores["two"]
    assert numbers["one"] == pytest.approx(numbers["two"], rel=1e-6, nan_ok=True)
    assert results["one"] == results["two"]
    assert 0 < results["one"][1]["glyphworld_image"]["acc_unsafe,none"] < 1


def test_one_model_in_two_processes_gives_the_answers_of_one(run_warm, tmp_path):
    # Those about images from shared prefixes, those in words alone in plain batches.
    tasks = "glyphworld_image,glyphworld_image_sampled,glyphworld_image_likelihood,glyphworld_text"
    common = {"model": "glyph-vlm", "tasks": tasks, "batch_size": 8, "log_samples": True, "limit": 20}
    answers, options = tmp_path / "answers", "share_prefix=True"
    together = f"{options},tp_plan=auto,answers={answers}"
    # The second run together finds the first ten questions' answers on the disk.
    runs = {"one": [{"model_args": options}], "two": [{"model_args": together, "limit": 10}, {"model_args": together}]}
    rows = {}
    for name, command in (("one", ("lmms_eval",)), ("two", torchrun(29532))):
        config = [{**common, **run, "output_path": str(tmp_path / f"{name}{at}")} for at, run in enumerate(runs[name])]
        (tmp_path / "runs.yaml").write_text(json.dumps(config))
        # A machine may have one GPU, which two processes cannot share.
        finished = run_warm(*command, "--config", tmp_path / "runs.yaml", CUDA_VISIBLE_DEVICES="")
        assert finished.returncode == 0, finished.stderr
        (results,) = Path(config[-1]["output_path"]).rglob("*_results.json")
        assert json.loads(results.read_text())["config"]["prefix_sharing"] == "on"
        rows[name] = sample_rows(results.parent)
    scored = {name: of_run.pop("glyphworld_image_likelihood") for name, of_run in rows.items()}
    assert rows["one"] == rows["two"]
    assert len(rows["one"]["glyphworld_image"]) == 20
    assert _without_scores(scored["one"]) == _without_scores(scored["two"])
    for (*_, one), (*_, two) in zip(scored["one"], scored["two"], strict=True):
        assert two["scores"] == pytest.approx(one["scores"], abs=1e-5)
    # One file of each run: the first process keeps the answers.
    kept = sorted(answers.rglob("*.jsonl"))
    assert [sum(len(json.loads(line)) for line in file.read_text().splitlines()) for file in kept] == [40, 40]
    assert json.loads(kept[0].with_name("identity.json").read_text())["tp_plan"] == "auto, 2 processes"


def _without_scores(rows):
    return [record | {"scores": None} for *_, record in rows]


def _numbers(metrics):
    """The metrics that are means; lmms-eval's standard errors of them are approximate, and not ours."""
    return {name: value for name, value in metrics.items() if "stderr" not in name and isinstance(value, int | float)}


def test_a_failure_of_a_process_is_the_status_of_all(evaluate):
    finished, _ = evaluate(
        "glyphworld_text", "--model_args", "pretrained=/nowhere", command=torchrun(29518), limit=("--limit", "10")
    )
    assert finished.returncode != 0
    assert "cannot load the processor of '/nowhere'" in finished.stderr


def test_one_failing_run_of_several_does_not_end_the_others(run_warm, untrained_vlm, tmp_path):
    runs = [
        f"pretrained={untrained_vlm},device=cpu",
        "pretrained=/nowhere",
        f"pretrained={untrained_vlm},device=cpu,seed=3",
    ]
    common = {"model": "hf-vlm", "tasks": "glyphworld_text", "limit": 4, "gen_kwargs": "max_new_tokens=2"}
    config = [
        {**common, "model_args": arguments, "output_path": str(tmp_path / str(at))} for at, arguments in enumerate(runs)
    ]
    (tmp_path / "runs.yaml").write_text(json.dumps(config))
    finished = run_warm("lmms_eval", "--config", tmp_path / "runs.yaml")
    assert finished.returncode == 2
    assert [bool(list((tmp_path / str(at)).rglob("*_results.json"))) for at in range(3)] == [True, False, True]
    assert finished.stdout.count("LMMs-Eval: Probing Intelligence") == 2


def test_a_result_says_what_its_name_stood_for(glyphworld, untrained_vlm):
    config = json.loads(next(glyphworld[1].rglob("*_results.json")).read_text())["config"]
    assert config["weights"] == str(untrained_vlm)
    assert config["dtype"] == "float32"
    assert config["unsafeconcepts_version"]
    assert config["made_with"].startswith(f"lmms-eval {version('lmms-eval')}, ")
    assert f", torch {version('torch')}, " in config["made_with"]


def test_images_stay_out_of_the_results_whatever_is_asked(evaluate):
    finished, out = evaluate("glyphworld_image", "--process_with_media")
    assert finished.returncode == 0, finished.stderr
    written = "".join(file.read_text() for file in out.rglob("*.json*"))
    assert "base64" not in written
    assert "PNG" not in written


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tasks", "glyphworld_txt"), "did you mean glyphworld_text"),
        (("--tasks", "glyphworld", "--repeats", "2"), "--repeats 2"),
        (("--tasks", "glyphworld", "--model_args", "adapterr=x"), "unknown model_args: adapterr"),
        ((), "which tasks?"),
    ],
    ids=["task", "repeats", "model_args", "nothing"],
)
def test_what_cannot_be_done_is_said_without_a_traceback(run_warm, options, message):
    finished = run_warm("lmms_eval", "--model", "glyph-vlm", *options)
    assert finished.returncode == 2
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


def test_sampling_does_not_depend_on_the_batch_and_follows_the_seed(evaluate):
    runs = [
        sample_rows(evaluate("glyphworld_text_sampled", *options)[1])["glyphworld_text_sampled"]
        for options in (("--seed", "1"), ("--seed", "1", "--batch_size", "1"), ("--seed", "2"))
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_failed_evaluation_exits_non_zero(run_warm, tmp_path):
    finished = run_warm(
        "lmms_eval", "--model", "hf-vlm", "--model_args", f"pretrained={tmp_path}", "--tasks", "glyphworld_text"
    )
    assert finished.returncode != 0
    assert f"cannot load the processor of '{tmp_path}'" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_an_error_of_the_harness_exits_non_zero_too(evaluate):
    finished, _ = evaluate("glyphworld_text", "--limit", "-3")
    assert finished.returncode == 1
    assert "--limit must be" in finished.stdout + finished.stderr


def test_without_a_model_the_names_are_listed_and_how_to_add_one(run):
    finished = run("lmms_eval", "--tasks", "unsafeconcepts_image")
    assert finished.returncode == 2
    for part in ("llava-7b", "glyph-vlm", "UNSAFECONCEPTS_MODELS", "pretrained="):
        assert part in finished.stderr


def test_a_wrong_model_file_is_an_error_not_a_missing_name(run, tmp_path):
    file = tmp_path / "models.yaml"
    file.write_text("mine: {wieghts: x}\n")
    finished = run("lmms_eval", "--model", "mine", "--tasks", "glyphworld", UNSAFECONCEPTS_MODELS=str(file))
    assert finished.returncode == 2
    assert "unknown key wieghts" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "names"),
    [(("models",), ["llava-7b", "glyph-vlm"]), (("tasks", "list"), ["unsafeconcepts_image", "glyphworld"])],
)
def test_listings_show_our_names(run_warm, arguments, names):
    listed = run_warm("lmms_eval", *arguments).stdout.split()
    assert set(names) <= set(listed)


def test_a_name_of_ones_own_gets_a_result_folder_of_its_own(run_warm, untrained_vlm, tmp_path):
    file = tmp_path / "models.yaml"
    file.write_text(f"mine.v2: {{weights: {untrained_vlm}}}\n")
    finished = run_warm(
        "lmms_eval", "--model", "mine.v2", "--tasks", "glyphworld_text", *LIMIT, "--log_samples",
        "--output_path", tmp_path / "out",
        UNSAFECONCEPTS_MODELS=str(file),
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert [folder.name for folder in (tmp_path / "out").iterdir()] == ["mine.v2"]


def test_a_folder_with_a_tasks_name_is_not_taken_for_the_task(run, tmp_path):
    (tmp_path / "glyphworld").mkdir()
    finished = run("lmms_eval", "--model", "glyph-vlm", "--tasks", "glyphworld", cwd=tmp_path)
    assert finished.returncode == 2
    assert "is a folder here" in finished.stderr


def test_lm_eval_runs_the_text_probe_on_a_language_model(run, run_warm, untrained_vlm, tmp_path):
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(untrained_vlm)
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1,
                         num_attention_heads=2, max_position_embeddings=512, bos_token_id=None,
                         eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "lm")
    tokenizer.save_pretrained(tmp_path / "lm")
    folder = run("unsafeconcepts", "tasks", "lm_eval").stdout.strip()
    finished = run_warm(
        "lm_eval", "--model", "hf", "--model_args", f"pretrained={tmp_path / 'lm'}", "--include_path", folder,
        "--tasks", "unsafeconcepts_text", "--gen_kwargs", "max_gen_toks=4", "--device", "cpu",
        "--batch_size", "64", "--output_path", tmp_path / "out",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    results = json.loads(next((tmp_path / "out").rglob("results_*.json")).read_text())["results"]["unsafeconcepts_text"]
    assert 0 <= results["acc_na_wrong,none"] <= 1
    assert results["failed,none"] == 0


def test_the_embedded_model_shows_its_gap_in_harness_and_table_alike(run, run_warm, tmp_path):
    out = tmp_path / "out"
    finished = run_warm(
        "lmms_eval", "--model", "glyph-vlm", "--tasks", "glyphworld_gap", "--limit", "375", "--batch_size", "64",
        "--log_samples", "--output_path", out,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert [folder.name for folder in out.iterdir()] == ["glyph-vlm"]
    results = json.loads(next(out.rglob("*_results.json")).read_text())["results"]
    image, text, gap = (results[f"glyphworld_{task}"]["acc_unsafe,none"] for task in ("image", "text", "gap"))
    # Both of all concepts' answers: this model's text accuracy is 1, so that the limit, by which the harness asks about more
    # concepts in text than as images, does not show; the table pairs concepts in any case.
    assert gap == pytest.approx(text - image)
    assert gap > 0
    # Of answers about one concept together, in the harness's own table; the rows hold plain numbers, as before.
    assert "Stderr_Clustered" in finished.stdout
    of_image = results["glyphworld_image"]
    assert of_image["acc_unsafe_stderr_clustered,none"] > of_image["acc_unsafe_stderr_clt,none"]
    assert "acc_unsafe_stderr_clustered,none" not in results["glyphworld_gap"]
    lines = next(out.rglob("*_samples_glyphworld_image.jsonl")).read_text().splitlines()
    assert {json.loads(line)["acc_na_wrong"] for line in lines} == {0.0, 1.0}

    table = run("unsafeconcepts", "table", out, "--json", tmp_path / "summary.json")
    assert table.returncode == 0, table.stderr
    (printed,) = json.loads((tmp_path / "summary.json").read_text())["runs"]
    assert printed["summary"]["gap"]["none"]["drop"]["pooled"]["value"] == pytest.approx(gap)
    assert f"{gap:+.3f}" in table.stdout
