"""Training from scratch, in two stages.

1. The vision tower alone learns to tell a glyph's factors and attributes apart (`tower`). Frozen afterwards, its
   features are computed once an image instead of once a step.
2. The projector and the language model learn the curriculum over those features.

On one thread the same seed gives the same weights, to the bit, on the same machine.
"""

from collections.abc import Callable

import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from harness_ext.glyphworld.curriculum import LOOKUPS, MIX, SEEING, Curriculum
from harness_ext.glyphworld.encoder import Batch, Encoder
from harness_ext.glyphworld.model import build_model
from harness_ext.glyphworld.processor import build_processor
from harness_ext.glyphworld.recipe import Recipe
from harness_ext.glyphworld.render import PRETRAINING_SEEDS
from harness_ext.glyphworld.renders import Renders
from harness_ext.glyphworld.starts import align_words, whiten
from harness_ext.glyphworld.tower import tower_features, train_tower


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
        examples = sorted(curriculum.batch(recipe.language_batch, _mix(step, recipe)), key=encode.length)
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
    left = recipe.language_steps - step
    return 1.0 if left > decay else 0.02 + 0.98 * left / decay
