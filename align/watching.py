"""Who watches a run of PPO: a judge of the harness, by the name and the options of the settings."""

from typing import Any

from align.ppo.config import PPOConfig
from align.rewards.base import as_texts, judge_named
from harness_ext.errors import UserError
from harness_ext.judges.batch import BatchJudge


def watching_judge(args: PPOConfig, rewards: list[dict[str, Any]]) -> BatchJudge | None:
    """The judge that ``monitor`` names, ready to read; ``None`` where no run is to be watched.

    Args:
        args: The run's settings.
        rewards: The recipe's list, found right by :func:`align.rewards.build.build_rewards`.

    Raises:
        UserError: There is no such judge, it cannot be loaded, or its verdict, by the same options, is all that is rewarded,
            so that it would watch itself. Where other rewards count too, it sees what they make of the verdict.
    """
    if args.monitor is None:
        return None
    counted = [each for each in rewards if each.get("weight", 1) != 0]
    watching = args.monitor, as_texts(args.monitor_options)
    if all(each["name"] == "verdict" and _judge_of(each) == watching for each in counted):
        raise UserError(
            f"monitor: expected another judge than the one that gives the reward, found {args.monitor!r} for both: it would "
            "watch itself; name another judge, or take monitor out"
        )
    return judge_named(args.monitor, args.monitor_options)


def _judge_of(verdict: dict[str, Any]) -> tuple[str, dict[str, str]]:
    return verdict.get("judge", "rules"), as_texts(verdict.get("judge_options"))
