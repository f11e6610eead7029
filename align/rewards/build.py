"""From a recipe's list of rewards to the functions and weights that TRL's trainers take."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from datasets import Dataset
from transformers import TrainerState

from align.recipe import meant
from align.rewards.base import JudgeFailedError, LogMetric, Reward, judged_rows, responses, rest_of, rests_on
from align.rewards.small import gullible, length, repetition
from align.rewards.upstream import upstream
from align.rewards.verdict import classifier, verdict
from align.stopped import TrainingStopped, sample
from harness_ext.common.errors import UserError
from harness_ext.common.options import checked
from harness_ext.judges.base import BatchJudge
from harness_ext.records import UNSAFE

REWARDS: Final[Mapping[str, Callable[..., Reward]]] = {
    "verdict": verdict,
    "classifier": classifier,
    "length": length,
    "repetition": repetition,
    "upstream": upstream,
    "gullible": gullible,
}


def build_rewards(specs: Any) -> tuple[list[Reward], list[float]]:
    """The reward functions of a recipe, and their weights.

    ``specs`` is a list of mappings from YAML, each with ``name``, ``weight`` (1 by default) and the reward's own options.
    ``UserError`` is raised for an unexpected name, key, type or value, and where all weights are 0.

    A function has its reward's name, with a number from the second use on (``verdict``, ``verdict_2``), under which TRL logs
    its mean and its own metrics (``rewards/verdict/na``). It takes TRL's keyword arguments alone. When called, it raises
    ``UserError`` for a missing column, and, on this process alone, ``TrainingStopped`` where its judge fails on a response or
    a value is not a finite number, which TRL would count as 0.
    """
    if not isinstance(specs, list) or not specs:
        raise UserError(f"rewards: expected a list such as [{{name: verdict, weight: 1.0}}], found {specs!r}")
    rewards: list[Reward] = []
    weights: list[float] = []
    used: Counter[str] = Counter()
    for number, spec in enumerate(specs, 1):
        if not isinstance(spec, dict):
            raise UserError(
                f"reward {number}: expected a mapping such as {{name: verdict, weight: 1.0}}, found {spec!r}"
            )
        name = spec.get("name")
        if not isinstance(name, str) or name not in REWARDS:
            raise UserError(f"reward {number}: {_unexpected('name', name, REWARDS)}")
        options = {key: value for key, value in spec.items() if key not in ("name", "weight")}
        try:
            reward, weight = _made(name, options, weight=spec.get("weight", 1.0))
        except UserError as error:
            raise UserError(f"reward {number} ({name}): {error}") from error
        used[name] += 1
        rewards.append(_watched(reward, name if used[name] == 1 else f"{name}_{used[name]}"))
        weights.append(weight)
    if not any(weights):
        raise UserError("rewards: all weights are 0, so that nothing would be learned; give one of them another weight")
    return rewards, weights


def try_reading(rewards: Iterable[Reward], judge: BatchJudge | None, rows: Dataset) -> None:
    """Have the ``rewards`` of `build_rewards`, and the ``judge`` that watches, read an empty response to a row's question.

    It is a question in which "yes" means unsafe. Raises ``UserError`` where one cannot read it: before a model is loaded, and
    not at the first rollout.
    """
    at = rows["yes"].index(UNSAFE)
    row = {name: rows[name][at] for name in rows.column_names if name != "image"}
    columns = {name: [value] for name, value in row.items() if name != "prompt"}
    for reward in rewards:
        reward(prompts=[row["prompt"]], completions=[""], completion_ids=[[0]], **columns)
    if judge is not None:
        judged_rows(judge, [""], [row])


@checked
def _made(name: str, options: dict[Any, Any], *, weight: float) -> tuple[Reward, float]:
    """The reward of that name with its options, which are the parameters of its function, and its weight."""
    parameters = inspect.signature(REWARDS[name]).parameters
    if unknown := [key for key in options if key not in parameters]:
        raise UserError(_unexpected("key", unknown[0], ["name", "weight", *parameters]))
    return checked(REWARDS[name])(**options), weight


def _unexpected(what: str, found: Any, allowed: Iterable[str]) -> str:
    names = list(allowed)
    return f"{what}: expected one of {', '.join(names)}, found {found!r}{meant(str(found), names)}"


def _watched(reward: Reward, name: str) -> Reward:
    """``reward`` under ``name``, with its arguments and its values checked, and its metrics under that name."""
    parameters = inspect.signature(reward).parameters.values()
    needed = [each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD]

    def watched(
        *, log_metric: LogMetric | None = None, trainer_state: TrainerState | None = None, **columns: Any
    ) -> list[float]:
        if missing := [each for each in needed if each not in columns]:
            raise UserError(
                f"the reward {name!r} needs {', '.join(missing)}, found the columns {', '.join(sorted(columns))}"
            )

        def log(metric: str, value: float) -> None:
            if log_metric is not None:
                log_metric(f"rewards/{name}/{metric}", value)

        step = trainer_state.global_step if trainer_state is not None else 0
        try:
            values = list(reward(**columns, trainer_state=trainer_state, log_metric=log))
        except JudgeFailedError as error:
            samples = [_sample_of(columns, at) for at in error.at]
            raise TrainingStopped(f"the reward {name!r}: {error}", step, samples) from error
        if wrong := [at for at, value in enumerate(values) if value is None or not isfinite(value)]:
            raise TrainingStopped(
                f"the reward {name!r} of response {wrong[0] + 1} of {len(values)} is {values[wrong[0]]}, "
                "expected a finite number",
                step,
                [_sample_of(columns, at) for at in wrong],
            )
        return values

    watched.__name__ = name
    watched.__doc__ = reward.__doc__
    rest = rest_of(reward)
    return watched if rest is None else rests_on(rest)(watched)


def _sample_of(columns: Mapping[str, Any], at: int) -> dict[str, Any]:
    row = {key: values[at] for key, values in columns.items() if isinstance(values, Sequence)}
    return sample(row, responses(columns["completions"])[at])
