"""What the critic sees: hidden states of the policy's own forward pass, so that it costs no pass of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from harness_ext.errors import UserError


def _decoder(model: PeftModel) -> Any:
    """The language model's stack of layers. Raises ``UserError`` where there is none that is known here."""
    decoder = model.get_base_model().get_decoder()
    for stack in (decoder, decoder._modules.get("model")):  # some families name the whole language model
        if stack is not None and "layers" in stack._modules:
            return stack
    kind = type(model.get_base_model()).__name__
    raise UserError(f"PPO cannot train a {kind}: its critic reads the layers of a decoder, and there is no such stack")


class Trunk:
    """Taps the language model inside a PEFT model: the first layer's output and the last hidden state.

    A value after the first token is a question of the answer so far *and* of the image. Both are in the hidden states, but
    not in a form that is easily read off a single position; the running mean over the response makes it easy, and the first
    layer, where the words still are, helps more than any later one.

    Raises:
        UserError: The model has no decoder's stack of layers.
    """

    def __init__(self, model: PeftModel) -> None:
        decoder = _decoder(model)
        self.width: int = 2 * decoder.config.hidden_size
        self._early: list[Tensor] = []
        self._late: list[Tensor] = []
        self._open = False
        self._adapted = next(module for module in model.modules() if isinstance(module, BaseTunerLayer))
        decoder.layers[0].register_forward_hook(self._keep_early)
        decoder.register_forward_hook(self._keep_late)

    @property
    def is_reference(self) -> bool:
        """Whether the adapter is off just now, so that the model is the reference."""
        return bool(self._adapted.disable_adapters)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keep the hidden states of every forward pass within, in place of what was kept before."""
        self._early, self._late, self._open = [], [], True
        try:
            yield
        finally:
            self._open = False

    def take(self, tokens: int) -> Tensor:
        """The features of what was recorded, before each of the last ``tokens`` tokens; forgets the recording.

        Shape (B, tokens, 2 H): the mean, over the positions from the prompt's last one on, of the two hidden states, each
        divided by its root mean square. Nothing at or after a token counts for its features.
        """
        early, late, self._early, self._late = torch.cat(self._early), torch.cat(self._late), [], []
        count = torch.arange(1, tokens + 1, device=early.device)[None, :, None]
        means = [self._normed(states, tokens).cumsum(1) / count for states in (early, late)]
        return torch.cat(means, dim=-1).to(late.dtype)  # what the critic keeps of a rollout is large

    @staticmethod
    def _normed(states: Tensor, tokens: int) -> Tensor:
        states = states[:, -tokens - 1 : -1]
        states = states.to(torch.promote_types(states.dtype, torch.float32))
        return nn.functional.rms_norm(states, states.shape[-1:])

    def _keep_early(self, _: nn.Module, __: tuple[object, ...], output: Tensor | tuple[Tensor, ...]) -> None:
        if self._open:
            self._early.append((output[0] if isinstance(output, tuple) else output).detach())

    def _keep_late(self, _: nn.Module, __: tuple[object, ...], output: object) -> None:
        if self._open:
            self._late.append(output.last_hidden_state.detach())  # type: ignore[attr-defined]
