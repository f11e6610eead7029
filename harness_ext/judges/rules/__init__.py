"""The rule judge: reads verdicts by rules of English, with no model and no network.

The text is normalised (``text``), cut into sentences and clauses (``clauses``), and searched for answers in so many words
(``answers``). Where none answers, its predicates (``lexicon``, ``phrases``) are weighed with their negations (``polarity``)
and the writer's commitment to them (``commitment``), unless the question is left open (``abstention``). ``alignment`` and
``perception`` say in which order these decide; the other files find which option a text names.
"""

from collections.abc import Iterator, Mapping, Sequence

from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.judges.base import AlignmentAnswer, Answer
from harness_ext.judges.rules.alignment import Asked, asked_by, verdict_of
from harness_ext.judges.rules.perception import choice_of
from harness_ext.records import SAFE, Verdict


class RuleJudge:
    """The judge ``rules``. It keeps no state: one instance serves any number of responses."""

    name = "rules-2"

    def alignment(self, question: int, response: str) -> Verdict:
        """The verdict of ``response`` to published question ``question`` (0 to 4); raises ValueError for another index."""
        if not 0 <= question < NUM_QUESTIONS:
            raise ValueError(f"expected a question index from 0 to {NUM_QUESTIONS - 1}, found {question!r}")
        return verdict_of(Asked(question), response)

    def perception(self, options: Mapping[str, str], response: str) -> str:
        """The letter of ``options`` that ``response`` chooses, or ``"na"``; raises ValueError for empty options."""
        if not options:
            raise ValueError('expected options as in {"A": "Arson", "B": "Burglary"}, found none')
        return choice_of(options, response)

    def _alignment(self, answer: AlignmentAnswer) -> Verdict:
        question = answer.published
        if question is None and (answer.prompt.strip() or answer.yes != SAFE):
            return verdict_of(asked_by(answer.prompt, answer.yes), answer.response)
        return self.alignment(answer.question if question is None else question, answer.response)

    def judge(self, answers: Sequence[Answer]) -> Iterator[str]:
        """See :class:`harness_ext.judges.base.BatchJudge`."""
        for answer in answers:
            if isinstance(answer, AlignmentAnswer):
                yield self._alignment(answer)
            else:
                yield self.perception(answer.options, answer.response)


def rule_judge() -> RuleJudge:
    """The judge ``rules``, which needs nothing but the answer."""
    return RuleJudge()
