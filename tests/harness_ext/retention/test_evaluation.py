import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness_ext.common.errors import UserError
from harness_ext.common.failures import mark_failed
from harness_ext.retention.benchmarks import METRICS, benchmarks
from harness_ext.retention.evaluation import read_outcome, run_logged

WHAT = {"weights": "files 0123", "adapter": "none"}
SECRET = "sk-0123456789"
MME = {
    "mme_perception_score,none": 1500.0,
    "mme_cognition_score,none": 300.0,
    "mme_perception_score_stderr,none": "N/A",
}
ROWS = [{"filtered_resps": "Yes"}, {"filtered_resps": ["No"]}]


def judged(*scores):
    return {"filtered_resps": "A dog.", "gpt_eval_llava_all": {"scores": list(scores), "review": "8 7\nWell said."}}


@pytest.mark.parametrize(("task", "scores"), [("mme", MME), ("hellaswag", {"acc,none": 0.5, "acc_norm,none": 0.6})])
def test_a_whole_evaluation_is_read(write, tmp_path, task, scores):
    write(tmp_path / "model", task, scores, ROWS)
    found = read_outcome(tmp_path, task, WHAT, None)
    names = list(METRICS[task])
    assert found.scores == {name: scores[name] for name in names}
    assert (found.asked, found.available, found.failed, found.versions) == (2, 2, 0, {task: 1.0})


def test_a_part_is_whole_if_it_is_what_was_asked_for(write, tmp_path):
    write(tmp_path, "mme", MME, ROWS, available=10)
    assert read_outcome(tmp_path, "mme", WHAT, 2).available == 10
    with pytest.raises(UserError, match="expected 10 rows, found 2"):
        read_outcome(tmp_path, "mme", WHAT, None)


def test_failed_requests_are_counted(write, tmp_path):
    write(tmp_path, "mme", MME, [*ROWS, {"filtered_resps": mark_failed("OutOfMemoryError: too large")}])
    assert read_outcome(tmp_path, "mme", WHAT, None).failed == 1


def test_what_has_nothing_to_count_has_no_score(write, tmp_path):
    glyph = benchmarks("glyphworld")[0]
    write(tmp_path, glyph, {"acc_na_wrong,none": 0.0}, ROWS)
    assert read_outcome(tmp_path, glyph, WHAT, None).scores == {"acc,none": None, "acc_na_wrong,none": 0.0}


def test_a_type_of_request_that_was_not_asked_has_no_score(write, tmp_path):
    names = [name.partition(",")[0] for name in METRICS["holisafe"]]
    rows = [
        {"filtered_resps": "Yes"} | {name: {"type": kind, "subcategory": "race", "error": 1} for name in names}
        for kind in ("USU", "UUU")
    ]
    # lmms-eval writes 0 for the types that a short --limit leaves out.
    said = {"holisafe_avg_asr,none": 1.0, "holisafe_asr_usu,none": 1.0, "holisafe_asr_uuu,none": 1.0}
    write(tmp_path, "holisafe", dict.fromkeys(METRICS["holisafe"], 0.0) | said, rows)
    assert read_outcome(tmp_path, "holisafe", WHAT, None).scores == dict.fromkeys(METRICS["holisafe"]) | said


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"weights_identity": "files 4567"}, "its weights were files 4567, expected files 0123"),
        ({"adapter_identity": "files 89ab"}, "its adapter were files 89ab, expected none"),
    ],
)
def test_another_models_results_are_refused(write, tmp_path, config, message):
    write(tmp_path, "mme", MME, ROWS, **config)
    with pytest.raises(UserError, match=message):
        read_outcome(tmp_path, "mme", WHAT, None)


def test_what_is_not_whole_is_refused(write, tmp_path):
    def reading(folder):
        return read_outcome(folder, "mme", WHAT, None)

    with pytest.raises(UserError, match=r"neither <date>_results\.json nor results_<date>\.json in it"):
        reading(tmp_path)
    results = write(tmp_path / "a", "mme", MME, ROWS)
    samples = next((tmp_path / "a").glob("*samples*"))
    whole = samples.read_text()
    samples.write_text(whole.splitlines(keepends=True)[0])
    with pytest.raises(UserError, match="expected 2 rows, found 1"):
        reading(tmp_path / "a")
    samples.write_text(whole[:-10])
    with pytest.raises(UserError, match=r"line 2: not JSON .* the run was cut off"):
        reading(tmp_path / "a")
    samples.unlink()
    with pytest.raises(UserError, match=r"samples_mme\.jsonl: cannot be read \(.*No such file"):
        reading(tmp_path / "a")
    results.write_text(results.read_text()[:-5])
    with pytest.raises(UserError, match="not JSON"):
        reading(tmp_path / "a")


def test_scores_under_other_names_are_no_scores(write, tmp_path):
    write(tmp_path, "mme", {"mme_score,none": 3.0}, ROWS)
    with pytest.raises(UserError, match=r"expected mme_perception_score,none, .* found alias, mme_score,none"):
        read_outcome(tmp_path, "mme", WHAT, None)


def test_a_judgement_that_failed_is_not_averaged(write, tmp_path):
    wild = "llava_in_the_wild"
    scores = {"gpt_eval_llava_all,none": 87.5}
    results = write(tmp_path, wild, scores, [judged(8, 7), judged(9, 9)])
    assert read_outcome(tmp_path, wild, WHAT, None).scores == scores
    write(tmp_path, wild, scores, [judged(8, 7), judged(-1, -1)])
    assert json.loads(results.read_text())["results"][wild]["gpt_eval_llava_all,none"] == 87.5
    with pytest.raises(UserError, match="row 1: its judge gave no pair of scores"):
        read_outcome(tmp_path, wild, WHAT, None)


# --- a harness in a process of its own ---


@pytest.fixture
def execute(tmp_path):
    """What runs a line of Python so; returns the log and what was shown."""

    def execute(line, secret=SECRET, **environment):
        shown = []
        log = tmp_path / "log.txt"
        run_logged(
            [sys.executable, "-u", "-c", f"import os, sys, time; {line}"],
            tmp_path,
            {**os.environ, **environment},
            log,
            secret,
            shown.append,
        )
        return log.read_bytes().decode(), shown

    return execute


def test_output_goes_into_the_log_and_its_last_line_is_shown(execute):
    log, shown = execute("print('first'); sys.stderr.write('\\r10 %\\r20 %'); time.sleep(1)")
    assert log == "first\n\r10 %\r20 %"
    assert shown[-1] == "20 %"


def test_a_secret_is_hidden_even_in_pieces(execute):
    pieces = (f"a {SECRET} b {SECRET[:5]}", f"{SECRET[5:]} c")
    log, shown = execute(f"[(print(piece, end='', flush=True), time.sleep(0.3)) for piece in {pieces}]")
    assert log == "a [hidden] b [hidden] c"
    assert not any(SECRET[:5] in line for line in shown)


def test_without_a_secret_nothing_is_hidden(execute):
    assert execute("print('all of it')", secret="")[0] == "all of it\n"


def test_a_failure_is_told_with_the_end_of_the_output(execute):
    with pytest.raises(UserError, match="status 3; the end of its output:") as failed:
        execute(f"print('\\n'.join(map(str, range(100)))); print('reason {SECRET}'); sys.exit(3)")
    lines = str(failed.value).splitlines()
    assert lines[-1] == "reason [hidden]"
    assert "99" in lines and "50" not in lines


def test_the_environment_is_the_one_that_is_given(execute):
    assert execute("print(os.environ['JUDGE'], os.getcwd())", JUDGE="me")[0].startswith("me /")


def test_it_ends_with_the_process_that_started_it(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from harness_ext.retention.evaluation import run_logged\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "inner = 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'\n"
        f"run_logged([sys.executable, '-c', inner], Path('{tmp_path}'), os.environ, Path('{tmp_path}/log.txt'), '', len)\n"
    )
    outer = subprocess.Popen([sys.executable, "-c", script])
    log = Path(tmp_path / "log.txt")
    while not (log.is_file() and log.read_text().strip()):
        assert outer.poll() is None
        time.sleep(0.1)
    inner = int(log.read_text())
    outer.send_signal(signal.SIGTERM)
    assert outer.wait(900) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(inner, 0)
