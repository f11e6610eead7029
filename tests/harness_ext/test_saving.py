"""Results that could not be saved: refused before, or the run's status; and what no UTF-8 can carry is saved as an escape."""

import json
import re
import sys

import pytest
from full_disk import full_disk
from loguru import logger
from saved_runs import read_rows

from harness_ext import cli, lm_cli
from harness_ext.cli import _check
from harness_ext.common.errors import UserError
from harness_ext.models.hf import HuggingFaceVLM
from harness_ext.runs.load import load_runs

TASK = "glyphworld_text"


@pytest.fixture
def evaluate(untrained_vlm, tmp_path, monkeypatch, capsys):
    """Run lmms_eval in this process; returns its exit status and what it said."""

    def evaluate(*options, answer=None, out=tmp_path / "out"):
        from lmms_eval import __main__ as upstream

        # What watches one run is taken away with it.
        monkeypatch.setattr(upstream, "cli_evaluate_single", upstream.cli_evaluate_single)
        if answer is not None:
            monkeypatch.setattr(HuggingFaceVLM, "generate_until", lambda self, requests: [answer] * len(requests))
        arguments = ["--model", "hf-vlm", "--model_args", f"pretrained={untrained_vlm},device=cpu", "--tasks", TASK]
        written = ["--limit", "4", "--log_samples", "--output_path", str(out)]
        monkeypatch.setattr(sys, "argv", ["lmms_eval", *arguments, *written, *options])
        status = 0
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code
        said = capsys.readouterr()
        return status, said.out + said.err

    yield evaluate
    logger.remove()


def test_half_of_a_surrogate_pair_is_saved_as_an_escape_and_read_back(evaluate, tmp_path):
    status, said = evaluate(answer="No \ud83d, it is not.")
    assert status == 0, said
    rows = read_rows(tmp_path / "out", TASK)
    assert [row["filtered_resps"] for row in rows] == ["No \\ud83d, it is not."] * 4
    # As before lmms-eval was given concepts with the metrics.
    assert rows[0]["acc"] == 1.0 and rows[0]["failed"] == 0.0
    (run,) = load_runs(tmp_path / "out")
    assert [record.verdict for record in run.answers[TASK]] == ["unsafe"] * 4


@pytest.mark.parametrize(
    ("name", "said"),
    [("results.json", "Could not save results aggregated"), (f"samples_{TASK}.jsonl", "Could not save sample results")],
)
def test_what_could_not_be_saved_is_named_and_the_runs_status(
    evaluate, untrained_vlm, tmp_path, monkeypatch, name, said
):
    from lmms_eval import utils

    # A folder where a file is to be written: to the superuser, as whom tests may run, nothing is read-only.
    monkeypatch.setattr(utils, "get_datetime_str", lambda *_, **__: "20260101_120000")
    place = tmp_path / "out" / utils.sanitize_model_name(str(untrained_vlm)) / f"20260101_120000_{name}"
    place.mkdir(parents=True)
    status, output = evaluate("--verbosity", "ERROR", answer="No.")
    assert status == 1
    (line, *_) = [line for line in output.splitlines() if line.startswith("lmms_eval: not done as asked: ")]
    assert f"{said}: IsADirectoryError: [Errno 21] Is a directory: '{place}'" in line
    # What else there is is saved all the same.
    assert len([each for each in place.parent.glob("[!.]*") if each.is_file()]) == 1


def test_two_evaluations_of_one_second_have_files_of_their_own(evaluate, tmp_path, monkeypatch):
    from lmms_eval import utils

    monkeypatch.setattr(utils, "get_datetime_str", lambda *_, **__: "20251231_235959")
    for answer in ("No.", "Yes."):
        status, said = evaluate(answer=answer)
        assert status == 0, said
    names = ["20251231_235959", "20260101_000000"]
    assert sorted(each.name for each in tmp_path.glob("out/*/*_results.json")) == [f"{at}_results.json" for at in names]
    for name, answer in zip(names, ("No.", "Yes."), strict=True):
        (samples,) = tmp_path.glob(f"out/*/{name}_samples_*.jsonl")
        rows = [json.loads(line) for line in samples.read_text().splitlines()]
        assert [row["filtered_resps"] for row in rows] == [answer] * 4


def test_a_results_file_that_is_cut_off_as_it_is_closed_is_noticed(evaluate, tmp_path):
    # Within what Python holds back until a file is closed, when lmms-eval looks no more (8 KiB): times in it vary in length.
    status, output = evaluate(answer="No.")
    assert status == 0, output
    (whole,) = tmp_path.glob("out/*/*_results.json")
    with full_disk(whole.stat().st_size - 1000):
        status, output = evaluate(answer="No.", out=tmp_path / "full")
    assert status == 1
    assert re.search(r"_results.json, line \d+: not JSON", output) and "Traceback" not in output


def test_what_lm_eval_could_not_save_is_the_runs_status_too(tmp_path, monkeypatch, capsys):
    from lm_eval import __main__ as upstream
    from lm_eval.loggers import EvaluationTracker

    def save(folder):
        tracker = EvaluationTracker(output_path=str(folder))
        tracker.general_config_tracker.log_experiment_args("hf", "", None, None, None)
        row = {"doc_hash": "", "prompt_hash": "", "target_hash": "", "target": "", "arguments": [("Is it?", {})]}
        samples = [row | {"resps": [["No \ud83d"]], "filtered_resps": ["No \ud83d"]}]
        tracker.save_results_aggregated(results={"config": {"model": "hf"}}, samples={"a": samples})
        tracker.save_results_samples(task_name="a", samples=samples)

    for name in ("save_results_aggregated", "save_results_samples"):
        monkeypatch.setattr(EvaluationTracker, name, getattr(EvaluationTracker, name))
    monkeypatch.setattr(upstream, "cli_evaluate", lambda: save(tmp_path / "out"))
    assert lm_cli.main(["run", "-o", str(tmp_path / "out")]) == 0
    (rows,) = tmp_path.rglob("samples_a_*.jsonl")
    assert json.loads(rows.read_text())["filtered_resps"] == ["No \\ud83d"]
    # The place becomes not_cached after it was looked at.
    (tmp_path / "file").touch()
    monkeypatch.setattr(upstream, "cli_evaluate", lambda: save(tmp_path / "file"))
    monkeypatch.setenv("LMEVAL_LOG_LEVEL", "CRITICAL")
    assert lm_cli.main(["run", "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "lm_eval: not done as asked: Could not save results aggregated: NotADirectoryError: [Errno 20]" in said


@pytest.mark.parametrize("command", ["lmms_eval", "lm_eval"])
def test_a_place_that_cannot_be_written_is_refused_in_the_first_second(tmp_path, command, capsys):
    (tmp_path / "file").touch()
    out = str(tmp_path / "file")
    if command == "lmms_eval":
        with pytest.raises(UserError, match="file: cannot be written: Not a directory"):
            _check(["--model", "glyph-vlm", "--tasks", TASK, f"--output_path={out}"])
    else:
        assert lm_cli.main(["run", "--model", "hf-vlm", "--tasks", "unsafeconcepts_text", "-o", f"{out}/deep"]) == 2
        assert "deep: cannot be written: Not a directory" in capsys.readouterr().err
