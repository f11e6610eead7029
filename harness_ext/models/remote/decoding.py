"""Decoding as transformers 4 did it, for code that was written for it.

Such code keeps a cache of its own, in tuples. ``generate`` of transformers 5 hands it an empty cache object, which it takes
for a full one, and positions, which it takes for its own; it drops the attention mask, and a method that it calls is gone
(https://github.com/zai-org/CogVLM/issues/517, https://github.com/huggingface/transformers/issues/39336). Some of that fails,
some only changes the answers.
"""

import inspect
from functools import partial
from typing import Any, Final

import torch
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList
from transformers.generation import GenerationMode

from harness_ext.common.errors import UserError

# What generate adds for models of today; the cache has another name from transformers 5.24 on.
_ADDED: Final = ("cache", "past_key_values", "position_ids", "logits_to_keep")


def decode_as_transformers_4(model: PreTrainedModel) -> None:
    """Let ``generate`` of ``model`` decode in the old way; a model that knows the new one keeps it."""
    if "next_sequence_length" in inspect.signature(model.prepare_inputs_for_generation).parameters:
        return
    model.generate = partial(model.generate, custom_generate=_decode)
    model._extract_past_from_model_output = lambda outputs, **_: outputs.past_key_values


def _decode(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    **model_kwargs: Any,
) -> torch.Tensor:
    """The loop of ``generate``: greedy, or sampled by a logits processor that adds the randomness.

    The prompt is ``input_ids``, shape (B, L), or ``inputs_embeds``, shape (B, L, W), beside empty ``input_ids``.

    Returns:
        ``input_ids`` and what was generated; shape (B, T).

    Raises:
        UserError: The model's generation settings ask for another way to decode.
    """
    if (mode := generation_config.get_generation_mode()) != GenerationMode.GREEDY_SEARCH:
        raise UserError(f"this backend does not decode by {mode.value}, which generation_config.json asks for")
    values = {name: value for name, value in model_kwargs.items() if name not in _ADDED}
    if values.get("attention_mask") is None:
        prompt = values.get("inputs_embeds", input_ids)
        values["attention_mask"] = torch.ones(prompt.shape[:2], dtype=torch.long, device=prompt.device)
    values["use_cache"] = True
    over = False
    while not over:
        inputs = model.prepare_inputs_for_generation(input_ids, **values)
        outputs = model(**inputs, return_dict=True)
        chosen = logits_processor(input_ids, outputs.logits[:, -1].float()).argmax(-1)
        input_ids = torch.cat([input_ids, chosen[:, None].to(input_ids.device)], -1)
        over = bool(stopping_criteria(input_ids, None).all())
        values = model._update_model_kwargs_for_generation(outputs, values, is_encoder_decoder=False)
        # Such code knows its cache by this name alone.
        values["past_key_values"] = outputs.past_key_values
        values.pop("cache", None)
    return input_ids
