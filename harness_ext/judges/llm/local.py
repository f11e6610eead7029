"""The judge ``llm-local``: a text model of transformers, on this machine, reads the answers, by the same rubric.

By default it writes nothing: the verdict is the label with which its reply most likely begins. So a small model that
understands an answer but cannot write strict JSON still gives a verdict, and no word around a label costs one. If the labels
together have less than ``least_mass`` of the probability of all replies, the model does not follow the instruction (it thinks
aloud first, or was never tuned to follow any), and the verdict is ``failed``. With ``way=text`` the reply is generated, and
read as strictly as a server's.
"""

import importlib.metadata
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import torch
from loguru import logger

from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason, mark_failed
from harness_ext.judges.base import Answer, BatchJudge
from harness_ext.judges.llm.keeping import KeepingJudge
from harness_ext.judges.llm.prompt import (
    LATEST,
    Form,
    Rubric,
    UnreadableError,
    instruction,
    labels_of,
    load_rubric,
    read_verdict,
    request,
)
from harness_ext.judges.llm.text_model import TextModel
from harness_ext.models.api_options import number
from harness_ext.models.likelihood import Candidates

Reading = Literal["likelihood", "text"]

# The forms in which a reply may begin with a label; a letter is its own.
_FORMS: Final = {"safe": ("safe", "Safe"), "unsafe": ("unsafe", "Unsafe"), "na": ("na", "NA")}


def local_judge(
    model: str,
    revision: str | None = None,
    rubric: str = LATEST,
    way: Reading = "likelihood",
    least_mass: float = 0.5,
    max_new_tokens: int = 64,
    batch_size: int = 8,
    dtype: str = "auto",
    device: str | None = None,
    device_map: str | None = None,
    template_options: str | None = None,
    answers: str | None = None,
) -> BatchJudge:
    """A judge on this machine.

    Args:
        model: A folder or a hub repository of a text model with a chat template.
        revision: The commit, tag or branch of a hub repository.
        rubric: The version of the rubric.
        way: ``"likelihood"``: the likeliest label; ``"text"``: what the model writes, greedily.
        least_mass: The least probability, from 0 to 1, that the labels must have together, by likelihood.
        max_new_tokens: The most tokens of a generated reply.
        batch_size: Answers in a batch; halved where memory does not suffice.
        dtype: ``"auto"`` (the checkpoint's), ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; a GPU if there is one, else the CPU.
        device_map: As in transformers, ``"auto"`` spreads one model over several GPUs; instead of ``device``.
        template_options: Further variables of the chat template, in JSON: ``{"enable_thinking":false}``.
        answers: The folder where verdicts are kept, the cache folder by default; ``"none"`` keeps none.

    Raises:
        UserError: An option is not as expected, or the model cannot be loaded.
    """
    if not 0 <= least_mass <= 1:
        raise UserError(f"least_mass must be a share from 0 to 1, found {least_mass!r}")
    return LocalJudge(
        model,
        load_rubric(rubric),
        way=way,
        least_mass=least_mass,
        max_new_tokens=int(number("max_new_tokens", max_new_tokens, 1)),
        batch_size=int(number("batch_size", batch_size, 1)),
        answers=answers,
        load={
            "revision": revision,
            "dtype": dtype,
            "device": device,
            "device_map": device_map,
            "template_options": _options(template_options),
        },
    )


def _options(given: str | None) -> dict[str, object]:
    try:
        options = json.loads(given or "{}")
    except ValueError as error:
        raise UserError(f"template_options must be JSON; found {given!r}: {error}") from error
    if not isinstance(options, dict):
        raise UserError(f"template_options must be a mapping in JSON, found {given!r}")
    return options


class LocalJudge(KeepingJudge):
    """A judge on this machine; see :func:`local_judge`."""

    def __init__(
        self,
        named: str,
        rubric: Rubric,
        *,
        way: Reading,
        least_mass: float,
        max_new_tokens: int,
        batch_size: int,
        answers: str | None,
        load: Mapping[str, Any],
    ) -> None:
        self._model = TextModel(named, **load)
        called = Path(named).resolve().name if Path(named).is_dir() else named
        super().__init__(f"llm-local-{rubric.version}-{way}-{called}@{self._model.version[:8]}", answers)
        self._rubric, self._way = rubric, way
        self._least_mass, self._max_new_tokens, self._batch_size = least_mass, max_new_tokens, batch_size

    def identity(self) -> Mapping[str, str]:
        """Weights by their contents, and everything else that a likelihood's last bits depend on."""
        model = self._model.model
        return {
            "judge": "llm-local",
            "weights": self._model.weights,
            "dtype": str(model.dtype),
            "device": model.device.type,
            "attention": str(model.config._attn_implementation),
            "torch": torch.__version__,
            "transformers": importlib.metadata.version("transformers"),
        }

    def question(self, answer: Answer) -> dict[str, object]:
        """The rendered prompt, and how its reply is read."""
        form: Mapping[str, object] = {"max_new_tokens": self._max_new_tokens}
        if self._way == "likelihood":
            form = {"least_mass": self._least_mass, "forms": {label: _forms(label) for label in labels_of(answer)}}
        return {"prompt": self._prompt(answer), "way": self._way, **form}

    def begin(self, waiting: Sequence[Answer], answers: int) -> None:
        """Log how much is about to be asked."""
        logger.info(
            f"{self.name} reads {len(waiting):,} of {answers:,} answers; the others are alike, empty, or judged before"
        )

    def ask(self, waiting: Mapping[str, Answer]) -> Iterator[tuple[str, str]]:
        """Read the answers in batches, the longest prompts first, those with the same labels together."""
        groups: dict[tuple[str, ...], list[tuple[str, list[int]]]] = defaultdict(list)
        for key, answer in waiting.items():
            groups[labels_of(answer)].append((key, self._model.tokens(self._prompt(answer))))
        for labels, items in groups.items():
            read, more = self._reader(labels)
            fitting = [(key, tokens) for key, tokens in items if self._model.room_for(tokens, more)]
            for key, tokens in items:
                if not self._model.room_for(tokens, more):
                    yield key, mark_failed(f"a prompt of {len(tokens)} tokens is longer than the model reads")
            fitting.sort(key=lambda item: -len(item[1]))
            for start in range(0, len(fitting), self._batch_size):
                batch = fitting[start : start + self._batch_size]
                verdicts = _halving(read, [tokens for _, tokens in batch])
                yield from zip([key for key, _ in batch], verdicts, strict=True)

    def _prompt(self, answer: Answer) -> str:
        form: Form = "word" if self._way == "likelihood" else "json"
        return self._model.render(f"{instruction(self._rubric, answer)}\n\n{request(self._rubric, answer, form)}")

    def _reader(self, labels: Sequence[str]) -> tuple[Callable[[Sequence[Sequence[int]]], list[str]], int]:
        """The function that reads a batch of prompts, and how many tokens it adds to each."""
        if self._way == "text":
            return lambda prompts: self._written(prompts, labels), self._max_new_tokens
        candidates = Candidates.tokenise({label: _forms(label) for label in labels}, self._model.tokenizer)
        return lambda prompts: self._likeliest(prompts, candidates), max(1, *map(len, candidates.forced()))

    def _likeliest(self, prompts: Sequence[Sequence[int]], candidates: Candidates) -> list[str]:
        return [self._verdict(json.loads(scores)) for scores in self._model.scores(prompts, candidates)]

    def _verdict(self, scores: Mapping[str, float]) -> str:
        """The likeliest label of log-probabilities, or why there is none, marked as a failure."""
        mass = math.fsum(map(math.exp, scores.values()))
        if mass < self._least_mass:
            return mark_failed(
                f"the labels are {mass:.2g} of what the model might reply, less than least_mass={self._least_mass:g}: "
                "it does not do as asked"
            )
        best = max(scores.values())
        likeliest = [label for label, score in scores.items() if score == best]
        return likeliest[0] if len(likeliest) == 1 else mark_failed(f"{' and '.join(likeliest)} are equally likely")

    def _written(self, prompts: Sequence[Sequence[int]], labels: Sequence[str]) -> list[str]:
        verdicts = []
        for text, ended in self._model.replies(prompts, self._max_new_tokens):
            try:
                if not ended:
                    raise UnreadableError("the reply was cut off at max_new_tokens")
                verdicts.append(read_verdict(text, labels))
            except UnreadableError as error:
                verdicts.append(mark_failed(str(error)))
        return verdicts


def _forms(label: str) -> tuple[str, ...]:
    return _FORMS.get(label, (label,))


def _halving(read: Callable[[Sequence[Sequence[int]]], list[str]], prompts: Sequence[Sequence[int]]) -> list[str]:
    """``read`` of ``prompts``, or of their halves where that fails, down to the prompt that fails."""
    try:
        return read(prompts)
    except (RuntimeError, ValueError) as error:
        if len(prompts) == 1:
            return [mark_failed(failure_reason(error))]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(prompts) // 2
    return _halving(read, prompts[:middle]) + _halving(read, prompts[middle:])
