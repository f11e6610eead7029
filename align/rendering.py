"""The rows of SFT and DPO as text, so that what is trained are the tokens that a generation would give.

TRL tokenises a prompt and its completion apart, without the special tokens that a tokenizer adds, and a chat template need
not end an answer with the token that ends generation. Left alone, LLaVA-1.5 would be trained without its ``<s>``, on a first
token that never follows a prompt, and never to stop.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from PIL import Image
from transformers import PreTrainedModel, ProcessorMixin

from harness_ext.errors import UserError

TARGETS: Final = ("completion", "chosen", "rejected")
_PROBES: Final = ("Yes. It is.", "No. It is not.")


class Collator:
    """A trainer's data collator, given text; its batches also hold the numbers of their rows, as ``row``.

    Args:
        collate: The trainer's own.
        renderer: Makes the text.
    """

    def __init__(self, collate: Callable[[list[dict[str, Any]]], Any], renderer: "Renderer") -> None:
        self._collate = collate
        self._renderer = renderer

    def __call__(self, rows: list[dict[str, Any]]) -> Any:
        """The batch of ``rows``."""
        batch = self._collate([self._renderer.example(row) for row in rows])
        batch["row"] = torch.tensor([row["row"] for row in rows])
        return batch


class Renderer:
    """Conversations about an image as text for TRL's collators.

    Args:
        model: Its generation's end of an answer counts.
        processor: Of the model.
        options: What the chat template is given beside the conversation.

    Raises:
        UserError: The texts would not become the tokens that the model is asked with.
    """

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin, options: Mapping[str, Any]) -> None:
        self._processor = processor
        self._options = dict(options)
        self._ends = _ends(model, processor)
        self._image = Image.new("RGB", (64, 64), (127, 127, 127))
        self._begin = ""
        self._strips = False
        self._settle()

    def prompt(self, question: str) -> str:
        """The prompt that asks ``question`` about an image, with the processor's mark where the image is."""
        return self._begin + self._template([_turn("user", question, image=True)], add_generation_prompt=True)

    def completion(self, question: str, answer: str) -> str:
        """What follows :meth:`prompt` where the answer is ``answer``, with the token that ends it."""
        asked = self._template([_turn("user", question, image=True)], add_generation_prompt=True)
        whole = self._template([_turn("user", question, image=True), _turn("assistant", answer)])
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
        """A row's image, with text for its ``prompt`` and for each of its targets."""
        question = row["prompt"][0]["content"]
        answers = {name: row[name][0]["content"] for name in TARGETS if name in row}
        texts = {name: self.completion(question, answer) for name, answer in answers.items()}
        return {"image": row["image"], "prompt": self.prompt(question), **texts}

    def tokens(self, text: str, **more: Any) -> list[int]:
        """The tokens of ``text``, as TRL's collators ask for them; ``more`` are arguments of the processor."""
        try:
            inputs = self._processor(text=[text], add_special_tokens=False, return_tensors="pt", **more)
        except ValueError as error:
            raise UserError(
                f"the processor does not take an answer without an image ({' '.join(str(error).split())}): train this model "
                "by `align ppo`"
            ) from error
        return list(inputs["input_ids"][0].tolist())

    def _template(self, turns: list[dict[str, Any]], **more: Any) -> str:
        return str(self._processor.apply_chat_template(turns, tokenize=False, **more, **self._options))

    def _settle(self) -> None:
        """Find out what goes before a prompt, and whether a completion loses the space it begins with."""
        asked = self._asked()
        bos = self._processor.tokenizer.bos_token
        for self._begin in ("", bos or ""):
            if self.tokens(self.prompt(_PROBES[0]), images=[[self._image]]) == asked:
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
        whole = self._template([_turn("user", _PROBES[0], image=True), _turn("assistant", answer)])
        behind = self._begin + whole[: whole.rindex(answer) + len(answer)]
        apart = self.tokens(prompt, images=[[self._image]]) + self.tokens(completion)
        together = self.tokens(behind, images=[[self._image]])
        return apart[: len(together)] == together

    def _asked(self) -> list[int]:
        turns = [_turn("user", _PROBES[0], image=self._image)]
        asked = self._processor.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt", **self._options
        )
        return list(asked["input_ids"][0].tolist())


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
