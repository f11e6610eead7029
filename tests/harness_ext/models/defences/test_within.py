"""Defences within the model, held to the same sums done apart: one prompt at a time, without a cache."""

import json
import math
import os

import pytest
import torch
from asking import ask, picture
from transformers import AutoModelForImageTextToText, AutoProcessor

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, text_question
from harness_ext.common.errors import UserError
from harness_ext.glyphworld.build import ensure_model
from harness_ext.glyphworld.concepts import CONCEPTS, NEVER_SEEN
from harness_ext.models.defences import steer
from harness_ext.models.defences.coca import contrasted
from harness_ext.models.defences.principle import PRINCIPLE
from harness_ext.models.hf import HuggingFaceVLM

STEPS = 6
DOCS = [
    *((picture(at), IMAGE_QUESTIONS[at % 5]) for at in (12, 21, 30, 39, 48, 57, 100)),
    (None, text_question(0, "popcorn")),
]


@pytest.fixture(scope="module")
def weights():
    return str(ensure_model(0))


@pytest.fixture(scope="module")
def vlm(weights, tmp_path_factory):
    """What loads the embedded model, with a cache folder of its own."""
    cache = str(tmp_path_factory.mktemp("cache"))

    def vlm(defence=None, **options):
        options = {"batch_size": 4, "answers": "none", "dtype": "float32", **options}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("UNSAFECONCEPTS_CACHE", cache)
            return HuggingFaceVLM(weights, device="cpu", defence=defence, **options)

    return vlm


@pytest.fixture(scope="module")
def alone(weights):
    """What gives the scores after a prompt and some tokens, shape (V,), read anew each time."""
    model = AutoModelForImageTextToText.from_pretrained(weights, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(weights)

    @torch.inference_mode()
    def scores(image, text, said=()):
        content = [*([{"type": "image", "image": image()}] if image else []), {"type": "text", "text": text}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
        )  # fmt: skip
        ids = torch.cat([inputs["input_ids"], torch.tensor([said], dtype=torch.long)], 1)
        pixels = {"pixel_values": inputs["pixel_values"]} if image else {}
        return model(input_ids=ids, attention_mask=torch.ones_like(ids), **pixels).logits[0, -1]

    scores.model, scores.tokenizer = model, processor.tokenizer
    return scores


def calibrated(alone, image, text, said, alpha):
    given, without = alone(image, f"{PRINCIPLE}\n\n{text}", said), alone(image, text, said)
    return given + alpha * (given - without)


def greedy(alone, score):
    said = []
    while len(said) < STEPS and (not said or said[-1] != alone.tokenizer.eos_token_id):
        said.append(int(score(said).argmax()))
    return alone.tokenizer.decode(said, skip_special_tokens=True)


@pytest.mark.parametrize("alpha", [0, 2.5])
def test_coca_chooses_by_the_principles_effect_made_larger(vlm, alone, alpha):
    found = ask(vlm(f"coca:alpha={alpha}"), DOCS, {"max_new_tokens": STEPS})
    expected = [greedy(alone, lambda said, doc=doc: calibrated(alone, *doc, said, alpha)) for doc in DOCS]
    assert found == expected
    by_principle = ask(vlm("principle"), DOCS, {"max_new_tokens": STEPS})
    assert (found == by_principle) == (alpha == 0)


def test_coca_scores_a_verdict_by_the_same_sums(vlm, alone):
    forms = {"Yes": ["Yes", "yes"], "No": ["No"], "long": ["Human flesh"]}

    class Row(tuple):
        """An image and a text, with what an answer may be."""

        def get(self, name):
            return forms

    def logprob(doc, tokens):
        steps = [calibrated(alone, *doc, tokens[:at], 1.5).double().log_softmax(-1) for at in range(len(tokens))]
        return float(sum(step[token] for step, token in zip(steps, tokens, strict=True)))

    model = vlm("coca:alpha=1.5")
    model.task_dict["task"] = {"test": DOCS}
    found = [json.loads(answer) for answer in ask(model, [Row(doc) for doc in DOCS], {"likelihood": True})]
    spelt = {
        label: {
            tuple(alone.tokenizer(text, add_special_tokens=False)["input_ids"])
            for form in texts
            for text in (form, f" {form}")
        }
        for label, texts in forms.items()
    }
    assert max(map(len, spelt["long"])) > 1
    for doc, scores in zip(DOCS, found, strict=True):
        for label, spellings in spelt.items():
            known = {tokens: logprob(doc, list(tokens)) for tokens in spellings}
            # One whose text is another's with a space before it is spelt by a token of its own, or left out.
            total = math.log(sum(map(math.exp, known.values())))
            assert scores[label] == pytest.approx(total, abs=1e-4), (label, known)


def test_a_token_that_is_ruled_out_stays_so_and_what_is_no_number_is_seen():
    given = torch.tensor([[1.0, -math.inf, 2.0], [0.0, -math.inf, 1.0], [math.nan, 0.0, 1.0], [0.0, 0.0, 0.0]])
    made = contrasted(given, 2.0)
    assert made[0].tolist() == made[1].tolist() == [3.0, -math.inf, 4.0]
    assert made[2].isnan().tolist() == [True, False, False]


def test_coca_reads_no_prefix_once_and_says_so(vlm):
    assert not vlm("coca", share_prefix=True)._asker.shares
    with pytest.raises(UserError, match="defence coca: it has no beam search"):
        ask(vlm("coca"), DOCS, {"num_beams": 2})


def test_the_direction_is_the_difference_of_means_over_words(vlm, alone):
    model = vlm("steer:layer=2")
    directions = steer.fit(model._decoder, steer.layers_of(model._decoder), 50)
    sums = {"safe": [], "unsafe": []}
    for concept in CONCEPTS:
        if concept.name not in NEVER_SEEN:
            for question in range(5):
                text = f"<|user|>{text_question(question, concept.name)}<|end|><|assistant|>"
                inputs = alone.tokenizer(text, return_tensors="pt")
                with torch.inference_mode():
                    states = alone.model(**inputs, output_hidden_states=True).hidden_states
                sums[concept.label].append(torch.stack([state[0, -1] for state in states[1:-1]]))
    expected = torch.stack(sums["unsafe"]).mean(0) - torch.stack(sums["safe"]).mean(0)
    # The last of transformers' hidden states is normalised, which a layer's own are not.
    torch.testing.assert_close(directions[2], expected[1], atol=1e-4, rtol=1e-3)
    # At the first layer, the last token has not read the concept's name yet.
    assert sorted(directions) == [2, 3] and expected[0].norm() < 1e-2 < directions[2].norm()


def test_the_direction_is_added_to_images_alone_at_every_token(vlm, alone):
    model = vlm("steer:strength=2")
    found = ask(model, DOCS, {"max_new_tokens": STEPS})
    direction = steer.fit(model._decoder, steer.layers_of(model._decoder), 50)[2]
    hook = alone.model.model.language_model.layers[1].register_forward_hook(
        lambda module, given, output: output + 2 * direction
    )
    steered = [greedy(alone, lambda said, doc=doc: alone(*doc, said)) for doc in DOCS[:-1]]
    hook.remove()
    plain = [greedy(alone, lambda said, doc=doc: alone(*doc, said)) for doc in DOCS]
    assert found == [*steered, plain[-1]]
    assert found != plain


def test_a_direction_is_fitted_once_for_a_model_and_read_whole_or_not_at_all(vlm, monkeypatch):
    first = vlm("steer")
    assert (first._defences.told(), first._defences.passes) == (vlm("steer:layer=2")._defences.told(), 1)

    def again(*_):
        raise AssertionError("fitted again")

    with monkeypatch.context() as patch:
        patch.setattr(steer, "fit", again)
        assert vlm("steer:strength=0.5:layer=3")._defences.told() != first._defences.told()
        # Another precision is another model.
        with pytest.raises(AssertionError, match="fitted again"):
            vlm("steer", dtype="bfloat16")
    with pytest.raises(UserError, match="of 3 the layers 2, 3; found 1"):
        vlm("steer:layer=1")


def test_a_damaged_direction_is_refused_by_name(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(tmp_path))

    def load():
        return HuggingFaceVLM(weights, dtype="float32", device="cpu", batch_size=100, defence="steer", answers="none")

    load()
    (file,) = (tmp_path / "directions").glob("*.safetensors")
    os.truncate(file, 100)
    with pytest.raises(UserError, match=f"{file.name}: cannot be read .*; delete it"):
        load()


def test_answers_are_kept_by_the_defence_that_gave_them(vlm, tmp_path):
    """What acts within the model is not seen from a prompt: it is part of the identity of its answers."""
    options = [None, "coca", "coca:alpha=2", "steer", "steer:strength=2"]
    for defence in options:
        ask(vlm(defence, answers=str(tmp_path)), DOCS[:1], {"max_new_tokens": 2})
    told = [json.loads(file.read_text()).get("defence") for file in tmp_path.glob("*/identity.json")]
    assert len(told) == len(set(told)) == len(options)
