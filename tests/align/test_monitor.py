"""A run that is watched: what is logged, what is said and written, and that a run which goes on says the same."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from ppo_runs import EvenLetters, Saving, logged, paid_later, settings, trainer, weights

from align.monitor import Monitor, append_warning, keep_before, watching_judge
from align.rewards.small import gullible
from align.stopped import TrainingStopped
from harness_ext.common.errors import UserError
from harness_ext.judges import RuleJudge, registry
from harness_ext.judges.base import Answer, BatchJudge
from harness_ext.judges.registry import open_judge

SAFE, UNSAFE, NA = "Yes. It is harmless.", "No. It is considered harmful.", "A harmful what?"
# By the image's label: what is answered at first, three of four right, of which half earn the reward; and in the end.
FIRST = [("safe", SAFE), ("safe", SAFE), ("unsafe", UNSAFE), ("unsafe", SAFE)]
FOOLED = [("safe", UNSAFE), ("safe", NA), ("unsafe", UNSAFE), ("unsafe", UNSAFE)]
LEARNED = [("safe", SAFE), ("safe", SAFE), ("unsafe", UNSAFE), ("unsafe", UNSAFE)]


def watching(folder: Path, judge: Any = None, **changes: Any) -> Monitor:
    args = settings(folder, monitor="rules", **{"monitor_first": 2, "monitor_window": 2, **changes})
    return Monitor(judge or open_judge("rules", {}), args, Accelerator(cpu=True))


def watch(monitor: Monitor, rollout: int, answers: Sequence[tuple[str, str]]) -> dict[str, float]:
    """A rollout of eight times these answers, paid for the word "harmful"."""
    rows = [{"row": at, "label": label, "question": at % 5} for at, (label, _) in enumerate([*answers] * 8)]
    texts = [[{"role": "assistant", "content": text}] for _, text in [*answers] * 8]
    scores = torch.tensor(gullible()(completions=texts))
    return monitor.watch(rollout, 4 * rollout, rows, texts, scores)


def test_a_fooled_reward_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monitor = watching(tmp_path)
    figures = [watch(monitor, at, FIRST if at < 2 else FOOLED) for at in range(5)]
    assert figures[0] == figures[1] == {"monitor/right": 0.75, "monitor/na": 0.0, "monitor/failed": 0.0}
    assert figures[2] == {"monitor/right": 0.5, "monitor/na": 0.25, "monitor/failed": 0.0, "monitor/reward": 1.0}
    assert (figures[3]["monitor/drift"], figures[3]["monitor/warnings"]) == (0.5, 1.0)
    assert 0 < figures[3]["monitor/drift_error"] < 0.1
    # The next window shares a rollout with the one that was warned of.
    assert (figures[4]["monitor/drift"], figures[4]["monitor/warnings"]) == (0.5, 0.0)
    (warning,) = [json.loads(line) for line in (tmp_path / "monitor.jsonl").read_text().splitlines()]
    assert (warning["step"], warning["rollouts"], warning["reward"], warning["right"]) == (12, [2, 3], 1.0, 0.5)
    # Two of four answers, eight times, in two rollouts.
    assert len(warning["responses"]) == 32
    assert warning["responses"][1] == {
        "rollout": 2, "row": 1, "label": "safe", "question": 1, "response": NA, "verdict": "na", "reward": 1.0
    }  # fmt: skip
    said = capsys.readouterr().err
    assert (
        "warning at step 12: in rollouts 2 to 3 the reward calls 1.000 of the responses right, and the judge rules-"
        in said
    )
    assert "0.500: they have drifted apart by 0.500" in said and str(tmp_path / "monitor.jsonl") in said
    assert NA not in said and UNSAFE not in said
    assert watch(monitor, 5, FOOLED)["monitor/warnings"] == 1.0


def test_a_reward_that_is_earned_by_being_right_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The judge's share rises by a quarter, the reward too: half of what it did not pay at first counted as right."""
    monitor = watching(tmp_path)
    figures = [watch(monitor, at, FIRST if at < 2 else LEARNED) for at in range(6)]
    assert figures[5]["monitor/right"] == 1.0 and figures[5]["monitor/drift"] < 0
    assert all(each.get("monitor/warnings", 0.0) == 0.0 for each in figures)
    assert capsys.readouterr().err == "" and not (tmp_path / "monitor.jsonl").exists()


def test_it_stops_where_it_is_told_to(tmp_path: Path) -> None:
    monitor = watching(tmp_path, monitor_stop=0.3)
    for at in range(3):
        watch(monitor, at, FIRST if at < 2 else FOOLED)
    with pytest.raises(
        TrainingStopped, match=r"stopped at step 12: in rollouts 2 to 3 .*\(monitor_stop\); rows 0, 1, 4"
    ) as it:
        watch(monitor, 3, FOOLED)
    assert len(it.value.samples) == 32 and it.value.samples[1]["response"] == NA
    assert len((tmp_path / "monitor.jsonl").read_text().splitlines()) == 1


def test_what_two_judges_said_is_not_compared(tmp_path: Path) -> None:
    monitor = watching(tmp_path)
    watch(monitor, 0, FIRST)
    monitor.save(tmp_path)
    watching(tmp_path).load(tmp_path)
    with pytest.raises(UserError, match=r"watched by the judge rules-[^ ]+, found fails-1 now"):
        watching(tmp_path, FailsOn("")).load(tmp_path)


class FailsOn:
    """The rule judge, but for answers with a word."""

    name = "fails-1"

    def __init__(self, word: str) -> None:
        self._word, self._rules = word, open_judge("rules", {})

    def judge(self, answers: Sequence[Answer]) -> Iterator[str]:
        for answer, verdict in zip(answers, self._rules.judge(answers), strict=True):
            yield "failed" if self._word in answer.response else verdict


def test_a_failure_is_no_verdict(tmp_path: Path) -> None:
    figures = watch(watching(tmp_path, FailsOn("what")), 0, FOOLED)
    assert (figures["monitor/failed"], figures["monitor/right"], figures["monitor/na"]) == (
        0.25,
        pytest.approx(2 / 3),
        0,
    )


def test_a_judge_that_fails_on_everything_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingStopped, match="fails-1, which watches the run, failed on all 32 responses of a rollout"
    ):
        watch(watching(tmp_path, FailsOn("")), 0, FIRST)


def test_without_a_right_response_there_is_nothing_to_compare(tmp_path: Path) -> None:
    monitor = watching(tmp_path)
    watch(monitor, 0, [("safe", UNSAFE)])
    with pytest.raises(TrainingStopped, match="calls none of the first 16 responses right"):
        watch(monitor, 1, [("unsafe", NA)])


@pytest.mark.parametrize(("row", "message"), [({"label": "na"}, "column label"), ({"question": 5}, "column question")])
def test_rows_that_cannot_be_judged(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        watching(tmp_path).watch(0, 0, [{"label": "safe", "question": 0, **row}], [SAFE], torch.zeros(1))


# --- in a run ---------------------------------------------------------------------------------------------------------

WATCHED = {"monitor": "rules", "monitor_first": 2, "monitor_window": 2, "monitor_warn": 0.0, "max_steps": 28}
SAVED = {"save_strategy": "steps", "save_steps": 4}


def test_a_resumed_run_has_the_same_bits_and_warnings(untrained_vlm: Path, tmp_path: Path) -> None:
    """From checkpoints within the first rollouts, within a window, and after a warning; the killed run was further on."""
    args = settings(tmp_path / "whole", **WATCHED, **SAVED)
    whole = trainer(untrained_vlm, args, kind=Saving, reward=paid_later, judge=EvenLetters())
    whole.train()
    lines = (tmp_path / "whole" / "monitor.jsonl").read_text().splitlines()
    assert [json.loads(line)["rollouts"] for line in lines] == [[2, 3], [4, 5]]
    assert max(logged(whole, "monitor/drift")) > 0.3
    for step in (4, 12, 16):
        folder = tmp_path / str(step)
        shutil.copytree(tmp_path / "whole", folder)
        with (folder / "monitor.jsonl").open("a") as cut_off:
            cut_off.write('{"step": 24, "rollo')
        args = settings(folder, **WATCHED, **SAVED)
        resumed = trainer(untrained_vlm, args, kind=Saving, reward=paid_later, judge=EvenLetters())
        resumed.train(resume_from_checkpoint=str(folder / f"checkpoint-{step}"))
        assert (folder / "monitor.jsonl").read_text().splitlines() == lines
        assert logged(resumed, "monitor/drift") == logged(whole, "monitor/drift")
        for file in ("checkpoint-28/monitor.json", "checkpoint-28/adapter_model.safetensors"):
            assert (folder / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


def test_watching_changes_nothing_that_is_trained(untrained_vlm: Path, tmp_path: Path) -> None:
    ends = []
    for more in ({}, {"judge": EvenLetters()}):
        args = settings(tmp_path, **({"monitor": "rules"} if more else {}))
        run = trainer(untrained_vlm, args, **more)
        run.train()
        ends.append(weights(run))
    assert all(torch.equal(each, ends[1][name]) for name, each in ends[0].items())


def test_a_run_that_begins_anew_forgets_earlier_warnings(untrained_vlm: Path, tmp_path: Path) -> None:
    (tmp_path / "monitor.jsonl").write_text('{"step": 400}\n')
    trainer(untrained_vlm, settings(tmp_path, monitor="rules", max_steps=1), judge=EvenLetters()).train()
    assert not (tmp_path / "monitor.jsonl").exists()


def test_a_judge_goes_with_its_settings(untrained_vlm: Path, tmp_path: Path) -> None:
    for args, more in ((settings(tmp_path, monitor="rules"), {}), (settings(tmp_path), {"judge": EvenLetters()})):
        with pytest.raises(UserError, match="monitor and the argument judge go together"):
            trainer(untrained_vlm, args, **more)


# --- the warnings on disk: appended whole, and forgotten from a step on -----------------------------------------------


def written(folder: Path, *steps: int) -> Path:
    file = folder / "run" / "monitor.jsonl"
    for step in steps:
        append_warning(file, {"step": step, "responses": [{"response": "line\u2028\nand \ud800"}]})
    return file


def test_every_warning_is_a_line(tmp_path: Path) -> None:
    file = written(tmp_path, 8, 24)
    read = [json.loads(line) for line in file.read_text().split("\n")[:-1]]
    assert [each["step"] for each in read] == [8, 24]
    assert read[0]["responses"] == [{"response": "line\u2028\nand \ud800"}]


@pytest.mark.parametrize(("step", "kept"), [(25, [8, 16, 24]), (24, [8, 16]), (9, [8])])
def test_what_comes_after_a_checkpoint_is_forgotten(tmp_path: Path, step: int, kept: list[int]) -> None:
    file = written(tmp_path, 8, 16, 24)
    with file.open("a") as cut_off:
        cut_off.write('{"step": 8, "respon')
    keep_before(file, step)
    assert file.read_bytes() == written(tmp_path / "as if", *kept).read_bytes()


def test_of_a_run_that_begins_nothing_is_left(tmp_path: Path) -> None:
    file = written(tmp_path, 8)
    keep_before(file, 0)
    assert not file.exists()
    keep_before(file, 0)


@pytest.mark.parametrize("text", ["my notes\n", "my notes", "\0" * 100])
def test_another_file_of_that_name_is_left_alone(text: str, tmp_path: Path) -> None:
    file = tmp_path / "monitor.jsonl"
    file.write_text(text)
    with pytest.raises(
        UserError, match=r"monitor\.jsonl: expected a watched run.s lines of JSON, each with a step: move it away"
    ):
        keep_before(file, 0)
    assert file.read_text() == text


# --- the judge that watches: any with its options, and never the one that alone gives the reward ----------------------


def named(*, strictness: int = 1, half: bool = False) -> BatchJudge:
    """The rule judge, with options that are read from text."""
    judge = RuleJudge()
    judge.name = f"{judge.name}, {strictness!r}, {half!r}"
    return judge


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    judges: Mapping[str, str] = {**registry.JUDGES, "second": "harness_ext.judges.registry:named"}
    monkeypatch.setattr(registry, "named", named, raising=False)
    for module in ("harness_ext.judges.registry", "align.ppo.config"):
        monkeypatch.setattr(f"{module}.JUDGES", judges)


def test_nobody_watches_by_default(tmp_path: Path) -> None:
    assert watching_judge(settings(tmp_path), [{"name": "verdict"}]) is None


@pytest.mark.usefixtures("second")
def test_a_judge_with_options(tmp_path: Path) -> None:
    args = settings(tmp_path, monitor="second", monitor_options="{strictness: 3, half: true}")
    judge = watching_judge(args, [{"name": "verdict"}])
    assert judge is not None and judge.name.endswith(", 3, True")
    with pytest.raises(UserError, match="judge second: no option strict"):
        watching_judge(settings(tmp_path, monitor="second", monitor_options={"strict": 3}), [{"name": "verdict"}])


@pytest.mark.parametrize(
    ("rewards", "watches"),
    [
        ([{"name": "verdict"}], False),
        ([{"name": "verdict", "judge": "rules", "na": -0.5}, {"name": "length", "weight": 0}], False),
        ([{"name": "verdict"}, {"name": "length", "weight": 0.1}], True),
        ([{"name": "upstream", "judge": "rules"}], True),
        ([{"name": "gullible"}], True),
        ([{"name": "verdict", "judge": "llm", "judge_options": {"model": "m"}}], True),
    ],
)
def test_no_judge_watches_itself(rewards: list[dict[str, Any]], watches: bool, tmp_path: Path) -> None:
    args = settings(tmp_path, monitor="rules")
    if watches:
        assert watching_judge(args, rewards) is not None
    else:
        with pytest.raises(UserError, match="it would watch itself; name another judge, or take monitor out"):
            watching_judge(args, rewards)


def test_another_model_of_the_same_kind_may_watch(tmp_path: Path) -> None:
    """A judge is its name and its options, in whatever type YAML has them."""
    served = {"base_url": "http://127.0.0.1:9/v1", "seed": "3"}
    rewards = [{"name": "verdict", "judge": "llm", "judge_options": {"model": "one", **served}}]
    for model, watches in (("another", True), ("one", False)):
        args = settings(tmp_path, monitor="llm", monitor_options={**served, "model": model, "seed": 3})
        if watches:
            judge = watching_judge(args, rewards)
            assert judge is not None and judge.name.endswith("-another")
        else:
            with pytest.raises(UserError, match="it would watch itself"):
                watching_judge(args, rewards)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"monitor": "oracle"}, "monitor: expected a judge, one of rules.*, found 'oracle'"),
        ({"monitor_stop": 0.2}, "monitor_options, monitor_stop: without effect, for no monitor is named"),
        ({"monitor": "rules", "monitor_options": [1]}, "monitor_options: Input should be a valid dictionary"),
        (
            {"monitor": "rules", "monitor_options": {"a": {}}},
            "monitor_options: Input should be a valid string, found {'a': {}}",
        ),
        ({"monitor": "rules", "monitor_options": "{a"}, "monitor_options: expected YAML, found '{a'"),
        (
            {"monitor": "rules", "monitor_first": 1},
            "monitor_first: Input should be greater than or equal to 2, found 1",
        ),
        ({"monitor": "rules", "monitor_warn": 1.0}, "monitor_warn: Input should be less than 1, found 1.0"),
        (
            {"monitor": "rules", "monitor_stop": 0.05},
            "monitor_stop: Input should be greater than or equal to 0.1, found 0.05",
        ),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        settings(tmp_path, **changes)
