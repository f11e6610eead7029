"""The judge ``llm-local``: a text model of transformers, on this machine, reads the answers, by the same rubric.

By default it writes nothing: the verdict is the label with which its reply most likely begins, or ``failed`` where the labels
together have less than ``least_mass`` of the probability of all replies. So a small model that cannot write strict JSON still
gives a verdict. With ``way=text`` the reply is generated, and read as strictly as a server's.
"""

import importlib.metadata
import inspect
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from loguru import logger
from pydantic import Json
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from harness_ext.common.errors import UserError
from harness_ext.common.failures import mark_failed
from harness_ext.common.time_limit import rendering
from harness_ext.judges.base import Answer
from harness_ext.judges.llm.keeping import MOST_TOKENS, KeepingJudge
from harness_ext.judges.llm.prompt import (
    LATEST,
    UnreadableError,
    instruction,
    load_rubric,
    read_verdict,
    request,
)
from harness_ext.models.checkpoint import commit_of, read_by_libraries, weights_identity
from harness_ext.models.generation import by_halves, came_to_an_end, ending_tokens
from harness_ext.models.likelihood import Candidates, Forced, Tokens
from harness_ext.models.loading import load_model
from harness_ext.models.settings import Count, GenerationSettings, Share
from harness_ext.models.sharing import CACHE, repeated
from harness_ext.models.store import answers_folder

Reading = Literal["likelihood", "text"]
Prompts = Sequence[Sequence[int]]

# The forms in which a reply may begin with a label; a letter is its own.
_FORMS: Final = {"safe": ("safe", "Safe"), "unsafe": ("unsafe", "Unsafe"), "na": ("na", "NA")}
_TRIAL: Final = "Is it so?"


def local_judge(
    model: str,
    revision: str | None = None,
    rubric: str = LATEST,
    way: Reading = "likelihood",
    least_mass: Share = 0.5,
    most_tokens: Count = MOST_TOKENS,
    max_new_tokens: Count = 64,
    batch_size: Count = 8,
    dtype: str = "auto",
    device: str | None = None,
    device_map: str | None = None,
    template_options: Json[dict[str, Any]] | None = None,
    answers: str | None = None,
) -> "LocalJudge":
    """A judge on this machine. README.md beside this file describes the options.

    Raises:
        UserError: An option is not as expected, or the model cannot be loaded.
    """
    wording = load_rubric(rubric)
    asked = TextModel(model, revision, dtype, device, device_map, template_options or {})
    return LocalJudge(
        name=f"llm-local-{rubric}-{way}-{asked.name}",
        kept=answers_folder(answers),
        rubric=wording,
        most_tokens=most_tokens,
        model=asked,
        way=way,
        least_mass=least_mass,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
    )


@dataclass(eq=False)
class LocalJudge(KeepingJudge):
    """A judge on this machine; see :func:`local_judge`."""

    model: "TextModel"
    way: Reading
    least_mass: float
    max_new_tokens: int
    batch_size: int

    def identity(self) -> Mapping[str, str]:
        """Weights by their contents, and everything else that a likelihood's last bits depend on."""
        model = self.model.model
        return {
            "judge": "llm-local",
            "weights": self.model.weights,
            "dtype": str(model.dtype),
            "device": model.device.type,
            "attention": str(model.config._attn_implementation),
            "torch": torch.__version__,
            "transformers": importlib.metadata.version("transformers"),
        }

    def question(self, answer: Answer) -> dict[str, object]:
        """The rendered prompt, and how its reply is read."""
        form: Mapping[str, object] = {"max_new_tokens": self.max_new_tokens}
        if self.way == "likelihood":
            form = {"least_mass": self.least_mass, "forms": {label: _forms(label) for label in answer.labels}}
        return {"prompt": self._prompt(answer), "way": self.way, **form}

    def tokens_of(self, shown: str) -> int:
        """By the model's own tokenizer."""
        return len(self.model.tokens(shown))

    def begin(self, waiting: Sequence[Answer], answers: int) -> None:
        """Log how much is about to be asked."""
        logger.info(
            f"{self.name} reads {len(waiting):,} of {answers:,} answers; the others are alike, empty, or judged before"
        )

    def ask(self, waiting: Mapping[str, Answer]) -> Iterator[tuple[str, str]]:
        """Read the answers in batches, the longest prompts first, those with the same labels together."""
        groups: dict[tuple[str, ...], list[tuple[str, list[int]]]] = defaultdict(list)
        for key, answer in waiting.items():
            groups[answer.labels].append((key, self.model.tokens(self._prompt(answer))))
        for labels, items in groups.items():
            read, more = self._reader(labels)
            items.sort(key=lambda item: -len(item[1]))
            while items and not self.model.room_for(items[0][1], more):
                key, tokens = items.pop(0)
                yield key, mark_failed(f"a prompt of {len(tokens)} tokens is longer than the model reads")
            for start in range(0, len(items), self.batch_size):
                batch = items[start : start + self.batch_size]
                verdicts = by_halves(read, [tokens for _, tokens in batch])
                yield from zip([key for key, _ in batch], verdicts, strict=True)

    def _prompt(self, answer: Answer) -> str:
        asked = request(self.rubric, answer, "word" if self.way == "likelihood" else "json")
        return self.model.render(f"{instruction(self.rubric, answer)}\n\n{asked}")

    def _reader(self, labels: Sequence[str]) -> tuple[Callable[[Prompts], list[str]], int]:
        """The function that reads a batch of prompts, and how many tokens it adds to each."""
        if self.way == "text":
            return lambda prompts: self._written(prompts, labels), self.max_new_tokens
        candidates = Candidates.tokenise({label: _forms(label) for label in labels}, self.model.tokenizer)

        def likeliest(prompts: Prompts) -> list[str]:
            return [self._likeliest(json.loads(scores)) for scores in self.model.scores(prompts, candidates)]

        return likeliest, max(1, *map(len, candidates.forced()))

    def _likeliest(self, scores: Mapping[str, float]) -> str:
        """The likeliest label of log-probabilities, or why there is none, marked as a failure."""
        mass = math.fsum(map(math.exp, scores.values()))
        if mass < self.least_mass:
            return mark_failed(
                f"the labels are {mass:.2g} of what the model might reply, less than least_mass={self.least_mass:g}: "
                "it does not do as asked"
            )
        best = max(scores.values())
        likeliest = [label for label, score in scores.items() if score == best]
        return likeliest[0] if len(likeliest) == 1 else mark_failed(f"{' and '.join(likeliest)} are equally likely")

    def _written(self, prompts: Prompts, labels: Sequence[str]) -> list[str]:
        verdicts = []
        for text, ended in self.model.replies(prompts, self.max_new_tokens):
            try:
                if not ended:
                    raise UnreadableError("the reply was cut off at max_new_tokens")
                verdicts.append(read_verdict(text, labels))
            except UnreadableError as error:
                verdicts.append(mark_failed(str(error)))
        return verdicts


def _forms(label: str) -> tuple[str, ...]:
    return _FORMS.get(label, (label,))


class TextModel:
    """A causal language model with its tokenizer's chat template, asked in one turn; arguments as in :func:`local_judge`.

    Attributes:
        weights: The weights' identity, by their contents or the hub's commit.
        name: The model's name, with eight digits of the hub's commit or of the digest of the folder's contents.

    Raises:
        UserError: Something cannot be loaded, or there is no chat template.
    """

    def __init__(
        self,
        named: str,
        revision: str | None,
        dtype: str,
        device: str | None,
        device_map: str | None,
        template_options: Mapping[str, Any],
    ) -> None:
        commit = commit_of(named, revision, "weights")
        self._template_options = template_options
        with read_by_libraries(f"cannot load the tokenizer of {named!r}: "):
            self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(named, revision=commit)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._require_template(named)
        self.model: PreTrainedModel = load_model(
            named,
            revision=commit,
            dtype=dtype,
            device=device,
            device_map=device_map,
            auto_class=AutoModelForCausalLM,
        )
        self.weights = weights_identity(named, commit)
        version = commit or self.weights.removeprefix("files ")
        self.name = f"{named if commit else Path(named).resolve().name}@{version[:8]}"

    def _require_template(self, named: str) -> None:
        if not self.tokenizer.chat_template:
            raise UserError(
                f"the tokenizer of {named!r} has no chat template: expected a model that was tuned to follow instructions"
            )
        try:
            rendered = self.render(_TRIAL)
        except ValueError as error:
            raise UserError(f"the chat template of {named!r} does not format a turn: {error}") from error
        if _TRIAL not in rendered:
            raise UserError(
                f"the chat template of {named!r} leaves out what is asked: it makes {rendered[:200]!r} of it"
            )

    def render(self, text: str) -> str:
        """The prompt for one turn of the user: some templates refuse a system turn, or leave it out."""
        turns = [{"role": "user", "content": text}]
        with rendering("the tokenizer's chat template"):
            return self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, **self._template_options
            )

    def tokens(self, prompt: str) -> list[int]:
        """A rendered prompt's tokens; the template already holds the token that begins a text."""
        return list(self.tokenizer(prompt, add_special_tokens=False)["input_ids"])

    def room_for(self, tokens: Sequence[int], more: int) -> bool:
        """Whether the model has positions for ``tokens`` and ``more`` tokens."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        return positions is None or len(tokens) + more <= positions

    @torch.inference_mode()
    def scores(self, prompts: Prompts, candidates: Candidates) -> list[str]:
        """For each prompt, the probability that the reply begins with each candidate; see :meth:`Candidates.score`.

        A prompt is read once for all spellings, where the model's cache can be repeated.
        """
        inputs, forced = self._padded(prompts), candidates.forced()
        cache = self._read(inputs) if len(forced) > 1 else None
        said = [self._said(inputs, tokens, cache) for tokens in forced]
        # A spelling that is over ignores further steps, so any will do.
        steps = [[scores[min(at, len(scores) - 1)] for scores in said] for at in range(max(map(len, said)))]
        return [
            candidates.score(forced, [torch.stack([scores[row] for scores in step]) for step in steps])
            for row in range(len(prompts))
        ]

    def _read(self, inputs: Mapping[str, torch.Tensor]) -> DynamicCache | None:
        """The cache of all tokens but the last; ``None`` where it is not of the kind that can be repeated (Mamba's)."""
        if CACHE not in inspect.signature(self.model.forward).parameters:
            return None
        most = {name: tensor[:, :-1] for name, tensor in inputs.items()}
        cache = getattr(self._generate(most, 1, return_dict_in_generate=True), CACHE)
        return cache if type(cache) is DynamicCache else None

    def _said(
        self, inputs: Mapping[str, torch.Tensor], tokens: Tokens, cache: DynamicCache | None
    ) -> Sequence[torch.Tensor]:
        """The scores, shape (B, V), before each of ``tokens`` as the beginning of every reply, the first at least."""
        rows, length = inputs["input_ids"].shape
        force = Forced([tokens] * rows, length, self.tokenizer.eos_token_id)
        more: dict[str, Any] = {}
        if cache is not None:
            more[CACHE] = repeated(cache, torch.arange(rows), len(tokens) + 1)
        return self._generate(
            inputs,
            max(1, len(tokens)),
            logits_processor=LogitsProcessorList([force]),
            return_dict_in_generate=True,
            output_logits=True,
            **more,
        ).logits

    def replies(self, prompts: Prompts, max_new_tokens: int) -> list[tuple[str, bool]]:
        """Greedy replies to B prompts, and whether each came to its end."""
        inputs = self._padded(prompts)
        new = self._generate(inputs, max_new_tokens)[:, inputs["input_ids"].shape[1] :]
        texts = self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return list(
            zip(texts, came_to_an_end(new, ending_tokens(self.model.generation_config, self.tokenizer)), strict=True)
        )

    def _padded(self, rows: Prompts) -> Mapping[str, torch.Tensor]:
        padded = self.tokenizer.pad({"input_ids": [list(row) for row in rows]}, return_tensors="pt")
        return {name: padded[name].to(self.model.device) for name in ("input_ids", "attention_mask")}

    @torch.inference_mode()
    def _generate(self, inputs: Mapping[str, torch.Tensor], new_tokens: int, **more: Any) -> Any:
        greedy = GenerationSettings(max_new_tokens=new_tokens).to_generate()
        # Never in step with other processes, which judge other answers, while DeepSpeed trains.
        alone = {"pad_token_id": self.tokenizer.pad_token_id, "synced_gpus": False}
        return self.model.generate(**inputs, **greedy, **alone, **more)
