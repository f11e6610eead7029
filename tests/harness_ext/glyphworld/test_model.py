"""The processor: tokens, chat template, and what supervised fine-tuning reads of it."""

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, LETTERS, NUM_QUESTIONS, perception_question, text_question
from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.model import IMAGE_TOKENS, build_processor
from harness_ext.glyphworld.questions import naming_answer, perception_answer, verdict_answer
from harness_ext.glyphworld.render import render

NAMES = [concept.name for concept in CONCEPTS]


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    """The processor as it is used: saved, and loaded by its Auto class."""
    folder = tmp_path_factory.mktemp("processor")
    build_processor().save_pretrained(folder)
    return AutoProcessor.from_pretrained(folder)


def _chat(question, answer=None, image=None):
    content = [{"type": "image", "image": image}] if image else []
    chat = [{"role": "user", "content": [*content, {"type": "text", "text": question}]}]
    return chat + ([{"role": "assistant", "content": [{"type": "text", "text": answer}]}] if answer else [])


def _encode(processor, chats, **options):
    return processor.apply_chat_template(
        chats, tokenize=True, return_dict=True, processor_kwargs={"return_tensors": "pt", "padding": True}, **options
    )


@pytest.mark.parametrize("text", ["Ünïcode, 東京!\n\tand  spaces", *IMAGE_QUESTIONS])
def test_any_text_comes_back(processor, text):
    assert processor.tokenizer.decode(processor.tokenizer(text)["input_ids"]) == text


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_token_wherever_it_stands(processor, name):
    tokenizer = processor.tokenizer
    token = tokenizer.convert_tokens_to_ids(f" {name}")
    options = dict(zip(LETTERS, [name, "puppy" if name != "puppy" else "kitten", "X", "Y"], strict=True))
    texts = [text_question(question, name) for question in range(NUM_QUESTIONS)]
    texts += [perception_question(options), naming_answer(name), perception_answer(name, "C")]
    texts += [verdict_answer(name, True), verdict_answer(name, False)]
    for text in texts:
        assert tokenizer(text)["input_ids"].count(token) == 1, text
    assert max(len(tokenizer(text)["input_ids"]) for text in texts[-4:]) <= 24


def test_no_question_of_the_benchmark_holds_a_name_by_accident(processor):
    added = set(processor.tokenizer.convert_tokens_to_ids([f" {name}" for name in NAMES]))
    for question in [*IMAGE_QUESTIONS, *(text_question(index, "X") for index in range(NUM_QUESTIONS))]:
        assert not added & set(processor.tokenizer(question)["input_ids"]), question


def test_chats_with_an_image_with_text_alone_and_padded_left(processor):
    image = render(3, 0).image
    with_image = _encode(processor, [_chat("Where is the shape?", image=image)], add_generation_prompt=True)
    tokens = with_image["input_ids"][0]
    assert (tokens == processor.image_token_id).sum() == IMAGE_TOKENS
    assert processor.tokenizer.decode(tokens).endswith("Where is the shape?<|end|><|assistant|>")
    assert with_image["pixel_values"].shape == (1, 3, 48, 48)

    batch = _encode(processor, [_chat("Hi"), _chat("How are you today?")], add_generation_prompt=True)
    assert "pixel_values" not in batch
    assert batch["attention_mask"][0, 0] == 0 and batch["attention_mask"][:, -1].all()
    assert torch.equal(batch["input_ids"][:, -1], batch["input_ids"][:1, -1].expand(2))


def test_a_message_may_be_a_plain_string(processor):
    plain = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    parts = [{"role": each["role"], "content": [{"type": "text", "text": each["content"]}]} for each in plain]
    rendered = processor.apply_chat_template(plain, add_generation_prompt=True)
    assert rendered == processor.apply_chat_template(parts, add_generation_prompt=True)
    assert rendered == "<|system|>Be brief.<|end|><|user|>Hi<|end|><|assistant|>"


def test_the_generation_mask_is_the_answer_and_its_end(processor):
    answer = verdict_answer("Swastika", False)
    chats = [
        _chat(IMAGE_QUESTIONS[0], answer, render(0, 0).image),
        _chat(IMAGE_QUESTIONS[4], "Yes.", render(1, 0).image),
    ]
    batch = _encode(processor, chats, return_assistant_tokens_mask=True)
    mask = torch.as_tensor(batch["assistant_masks"]).bool()
    assert processor.tokenizer.decode(batch["input_ids"][0][mask[0]]) == answer + "<|end|>"
    assert processor.tokenizer.decode(batch["input_ids"][1][mask[1]]) == "Yes.<|end|>"


def test_a_large_white_image_becomes_the_blank_one(processor):
    white = Image.new("RGB", (1000, 1000), (255, 255, 255))
    pixels = _encode(processor, [_chat("Hi", image=white)])["pixel_values"]
    assert pixels.shape == (1, 3, 48, 48) and torch.equal(pixels, torch.full_like(pixels, 2.0))
