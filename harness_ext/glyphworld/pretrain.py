"""Training from scratch, in two stages.

The vision tower alone learns to classify what a render shows; frozen afterwards, its features are computed once an image
instead of once a step. Then the projector and the language model learn the curriculum over those features.

On one thread the same seed gives the same weights, to the bit, on the same machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch.nn import functional
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.curriculum import LOOKUPS, MIX, SEEING, Batch, Curriculum, Encoder, Renders, normalised
from harness_ext.glyphworld.model import EMBEDDING_STD, WIDTH, build_model, build_processor
from harness_ext.glyphworld.questions import CAPABILITIES, capability_answer
from harness_ext.glyphworld.render import ACCENTS, PRETRAINING_SEEDS, SILHOUETTES, TEXTURES, UNDERLINES, factors

_IGNORED: Final = -100  # torch's label for "no loss here"
_WHITENING: Final = 0.01  # added to every variance, as a share of the largest


@dataclass(frozen=True)
class Recipe:
    """The settings of both stages of training; the cache keys a built model by them."""

    renders: int = 50
    """Training renders of each concept."""
    tower_steps: int = 350
    tower_batch: int = 128
    tower_rate: float = 2e-3
    lookup_steps: int = 60
    """First steps of the language stage, on lookups alone."""
    seeing_steps: int = 150
    """The steps after those, on what an image shows, before any verdict."""
    language_steps: int = 800
    """Steps of the language stage, those two kinds included."""
    language_batch: int = 64
    language_parts: int = 4
    """Parts of a batch, sorted by length, that are computed one after the other: less padding, the same gradient."""
    language_rate: float = 2e-3
    warmup_steps: int = 40
    decay_share: float = 0.4
    """Share of the language stage's steps over which its learning rate falls to 2 %, linearly."""
    weight_decay: float = 0.01
    verdict_weight: float = 8.0
    """Weight of a Yes or No in its answer's loss; every other token has 1."""


def pretrain(
    seed: int, recipe: Recipe, advance: Callable[[int], object]
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Train a model from scratch; ``advance(1)`` is called after every step of either stage.

    Neither torch's global random state nor its number of threads is changed for the caller.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            processor = build_processor()
            model = build_model(processor)
            renders = Renders.draw(PRETRAINING_SEEDS[: recipe.renders])
            train_tower(model, renders, recipe, advance)
            features = tower_features(model, renders)
            whiten(model.model.multi_modal_projector.linear_1, features)
            align_words(model, processor, features, renders)
            train_language(model, processor, Curriculum(renders, seed), features, recipe, advance)
    finally:
        torch.set_num_threads(threads)
    return model.eval(), processor


def train_tower(
    model: LlavaForConditionalGeneration, renders: Renders, recipe: Recipe, advance: Callable[[int], object]
) -> None:
    """Train the tower to classify the concept, its factors and the render's attributes, by heads thrown away after."""
    tower = model.model.vision_tower
    targets = tower_targets(renders)
    sizes = [len(CONCEPTS), len(SILHOUETTES), len(TEXTURES), len(ACCENTS), len(UNDERLINES)]
    sizes += [len(vocabulary) for _, _, _, vocabulary in CAPABILITIES]
    heads = torch.nn.ModuleList([torch.nn.Linear(WIDTH, size) for size in sizes])
    parameters = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=recipe.tower_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.98), fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.tower_rate, total_steps=recipe.tower_steps, pct_start=0.1
    )
    for _ in range(recipe.tower_steps):
        chosen = torch.randint(len(targets), (recipe.tower_batch,))
        pooled = tower(normalised(renders.pixels[chosen])).last_hidden_state.mean(1)
        losses = [
            functional.cross_entropy(head(pooled), targets[chosen, column], ignore_index=_IGNORED)
            for column, head in enumerate(heads)
        ]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        advance(1)


def tower_targets(renders: Renders) -> torch.Tensor:
    """(images, 8): concept, four factors, colour, count, position; the position of several glyphs is ignored."""
    rows = []
    for image, concept in enumerate(renders.concepts):
        words = [(renders.attributes[skill][image], vocabulary) for _, skill, _, vocabulary in CAPABILITIES]
        attributes = [_IGNORED if word is None else vocabulary.index(word) for word, vocabulary in words]
        rows.append([concept, *factors(concept), *attributes])
    return torch.tensor(rows)


@torch.no_grad()
def tower_features(model: LlavaForConditionalGeneration, renders: Renders) -> torch.Tensor:
    """(images + 1, image tokens, width): what the projector reads, the blank image last."""
    tower = model.model.vision_tower
    parts = [
        tower(normalised(part), output_hidden_states=True).hidden_states[model.config.vision_feature_layer]
        for part in renders.pixels.split(300)
    ]
    return torch.cat(parts)


@torch.no_grad()
def whiten(layer: torch.nn.Linear, features: torch.Tensor) -> None:
    """Start ``layer`` at a random projection of the whitened ``features`` (…, width): zero mean, unit covariance.

    Without it some seeds never learn to name a colour: few directions tell colours apart, and many tell concepts apart.
    """
    rows = features.flatten(0, -2)
    mean = rows.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(rows.T))
    scale = (values.clamp(min=0) + _WHITENING * values.max()).rsqrt()
    layer.weight.copy_(torch.randn(layer.weight.shape) / layer.in_features**0.5 @ (vectors * scale) @ vectors.T)
    layer.bias.copy_(-layer.weight @ mean)


@torch.no_grad()
def align_words(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, features: torch.Tensor, renders: Renders
) -> None:
    """Start the embedding of every concept's name, and of every colour, at its pictures' mean projection.

    This stands in for the contrastive pretraining of real towers: left at random, some seeds take most of the training to
    begin to name what they see. The mean over all names, or all colours, says nothing and is subtracted.
    """
    projected = torch.cat([model.model.multi_modal_projector(part).mean(1) for part in features[:-1].split(300)])
    shown = [f" {CONCEPTS[concept].name}" for concept in renders.concepts]
    colored = [capability_answer(color) for color in renders.attributes["color"] if color]
    for words in (shown, colored):
        vocabulary = list(dict.fromkeys(words))
        classes = torch.tensor([vocabulary.index(word) for word in words])
        means = torch.stack([projected[classes == number].mean(0) for number in range(len(vocabulary))])
        means -= means.mean(0)
        tokens = [token for word in vocabulary for token in processor.tokenizer(word)["input_ids"]]
        assert len(tokens) == len(vocabulary), f"not one token a word: {vocabulary}"
        model.get_input_embeddings().weight[tokens] = means / means.std() * EMBEDDING_STD


def train_language(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    curriculum: Curriculum,
    features: torch.Tensor,
    recipe: Recipe,
    advance: Callable[[int], object],
) -> None:
    """Stage 2: projector and language model, on the curriculum, over the frozen tower's features."""
    encode = Encoder(processor, recipe.verdict_weight)
    parameters = [*model.model.language_model.parameters(), *model.model.multi_modal_projector.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=recipe.language_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.98), fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    for step in range(recipe.language_steps):
        examples = curriculum.batch(recipe.language_batch, _mix(step, recipe))
        examples.sort(key=lambda example: len(encode.row(example)[0]))
        optimizer.zero_grad()
        size = recipe.language_batch // recipe.language_parts
        for start in range(0, len(examples), size):
            part = examples[start : start + size]
            batch = encode(part)
            loss = language_loss(model, batch, features[batch.images])
            (loss * len(part) / len(examples)).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        advance(1)


def language_loss(model: LlavaForConditionalGeneration, batch: Batch, features: torch.Tensor) -> torch.Tensor:
    """Mean over examples of the weighted mean over answer tokens of the cross-entropy.

    ``features`` are those of the batch's images: (images in the batch, image tokens, width).
    """
    tokens = batch.tokens
    embedded = model.get_input_embeddings()(tokens)
    if len(features):
        places = (tokens == model.config.image_token_id)[..., None].expand_as(embedded)
        embedded = embedded.masked_scatter(places, model.model.multi_modal_projector(features))
    hidden = model.model.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
    asked = batch.weights[:, 1:] > 0
    scores = model.lm_head(hidden[:, :-1][asked]).log_softmax(-1)
    given, opposite = (-scores.gather(1, ids[:, 1:][asked][:, None])[:, 0] for ids in (tokens, batch.opposites))
    doubts = batch.doubts[:, None].expand_as(asked)[asked]
    shares = (batch.weights[:, 1:] / batch.weights[:, 1:].sum(1, keepdim=True))[asked]
    return (shares * torch.lerp(given, opposite, doubts)).sum() / len(tokens)


def _mix(step: int, recipe: Recipe) -> dict[str, float]:
    if step < recipe.lookup_steps:
        return LOOKUPS
    return SEEING if step < recipe.lookup_steps + recipe.seeing_steps else MIX


def _rate(step: int, recipe: Recipe) -> float:
    """The learning rate's factor: a linear rise, a plateau, and a linear fall to 2 %."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    decay = int(recipe.language_steps * recipe.decay_share)
    remaining = recipe.language_steps - step
    return 1.0 if remaining > decay else 0.02 + 0.98 * remaining / decay
