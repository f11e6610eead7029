"""Decoding as transformers 4 did it, for code that was written for it.

Such code keeps a cache of its own, in tuples. ``generate`` of transformers 5 hands it an empty cache object, which it takes
for a full one, and positions, which it takes for its own; it drops the attention mask, and a method that it calls is gone
(https://github.com/zai-org/CogVLM/issues/517, https://github.com/huggingface/transformers/issues/39336). Some of that fails,
some only changes the answers.
"""

import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
)

from harness_ext.common.errors import UserError

# Keys that a generation_config.json may have: those that are honoured here, and those that a task's settings replace.
_HONOURED: Final = {"eos_token_id", "repetition_penalty", "suppress_tokens"}
_REPLACED: Final = {
    "do_sample", "temperature", "top_p", "top_k", "num_beams", "max_length", "max_new_tokens",
    "bos_token_id", "pad_token_id", "use_cache", "transformers_version", "_from_model_config",
}  # fmt: skip
# Arguments of generate that are off wherever this one is called.
_NOT_DONE: Final = ("do_sample", "temperature", "top_p", "top_k", "remove_invalid_values", "streamer")


def decode_as_transformers_4(model: PreTrainedModel) -> None:
    """Give ``model`` a ``generate`` of the old kind; a model that knows the new one keeps it.

    Raises:
        UserError: Its generation settings name what this one cannot do.
    """
    if "next_sequence_length" in inspect.signature(model.prepare_inputs_for_generation).parameters:
        return
    if unknown := sorted(model.generation_config.to_diff_dict().keys() - _HONOURED - _REPLACED):
        raise UserError(f"this backend does not decode with {', '.join(unknown)}, which generation_config.json names")
    model.generate = partial(_generate, model)
    model._extract_past_from_model_output = lambda outputs, **_: outputs.past_key_values


def _generate(
    model: PreTrainedModel,
    input_ids: torch.Tensor | None = None,
    inputs_embeds: torch.Tensor | None = None,
    *,
    max_new_tokens: int,
    eos_token_id: int | Sequence[int] | None = None,
    repetition_penalty: float | None = None,
    logits_processor: LogitsProcessorList | None = None,
    **values: Any,
) -> torch.Tensor:
    """``generate`` for one sequence: greedy, or sampled by a logits processor that adds the randomness.

    The prompt is ``input_ids``, shape (1, L), or ``inputs_embeds``, shape (1, L, W). ``logits_processor`` is applied after
    the penalty. ``values`` is what else the model's code is given.

    Returns:
        The prompt, where it is given as tokens, and what was generated; shape (1, T).
    """
    assert values.pop("num_beams") == 1 and not any(values.pop(name, None) for name in _NOT_DONE)
    prompt = inputs_embeds if input_ids is None else input_ids
    assert prompt is not None and len(prompt) == 1, "one sequence at a time"
    processors = _processors(model, repetition_penalty, logits_processor)
    ends = model.generation_config.eos_token_id if eos_token_id is None else eos_token_id
    ends = {ends} if isinstance(ends, int) else set(ends or ())
    values.setdefault("attention_mask", torch.ones(prompt.shape[:2], dtype=torch.long, device=prompt.device))
    values["use_cache"] = True
    if inputs_embeds is not None:
        values["inputs_embeds"] = inputs_embeds
    tokens = prompt.new_zeros((1, 0), dtype=torch.long) if input_ids is None else input_ids
    for _ in range(max_new_tokens):
        inputs = model.prepare_inputs_for_generation(tokens, **values)
        outputs = model(**inputs, return_dict=True)
        chosen = processors(tokens, outputs.logits[:, -1].float()).argmax(-1)
        tokens = torch.cat([tokens, chosen[None].to(tokens.device)], -1)
        if int(chosen) in ends:
            break
        values = model._update_model_kwargs_for_generation(outputs, values, is_encoder_decoder=False)
        # Such code knows its cache by this name alone; transformers 5.24 would hand it on by another one.
        values["past_key_values"] = outputs.past_key_values
        values.pop("cache", None)
    return tokens


def _processors(
    model: PreTrainedModel, penalty: float | None, given: LogitsProcessorList | None
) -> LogitsProcessorList:
    settings: GenerationConfig = model.generation_config
    processors = LogitsProcessorList()
    if (penalty := settings.repetition_penalty if penalty is None else penalty) not in (None, 1.0):
        processors.append(RepetitionPenaltyLogitsProcessor(penalty))
    if settings.suppress_tokens:
        processors.append(SuppressTokensLogitsProcessor(settings.suppress_tokens, device=model.device))
    return LogitsProcessorList([*processors, *(given or [])])
