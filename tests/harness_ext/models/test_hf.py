import pytest
import torch
from asking import GREEDY, ask, picture
from peft import LoraConfig, get_peft_model
from PIL import Image
from transformers import AutoModelForImageTextToText

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, text_question
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.glyphworld.build import ensure_model
from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.models.answering import TooManyFailures
from harness_ext.models.hf import HuggingFaceVLM

SAMPLED = {"max_new_tokens": 12, "do_sample": True, "temperature": 1.0, "top_p": 0.9}


def mixed(count=20):
    """Prompts of different lengths, with an image and without, in turns."""
    words = ["Is this image safe?", "What does this image show?", "Name it, in a word or two, please."]
    return [(None if at % 3 == 1 else picture(at), words[at % len(words)] + "?" * (at % 5)) for at in range(count)]


def unreadable():
    raise OSError("image file is truncated")


@pytest.fixture(scope="module")
def vlm(untrained_vlm):
    return HuggingFaceVLM(str(untrained_vlm), dtype="float32", device="cpu", batch_size=16)


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_same_answers_at_any_batch_size_with_and_without_images(untrained_vlm, vlm, settings):
    one_by_one = HuggingFaceVLM(str(untrained_vlm), dtype="float32", device="cpu", batch_size=1)
    answers = ask(vlm, mixed(), settings)
    assert answers == ask(one_by_one, mixed(), settings)
    assert len(set(answers)) > 1


def test_same_answers_of_the_embedded_model_at_any_batch_size():
    weights = str(ensure_model(0))
    docs = [
        *((picture(index), IMAGE_QUESTIONS[index % 5]) for index in range(0, 150, 5)),
        *((None, text_question(index % 5, CONCEPTS[index].name)) for index in range(0, 150, 7)),
    ]
    settings = {"max_new_tokens": 24}
    one, many = (
        ask(HuggingFaceVLM(weights, dtype="float32", device="cpu", batch_size=size), docs, settings) for size in (1, 16)
    )
    assert one == many
    assert {answer.split()[0].strip(",.") for answer in one} == {"Yes", "No"}


def test_an_answer_is_what_generate_says_to_that_prompt_alone(untrained_vlm, vlm):
    image, text = picture(5), "What does this image show?"
    model = AutoModelForImageTextToText.from_pretrained(untrained_vlm, dtype=torch.float32)
    inputs = vlm._decoder.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image", "image": image()}, {"type": "text", "text": text}]}],
        add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
    )  # fmt: skip
    tokens = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    expected = vlm._decoder.processor.tokenizer.decode(tokens, skip_special_tokens=True)
    assert ask(vlm, [(None, "Another prompt, much longer than the one that counts."), (image, text)])[1] == expected


def test_a_model_that_is_spread_over_all_devices_answers_the_same(untrained_vlm, vlm):
    spread = HuggingFaceVLM(str(untrained_vlm), dtype="float32", device_map="auto", batch_size=16)
    assert ask(spread, mixed()) == ask(vlm, mixed())


def test_sampling_depends_on_the_seed_and_on_the_request(untrained_vlm):
    answers = {
        seed: ask(
            HuggingFaceVLM(str(untrained_vlm), device="cpu", batch_size=8, seed=seed), [(None, "Hello")] * 6, SAMPLED
        )
        for seed in (1, 2)
    }
    assert answers[1] != answers[2]
    assert len(set(answers[1])) > 1


def test_a_sample_that_fails_alone_is_recorded_and_its_neighbours_are_answered(untrained_vlm, vlm):
    docs = mixed(12)
    docs[4] = (unreadable, "Is this image safe?")
    tolerant = HuggingFaceVLM(str(untrained_vlm), device="cpu", batch_size=8, max_failed=0.2)
    answers = ask(tolerant, docs)
    assert [is_failed(answer) for answer in answers] == [at == 4 for at in range(12)]
    assert "truncated" in answers[4]
    expected = ask(vlm, mixed(12))
    assert [a for at, a in enumerate(answers) if at != 4] == [a for at, a in enumerate(expected) if at != 4]


def test_more_failures_than_allowed_fail_the_run(vlm):
    with pytest.raises(TooManyFailures, match=r"1 of 5 requests failed.*row 2.*truncated"):
        ask(vlm, [*mixed(2), (unreadable, "Is this image safe?"), *mixed(2)])


def test_a_fault_of_the_program_is_raised_not_recorded(vlm):
    with pytest.raises(AttributeError):
        ask(vlm, [(lambda: None, "Is this image safe?"), (len, "x")])


def test_an_adapter_changes_the_answers(untrained_vlm, vlm, tmp_path):
    torch.manual_seed(0)
    base = AutoModelForImageTextToText.from_pretrained(untrained_vlm)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(tmp_path)
    adapted = HuggingFaceVLM(str(untrained_vlm), adapter=str(tmp_path), device="cpu", batch_size=4)
    assert ask(adapted, mixed(8)) != ask(vlm, mixed(8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float8"}, "dtype must be one of"),
        ({"batch_size": "auto"}, "batch_size: Input should be a valid integer"),
        ({"adapter": "/nowhere/adapter"}, "cannot put the adapter '/nowhere/adapter'"),
        ({"device": "cpu", "device_map": "auto"}, "either device or device_map"),
        ({"batch_size": 0}, "batch_size: Input should be greater than or equal to 1"),
        ({"max_failed": 2}, "max_failed: Input should be less than or equal to 1"),
        ({"max_failed": "abc"}, "max_failed: Input should be a valid number"),
        ({"device": "cuda:99"}, "cannot put the model on device 'cuda:99'"),
    ],
)
def test_wrong_options_are_refused(untrained_vlm, options, message):
    with pytest.raises(UserError, match=message):
        HuggingFaceVLM(str(untrained_vlm), **options)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(UserError, match="cannot load the processor of"):
        HuggingFaceVLM(str(tmp_path))


def test_a_photograph_of_another_mode_is_answered(vlm):
    grey = Image.new("L", (300, 200), 128).convert("RGB")
    assert isinstance(ask(vlm, [(lambda: grey, "Is this image safe?")])[0], str)


def test_whether_an_answer_was_cut_is_known_at_any_batch_size(vlm, untrained_vlm, told):
    # Random weights do not come to an end in so few tokens; glyphworld's model does in so many.
    ask(vlm, mixed(8), {"max_new_tokens": 3})
    assert [line.split(":")[1] for line in told if "cut" in line] == [" 8 of 8 answers were cut at max_new_tokens=3"]
    told.clear()
    docs = [(picture(index), IMAGE_QUESTIONS[index % 5]) for index in range(0, 150, 7)]
    trained = HuggingFaceVLM(str(ensure_model(0)), dtype="float32", device="cpu", batch_size=8)
    ask(trained, docs, {"max_new_tokens": 48})
    assert told == []
