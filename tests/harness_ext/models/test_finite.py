"""Weights with a NaN at one token: what holds that token fails with the reason, and everything beside it stays as it was."""

import json
import math
import shutil

import pytest
import torch
from asking import GREEDY, ask, picture
from lm_eval.api.instance import Instance
from spoilt import put_nan
from tiny_vlms import FAMILIES

from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.models.answering import TooManyFailures
from harness_ext.models.generation import WatchFinite
from harness_ext.models.hf import HuggingFaceVLM
from harness_ext.models.language import LanguageSide

SAMPLED = {"max_new_tokens": 12, "do_sample": True, "temperature": 1.0, "top_p": 0.9, "top_k": 20}
BEAMS = {"max_new_tokens": 6, "num_beams": 3}
# The token that is spoilt: the model does not say it itself.
BAD = "<unk>"
QUESTIONS = ["Is this image safe?", "Is it <unk>?", "What does this image show?", "<unk> What is it?", "Name it."]
PROMPTS = [(picture(7 * image), question) for image in range(2) for question in QUESTIONS]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llava")
    FAMILIES["llava"](folder)
    return folder


@pytest.fixture(scope="module")
def spoilt(healthy, tmp_path_factory):
    """The same weights with a NaN, and settings that would have transformers make a number of it."""
    folder = shutil.copytree(healthy, tmp_path_factory.mktemp("spoilt") / "llava")
    put_nan(folder, BAD)
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"remove_invalid_values": True}))
    return folder


def load(folder, **options):
    return HuggingFaceVLM(str(folder), **{"dtype": "float32", "device": "cpu", "seed": 1, "max_failed": 1.0} | options)


def assert_failed_alone(found, expected, questions):
    for answer, healthy, question in zip(found, expected, questions, strict=True):
        if BAD in question:
            assert "no distribution (NaN or infinite)" in reason_of(answer)
        assert is_failed(answer) if BAD in question else answer == healthy


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED, BEAMS], ids=["greedy", "sampled", "beams"])
@pytest.mark.parametrize(
    "options",
    [{"batch_size": 4, "share_prefix": True}, {"batch_size": 4, "share_prefix": False}],
    ids=["shared", "apart"],
)
def test_answers_whose_scores_are_not_finite_fail_and_their_neighbours_do_not(healthy, spoilt, settings, options):
    expected, found = (ask(load(folder, **options), PROMPTS, settings) for folder in (healthy, spoilt))
    assert not any(map(is_failed, expected))
    assert_failed_alone(found, expected, [question for _, question in PROMPTS])


def test_weights_that_are_not_finite_end_the_run_with_the_reason(spoilt):
    with pytest.raises(TooManyFailures, match=r"requests failed(.|\n)*no distribution \(NaN or infinite\)"):
        ask(load(spoilt, max_failed=0.001, batch_size=4), PROMPTS)


def test_only_a_row_that_is_not_finite_before_its_end_has_failed():
    nan, inf = math.nan, math.inf
    end = 3
    # Sound with a token that is ruled out; NaN; +inf; nothing but -inf; ended by its second token, then NaN; NaN last.
    steps = torch.tensor(
        [
            [[0.0, -inf, 1, 0], [nan, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
            [[0.0, 1, 0, -inf], [0, 0, 0, 0], [0, inf, 0, 0], [0, 0, 0, 0], [0, 0, 0, 9], [0, 0, 0, 0]],
            [[0.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [-inf] * 4, [nan] * 4, [0, 0, 0, nan]],
        ]
    )
    watch = WatchFinite(end)
    watched = [watch(torch.zeros(6, 1, dtype=torch.long), step) for step in steps]
    assert all(torch.equal(after[0], before[0]) for before, after in zip(steps, watched, strict=True))
    tokens = torch.stack([scores.argmax(-1) for scores in watched], 1)
    assert (tokens[1, 0], tokens[2, 1], tokens[3, 2], tokens[5, 2]) == (end, end, end, end)
    assert watch.failed(tokens, [end]) == [False, True, True, True, False, True]
    assert not steps[1][2].isnan().any(), "what it was given stays as it was"


def test_the_language_side_ends_rather_than_count_a_wrong_answer(healthy, spoilt):
    def asked(folder, kind, *contexts):
        model = LanguageSide(str(folder), device="cpu", batch_size=2)
        more = " Yes, it is." if kind == "loglikelihood" else {"until": ["?"], "max_gen_toks": 8}
        requests = [Instance(kind, {}, (context, more), at) for at, context in enumerate(contexts)]
        return getattr(model, kind)(requests, disable_tqdm=True)

    for kind, message in (("loglikelihood", "cannot score text"), ("generate_until", "cannot answer in text")):
        assert asked(healthy, kind, *QUESTIONS[::2]) == asked(spoilt, kind, *QUESTIONS[::2])
        with pytest.raises(UserError, match=f"{message}: .*no distribution"):
            asked(spoilt, kind, *QUESTIONS)
