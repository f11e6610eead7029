"""``steer``: the hidden states of a question about an image are moved from safe towards unsafe, as far as words are apart.

The direction is fitted on words alone: the benchmark's text questions about concepts that are named, the mean hidden state of
unsafe ones less that of safe ones, after each layer, at the last token of the prompt. After Zou et al., *Understanding and
Rectifying Safety Perception Distortion in VLMs* (NeurIPS 2025, arXiv 2502.13095), who find that an image moves hidden states
the other way. They take the part of each question's own shift that lies in that direction out again, for which the model
describes the image first; here the same vector is added to all of them, without another pass. It moves safe images too.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

import torch
from loguru import logger
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from harness_ext.benchmark.questions import NUM_QUESTIONS, text_question
from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason
from harness_ext.common.files import alone_with, cache_dir, digest, replace_file
from harness_ext.glyphworld.concepts import CONCEPTS, NEVER_SEEN
from harness_ext.models.conversation import Conversation
from harness_ext.models.decoding import Decoder
from harness_ext.models.defences.base import Defence, short_digest
from harness_ext.models.generation import REQUEST_ERRORS
from harness_ext.models.settings import Count
from harness_ext.models.store import answer_key
from harness_ext.records import SAFE, UNSAFE

# Raise it when the direction of the same weights and rows changes because the code that fits it has changed.
_VERSION: Final = "1"
# The least difference of the two means, as a share of a mean's own length.
_APART: Final = 1e-3
_CANNOT: Final = "defence steer: cannot fit a direction for this model: "

Directions = Mapping[int, torch.Tensor]


@dataclass
class Steer(Defence):
    """Questions in words alone are left as they are; a blank image counts as an image.

    Attributes:
        layer: After which layer of the language model, counted from 1; by default the middle one of those at which safe and
            unsafe words are apart.
        strength: How far, in differences of the two means.
    """

    within: ClassVar[bool] = True

    layer: Count | None = None
    strength: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    # Of the direction at that layer, once it is fitted.
    direction: str = field(default="", init=False)

    def told(self) -> dict[str, str]:
        """Layer, strength, and the direction's digest once it is fitted."""
        return {"layer": str(self.layer), "strength": str(self.strength), "direction": self.direction}


class Steering:
    """A fitted direction at its layer of a model.

    Args:
        steer: Its options; layer and direction are filled in.
        decoder: The model.
        identity: What the direction rests on beside the rows: weights, adapter, precision, versions.
        batch_size: Rows read at a time, where the direction is not kept yet.

    Raises:
        UserError: The model reads no text without an image, or its layers are not found; or there is no such layer.
    """

    def __init__(self, steer: Steer, decoder: Decoder, identity: Mapping[str, str], batch_size: int) -> None:
        layers = layers_of(decoder)
        found = _kept_or_fitted(decoder, layers, identity, batch_size)
        places = sorted(found)
        at = steer.layer or (places[(len(places) - 1) // 2] if places else 0)
        if at not in found:
            raise UserError(
                f"defence steer: expected a layer at which safe and unsafe words are apart, of {len(layers)} the layers "
                f"{', '.join(map(str, places)) or 'none'}; found {at}"
            )
        direction = found[at]
        steer.layer, steer.direction = at, short_digest(json.dumps(direction.tolist()))
        self._layer, self._vector = layers[at - 1], steer.strength * direction

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The direction is added to the hidden states of every token that is read within, prompt and answer alike.

        At every token, so that a prefix that is read once is what it would be if it were read with each question.
        """

        def moved(_: torch.nn.Module, __: Any, output: Any) -> Any:
            hidden = _hidden(output)
            hidden = hidden + self._vector.to(hidden.device, hidden.dtype)
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        with _hooked(self._layer, moved):
            yield


def layers_of(decoder: Decoder) -> Sequence[torch.nn.Module]:
    """The layers of the language model, in their order. Raises ``UserError`` where they are not found."""
    if not decoder.is_encoder_decoder:
        inner = decoder.base.get_decoder()
        # Of some classes that is a language model with its head.
        for module in (inner, getattr(inner, "model", None)):
            if isinstance(layers := getattr(module, "layers", None), torch.nn.ModuleList):
                return list(layers)
    raise UserError(f"{_CANNOT}the layers of a {type(decoder.base).__name__} are not where a decoder has them")


def rows() -> dict[str, list[str]]:
    """By label, the text-only questions about the concepts of glyphworld's list that fine-tuning may see, by name."""
    named = {label: [each.name for each in CONCEPTS if each.label == label] for label in (SAFE, UNSAFE)}
    return {
        label: [text_question(at, name) for name in names if name not in NEVER_SEEN for at in range(NUM_QUESTIONS)]
        for label, names in named.items()
    }


def fit(decoder: Decoder, layers: Sequence[torch.nn.Module], batch_size: int) -> dict[int, torch.Tensor]:
    """By layer, counted from 1: the mean hidden state of unsafe rows less that of safe ones, shape (D,), in float32.

    Left out are layers that text alone does not pass through, and the first ones, whose last token has not yet read the
    concept's name. Raises ``UserError`` where the model cannot be asked so.
    """
    if decoder.needs_image:
        raise UserError(f"{_CANNOT}it answers about an image only, and the direction is fitted on words")
    sums: dict[str, dict[int, torch.Tensor]] = {}
    asked = rows()
    for label, texts in asked.items():
        of_label = sums.setdefault(label, {})

        def add(at: int, output: Any, of_label: dict[int, torch.Tensor] = of_label) -> None:
            last = _hidden(output)[:, -1].double().sum(0).cpu()
            of_label[at] = of_label[at] + last if at in of_label else last

        for start in range(0, len(texts), batch_size):
            turns: list[Conversation] = [
                [{"role": "user", "content": [{"type": "text", "text": text}]}]
                for text in texts[start : start + batch_size]
            ]
            with ExitStack() as hooks:
                for at, layer in enumerate(layers, 1):
                    hooks.enter_context(_hooked(layer, lambda _, __, output, at=at: add(at, output)))
                try:
                    # Each prompt once, also where another defence has every prompt read twice.
                    decoder.first_scores(Decoder.encode(decoder, turns), 1)
                except REQUEST_ERRORS as error:
                    raise UserError(f"{_CANNOT}{failure_reason(error)}") from error
    means = {label: {at: total / len(asked[label]) for at, total in found.items()} for label, found in sums.items()}
    found = {at: (mean - means[SAFE][at], means[SAFE][at]) for at, mean in means[UNSAFE].items()}
    return {at: apart.float() for at, (apart, safe) in found.items() if apart.norm() > _APART * safe.norm()}


def _hidden(output: Any) -> torch.Tensor:
    """Hidden states, shape (B, T, D), of what a layer gives. Raises ``UserError`` where it gives something else."""
    hidden = output[0] if isinstance(output, tuple) else output
    if not isinstance(hidden, torch.Tensor) or hidden.ndim != 3:
        shape = tuple(hidden.shape) if isinstance(hidden, torch.Tensor) else type(hidden).__name__
        raise UserError(f"{_CANNOT}expected a layer's hidden states as (rows, tokens, width), found {shape}")
    return hidden


@contextmanager
def _hooked(layer: torch.nn.Module, hook: Callable[..., Any]) -> Iterator[None]:
    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _kept_or_fitted(
    decoder: Decoder, layers: Sequence[torch.nn.Module], identity: Mapping[str, str], batch_size: int
) -> Directions:
    """The directions from the cache folder, where they are written first if they are not there."""
    prompts = [
        decoder.render([{"role": "user", "content": [{"type": "text", "text": text}]}])
        for texts in rows().values()
        for text in texts
    ]
    # Whether prefixes are shared is no matter of these rows.
    about = {name: value for name, value in identity.items() if name != "share_prefix"}
    rests_on = {**about, "rows": digest(json.dumps(prompts)), "code": _VERSION}
    file = cache_dir() / "directions" / f"{answer_key(rests_on)[:16]}.safetensors"
    with alone_with(file):
        if not file.exists():
            logger.info(
                f"defence steer: fitting a direction on {len(prompts)} questions in words, once; kept as {file}"
            )
            found = fit(decoder, layers, batch_size)
            tensors = {str(at): vector.contiguous() for at, vector in found.items()}
            replace_file(file, save(tensors, metadata=rests_on))
        return _read(file, rests_on)


def _read(file: Path, rests_on: Mapping[str, str]) -> Directions:
    try:
        with safe_open(file, "pt") as kept:
            if kept.metadata() != rests_on:
                raise UserError(f"{file}: is of another model or other rows than its name says; delete it")
            return {int(name): kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); delete it, and the direction is fitted again") from error
