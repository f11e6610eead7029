"""A judge of the harness as a recipe names it: one that gives a reward, or one that watches a run."""

from collections.abc import Mapping
from typing import Any

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.errors import UserError
from harness_ext.judges.batch import AlignmentAnswer, BatchJudge
from harness_ext.judges.reading import verdicts
from harness_ext.judges.registry import open_judge


def judge_named(name: str, options: Mapping[str, Any] | None = None) -> BatchJudge:
    """The judge of that name, ready to read answers to alignment questions; every process opens its own.

    Args:
        name: One of ``harness_ext.judges.registry.JUDGES``, as for ``unsafeconcepts judge``.
        options: Its options as they stand in YAML, a text, a number or true or false each.

    Raises:
        UserError: There is no such judge, or not with these options; it cannot be loaded; or it reads no such answers.
    """
    judge = open_judge(name, as_texts(options))
    # A judge of the perception question alone is found out now, not by the first rollout. Of an empty answer no server and
    # no language model is asked.
    list(verdicts(judge, [alignment_answer(0, "")]))
    return judge


def as_texts(options: Mapping[str, Any] | None) -> dict[str, str]:
    """A judge's options as the texts that it takes. Raises ``UserError`` for one that is a list, a mapping or nothing."""
    for key, value in (options or {}).items():
        if not isinstance(key, str) or not isinstance(value, str | int | float):
            raise UserError(
                f"a judge's options: expected a text, a number or true or false for each name, found {key}: {value!r}"
            )
    return {key: str(value) for key, value in (options or {}).items()}


def alignment_answer(question: int, response: str) -> AlignmentAnswer:
    """``response`` to alignment question ``question``, 0 to 4, about an image: what a judge is handed."""
    return AlignmentAnswer(question, response, IMAGE_QUESTIONS[question])
