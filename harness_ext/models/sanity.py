"""Warnings about a task's answers as a whole: most are empty or cut short, or all are the same.

Such a run ends as any other. Mostly a setting is wrong: a chat template, a server's reasoning parser, too few new tokens.
"""

from collections.abc import Sequence
from typing import Final

from harness_ext.common.errors import shown
from harness_ext.models.settings import Generated

# A model may well say the same to fewer questions than these.
_DIFFERENT_QUESTIONS: Final = 20


def unlikely(answers: Sequence[str], questions: int, max_new_tokens: int) -> list[str]:
    """What is unlikely of the generated answers to one task, failed requests excluded: one line each, mostly none.

    More than half are empty; more than half of those whose end is known were cut at ``max_new_tokens``; or all are the same.
    The last can be right, where a model of few words is asked about concepts that are all unsafe.

    Args:
        answers: The answers.
        questions: How many different questions they answer, prompt and images taken together.
        max_new_tokens: The most tokens that an answer could have.
    """
    texts = [answer.strip() for answer in answers]
    found = []
    if (empty := texts.count("")) > len(texts) / 2:
        found.append(f"{empty} of {len(texts)} answers are empty: check the chat template and max_new_tokens")
    known = [answer.cut_short for answer in answers if isinstance(answer, Generated)]
    if (cut := sum(known)) > len(known) / 2:
        unknown = f" (of {len(texts) - len(known)} more it is not known)" * (len(known) < len(texts))
        found.append(
            f"{cut} of {len(known)} answers were cut at max_new_tokens={max_new_tokens}{unknown}: "
            "--gen_kwargs max_new_tokens=N lets them end"
        )
    if questions >= _DIFFERENT_QUESTIONS and len(set(texts)) == 1 and texts[0]:
        found.append(f"all {len(texts)} answers to {questions} different questions are the same: {shown(texts[0])}")
    return found
