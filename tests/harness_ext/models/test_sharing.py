import pytest
import torch
from asking import ask, picture
from loguru import logger
from shapes import llava
from transformers import DynamicCache

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.common.provenance import provenance
from harness_ext.glyphworld.build import ensure_model
from harness_ext.models.hf import HuggingFaceVLM
from harness_ext.models.sharing import CACHE, SharedPrefixes, repeated, times_fewer_tokens

SAMPLED = {"max_new_tokens": 12, "do_sample": True, "temperature": 1.0, "top_p": 0.9}


@pytest.fixture
def told():
    """What is logged as a warning where answers are asked for."""
    messages = []
    take = {"level": "WARNING", "filter": "harness_ext.models.hf"}
    sink = logger.add(lambda message: messages.append(message.record["message"]), **take)
    yield messages
    logger.remove(sink)


def load(weights, **options):
    return HuggingFaceVLM(str(weights), dtype="float32", device="cpu", **({"share_prefix": True} | options))


def _continues(given):
    return given.get(CACHE) is not None and given[CACHE].get_seq_length()


def questions(images):
    return [(picture(index), question) for index in range(images) for question in IMAGE_QUESTIONS]


@pytest.fixture(scope="module", params=[{"max_new_tokens": 24}, SAMPLED], ids=["greedy", "sampled"])
def one_by_one(request):
    """What the embedded model is asked, how, and what it answers to each question alone."""
    prompts = [*questions(24), (None, IMAGE_QUESTIONS[0])]
    alone = load(ensure_model(0), batch_size=1, share_prefix=False)
    return prompts, request.param, ask(alone, prompts, request.param)


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_every_answer_of_the_embedded_model_is_that_of_asking_one_by_one(one_by_one, batch_size, told):
    prompts, settings, expected = one_by_one
    assert ask(load(ensure_model(0), batch_size=batch_size), prompts, settings) == expected
    assert {answer.split()[0].strip(",.") for answer in expected} == {"Yes", "No"}
    assert not told
    assert provenance()["prefix_sharing"] == "on"


def test_an_image_is_read_once_for_all_its_questions(untrained_vlm):
    shared, alone = (load(untrained_vlm, batch_size=16, share_prefix=share) for share in (True, False))
    seen = {}
    for name, vlm in (("shared", shared), ("alone", alone)):
        counted = []
        tower = vlm._model.model.vision_tower
        tower.register_forward_hook(lambda _, args, output, c=counted: c.append(len(output.last_hidden_state)))
        ask(vlm, questions(3)[:5])  # the check of the first image reads it more often
        counted.clear()
        ask(vlm, questions(6))
        seen[name] = sum(counted)
    assert seen == {"shared": 6, "alone": 30}


def test_fewer_tokens_are_read_the_longer_the_prefix_and_the_more_questions_share_it():
    # LLaVA's six questions an image, 600 tokens before them and 20 after: 6 * 620 against 600 + 6 * 20.
    assert times_fewer_tokens(600, 20, 6, 1) == pytest.approx(3720 / 720)
    assert times_fewer_tokens(17, 19, 6, 1) == pytest.approx(216 / 131)
    assert times_fewer_tokens(600, 20, 6, 6) == 1


def seen_images(vlm, prompts):
    """The images that the vision tower reads while ``prompts`` are answered, after one round that checks the first image."""
    counted = []
    hook = vlm._model.model.vision_tower.register_forward_hook(lambda *of: counted.append(len(of[2].last_hidden_state)))
    ask(vlm, prompts)
    counted.clear()
    ask(vlm, prompts)
    hook.remove()
    return sum(counted)


def test_few_image_tokens_are_read_again_and_many_are_shared_unless_it_is_said(tmp_path, untrained_vlm):
    assert seen_images(load(untrained_vlm, batch_size=8, share_prefix=None), questions(3)) == 15
    assert provenance()["prefix_sharing"].startswith("off: 17 tokens before the questions part")
    assert seen_images(load(untrained_vlm, batch_size=8, share_prefix=True), questions(3)) == 3
    llava("tiny", tmp_path, torch.float32, "cpu")
    assert seen_images(load(tmp_path, batch_size=8, share_prefix=None), questions(3)) == 3
    assert provenance()["prefix_sharing"] == "on"
    assert seen_images(load(tmp_path, batch_size=8, share_prefix=False), questions(3)) == 15


def test_each_set_of_questions_is_chosen_for_by_itself(tmp_path):
    llava("tiny", tmp_path, torch.float32, "cpu")
    vlm = load(tmp_path, batch_size=8, share_prefix=None)
    alone = [(picture(0), "Is this safe? " + "Please think of it twice. " * 60 + mark) for mark in ("A", "B")]
    assert seen_images(vlm, alone) == 2
    assert seen_images(vlm, questions(3)) == 3


def test_a_model_whose_answers_would_change_is_not_shared_and_says_so(untrained_vlm, told):
    vlm = load(untrained_vlm, batch_size=8)
    model = vlm._model.model.language_model
    forward = model.forward

    def confused(*args, position_ids=None, **kwargs):
        # As of a family whose positions after a cache are not those that this backend takes them to be.
        if _continues(kwargs) and position_ids.shape[1] > 1:
            position_ids = position_ids + 7
        return forward(*args, position_ids=position_ids, **kwargs)

    model.forward = confused
    expected = ask(load(untrained_vlm, batch_size=1, share_prefix=False), questions(4))
    assert ask(vlm, questions(4)) == expected
    assert "every question is answered from its own encoding" in told[0]
    assert "distribution differs by" in told[0]
    assert provenance()["prefix_sharing"] == f"off: {told[0].split(': ', 1)[1]}"


def test_a_model_whose_scores_are_no_numbers_from_a_prefix_is_not_shared(untrained_vlm, told):
    vlm = load(untrained_vlm, batch_size=8)
    model = vlm._model.model.language_model
    forward = model.forward

    def broken(*args, **kwargs):
        continued = _continues(kwargs)
        output = forward(*args, **kwargs)
        if continued and output.last_hidden_state.shape[1] > 1:
            output.last_hidden_state = output.last_hidden_state * float("nan")
        return output

    model.forward = broken
    assert ask(vlm, questions(2)) == ask(load(untrained_vlm, batch_size=1, share_prefix=False), questions(2))
    assert "every question is answered from its own encoding" in told[0]


def test_a_question_before_its_image_is_answered_as_alone_and_it_is_said(untrained_vlm, told):
    vlm, alone = load(untrained_vlm, batch_size=8), load(untrained_vlm, batch_size=1, share_prefix=False)
    for model in (vlm, alone):
        model._decoder.processor.chat_template = (
            "{% for m in messages %}{% for p in m['content'] | reverse %}"
            "{{ p['text'] if p['type'] == 'text' else '<image>' }}{% endfor %}{% endfor %}<|assistant|>"
        )
    assert ask(vlm, questions(3)) == ask(alone, questions(3))
    assert any("not answered from one encoding" in message for message in told)


@pytest.mark.parametrize("room", [0, 3, 40])
def test_a_repeated_cache_grows_as_one_of_transformers_does(room):
    torch.manual_seed(0)
    prefix = DynamicCache()
    for layer in range(2):
        prefix.update(torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4), layer)
    rows = torch.tensor([1, 0, 1])
    ours = repeated(prefix, rows, room)
    expected = [(layer.keys[rows], layer.values[rows]) for layer in prefix.layers]
    for step in (4, 1, 1, 9):
        for layer in range(2):
            new = torch.randn(3, 3, step, 4), torch.randn(3, 3, step, 4)
            expected[layer] = tuple(torch.cat(both, 2) for both in zip(expected[layer], new, strict=True))
            given = ours.update(*new, layer)
            assert all(torch.equal(*both) for both in zip(given, expected[layer], strict=True))
        assert ours.get_seq_length() == expected[0][0].shape[2]
    assert prefix.get_seq_length() == 5


def test_the_prefix_of_a_group_ends_where_its_questions_differ(untrained_vlm):
    vlm = load(untrained_vlm)
    image = picture(0)()
    groups = [
        [
            [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": text}]}]
            for text in texts
        ]
        for texts in (["Is it red?", "Is it blue?"], ["Yes"])
    ]
    prefixes = SharedPrefixes(vlm._decoder, groups)
    tokenizer = vlm._decoder.processor.tokenizer
    inputs = prefixes.inputs([0, 1, 2], 4)
    assert inputs[CACHE].get_seq_length() == max(prefixes._lengths)
    for row, text in enumerate(["Is it red?", "Is it blue?", "Yes"]):
        kept = inputs["input_ids"][row][inputs["attention_mask"][row].bool()]
        assert tokenizer.decode(kept).count("<image>") == 16
        assert text in tokenizer.decode(kept)
