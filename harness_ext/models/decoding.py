"""Prompts in, tokens out: one call of ``generate`` for rows that share their settings, whatever their inputs come from."""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from transformers import BatchFeature, LogitsProcessor, LogitsProcessorList, PreTrainedModel, ProcessorMixin
from transformers.image_utils import make_flat_list_of_images

from harness_ext.common.time_limit import rendering
from harness_ext.models.conversation import Conversation, image_digest, images_of
from harness_ext.models.generation import WatchFinite, came_to_an_end, ending_tokens, seeded_sampling
from harness_ext.models.likelihood import Forced, Tokens
from harness_ext.models.settings import GenerationSettings


@dataclass(frozen=True)
class Row:
    """One sequence to continue: its question's place in the batch, its seed, and, for scoring, the tokens it must say."""

    question: int
    seed: int = 0
    forced: Tokens = ()


class _Remembering:
    """Lets an image processor remember its last answer: it is asked about one image again and again."""

    _last: tuple[Any, dict[str, Any]] | None = None

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        key = [image_digest(image) for image in make_flat_list_of_images(images)], args, kwargs, _nesting(images)
        if self._last is None or self._last[0] != key:
            self._last = key, dict(super().__call__(images, *args, **kwargs))  # type: ignore[misc]
        return BatchFeature(dict(self._last[1]))


def _nesting(images: Any) -> Any:
    return [_nesting(part) for part in images] if isinstance(images, list | tuple) else None


def options_text(template_options: Mapping[str, Any] | None) -> str:
    """What a chat template is given, as an identity of answers holds it; the order in which it was given is no difference."""
    return json.dumps(dict(template_options or {}), sort_keys=True, default=str)


class Prompts:
    """A processor, and what its chat template is given beside the conversation."""

    def __init__(self, processor: ProcessorMixin, template_options: Mapping[str, Any] | None) -> None:
        self.processor = processor
        own = type(processor.image_processor)
        processor.image_processor.__class__ = type(own.__name__, (_Remembering, own), {})
        self._own_options = self._template_options = {"add_generation_prompt": True, **(template_options or {})}

    def put_options(self, options: Mapping[str, Any]) -> str:
        """Give the chat template ``options`` beside those it was made with; returns all of them as an identity has them."""
        self._template_options = {**self._own_options, **options}
        return options_text(self._template_options)

    def render(self, turns: Conversation) -> str:
        """The prompt as text, with the processor's own marks where images are."""
        with rendering("the processor's chat template"):
            return self.processor.apply_chat_template(turns, **self._template_options)

    def inputs(self, conversations: Sequence[Conversation]) -> BatchFeature:
        """Prompts as a model's inputs, padded to one length, on the CPU."""
        return self.processor.apply_chat_template(
            list(conversations),
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
            **self._template_options,
        )


class Decoder(Prompts):
    """A model, in evaluation mode, on its device; its processor; and what the chat template is given further.

    Attributes:
        needs_image: Whether it answers about an image only.
        not_shareable: Why its prompts cannot share a prefix, whatever the model; empty if they may.
    """

    not_shareable: ClassVar[str] = ""

    def __init__(
        self, model: PreTrainedModel, processor: ProcessorMixin, template_options: Mapping[str, Any] | None
    ) -> None:
        super().__init__(processor, template_options)
        self.model = model
        # Also under an adapter; the outer configuration of InstructBLIP does not say that its language model is a T5.
        self.is_encoder_decoder = bool(model.config.get_text_config().is_encoder_decoder)
        # Without the adapter, whose methods take whatever they are given.
        self.base = model.get_base_model() if hasattr(model, "get_base_model") else model
        needed = inspect.signature(self.base.generate).parameters.get("pixel_values")
        self.needs_image = needed is not None and needed.default is inspect.Parameter.empty
        # The token that stands for (a part of) an image in a prompt, where the configuration names one.
        named = (getattr(model.config, name, None) for name in ("image_token_id", "image_token_index"))
        self.image_token = next((token for token in named if token is not None), None)
        self._positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        if self.is_encoder_decoder:
            # Its answer does not follow the prompt's last token, and padding before the text would move it from the image.
            processor.tokenizer.padding_side = "right"

    def encode(self, conversations: Sequence[Conversation]) -> BatchFeature:
        """Prompts as the model's inputs, padded on the left, on its device and in its precision.

        Raises:
            ValueError: A prompt is longer than the model has positions, or shows more images than it takes.
        """
        if self.needs_image and any(len(images_of(turns)) > 1 for turns in conversations):
            raise ValueError("this model takes one image a question")
        inputs = self.inputs(conversations).to(self.model.device, self.model.dtype)
        longest = int(inputs["attention_mask"].sum(1).max())
        if self._positions and longest >= self._positions:
            raise ValueError(f"a prompt of {longest} tokens, and the model has {self._positions} positions")
        return inputs

    @torch.inference_mode()
    def proceed(
        self, inputs: Mapping[str, Any], rows: Sequence[Row], settings: GenerationSettings
    ) -> tuple[torch.Tensor, list[torch.Tensor], list[bool]]:
        """Continue ``rows`` after ``inputs``.

        Returns:
            The new tokens, shape (B, T); the raw scores before each of them, T tensors of shape (B, V), but only for
            ``settings.likelihood``; and which rows failed because their scores were not finite, but not for likelihood.

        Raises:
            ValueError: The model needs an image, and there is none.
        """
        if self.needs_image and "pixel_values" not in inputs:
            raise ValueError(
                "this model answers about an image only: ask its text-only questions by tasks named …_text_blank"
            )
        options = settings.to_generate()
        length = self._prompt_length(inputs)
        ends = self._ends()
        watch = WatchFinite(ends[0])
        if settings.likelihood:
            forced = [row.forced for row in rows]
            options["max_new_tokens"] = max(1, *map(len, forced))
            options["logits_processor"] = LogitsProcessorList([Forced(forced, length, ends[0])])
        else:
            sampling = seeded_sampling(settings, [row.seed for row in rows]) if settings.do_sample else []
            options["logits_processor"] = LogitsProcessorList([*self.before_choosing(), watch, *sampling])
        given = self.model.generate(
            **inputs, **options, return_dict_in_generate=True, output_logits=settings.likelihood
        )
        new = given.sequences[:, length:]
        return new, list(given.logits or ()), watch.failed(new, ends)

    def before_choosing(self) -> list[LogitsProcessor]:
        """What changes the scores of generation before they are watched, and before a token is chosen or drawn."""
        return []

    def text(self, tokens: torch.Tensor, settings: GenerationSettings) -> list[str]:
        """New tokens, shape (B, T), as answers, with how each ended."""
        ended = came_to_an_end(tokens, self._ends())
        room = tokens.shape[1] < settings.max_new_tokens
        texts = self.processor.batch_decode(tokens, skip_special_tokens=True)
        return [settings.cut(text, ended=at_end or room) for text, at_end in zip(texts, ended, strict=True)]

    def first_scores(self, inputs: Mapping[str, Any], steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Greedy tokens, shape (B, steps), and the distributions they are taken from, shape (B, steps, V), in float32."""
        settings = GenerationSettings(max_new_tokens=steps)
        with torch.inference_mode():
            given = self.model.generate(
                **inputs,
                **settings.to_generate(),
                min_new_tokens=steps,
                return_dict_in_generate=True,
                output_logits=True,
            )
        new = given.sequences[:, self._prompt_length(inputs) :]
        return new, torch.stack([scores.float().softmax(-1) for scores in given.logits], 1)

    def _prompt_length(self, inputs: Mapping[str, Any]) -> int:
        """The columns before the first new token: an encoder-decoder returns none of the prompt but a token to start from."""
        return 1 if self.is_encoder_decoder else inputs["input_ids"].shape[1]

    def _ends(self) -> list[int]:
        return ending_tokens(self.base.generation_config, self.processor.tokenizer)
