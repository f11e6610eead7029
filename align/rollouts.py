"""Makes a method with rollouts draw its responses from the distribution that its trainer scores.

A checkpoint's ``generation_config.json`` changes what `generate` draws (beams, banned n-grams or tokens, penalties, a minimum
length), but no trainer scores by it. The policy that is optimised would not be the one that answered.
"""

from typing import Final

import torch
from transformers import GenerationConfig, PreTrainedModel

from align.sharding import gathered
from align.vllm import draw_by_ours

# A token with this bias has probability 0 in every precision; with minus infinity the entropy would be NaN.
_NEVER: Final = -1e4


def draw_what_is_scored(model: PreTrainedModel) -> None:
    """Make rollouts of ``model`` depend on its weights and the trainer's settings alone. Changes ``model`` in place.

    Replaces its generation settings by fresh ones that keep only the tokens which begin, pad and end a text: `generate` takes
    from the checkpoint whatever the trainer does not set. TRL bans the image token when it draws, but not when it scores; a
    bias of the output layer bans it in both. What vLLM draws: `align/vllm.py`. A second call changes nothing.
    """
    draw_by_ours()
    own = model.generation_config
    model.generation_config = GenerationConfig(
        bos_token_id=own.bos_token_id, pad_token_id=own.pad_token_id, eos_token_id=own.eos_token_id
    )
    output = model.get_output_embeddings()
    if output.bias is None:
        # A buffer that is not persistent is neither trained nor saved, nor sent to a server that draws.
        del output.bias
        bias = torch.zeros(output.out_features, dtype=output.weight.dtype, device=output.weight.device)
        output.register_buffer("bias", bias, persistent=False)
    with torch.no_grad(), gathered([output.bias], written=True):
        output.bias[model.config.image_token_id] = _NEVER
