"""What is used of TRL's private surface, in one place. ``tests/align/ppo/test_surface.py`` holds TRL to it.

Overridden, and called by TRL in this order: ``training_step`` → ``_prepare_inputs`` → ``_generate_and_score_completions`` →
(``_generate_single_turn``, ``_get_per_token_logps_and_entropies`` for the policy without gradient and for the reference,
``_calculate_rewards``) → ``_compute_loss``.

Read: ``_step``, ``_metrics``, ``num_iterations``, ``epsilon_low``, ``epsilon_high``, ``eos_token_ids``, ``_tokenizer``,
``generation_config``, ``reward_weights``; of a rollout the keys ``prompt_ids``, ``prompt_mask``, ``completion_ids``,
``completion_mask``, ``ref_per_token_logps`` and `FORWARD_KEYS`. Written: ``advantages`` as (B, T), ``old_per_token_logps``.

For ``use_vllm``: the name ``VLLMGeneration`` in the modules of both trainers, which ``align/vllm.py`` gives its own class
(``tests/align/ppo/test_vllm.py``); of a rollout ``sampling_per_token_logps`` and ``importance_sampling_ratio``.

Relied on: with ``beta`` other than 0 the reference's log-probabilities are computed, with the adapter off; sampling is
``model.generate(..., generation_config=self.generation_config)``; a loss is not divided by the number of micro-batches; the
fused head that scores reads the output layer's bias, and drawing bans no token but the image's (``align/rollouts.py``).
"""

from typing import Any, Final

import torch
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

# Inputs of a forward pass beside tokens and masks, by their names in a rollout and as arguments alike.
FORWARD_KEYS: Final = (
    "pixel_values",
    "image_grid_thw",
    "num_images",
    "pixel_attention_mask",
    "spatial_shapes",
    "num_tiles",
    "image_sizes",
    "token_type_ids",
    "mm_token_type_ids",
    "image_position_ids",
)


def apart(rollout: dict[str, Any]) -> dict[str, Any]:
    """``rollout`` with the images' tensors as lists, one entry a response, for `together`; copies nothing."""
    return dict(split_pixel_values_by_grid(rollout))


def together(samples: dict[str, Any], chosen: list[int]) -> dict[str, Any]:
    """The ``chosen`` responses of ``samples``, from `apart`, as a batch; what is no tensor or list of responses stays."""
    return dict(unsplit_pixel_values_by_grid({key: _chosen(value, chosen) for key, value in samples.items()}))


def _chosen(value: Any, at: list[int]) -> Any:
    if isinstance(value, torch.Tensor):
        return value[at] if value.ndim else value
    return None if value is None else [value[i] for i in at]
