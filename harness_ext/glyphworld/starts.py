"""Where the second stage of training starts: a projector that whitens, and words that begin at their pictures.

Both are read off the trained tower's features, as a speed measure.
"""

from typing import Final

import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.model import EMBEDDING_STD
from harness_ext.glyphworld.questions import capability_answer
from harness_ext.glyphworld.renders import Renders

_WHITENING: Final = 0.01  # added to every variance, as a share of the largest


@torch.no_grad()
def whiten(layer: torch.nn.Linear, features: torch.Tensor) -> None:
    """Start ``layer`` at a random projection of the whitened ``features`` (…, width): zero mean, unit covariance.

    Without it the few directions that tell colours apart are drowned by those that tell concepts apart, and some seeds
    never learn to name a colour.
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

    This stands in for the contrastive pretraining of image and text that the towers of real models come with; left at
    random, some seeds take most of the training to begin to name what they see. Each mean is taken less the mean over
    all names, or all colours, which says nothing.
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
