"""What is used of TRL's private surface, in one place. ``tests/align/ppo/test_surface.py`` holds TRL to it.

Overridden, and called by TRL in this order: ``training_step`` → ``_prepare_inputs`` → ``_generate_and_score_completions`` →
(``_generate_single_turn``, ``_get_per_token_logps_and_entropies`` for the policy without gradient and for the reference,
``_calculate_rewards``) → ``_compute_loss``.

Read: ``_step``, ``_metrics``, ``num_iterations``, ``epsilon_low``, ``epsilon_high``,
``generation_config``, ``reward_weights``; of a rollout the keys ``prompt_ids``, ``prompt_mask``, ``completion_ids``,
``completion_mask``, ``ref_per_token_logps`` and `FORWARD_KEYS`. Written: ``advantages`` as (B, T), ``old_per_token_logps``.

Relied on: with ``beta`` other than 0 the reference's log-probabilities are computed, with the adapter off; sampling is
``model.generate(..., generation_config=self.generation_config)``; a loss is not divided by the number of micro-batches.
"""

from typing import Any, Final

import torch
from trl.trainer.utils import split_pixel_values_by_grid, split_tensor_dict, unsplit_pixel_values_by_grid

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


def micro_batches(rollout: dict[str, Any], count: int, updates: int) -> list[dict[str, Any]]:
    """``rollout`` in ``count`` parts, as many for each of ``updates``: response i is of update i mod ``updates``.

    So the updates of the same number on several processes make up the one that a single process would have, into however many
    parts each is split.
    """
    samples = split_pixel_values_by_grid(rollout)
    order = sorted(range(len(rollout["completion_ids"])), key=lambda i: i % updates)
    dealt = {key: _ordered(value, order) for key, value in samples.items()}
    return [unsplit_pixel_values_by_grid(part) for part in split_tensor_dict(dealt, count)]


def _ordered(value: Any, order: list[int]) -> Any:
    if isinstance(value, torch.Tensor):
        return value[order] if value.ndim else value
    return None if value is None else [value[i] for i in order]
