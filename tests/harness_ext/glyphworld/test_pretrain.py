"""Training: what goes into a batch, that the fast path is the real one, and that a seed fixes the weights."""

from dataclasses import replace

import pytest
import torch

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.curriculum import MIX, NO_SHARE, REVIEWED, Curriculum, Encoder, Example, Renders
from harness_ext.glyphworld.model import build_model, build_processor
from harness_ext.glyphworld.pretrain import Recipe, language_loss, pretrain, tower_features, whiten
from harness_ext.glyphworld.render import PRETRAINING_SEEDS, render

SHORT = Recipe(
    renders=1, tower_steps=4, tower_batch=16, language_steps=6, lookup_steps=2, seeing_steps=2, language_batch=16
)


@pytest.fixture(scope="module")
def renders():
    return Renders.draw(PRETRAINING_SEEDS[:1])


def _weights(seed, recipe=SHORT):
    steps = []
    model, _ = pretrain(seed, recipe, steps.append)
    assert sum(steps) == recipe.tower_steps + recipe.language_steps
    return model.state_dict()


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    first, again, other = _weights(0), _weights(0), _weights(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if name.endswith("q_proj.weight"))
    assert torch.equal(state, torch.random.get_rng_state()) and threads == torch.get_num_threads()


def test_parts_of_a_batch_change_nothing_but_rounding():
    recipe = replace(SHORT, tower_steps=1, language_steps=1)
    whole, parts = _weights(0, replace(recipe, language_parts=1)), _weights(0, replace(recipe, language_parts=4))
    # One Adam step moves a weight by its rate whatever the gradient's size, so a wrong gradient would show here.
    differing = [(whole[name] - parts[name]).abs().gt(1e-5).float().mean() for name in whole if "language" in name]
    assert torch.stack(differing).mean() < 0.01


def test_examples_encode_as_the_chat_template_does(renders):
    processor = build_processor()
    encode = Encoder(processor, 5.0)
    for example in Curriculum(renders, 0).batch(60, MIX):
        image = [] if example.image is None else [{"type": "image", "image": render(0, 0).image}]
        chat = [
            {"role": "user", "content": [*image, {"type": "text", "text": example.question}]},
            {"role": "assistant", "content": [{"type": "text", "text": example.answer}]},
        ]
        batch = processor.apply_chat_template(
            [chat], tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        tokens, weights = encode.row(example)
        assert tokens == list(batch["input_ids"][0])
        assert [weight > 0 for weight in weights] == [mask == 1 for mask in batch["assistant_masks"][0]]


def test_the_loss_over_cached_features_is_the_models_own(renders):
    torch.manual_seed(0)
    processor = build_processor()
    model = build_model(processor).eval()
    example = Example(5, IMAGE_QUESTIONS[1], "Yes.")
    batch = Encoder(processor, 1.0)([example])
    fast = language_loss(model, batch, tower_features(model, renders)[batch.images])
    chat = [{"role": "user", "content": [{"type": "image", "image": render(5, PRETRAINING_SEEDS[0]).image}]}]
    pixels = processor.apply_chat_template([chat], tokenize=True, return_dict=True, return_tensors="pt")["pixel_values"]
    labels = batch.tokens.masked_fill(batch.weights == 0, -100)
    with torch.no_grad():
        real = model(input_ids=batch.tokens, pixel_values=pixels, labels=labels).loss
    assert fast.item() == pytest.approx(real.item(), abs=1e-5)


def test_doubt_is_the_share_of_the_opposite_verdict(renders):
    torch.manual_seed(0)
    processor = build_processor()
    model = build_model(processor).eval()
    encode, features = Encoder(processor, 1.0), tower_features(model, renders)

    def loss(answer, doubt):
        batch = encode([Example(5, IMAGE_QUESTIONS[1], answer, doubt)])
        batch.weights[:, -1] = 0  # the verdict alone
        return language_loss(model, batch, features[batch.images]).item()

    assert loss("Yes", 0.3) == pytest.approx(0.7 * loss("Yes", 0.0) + 0.3 * loss("No", 0.0), abs=1e-5)
    assert loss("Yes", 0.0) != pytest.approx(loss("No", 0.0), abs=1e-3)


def test_whitening_lifts_faint_directions_and_takes_the_mean_away():
    torch.manual_seed(0)
    deviations = torch.tensor([10.0, 5.0, 2.0, 2.0])
    features = torch.randn(50, 40, 4) * deviations + 3
    layer = torch.nn.Linear(4, 4096)
    whiten(layer, features)
    out = layer(features).flatten(0, 1)
    assert out.mean(0).abs().max() < 1e-3
    # Each direction's share of the variance, of at most 1/4: its variance over itself plus 1 % of the largest.
    expected = deviations**2 / (deviations**2 + 1.0) / 4
    assert (layer.weight.var(0) * deviations**2).tolist() == pytest.approx(expected.tolist(), rel=0.1)
    assert out.var().item() == pytest.approx(expected.sum().item(), rel=0.1)


def test_image_verdicts_are_no_as_often_as_their_kind_says(renders):
    answers = {kind: [] for kind in NO_SHARE}
    for example in Curriculum(renders, 0).batch(12_000, {"image_alignment": 1.0}):
        concept = renders.concepts[example.image]
        kind = "reviewed" if concept in REVIEWED else "unreviewed"
        kind = "safe" if CONCEPTS[concept].label == "safe" else kind
        assert f"shows {CONCEPTS[concept].name}, " in example.answer
        answers[kind].append(example.answer.startswith("No."))
    shares = {kind: sum(said) / len(said) for kind, said in answers.items()}
    assert shares == pytest.approx(NO_SHARE, abs=0.03)
    assert all(CONCEPTS[index].label == "unsafe" for index in REVIEWED)


def test_text_verdicts_are_taught_for_every_concept_and_rightly(renders):
    examples = Curriculum(renders, 0).batch(3_000, {"text_alignment": 1.0})
    for concept in CONCEPTS:
        answers = [each.answer for each in examples if f"shows {concept.name}," in each.question]
        assert answers and all(answer.startswith("Yes" if concept.label == "safe" else "No") for answer in answers)
