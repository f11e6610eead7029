"""A tiny decoder in the manner of transformers 4.3x: its cache is a tuple of tuples, its tables are made when it is made."""

import math

import torch
from torch import nn


class Rotary(nn.Module):
    """Rotary positions; the frequencies are in no checkpoint."""

    def __init__(self, width, base=100.0):
        super().__init__()
        self.register_buffer("inv_freq", base ** -(torch.arange(0, width, 2).float() / width), persistent=False)

    def forward(self, x, positions):
        """Turn ``x``, (B, H, L, D), by ``positions``, (B, L)."""
        angles = positions[:, None, :, None] * self.inv_freq
        even, odd = x[..., 0::2], x[..., 1::2]
        turned = (even * angles.cos() - odd * angles.sin(), even * angles.sin() + odd * angles.cos())
        return torch.stack(turned, -1).flatten(-2).to(x.dtype)


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.up_proj, self.down_proj = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.rotary = Rotary(width // heads)

    def forward(self, x, positions, past):
        normed = nn.functional.layer_norm(x, x.shape[-1:])
        query, key, value = (
            projection(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = self.rotary(query, positions), self.rotary(key, positions)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        seen, new = key.shape[2], query.shape[2]
        later = torch.ones(new, seen, dtype=torch.bool, device=x.device).triu(seen - new + 1)
        scores = (query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])).masked_fill(later, -math.inf)
        x = x + self.o_proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(-2))
        hidden = self.up_proj(nn.functional.layer_norm(x, x.shape[-1:]))
        return x + self.down_proj(nn.functional.silu(hidden)), (key, value)


class Decoder(nn.Module):
    def __init__(self, width, heads, layers):
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))

    def forward(self, x, positions, past_key_values=None):
        """Hidden states, (B, L, W), after ``past_key_values``, and the longer cache."""
        cache = ()
        for at, layer in enumerate(self.layers):
            x, kept = layer(x, positions, None if past_key_values is None else past_key_values[at])
            cache += (kept,)
        return nn.functional.layer_norm(x, x.shape[-1:]), cache


class Patches(nn.Module):
    """The colours of an image's patches, (B, 3, S, S), as tokens, (B, N, W)."""

    def __init__(self, size, patch, width):
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, patch)
        count = (size // patch) ** 2
        self.register_buffer("places", torch.arange(count * width).reshape(1, count, width).sin(), persistent=False)

    def forward(self, images):
        return self.embed(images).flatten(2).transpose(1, 2) + self.places.to(images.dtype)
