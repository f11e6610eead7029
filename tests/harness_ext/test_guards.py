"""Guards by the commands: what a run says of itself, what other commands make of it, and what is refused at once."""

import argparse
import json

import pytest
import yaml
from tiny_guards import build_guard

from harness_ext import cli
from harness_ext.common.provenance import record_provenance
from harness_ext.judges.guard import guard_asked

GUARDS = ("llama-guard-4", "shieldstral-3b")
TASKS = "glyphworld_image,glyphworld_text"


@pytest.fixture(scope="module")
def evaluated(run_warm, tmp_path_factory):
    """The runs of two guards and of another model, each with images and text."""
    folder = tmp_path_factory.mktemp("guards")
    evaluations = []
    for name in GUARDS:
        build_guard(name, folder / f"weights-{name}")
        evaluations.append((name, f"pretrained={folder / f'weights-{name}'},dtype=float32,device=cpu"))
    runs = [
        {
            "model": name,
            "model_args": arguments,
            "tasks": TASKS,
            "limit": 20,
            "batch_size": 8,
            "gen_kwargs": "max_new_tokens=1",
            "log_samples": True,
            "output_path": str(folder / name),
        }
        for name, arguments in [*evaluations, ("glyph-vlm", "device=cpu")]
    ]
    (folder / "runs.yaml").write_text(yaml.safe_dump(runs))
    finished = run_warm("lmms_eval", "--config", folder / "runs.yaml")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder


def test_a_run_says_that_the_guards_own_format_was_used(evaluated):
    for name, form in zip((*GUARDS, "glyph-vlm"), ("llama-guard-4-1", "shieldstral-1", None), strict=True):
        (results,) = (evaluated / name).rglob("*_results.json")
        config = json.loads(results.read_text())["config"]
        assert config.get("guard_format") == form
        assert config.get("guard_policy") == (form and "its own")
        for samples in (evaluated / name).rglob("*_samples_*.jsonl"):
            rows = [json.loads(line) for line in samples.read_text().splitlines()]
            judge = f"guard-{form}" if form else "rules-2"
            assert {row["judgement"]["judge"] for row in rows} == {judge}
            # The categories of Llama Guard are in the records, of the unsafe answers alone.
            named = {row["judgement"].get("guard_category") for row in rows if row["judgement"]["verdict"] == "unsafe"}
            assert named <= ({"S9"} if name == "llama-guard-4" else {None})


def test_other_commands_read_it(evaluated, run_warm):
    table = run_warm("unsafeconcepts", "table", evaluated / "llama-guard-4")
    assert table.returncode == 0, table.stderr
    assert "Judge: guard-llama-guard-4-1." in table.stdout
    for other in ("shieldstral-3b", "glyph-vlm"):
        compared = run_warm("unsafeconcepts", "compare", evaluated / "llama-guard-4", evaluated / other)
        assert compared.returncode == 0, compared.stdout + compared.stderr
    judged = run_warm("unsafeconcepts", "judge", evaluated / "llama-guard-4", "--judge", "rules")
    assert judged.returncode == 2
    assert "nothing to judge again" in judged.stderr
    assert "answers of a guard: they are in its own format, which no other judge reads" in judged.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "llavaguard-7b", "--tasks", "glyphworld"), "of these take glyphworld_image"),
        (("--model", "llavaguard-7b", "--tasks", "glyphworld_text"), "judges images, and takes no text alone"),
        (("--model", "llama-guard-4", "--tasks", "mme"), "it is no task of this project"),
    ],
)
def test_what_a_guard_is_not_asked_is_refused_before_its_weights_are_looked_for(run_warm, options, message):
    finished = run_warm("lmms_eval", *options)
    assert finished.returncode == 2
    assert message in finished.stderr and "is a guard" in finished.stderr


def test_another_judge_is_refused(run_warm):
    finished = run_warm(
        "lmms_eval", "--model", "llama-guard-4", "--tasks", "glyphworld_image", UNSAFECONCEPTS_JUDGE="rules"
    )
    assert finished.returncode == 2
    assert "a guard, whose answers are read in its own format; unset it" in finished.stderr


def test_the_next_evaluation_of_a_process_is_not_read_as_the_guards():
    record_provenance(guard="llama-guard-4")
    assert guard_asked()
    # Nothing is asked, so that nothing else is checked.
    cli._check_evaluation(argparse.Namespace(tasks=None))
    assert guard_asked() is None
