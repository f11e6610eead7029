"""A run that is killed goes on where it stopped, and ends with the files that it would have ended with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TASKS = "glyphworld_image_sampled,glyphworld_text"
# What says when, where and how long, in a result file.
TIMES = {
    "date",
    "start_time",
    "end_time",
    "total_evaluation_time_seconds",
    "throughput",
    "pretty_env_info",
    "upper_git_hash",
}


def command():
    evaluation = ("--model", "glyph-vlm", "--model_args", "device=cpu", "--tasks", TASKS)
    settings = ("--limit", "200", "--batch_size", "5", "--gen_kwargs", "max_new_tokens=24")
    return (*evaluation, *settings, "--log_samples", "--output_path", "out")


def kept_answers(folder):
    lines = [line for file in sorted(folder.rglob("*.jsonl")) for line in file.read_bytes().split(b"\n")[:-1]]
    return [json.dumps(answer) for line in lines for answer in json.loads(line)]


def files(out):
    """What a run wrote, by name without its time: the sample rows as they are, the results without times."""
    found = {}
    for file in out.rglob("[!.]*"):
        name = file.name[file.name.index("_") :].split("_", 2)[2] if file.is_file() else ""
        if file.suffix == ".jsonl":
            found[name] = file.read_text()
        elif file.suffix == ".json":
            results = json.loads(file.read_text())
            found[name] = dict(_leaves({key: value for key, value in results.items() if key not in TIMES}))
    return found


def _leaves(value, path=""):
    """The values of a nested result, by their path."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{path}/{key}")
    else:
        yield path, value


@pytest.fixture(scope="module")
def uninterrupted(run_warm, tmp_path_factory):
    here = tmp_path_factory.mktemp("uninterrupted")
    finished = run_warm("lmms_eval", *command(), cwd=here, UNSAFECONCEPTS_ANSWERS="none")
    assert finished.returncode == 0, finished.stderr
    return files(here / "out")


def test_a_killed_run_resumes_and_ends_with_the_same_files(run_warm, uninterrupted, tmp_path):
    answers, out = tmp_path / "answers", tmp_path / "out"
    environment = {**os.environ, "UNSAFECONCEPTS_ANSWERS": str(answers)}
    executable = Path(sys.executable).with_name("lmms_eval")
    killed = [executable, *command()]
    process = subprocess.Popen(killed, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(kept_answers(answers)) < 12:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = kept_answers(answers)
    assert 12 <= len(before) < 400, "killed too late to say anything"
    assert not files(out)

    finished = run_warm("lmms_eval", *command(), cwd=tmp_path, UNSAFECONCEPTS_ANSWERS=str(answers))
    assert finished.returncode == 0, finished.stderr
    assert "answers were given before" in finished.stdout + finished.stderr
    resumed = files(out)
    assert resumed.keys() == uninterrupted.keys()
    for name, content in uninterrupted.items():
        assert resumed[name] == content
    after = kept_answers(answers)
    assert len(after) == 400
    assert set(before) <= set(after)
