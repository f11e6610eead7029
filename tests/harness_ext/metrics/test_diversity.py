"""1 - self-BLEU against an independent BLEU, and at its ends."""

import math
import random

import pytest
from nltk.translate.bleu_score import sentence_bleu
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from harness_ext.metrics.diversity import SAMPLED, diversity, diversity_by_response

WORDS = ["cat", "dog", "tree", "house", "river", "lamp", "chair", "cloud", "door", "road"]


def test_equal_responses_have_none_and_foreign_ones_have_all() -> None:
    assert diversity(["No, this image is considered harmful."] * 5) == pytest.approx(0, abs=1e-9)
    # Rounded, a BLEU above 100 would be shown as -0.000.
    assert min(diversity_by_response(["yes it is safe to share"] * 75)) == 0
    assert diversity(["one two three four five", "six seven eight nine ten"]) > 0.9
    assert math.isnan(diversity(["alone"]))


def test_it_is_nltks_bleu() -> None:
    """Of responses that share all n-grams with others, where no smoothing is at work."""
    rng = random.Random(0)
    shared = "yes the image shows a cat which is harmless"
    responses = [f"{shared} and {' '.join(rng.sample(WORDS, 4))}" for _ in range(6)]
    tokens = [Tokenizer13a()(each).split() for each in responses]
    scores = [sentence_bleu(tokens[:at] + tokens[at + 1 :], each) for at, each in enumerate(tokens)]
    assert diversity(responses) == pytest.approx(1 - sum(scores) / len(scores), abs=1e-6)


def test_a_sample_is_the_same_every_time() -> None:
    responses = [f"number {at} of {at * at} things" for at in range(SAMPLED + 10)]
    drawn = random.Random(0).sample(responses, SAMPLED)
    assert diversity(responses) == diversity(drawn) != diversity(responses[:SAMPLED])
