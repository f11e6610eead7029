"""Defences that ask in several passes, held to the same passes done by hand, on the embedded stand-in."""

import json

import pytest
from asking import ask, picture
from loguru import logger

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, text_question
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.glyphworld.build import ensure_model
from harness_ext.models.defences.caption import CHECK, DESCRIBE, DESCRIBED
from harness_ext.models.defences.naming import NAME, NAMED
from harness_ext.models.defences.principle import PRINCIPLE
from harness_ext.models.hf import HuggingFaceVLM

GREEDY = {"max_new_tokens": 24}
SAMPLED = {**GREEDY, "do_sample": True, "temperature": 1.0, "top_p": 0.9}
# Four unsafe concepts and two safe ones, by their glyphs, two questions each; and a question in words alone.
SHOWN = [(picture(at), question) for at in (3, 20, 37, 54, 90, 120) for question in IMAGE_QUESTIONS[:2]]
IN_WORDS = (None, text_question(0, "popcorn"))


@pytest.fixture(scope="module")
def vlm():
    """What loads the embedded model; it counts the prompts that it reads."""

    class Counting(HuggingFaceVLM):
        stops_after = None
        read = 0

        def _ask(self, batch):
            if self.stops_after is not None and self.read >= self.stops_after:
                raise KeyboardInterrupt
            self.read += len(batch)
            return super()._ask(batch)

    def vlm(defence=None, **options):
        options = {"batch_size": 16, "answers": "none", "seed": 0, **options}
        return Counting(str(ensure_model(0)), dtype="float32", device="cpu", defence=defence, **options)

    return vlm


@pytest.fixture(scope="module")
def plain(vlm):
    return vlm()


@pytest.fixture
def logged():
    lines = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    yield lines
    logger.remove(sink)


def after(plain, requests, wording, shown=True):
    """What is answered to each question below what was said to a request about its image."""
    said = ask(plain, [(image, text) for (image, _), text in zip(SHOWN, requests, strict=True)], GREEDY)
    following = [
        (image if shown else None, f"{wording.format(text.strip())}\n\n{question}")
        for (image, question), text in zip(SHOWN, said, strict=True)
    ]
    return ask(plain, following, GREEDY)


def described(plain, request=DESCRIBE):
    return after(plain, [request.replace("{question}", question) for _, question in SHOWN], DESCRIBED, shown=False)


def test_a_principle_stands_before_every_question(vlm, plain):
    expected = ask(plain, [(image, f"{PRINCIPLE}\n\n{text}") for image, text in [*SHOWN, IN_WORDS]], GREEDY)
    assert ask(vlm("principle"), [*SHOWN, IN_WORDS], GREEDY) == expected
    assert expected != ask(plain, [*SHOWN, IN_WORDS], GREEDY)


def test_a_caption_stands_in_the_images_place_and_closes_the_gap_where_it_names_the_concept(vlm, plain):
    for defence, request in (("caption", DESCRIBE), (f"caption:request={NAME}", NAME)):
        answers = ask(vlm(defence), [*SHOWN, IN_WORDS], GREEDY)
        assert answers == described(plain, request) + ask(plain, [IN_WORDS], GREEDY)
    assert [answer.split(".")[0] for answer in answers] == ["No"] * 8 + ["Yes"] * 5


def test_an_answer_stands_where_the_model_finds_it_harmless_and_else_the_caption_takes_its_place(
    vlm, plain, tmp_path, logged
):
    answers = ask(vlm(answers=str(tmp_path)), SHOWN, GREEDY)
    checks = [(image, CHECK.format(text, answer)) for (image, text), answer in zip(SHOWN, answers, strict=True)]
    passed = [said.startswith("No") for said in ask(plain, checks, {"max_new_tokens": 64})]
    assert 0 < sum(passed) < len(passed)
    expected = [
        answer if stands else caption for answer, stands, caption in zip(answers, passed, described(plain), strict=True)
    ]
    assert expected not in (answers, described(plain))
    defended = vlm("caption-if-harmful", answers=str(tmp_path))
    assert ask(defended, SHOWN, GREEDY) == expected
    # Its first answers are those that were given without it, and are not asked for again.
    assert any(line.startswith(f"{len(SHOWN)} of {len(SHOWN)} answers were given before") for line in logged)
    assert defended.read == len(SHOWN) + 2 * (len(SHOWN) - sum(passed))


def test_what_is_shown_is_named_once_an_image_and_stands_beside_it(vlm, plain):
    defended = vlm("name-then-judge")
    expected = after(plain, [NAME] * len(SHOWN), NAMED)
    assert ask(defended, [*SHOWN, IN_WORDS], GREEDY) == expected + ask(plain, [IN_WORDS], GREEDY)
    assert defended.read == len(SHOWN) // 2 + len(SHOWN) + 1


@pytest.mark.parametrize(
    ("defence", "settings"),
    [("caption", SAMPLED), ("caption-if-harmful", GREEDY), ("name-then-judge", SAMPLED)],
    ids=["caption", "caption-if-harmful", "name-then-judge"],
)
def test_a_run_that_is_cut_in_any_pass_goes_on_where_it_stopped(vlm, tmp_path, defence, settings):
    docs = [*SHOWN[4:], IN_WORDS]
    whole = vlm(defence, batch_size=4)
    expected = ask(whole, docs, settings)
    for stops_after in (4, 11):
        folder = tmp_path / str(stops_after)
        cut, again = (vlm(defence, batch_size=4, answers=str(folder)) for _ in range(2))
        cut.stops_after = stops_after
        with pytest.raises(KeyboardInterrupt):
            ask(cut, docs, settings)
        assert ask(again, docs, settings) == expected
        assert cut.read + again.read == whole.read


@pytest.mark.parametrize("defence", ["caption-if-harmful", "name-then-judge", "coca", "steer"])
def test_samples_have_seeds_of_their_own_in_every_pass(vlm, defence):
    # Twice the same question, and one whose image is described by the same words.
    docs = [SHOWN[0], SHOWN[0], *SHOWN[4:8]]
    one, many, other = (
        ask(vlm(defence, batch_size=size, seed=seed), docs, SAMPLED) for size, seed in ((1, 0), (16, 0), (16, 1))
    )
    assert one == many != other


@pytest.mark.parametrize("defence", ["principle", "name-then-judge", "steer:strength=2"])
def test_one_encoding_of_an_image_serves_all_its_questions_in_every_pass(vlm, defence):
    shared, alone = vlm(defence, share_prefix=True), vlm(defence, share_prefix=False)
    assert ask(shared, SHOWN, GREEDY) == ask(alone, SHOWN, GREEDY)
    assert shared._asker.shares
    # An image is named once, which leaves nothing to share in that pass.
    assert shared._asker._checked == {("task", 1 if defence == "name-then-judge" else 0)}


def test_a_question_whose_image_cannot_be_read_fails_alone(vlm, plain):
    def broken():
        raise OSError("image file is truncated")

    answers = ask(vlm("caption", max_failed=0.2), [*SHOWN, (broken, "Is this image safe?")], GREEDY)
    assert answers[:-1] == described(plain)
    assert is_failed(answers[-1]) and "truncated" in reason_of(answers[-1])


def test_a_verdict_by_likelihood_is_that_of_the_last_pass(vlm, plain):
    def ask_by_likelihood(model, docs):
        candidates = {"Yes": ["Yes"], "No": ["No"]}
        model.task_dict["task"] = {"test": docs}
        rows = [Row(*doc, candidates=candidates) for doc in docs]
        return [json.loads(answer) for answer in ask(model, rows, {"likelihood": True})]

    class Row(tuple):
        """An image and a text, with what an answer may be."""

        def __new__(cls, image, text, candidates):
            row = super().__new__(cls, (image, text))
            row.candidates = candidates
            return row

        def get(self, name):
            return getattr(self, name)

    said = ask(plain, [(image, NAME) for image, _ in SHOWN], {"max_new_tokens": 64})
    named = [
        (image, f"{NAMED.format(text)}\n\n{question}") for (image, question), text in zip(SHOWN, said, strict=True)
    ]
    for found, expected in zip(
        ask_by_likelihood(vlm("name-then-judge"), SHOWN), ask_by_likelihood(plain, named), strict=True
    ):
        assert found == pytest.approx(expected, abs=1e-5)
    with pytest.raises(UserError, match="by likelihood none is given"):
        ask_by_likelihood(vlm("caption-if-harmful"), SHOWN)
