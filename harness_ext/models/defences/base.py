"""What a defence is, and how several follow one another.

A defence is given the turns of a question and says what the model is asked in their place. One that asks in several passes is
a generator: it yields each :class:`Pass` before the last, is sent what the model said, and returns the turns that the answer
is given to. A backend runs one pass of all questions, then the next of all, and repeats what a generator has done from the
answers on disk: nothing of it is kept in memory between the passes.
"""

import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from harness_ext.common.errors import UserError, shown
from harness_ext.common.files import digest
from harness_ext.common.reading import read_text
from harness_ext.common.thoughts import after_thoughts
from harness_ext.models.conversation import Conversation
from harness_ext.models.settings import GenerationSettings

# In the order in which `ask` gives and takes them: what it yields, what it is sent, what it returns.
Asking = Generator["Pass", str, Conversation]


@dataclass(frozen=True)
class Pass:
    """One thing that a model is asked.

    Attributes:
        turns: What it is shown and asked.
        max_new_tokens: The most tokens of what it says, where that is not the task's own answer; ``None`` where the task's
            settings hold as they are.
        last: Whether what it says is the answer to the question.
    """

    turns: Conversation
    max_new_tokens: int | None = None
    last: bool = False


class Defence:
    """One defence; a subclass is a dataclass whose fields are its options, as text or numbers.

    Attributes:
        passes: The prompts that a model reads for one answer about an image, and the most where that depends on what it says.
        within: Whether it acts within the model, where weights of one's own are needed.
        drops_image: Whether it asks a question about an image without the image.
    """

    passes: ClassVar[int] = 1
    within: ClassVar[bool] = False
    drops_image: ClassVar[bool] = False

    def turns(self, asked: Conversation) -> Conversation:
        """What a defence of one pass asks in place of ``asked``; ``asked`` itself, the same object, where nothing changes."""
        return asked

    def ask(self, asked: Conversation) -> Asking:
        """The passes before the last, and what is asked in the last; none before it where a subclass has no other."""
        yield from ()
        return self.turns(asked)

    def require_possible(self, settings: GenerationSettings) -> None:
        """Raise ``UserError`` where it has no meaning for what a task asks for."""

    def told(self) -> dict[str, str]:
        """Its options for a reader of the results: each text by its digest."""
        return {}


_Kind = TypeVar("_Kind", bound=Defence)


class Defences:
    """Defences in the order in which they are named: each is given what the one before it would ask.

    Args:
        named: Each with its name.
    """

    def __init__(self, named: Sequence[tuple[str, Defence]] = ()) -> None:
        self.named = tuple(named)

    def __bool__(self) -> bool:
        return bool(self.named)

    @property
    def passes(self) -> int:
        """The prompts that a model reads for one answer about an image, at most."""
        earlier = sum(each.passes - 1 for _, each in self.named if not each.within)
        return (1 + earlier) * prod(each.passes for _, each in self.named if each.within)

    @property
    def within(self) -> str:
        """The first that acts within the model, by name; empty if none does."""
        return next((name for name, each in self.named if each.within), "")

    @property
    def drops_image(self) -> str:
        """The first that asks without the image, by name; empty if none does."""
        return next((name for name, each in self.named if each.drops_image), "")

    def of_kind(self, kind: type[_Kind]) -> _Kind | None:
        """The one of a class, if it is among them."""
        return next((each for _, each in self.named if isinstance(each, kind)), None)

    def told(self) -> str:
        """All of them with their options, for a reader of the results: ``coca (alpha 1.0, principle 3f2a…)``."""
        return " + ".join(_described(name, each.told()) for name, each in self.named)

    def identity(self) -> dict[str, str]:
        """What answers rest on beside the weights and what the model is asked."""
        within = [_described(name, each.told()) for name, each in self.named if each.within]
        return {"defence": " + ".join(within)} if within else {}

    def require_possible(self, settings: GenerationSettings) -> None:
        """Raise ``UserError`` where one of them has no meaning for what a task asks for."""
        for _, each in self.named:
            each.require_possible(settings)

    def after(self, asked: Conversation, earlier: Sequence[str]) -> Pass:
        """The pass that follows the answers to ``earlier`` ones, of the question ``asked``.

        Raises:
            ValueError: One of these ends inside a thought, so that the model said nothing the next pass could build on.
        """
        asking = self._ask(asked)
        try:
            following = next(asking)
            for number, said in enumerate(earlier, 1):
                if (answer := after_thoughts(said)[0]) is None:
                    raise ValueError(_inside_a_thought(number, following))
                following = asking.send(answer.strip())
        except StopIteration as ended:
            return Pass(ended.value, last=True)
        return following

    def _ask(self, asked: Conversation) -> Asking:
        for _, each in self.named:
            asked = yield from each.ask(asked)
        return asked


def _inside_a_thought(number: int, asked: Pass) -> str:
    more = "--gen_kwargs max_new_tokens" if asked.max_new_tokens is None else "the defence's option tokens"
    return f"what was said in pass {number} of a defence ends inside a thought: raise {more}, or turn thinking off"


def _described(name: str, options: Mapping[str, str]) -> str:
    inside = ", ".join(f"{option} {value}" for option, value in options.items())
    return f"{name} ({inside})" if inside else name


# --- the turns of a question --------------------------------------------------------------------------------------------


def question_of(turns: Conversation) -> str:
    """The text of the last turn, which is the user's."""
    return "\n".join(part["text"] for part in turns[-1]["content"] if part["type"] == "text")


def before_question(turns: Conversation, text: str) -> Conversation:
    """``turns`` with a paragraph before the text of the last one, after the image where that comes first."""
    parts = list(turns[-1]["content"])
    at = next((at for at, part in enumerate(parts) if part["type"] == "text"), None)
    if at is None:
        parts.append(_text(text))
    else:
        parts[at] = _text(f"{text}\n\n{parts[at]['text']}")
    return [*turns[:-1], {**turns[-1], "content": parts}]


def instead_of_question(turns: Conversation, text: str) -> Conversation:
    """``turns`` with their images, and another text in the last one."""
    images = [part for part in turns[-1]["content"] if part["type"] == "image"]
    return [*turns[:-1], {**turns[-1], "content": [*images, _text(text)]}]


def without_images(turns: Conversation) -> Conversation:
    """``turns`` in words alone."""
    kept = [{**turn, "content": [part for part in turn["content"] if part["type"] != "image"]} for turn in turns[:-1]]
    last = [part for part in turns[-1]["content"] if part["type"] != "image"] or [_text("")]
    return [*(turn for turn in kept if turn["content"]), {**turns[-1], "content": last}]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


# --- options ------------------------------------------------------------------------------------------------------------

_SHORT: Final = 12


def text_option(name: str, given: str) -> str:
    """A text that is given as it is, of several words, or as a file that holds it.

    Raises:
        UserError: It is a single word and no file, or the file is empty or cannot be read.
    """
    if os.path.isfile(given):
        if not (text := read_text(Path(given)).strip()):
            raise UserError(f"{name}: {given} holds no text")
        return text
    if len(given.split()) < 2:
        raise UserError(f"{name}: expected a file that holds a text, or a text of several words, found {shown(given)}")
    return given.strip()


def short_digest(text: str) -> str:
    """What tells a text from another one in the results."""
    return digest(text)[:_SHORT]
