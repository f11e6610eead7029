"""Judges by a language model keep their verdicts in the store of models' answers, each before the next one is asked for.

The same answer to the same question is asked about once. A failure is not stored: the next run asks again.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loguru import logger
from tqdm import tqdm

from harness_ext.common.failures import is_failed, reason_of
from harness_ext.judges.base import RATINGS, Answer
from harness_ext.judges.llm.prompt import Rubric, fenced
from harness_ext.models.store import AnswerStore, answer_key
from harness_ext.records import FAILED, NA

# Raise it when verdicts on the same prompt change because the code that asks or reads has changed.
_VERDICTS_VERSION: Final = "2"


# A rule of thumb for English; tokenizers differ: https://help.openai.com/en/articles/4936856
BYTES_A_TOKEN: Final = 4
# By the same rule, as much as the rule judge reads.
MOST_TOKENS: Final = 4096


def estimated_tokens(text: str) -> int:
    """About how many tokens a text is to a model whose tokenizer is not at hand."""
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_A_TOKEN)


@dataclass(eq=False)
class KeepingJudge(ABC):
    """A judge of many answers (:class:`harness_ext.judges.base.BatchJudge`) that keeps its verdicts.

    Attributes:
        name: The judge's name.
        kept: The folder where verdicts are kept, ``None`` for none; see :func:`harness_ext.models.store.answers_folder`.
        rubric: What the model is told to do.
        most_tokens: The length of the longest answer that is read; the verdict on a longer one is ``"failed"``.
    """

    name: str
    kept: Path | None
    rubric: Rubric
    most_tokens: int

    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """The model, and its settings that decide a verdict beside the question."""

    @abstractmethod
    def question(self, answer: Answer) -> object:
        """All that the model is asked about an answer, ready for JSON; the key of its verdict in the store."""

    @abstractmethod
    def begin(self, waiting: Sequence[Answer], answers: int) -> None:
        """Announce the questions about ``waiting``, out of so many ``answers``. Raises ``UserError`` if it is too much."""

    @abstractmethod
    def ask(self, waiting: Mapping[str, Answer]) -> Iterator[tuple[str, str]]:
        """The verdict on each answer, by its key, as it is given; a failure marked by ``failures.mark_failed``."""

    def tokens_of(self, shown: str) -> int:
        """The length of an answer as it is shown to the model, in tokens; by default estimated."""
        return estimated_tokens(shown)

    def judge(self, answers: Sequence[Answer]) -> Iterator[str]:
        """See :class:`harness_ext.judges.base.BatchJudge`.

        An empty answer is ``"na"``, or has the lowest rating, and no model is asked. Any other answer is read: the caller
        leaves failed requests out.
        """
        with AnswerStore(self.kept, self.identity()) as store:
            keys = [answer_key(_VERDICTS_VERSION, self.question(answer)) for answer in answers]
            verdicts: dict[str, str] = {}
            waiting: dict[str, Answer] = {}
            too_long: list[int] = []
            for key, answer in zip(keys, answers, strict=True):
                of_nothing = RATINGS[0] if answer.labels == RATINGS else NA
                known = store.get(key) if answer.response.strip() else of_nothing
                if known is not None:
                    verdicts[key] = known
                elif (length := self.tokens_of(fenced({"answer": answer.response}))) > self.most_tokens:
                    too_long.append(length)
                    verdicts[key] = FAILED
                else:
                    waiting[key] = answer
            if too_long:
                logger.warning(
                    f"{self.name} did not read {len(too_long)} of {len(answers)} answers, recorded as failed: longer than "
                    f"most_tokens={self.most_tokens}, the longest {max(too_long):,} tokens"
                )
            asked = self._asked(waiting, len(answers), store)
            for key in keys:
                while key not in verdicts:
                    given, verdict = next(asked)
                    verdicts[given] = verdict
                yield verdicts[key]
            # To its end, where it says what has failed.
            verdicts.update(asked)

    def _asked(self, waiting: Mapping[str, Answer], answers: int, store: AnswerStore) -> Iterator[tuple[str, str]]:
        """Ask about ``waiting``; yields each verdict, stored, by its key."""
        if not waiting:
            return
        self.begin(list(waiting.values()), answers)
        failures: list[str] = []
        with tqdm(total=len(waiting), desc=self.name, disable=None) as bar:
            for key, verdict in self.ask(waiting):
                if is_failed(verdict):
                    failures.append(reason_of(verdict))
                    yield key, FAILED
                else:
                    store.add([(key, verdict, {"about": waiting[key].kind})])
                    yield key, verdict
                bar.update()
        if failures:
            logger.warning(
                f"{self.name} gave no verdict on {len(failures)} of {len(waiting)} answers, recorded as failed: {failures[0]}"
                f"{', …' * (len(failures) > 1)}"
            )
