"""A defence from the command line to the tables: evaluated by lmms-eval, named by table, compare and leaderboard."""

import json

import pytest

from harness_ext.report.leaderboard.measured import entry_of
from harness_ext.runs.load import load_runs

DEFENCE = "name-then-judge:tokens=24+steer:strength=2"
TASKS = "glyphworld_image,glyphworld_image_likelihood"


@pytest.fixture(scope="module")
def evaluate(run_warm, tmp_path_factory):
    """What evaluates the embedded model, and gives the folder of results."""

    def evaluate(*arguments):
        output = tmp_path_factory.mktemp("out")
        finished = run_warm(
            "lmms_eval", "--model", "glyph-vlm", *arguments, "--tasks", TASKS, "--limit", "10", "--batch_size", "10",
            "--log_samples", "--output_path", output,
        )  # fmt: skip
        return finished, output

    return evaluate


def test_a_defended_model_is_a_model_of_its_own_in_every_table(evaluate, run_warm, tmp_path):
    (first, plain), (second, defended) = (
        evaluate(),
        evaluate("--model_args", f"device=cpu,defence={DEFENCE}"),
    )
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    (file,) = defended.rglob("*_results.json")
    assert file.parent.name.startswith("glyph-vlm+name-then-judge+steer-")
    config = json.loads(file.read_text())["config"]
    assert config["defence"].startswith("name-then-judge (tokens 24) + steer (layer 2, strength 2.0, direction ")
    (run,) = load_runs(defended)
    assert f"defence={DEFENCE}" in run.model
    assert (run.settings["defence"], run.settings["passes"]) == (config["defence"], "2")
    # Images and words of the same questions: the two runs are compared, and told apart.
    compared = run_warm("unsafeconcepts", "compare", plain, defended)
    assert compared.returncode == 0, compared.stderr
    assert DEFENCE in compared.stdout.replace("\n", "")


def test_a_line_of_the_leaderboard_is_named_by_its_defence(write, make_answers, tmp_path):
    def lines(folder, **config):
        write(tmp_path / folder, make_answers(), **config)
        (run,) = load_runs(tmp_path / folder)
        described = {"model": "Tiny", "training": "none", "trained_on": "nothing of it", "origin": "submitted"}
        return entry_of(run, {**described, "source": "https://example.org", "na": "drop"}).model

    assert lines("plain") == "Tiny"
    assert lines("defended", defence="caption (tokens 256)") == "Tiny with caption (tokens 256)"


def test_two_principles_of_one_name_are_two_models(write, make_answers, tmp_path):
    for number in (1, 2):
        defence = f"principle (text {number})"
        write(
            tmp_path,
            make_answers(),
            model_args="defence=principle:text=p.txt",
            date=f"2026010{number}_120000",
            defence=defence,
        )
    (run,) = load_runs(tmp_path)
    assert run.settings["defence"] == "principle (text 2)"
    assert any("left aside" in note for note in run.notes)
