"""The first stage of training: the vision tower alone, as a classifier of what a render shows."""

from collections.abc import Callable
from typing import Final

import torch
from torch.nn import functional
from transformers import LlavaForConditionalGeneration

from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.model import WIDTH
from harness_ext.glyphworld.questions import CAPABILITIES
from harness_ext.glyphworld.recipe import Recipe
from harness_ext.glyphworld.renders import Renders, normalised
from harness_ext.glyphworld.tiles import ACCENTS, SILHOUETTES, TEXTURES, UNDERLINES, factors

_IGNORED: Final = -100  # torch's label for "no loss here"


def train_tower(
    model: LlavaForConditionalGeneration, renders: Renders, recipe: Recipe, advance: Callable[[int], object]
) -> None:
    """Train the tower to classify the concept, its factors and the render's attributes, by heads thrown away after."""
    tower = model.model.vision_tower
    targets = tower_targets(renders)
    sizes = [len(CONCEPTS), len(SILHOUETTES), len(TEXTURES), len(ACCENTS), len(UNDERLINES)]
    sizes += [len(vocabulary) for _, _, vocabulary in CAPABILITIES]
    heads = torch.nn.ModuleList([torch.nn.Linear(WIDTH, size) for size in sizes])
    parameters = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.tower_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.98))
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
        words = [(renders.attributes[skill][image], vocabulary) for skill, _, vocabulary in CAPABILITIES]
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
