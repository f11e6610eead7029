"""The cache of a prefix, repeated for the rows that continue it."""

import copy
import dataclasses
from typing import Any, Final

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.generation import GenerateDecoderOnlyOutput

# What transformers calls the cache of keys and values, among arguments and in outputs: renamed in 5.24.
CACHE: Final = next(
    field.name for field in dataclasses.fields(GenerateDecoderOnlyOutput) if field.name in ("cache", "past_key_values")
)


def repeated(cache: DynamicCache, rows: torch.Tensor, room: int) -> DynamicCache:
    """A cache that holds, for each of ``rows`` (shape (B,)), a copy of that row of ``cache``; the given one stays as it is.

    Args:
        cache: Of a prefix, one row an image.
        rows: Which row of ``cache`` each row continues.
        room: The tokens that are expected to follow; more grow it. (A cache of transformers is copied whole for each one.)
    """
    continued = copy.copy(cache)
    continued.layers = [
        _RoomyLayer(layer, rows, room) if type(layer) is DynamicLayer else _copied(layer, rows)
        for layer in cache.layers
    ]
    return continued


def _copied(layer: Any, rows: torch.Tensor) -> Any:
    layer = copy.deepcopy(layer)
    layer.reorder_cache(rows)
    return layer


class _RoomyLayer(DynamicLayer):
    """A layer whose keys and values, shape (B, heads, L, D), are the filled part of larger tensors."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, layer: DynamicLayer, rows: torch.Tensor, room: int) -> None:
        super().__init__()
        if layer.is_initialized:
            self.dtype, self.device, self.is_initialized = layer.keys.dtype, layer.device, True
            self._fill(layer.keys[rows.to(layer.device)], layer.values[rows.to(layer.device)], room)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values, shape (B, heads, T, D), and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            return super().update(key_states, value_states)
        held, length = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        if length > self._all_keys.shape[-2]:
            # By a share of the whole, so that growing is rare however long the answers get.
            self._fill(self.keys, self.values, max(key_states.shape[-2], held // 4))
        self._all_keys[:, :, held:length] = key_states
        self._all_values[:, :, held:length] = value_states
        self.keys, self.values = self._all_keys[:, :, :length], self._all_values[:, :, :length]
        return self.keys, self.values

    def _fill(self, keys: torch.Tensor, values: torch.Tensor, room: int) -> None:
        length = keys.shape[-2]
        self._all_keys, self._all_values = _with_room(keys, room), _with_room(values, room)
        self.keys, self.values = self._all_keys[:, :, :length], self._all_values[:, :, :length]


def _with_room(states: torch.Tensor, room: int) -> torch.Tensor:
    batch, heads, length, width = states.shape
    whole = states.new_empty(batch, heads, length + room, width)
    whole[:, :, :length] = states
    return whole
