"""What a reader must know of a task's answers as a whole: that most are empty or cut short, or that all are the same.

Such a run ends as any other, and its numbers look like a model's. Mostly a setting is wrong: a chat template, a server's
reasoning parser, too few new tokens.
"""

from collections.abc import Sequence
from typing import Final

from harness_ext.models.generation import Generated

# A model may well say the same to fewer questions than these.
_DIFFERENT_QUESTIONS: Final = 20
_SHOWN: Final = 60


def unlikely(answers: Sequence[str], questions: int, max_new_tokens: int) -> list[str]:
    """What is unlikely of the generated answers to one task, failed requests left out.

    - More than half of them are empty.
    - More than half were cut at ``max_new_tokens``, among the answers of which that is known. It is not known where a server
      gives no reason, where a model's own code generates, and where an earlier version kept the answer.
    - All are the same, and not empty, to 20 different questions or more. Fewer may well have one answer. So may more, where
      a model of few words is right about concepts that are all unsafe: the line states a fact, and the run goes on.

    Args:
        answers: The answers.
        questions: How many different questions they answer, prompt and images taken together.
        max_new_tokens: The most tokens that an answer could have.

    Returns:
        One line each, for the end of the run; mostly none.
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
        shown = texts[0] if len(texts[0]) <= _SHOWN else f"{texts[0][:_SHOWN]}…"
        found.append(f"all {len(texts)} answers to {questions} different questions are the same: {shown!r}")
    return found
