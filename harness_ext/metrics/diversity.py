"""How much a model's responses differ from one another.

1 - self-BLEU: every response's BLEU with all others as its references, averaged (Zhu et al., "Texygen", SIGIR 2018, arXiv
1802.01886; the measure of Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155). BLEU is sacrebleu's sentence BLEU, from
0 to 1. Self-BLEU grows with the number of responses: only figures over the same number compare.
"""

import random
from collections.abc import Sequence
from math import nan
from typing import Final

from sacrebleu import sentence_bleu

SAMPLED: Final = 200


def diversity(responses: Sequence[str]) -> float:
    """1 - self-BLEU over 200 of the responses, always the same ones, or over all where there are no more.

    0 where all say the same; nan for fewer than two responses.
    """
    drawn = list(responses)
    if len(drawn) > SAMPLED:
        drawn = random.Random(0).sample(drawn, SAMPLED)
    if len(drawn) < 2:
        return nan
    scores = diversity_by_response(drawn)
    return sum(scores) / len(scores)


def diversity_by_response(responses: Sequence[str]) -> list[float]:
    """1 - BLEU of each of at least two responses with all others as its references, in their order."""
    drawn = list(responses)
    scores = (sentence_bleu(each, drawn[:at] + drawn[at + 1 :]).score for at, each in enumerate(drawn))
    # The BLEU of equal texts is 100 but for rounding.
    return [max(0.0, 1 - score / 100) for score in scores]
