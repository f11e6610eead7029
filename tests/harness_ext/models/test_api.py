import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from api_asking import ALWAYS, KEY, SAMPLED, expected, kept, model, questions
from api_stub import MODEL, SNAPSHOT, ApiStub, Fault, answer_to
from asking import GREEDY, ask

from harness_ext.common.errors import UserError
from harness_ext.common.failures import reason_of
from harness_ext.common.provenance import provenance
from harness_ext.models.api import OpenAICompatible
from harness_ext.models.settings import GenerationSettings


def test_several_are_asked_at_a_time_and_every_answer_goes_to_its_question():
    with ApiStub(delay=0.05) as stub:
        assert ask(model(stub, concurrency=4), questions()) == expected()
        assert stub.most_at_once == 4
    assert len(set(expected())) == len(expected())


def test_the_batch_size_is_another_word_for_concurrency():
    with ApiStub(delay=0.05) as stub:
        ask(model(stub, batch_size=3), questions())
        assert stub.most_at_once == 3
        with pytest.raises(UserError, match="contradict"):
            model(stub, batch_size=3, concurrency=4)


@pytest.mark.parametrize(
    ("message", "finish", "answer"),
    [
        ({"content": "Yes, it is sa"}, "length", "Yes, it is sa"),
        ({"content": None}, "stop", ""),
        ({"content": ""}, "length", ""),
        ({"content": None, "refusal": "I cannot help."}, "stop", "I cannot help."),
        ({"content": "No. END Yes."}, "stop", "No. "),
    ],
)
def test_whatever_the_model_says_is_its_answer(message, finish, answer):
    with ApiStub(message=lambda asked: (message, finish)) as stub:
        assert ask(model(stub), questions(2), {**GREEDY, "until": ["END"]}) == [answer] * 2
    assert "stop" not in stub.asked[0].body


def test_what_answered_by_its_own_account_is_recorded():
    with ApiStub() as stub:
        ask(model(stub), questions(2))
    recorded = provenance()
    assert recorded["weights"] == f"{MODEL} at {stub.url}"
    assert (recorded["answered_by"], recorded["system_fingerprint"]) == (SNAPSHOT, "fp_stub")


def test_an_unreadable_image_is_that_questions_failure():
    def unreadable():
        raise OSError("image file is truncated")

    docs = questions()
    with ApiStub() as stub:
        answers = ask(model(stub, max_failed=0.1), [*docs[:3], (unreadable, "Question 3?"), *docs[4:]])
    assert "truncated" in reason_of(answers[3])
    assert answers[:3] + answers[4:] == expected()[:3] + expected()[4:]


def test_likelihood_is_refused():
    with pytest.raises(UserError, match="gives answers, not the scores behind them"):
        OpenAICompatible(model=MODEL, base_url="http://localhost:8000/v1").require_possible(
            GenerationSettings(likelihood=True)
        )


def ask_to_be_killed(url, folder):
    """What the process does that is killed by the test below."""
    ask(OpenAICompatible(model=MODEL, base_url=url, answers=folder, concurrency=3, seed=0), questions(), SAMPLED)


def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    folders = [str(Path(__file__).parent), str(Path(inspect.getfile(ApiStub)).parent)]
    with ApiStub(holds_after=5) as stub:
        # Three are under way at a time: the eighth is sent when five are answered and on disk.
        enough = stub.when_asked(8)
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys, test_api; test_api.ask_to_be_killed(*sys.argv[1:])",
                stub.url,
                tmp_path,
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        )
        assert enough.wait(120)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert kept(tmp_path) == 5
        stub.holds_after = ALWAYS
        assert ask(model(stub, answers=str(tmp_path)), questions(), SAMPLED) == expected()
        assert len(stub.asked) == 8 + 12 - 5
        # Those that were asked twice were asked the same, seed and all.
        assert len({json.dumps(asked.body, sort_keys=True) for asked in stub.asked}) == 12


def test_ctrl_c_keeps_what_was_answered(tmp_path):
    with ApiStub(holds_after=5) as stub:
        enough = stub.when_asked(8)
        main = threading.main_thread().ident
        threading.Thread(target=lambda: enough.wait(60) and signal.pthread_kill(main, signal.SIGINT)).start()
        # A shell starts what runs in its background with SIGINT ignored.
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(KeyboardInterrupt):
            ask(model(stub, concurrency=3, answers=str(tmp_path)), questions())
        signal.signal(signal.SIGINT, handler)
        assert kept(tmp_path) == 5
        stub.holds_after = ALWAYS
        assert ask(model(stub, answers=str(tmp_path)), questions()) == expected()
        assert len(stub.asked) == 8 + 12 - 5


def test_a_finished_run_asks_nothing_again_and_another_model_everything(tmp_path):
    with ApiStub() as stub:
        for _ in range(2):
            assert ask(model(stub, answers=str(tmp_path)), questions()) == expected()
        assert len(stub.asked) == 12
        ask(model(stub, answers=str(tmp_path), detail="high"), questions())
        assert len(stub.asked) == 24


def test_an_evaluation_by_command_through_every_usual_failure(run_warm, tmp_path):
    def message(asked):
        # Half a surrogate pair would keep lmms-eval from saving, and it would end with status 0 all the same.
        said = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": f"{answer_to(asked)} \ud83d"}]
        return {"content": said}, "stop"

    faults = [Fault(429, retry_after="0.1"), Fault(500), Fault("half"), Fault("bad json")]
    with ApiStub(*faults, key=KEY, message=message) as stub:
        options = f"model={MODEL},base_url={stub.url},api_key_variable=STUB_KEY,backoff=0.01"
        evaluation = ("--model", "api-vlm", "--model_args", options, "--tasks", "glyphworld_image", "--limit", "6")
        written = ("--log_samples", "--output_path", tmp_path / "out")
        answers = {"UNSAFECONCEPTS_ANSWERS": str(tmp_path / "answers")}
        finished = run_warm("lmms_eval", *evaluation, *written, STUB_KEY=KEY, **answers)
    assert finished.returncode == 0, finished.stderr
    assert f"asking {MODEL} at {stub.url}: 6 requests, 8 at a time" in finished.stdout
    (samples,) = (tmp_path / "out").rglob("*_samples_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert sorted(row["filtered_resps"] for row in rows) == sorted(
        {f"{answer_to(asked)} \\ud83d" for asked in stub.asked}
    )
    assert {row["judgement"]["verdict"] for row in rows} <= {"safe", "unsafe"}
    (results,) = (tmp_path / "out").rglob("*_results.json")
    assert json.loads(results.read_text())["config"]["answered_by"] == SNAPSHOT
    assert len(stub.asked) == 6 + len(faults)
    assert all(asked.body["store"] is False and len(asked.images) == 1 for asked in stub.asked)
    everything = [finished.stdout, finished.stderr]
    everything += [file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert kept(tmp_path / "answers") == 6
    assert not any(KEY in text for text in everything)
