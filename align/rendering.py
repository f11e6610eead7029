"""The rows of SFT and DPO as text whose tokens are those that a generation would give, and the length of each row in tokens.

TRL tokenises a prompt and its completion apart, without the tokenizer's special tokens, and a chat template need not end an
answer with the token that ends generation. Left alone, LLaVA-1.5 would be trained without its ``<s>``, and never to stop. TRL
also cuts off, in silence, the answers of rows that are longer than ``max_length``.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import PIL.Image
import torch
from datasets import Dataset, Image
from PIL.ExifTags import Base as Exif
from tqdm import tqdm
from transformers import PreTrainedModel, ProcessorMixin

from harness_ext.common.errors import UserError, one_line
from harness_ext.common.time_limit import rendering
from harness_ext.sources.images import FORMATS

ANSWERS: Final = ("completion", "chosen", "rejected")
# EXIF orientations of an image that lies on its side.
_ON_ITS_SIDE: Final = (5, 6, 7, 8)
_PROBES: Final = ("Yes. It is.", "No. It is not.")


def collated(
    collate: Callable[[list[dict[str, Any]]], Any], renderer: "Renderer", rows: Sequence[Mapping[str, Any]]
) -> Any:
    """A batch by the trainer's own ``collate``, given the text of ``renderer``; it also holds the rows' numbers: ``row``."""
    batch = collate([renderer.example(row) for row in rows])
    batch["row"] = torch.tensor([row["row"] for row in rows])
    return batch


def asked_inputs(
    processor: ProcessorMixin, question: str, image: PIL.Image.Image | None, options: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The model's inputs for ``question``, about ``image`` where there is one, as an evaluation makes them."""
    with rendering("the processor's chat template"):
        return processor.apply_chat_template(
            [_turn("user", question, image=image)],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            **options,
        )


class Renderer:
    """Conversations about an image, or in words only, as text for TRL's collators.

    ``model`` names the tokens that end an answer; ``options`` are the chat template's arguments beside the conversation;
    ``shown`` is whether there is an image. Raises ``UserError`` where the texts would not become the tokens that the model
    is asked with.
    """

    def __init__(
        self, model: PreTrainedModel, processor: ProcessorMixin, options: Mapping[str, Any], shown: bool = True
    ) -> None:
        self._processor = processor
        self._options = dict(options)
        self._ends = _ends(model, processor)
        self._image = PIL.Image.new("RGB", (64, 64), (127, 127, 127)) if shown else None
        self._with_image = {"images": [[self._image]]} if shown else {}
        self._begin, self._strips = "", False
        self._settle()

    def prompt(self, question: str) -> str:
        """The prompt that asks ``question``, with the processor's mark where the image is."""
        return self._begin + self._text(question)

    def completion(self, question: str, answer: str) -> str:
        """The text of ``answer`` behind :meth:`prompt`, with the token that ends it."""
        asked, whole = self._text(question), self._text(question, answer)
        if not whole.startswith(asked) or answer not in whole[len(asked) :]:
            raise UserError(
                "the chat template does not write an answer, as it is, behind its prompt: train this model by `align ppo`, "
                "which only asks"
            )
        text = whole[len(asked) :]
        after = text.rindex(answer) + len(answer)
        ends = [(text.index(end, after), end) for end in self._ends if end in text[after:]]
        at, end = min(ends) if ends else (after, self._ends[0])
        text = text[:at] + end
        return text.lstrip(" ") if self._strips else text

    def example(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row's image, or its empty list of them, with text for its ``prompt`` and for each of its targets."""
        question = row["prompt"][0]["content"]
        answers = {name: row[name][0]["content"] for name in ANSWERS if name in row}
        texts = {name: self.completion(question, answer) for name, answer in answers.items()}
        shown = {name: row[name] for name in ("image", "images") if name in row}
        return {**shown, "prompt": self.prompt(question), **texts}

    def tokens(self, text: str, **more: Any) -> list[int]:
        """The tokens of ``text``, as TRL's collators ask for them; ``more`` are arguments of the processor."""
        try:
            inputs = self._processor(text=[text], add_special_tokens=False, return_tensors="pt", **more)
        except ValueError as error:
            raise UserError(
                f"the processor does not take an answer without an image ({one_line(error)}): train this model "
                "by `align ppo`"
            ) from error
        return list(inputs["input_ids"][0].tolist())

    def _text(self, question: str, answer: str | None = None) -> str:
        """The chat template's text of a prompt, or of one with its answer."""
        turns = [
            _turn("user", question, image=self._image is not None),
            *([] if answer is None else [_turn("assistant", answer)]),
        ]
        options = {"tokenize": False, "add_generation_prompt": answer is None, **self._options}
        with rendering("the processor's chat template"):
            return str(self._processor.apply_chat_template(turns, **options))

    def _settle(self) -> None:
        """Find out which token goes before a prompt, and whether a completion loses the space it begins with."""
        asked = asked_inputs(self._processor, _PROBES[0], self._image, self._options)["input_ids"][0].tolist()
        bos = self._processor.tokenizer.bos_token
        for self._begin in ("", bos or ""):
            if self.tokens(self.prompt(_PROBES[0]), **self._with_image) == asked:
                break
        else:
            raise UserError(
                "the prompt's text and the prompt as it is asked are not the same tokens; this model would be trained on "
                "another prompt than it is evaluated with: train it by `align ppo`, which asks it as it is evaluated"
            )
        for self._strips in (False, True):
            if all(self._is_one(probe) for probe in _PROBES):
                return
        raise UserError(
            "an answer alone and an answer behind its prompt are not the same tokens, so that this model would be trained on "
            "another answer than it can give: train it by `align ppo`"
        )

    def _is_one(self, answer: str) -> bool:
        prompt, completion = self.prompt(_PROBES[0]), self.completion(_PROBES[0], answer)
        whole = self._text(_PROBES[0], answer)
        behind = self._begin + whole[: whole.rindex(answer) + len(answer)]
        apart = self.tokens(prompt, **self._with_image) + self.tokens(completion)
        together = self.tokens(behind, **self._with_image)
        return apart[: len(together)] == together


def _turn(role: str, text: str, image: Any = None) -> dict[str, Any]:
    shown = {"type": "image"} if image is True else {"type": "image", "image": image}
    return {"role": role, "content": [*([shown] if image else []), {"type": "text", "text": text}]}


def _ends(model: PreTrainedModel, processor: ProcessorMixin) -> list[str]:
    """The tokens that end an answer, the tokenizer's own first."""
    tokenizer = processor.tokenizer
    named = model.generation_config.eos_token_id
    ids = [] if named is None else [named] if isinstance(named, int) else list(named)
    own = [tokenizer.eos_token_id] if not ids or tokenizer.eos_token_id in ids else []
    return [str(token) for token in tokenizer.convert_ids_to_tokens([*own, *(each for each in ids if each not in own)])]


def fitting(rows: Dataset, renderer: Renderer, max_length: int, leave_out: bool, bar: bool) -> Dataset:
    """``rows`` that have at most ``max_length`` tokens, image and answer included.

    A row of DPO counts with the longer of its two answers. Raises ``UserError`` where some rows do not fit and ``leave_out``
    is false, or where none fits.
    """
    found = list(tqdm(lengths(rows, renderer), "lengths", len(rows), unit="row", disable=not bar, leave=False))
    fits = [at for at, length in enumerate(found) if length <= max_length]
    if len(fits) == len(rows):
        return rows
    if fits and leave_out:
        return rows.select(fits)
    longest = max(range(len(rows)), key=found.__getitem__)
    without = ", or add --leave_out_long true to train without them" if fits else ""
    raise UserError(
        f"{len(rows) - len(fits)} of {len(rows)} rows are longer than max_length {max_length}, with their image and answer; "
        f"the longest, row {rows['row'][longest]}, has {found[longest]} tokens, and its answer would be cut off.\n"
        f"Raise max_length or take it out{without}"
    )


def lengths(rows: Dataset, renderer: Renderer) -> Iterator[int]:
    """The number of tokens of each of ``rows``, with the longest of its answers.

    No image is decoded: its number of tokens depends on its size alone, so the processor is given a blank one of that size.
    """

    @cache
    def tokens(text: str, size: tuple[int, int] | None) -> int:
        images = {} if size is None else {"images": [[PIL.Image.new("RGB", size)]]}
        return len(renderer.tokens(text, **images))

    shown = "image" in rows.column_names
    for row in rows.cast_column("image", Image(decode=False)) if shown else rows:
        text = renderer.example(row)
        answers = [tokens(text[name], None) for name in ANSWERS if name in text]
        yield tokens(text["prompt"], _size(row["image"]) if shown else None) + max(answers)


def _size(stored: dict[str, Any]) -> tuple[int, int]:
    """Width and height in pixels, as `datasets` decodes an image, stored as bytes or as a path: turned upright."""
    source = stored["path"] if stored["bytes"] is None else io.BytesIO(stored["bytes"])
    with PIL.Image.open(source, formats=FORMATS) as image:
        width, height = image.size
        return (height, width) if image.getexif().get(Exif.Orientation) in _ON_ITS_SIDE else (width, height)
