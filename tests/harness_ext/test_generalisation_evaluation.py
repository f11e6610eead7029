"""TEST and generalisation through the real harness, as a user runs it, on local copies in the hub datasets' schemas."""

import json
import os
from pathlib import Path

import pytest
from gated_copies import UNSAFE, copies  # noqa: F401
from labelled_copies import columns, encoded, write

CONTEXTS = Path(__file__).parents[3] / "shared" / "data" / "unsafeconcepts_context_questions.json"


@pytest.fixture(scope="module")
def environment(copies, tmp_path_factory):  # noqa: F811
    """Every data set as a local copy; no other cache than this module's."""
    folder = tmp_path_factory.mktemp("generalisation")
    return {
        **os.environ,
        "UNSAFECONCEPTS_PATH": str(copies.unsafe),
        "UNSAFECONCEPTS_SAFE_PATH": str(copies.safe),
        "UNSAFECONCEPTS_SMID_PATH": str(write(folder / "smid.parquet", columns(8, {5: 2}))),
        "UNSAFECONCEPTS_NSFW_PATH": str(write(folder / "nsfw.parquet", columns(6, {0: 3, 3: 4}))),
        "UNSAFECONCEPTS_CACHE": str(folder / "cache"),
    }


@pytest.fixture(scope="module")
def evaluate(run_warm, untrained_vlm, tmp_path_factory):
    def evaluate(tasks, environment, *options):
        out = tmp_path_factory.mktemp("out")
        finished = run_warm(
            "lmms_eval", "--model", "hf-vlm", "--model_args", f"pretrained={untrained_vlm},device=cpu", "--tasks", tasks,
            "--limit", "10", "--gen_kwargs", "max_new_tokens=4", "--log_samples", "--output_path", out, *options,
            env=environment,
        )  # fmt: skip
        return finished, out

    return evaluate


def samples(out):
    return {
        file.stem.split("_samples_")[1]: [json.loads(line) for line in file.read_text().splitlines()]
        for file in out.rglob("*_samples_*.jsonl")
    }


def test_test_and_other_data_sets_are_asked_and_told_of(evaluate, run, environment):
    finished, out = evaluate("unsafeconcepts_test,unsafeconcepts_smid,unsafeconcepts_nsfw", environment)
    assert finished.returncode == 0, finished.stderr
    rows = samples(out)
    assert {task: len(lines) for task, lines in rows.items()} == {
        "unsafeconcepts_test": 10, "unsafeconcepts_smid": 8, "unsafeconcepts_nsfw": 6
    }  # fmt: skip
    for task, lines in rows.items():
        for line in lines:
            assert line["judgement"]["probe"] == task.removeprefix("unsafeconcepts_")
            assert line["judgement"]["verdict"] != "failed"
    assert [line["judgement"]["concept"] for line in rows["unsafeconcepts_nsfw"][:2]] == [
        "NSFW image 4",
        "NSFW image 1",
    ]
    content = json.loads(next(out.rglob("*_results.json")).read_text())
    results = content["results"]
    for task in rows:
        assert {"acc_na_wrong,none", "acc_na_wrong_unsafe,none", "diversity,none"} <= results[task].keys()
    assert {"acc_na_wrong_safe,none", "over_refusal,none"} <= results["unsafeconcepts_smid"].keys()
    assert content["config"]["smid_source"] == environment["UNSAFECONCEPTS_SMID_PATH"]
    assert environment["UNSAFECONCEPTS_SAFE_PATH"] in content["config"]["test_source"]
    assert content["config"]["test_split"] == "the paper's: split by seed 2024, questions by seed 42"
    # No image in what is kept.
    assert encoded(1)[:60] not in "".join(file.read_text() for file in out.rglob("*.json*"))

    table = run("unsafeconcepts", "table", out)
    assert table.returncode == 0, table.stderr
    for part in (
        "TEST, all",
        "TEST is the paper's: split by seed 2024, questions by seed 42.",
        "SMID, safe",
        "NSFW, unsafe",
        "Over-refusal",
        "each image is taken for one",
        "Diversity",
    ):
        assert part in " ".join(table.stdout.split())


def test_contexts_are_asked_with_the_published_questions(evaluate, environment):
    if not CONTEXTS.is_file():
        pytest.skip(f"the authors' questions are not in {CONTEXTS.parent}")
    tasks = "unsafeconcepts_context_safe,unsafeconcepts_context_unsafe,unsafeconcepts_contexts"
    finished, out = evaluate(tasks, {**environment, "UNSAFECONCEPTS_CONTEXT_QUESTIONS": str(CONTEXTS)})
    assert finished.returncode == 0, finished.stderr
    published = {entry["unsafe concept"]: entry["output"] for entry in json.loads(CONTEXTS.read_text())}
    rows = samples(out)
    assert len(rows) == 6
    for task, lines in rows.items():
        assert len(lines) == 10
        for line in lines:
            judged = line["judgement"]
            question = line["input"].removeprefix(f"If an image shows {judged['concept']}, i")
            assert question in published[judged["concept"]] and judged["row"] < UNSAFE
            assert task == f"unsafeconcepts_{judged['probe']}" and task.endswith(f"_{judged['expected']}")
            assert ("_text_" in task) is (question != line["input"])


def test_a_damaged_copy_stops_the_run_before_a_model_is_loaded(evaluate, environment, tmp_path):
    for name, references, message in (
        ("out", {2: 9}, "row 2: refers to row 9 for its image"),
        ("circle", {2: 3, 3: 2}, "row 2: its image refers in a circle, 2 -> 3 -> 2"),
    ):
        copy = write(tmp_path / f"{name}.parquet", columns(5, references))
        damaged = {**environment, "UNSAFECONCEPTS_SMID_PATH": str(copy)}
        finished, _ = evaluate("unsafeconcepts_smid", damaged, "--model_args", "pretrained=/nowhere")
        assert finished.returncode == 2
        assert message in finished.stderr and "/nowhere" not in finished.stderr


def test_without_access_to_another_data_set_two_lines(run, environment):
    without = {name: value for name, value in environment.items() if name != "UNSAFECONCEPTS_SMID_PATH"}
    finished = run(
        "lmms_eval", "--model", "llava-7b", "--tasks", "unsafeconcepts_smid", env=without, HF_HUB_OFFLINE="1"
    )
    first, second = finished.stderr.strip().splitlines()
    assert finished.returncode == 2
    assert "yiting/SMID" in first and "hf auth login" in first
    assert "UNSAFECONCEPTS_SMID_PATH" in second


def test_the_stand_in_is_asked_the_same(evaluate, run, environment):
    finished, out = evaluate("glyphworld_generalisation,glyphworld_test_all_questions,glyphworld_contexts", environment)
    assert finished.returncode == 0, finished.stderr
    rows = samples(out)
    probes = {"test", "test_all_questions"} | {
        f"context_{shown}{context}" for shown in ("", "image_", "text_") for context in ("safe", "unsafe")
    }
    assert {task: len(lines) for task, lines in rows.items()} == {f"glyphworld_{probe}": 10 for probe in probes}
    assert {line["judgement"]["source"] for lines in rows.values() for line in lines} == {"glyphworld"}
    results = json.loads(next(out.rglob("*_results.json")).read_text())["results"]
    for context in ("safe", "unsafe"):
        text, image = (results[f"glyphworld_context_{shown}_{context}"] for shown in ("text", "image"))
        gap = results[f"glyphworld_gap_context_{context}"].get("acc_unsafe,none")
        if {"acc_unsafe,none"} <= text.keys() & image.keys():
            assert gap == text["acc_unsafe,none"] - image["acc_unsafe,none"]
    table = run("unsafeconcepts", "table", out)
    shown = " ".join(table.stdout.split())
    for part in ("stand-in", "TEST, five questions", "TEST, safe context", "Image, safe context", "Text-only, unsafe context",
                 "text-only, safe context", "text-only, unsafe context"):  # fmt: skip
        assert part in shown, table.stderr
