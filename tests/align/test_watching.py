"""Who watches: a judge of the registry with its options, and never the one that gives the reward alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ppo_runs import settings

from align.watching import watching_judge
from harness_ext.errors import UserError
from harness_ext.judges import registry
from harness_ext.judges.batch import BatchJudge


def named(*, strictness: int = 1, half: bool = False) -> BatchJudge:
    """The rule judge, with options that are read from text."""
    judge = registry.rules()
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
        ({"monitor": "rules", "monitor_options": [1]}, "monitor_options: expected a mapping of names to values"),
        ({"monitor": "rules", "monitor_options": {"a": {}}}, "monitor_options: expected a mapping of names to values"),
        ({"monitor": "rules", "monitor_options": "{a"}, "monitor_options: expected a mapping"),
        ({"monitor": "rules", "monitor_first": 1}, "expected 2 rollouts and 1, or more, found 1 and 10"),
        ({"monitor": "rules", "monitor_warn": 1.0}, "monitor_warn: expected a share, 0 to less than 1, found 1.0"),
        ({"monitor": "rules", "monitor_stop": 0.05}, r"monitor_stop: expected monitor_warn \(0.1\) to less than 1"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        settings(tmp_path, **changes)
