"""Scoring by likelihood: how probable it is that an answer begins with one form or another, without generating one.

A label ("Yes") has forms ("Yes", "yes"), and a form has spellings in tokens (with a leading space, after a line break). The
probability of a label is the sum over its spellings, each the product of its tokens' probabilities. The model is forced to
say a spelling of several tokens. A spelling that begins with another one is counted once.
"""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from harness_ext.common.errors import UserError
from harness_ext.models.generation import NOT_FINITE

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Candidates:
    """The labels of one question and their spellings.

    Attributes:
        labels: Spellings by label; no spelling is in two labels, and none of a label begins with another of it.
    """

    labels: Mapping[str, frozenset[Tokens]]

    @classmethod
    def tokenise(cls, forms: Mapping[str, Sequence[str]], tokenizer: PreTrainedTokenizerBase) -> "Candidates":
        """Spell out forms. Raises ``UserError`` where a form cannot be spelt, or two labels share a spelling."""
        labels: dict[str, frozenset[Tokens]] = {}
        for label, texts in forms.items():
            spelt = {tokens for text in texts for tokens in _spellings(text, tokenizer)}
            if not spelt:
                raise UserError(f"the tokenizer cannot spell any of the forms {list(texts)} of candidate {label!r}")
            labels[label] = frozenset(one for one in spelt if not any(_begins(one, other) for other in spelt))
        every = [tokens for spelt in labels.values() for tokens in spelt]
        if len(set(every)) != len(every):
            raise UserError(f"two candidates of {sorted(forms)} begin with the same tokens: they cannot be told apart")
        return cls(labels)

    def forced(self) -> list[Tokens]:
        """What the model must be made to say: every spelling of several tokens; one empty entry where there is none."""
        return sorted(tokens for spelt in self.labels.values() for tokens in spelt if len(tokens) > 1) or [()]

    def score(self, forced: Sequence[Tokens], logits: Sequence[torch.Tensor]) -> str:
        """The answer to a question: label to natural-log probability, as JSON.

        Args:
            forced: What :meth:`forced` gave, one a row.
            logits: The scores before each new token, one tensor of shape (rows, V) a step.

        Raises:
            ValueError: The scores are no distribution.
        """
        steps = [torch.log_softmax(step.double(), -1) for step in logits]
        if any(step.isnan().any() for step in steps):
            raise ValueError(NOT_FINITE)
        first = steps[0][0]
        known: dict[Tokens, float] = {
            tokens: float(first[tokens[0]]) for spelt in self.labels.values() for tokens in spelt if len(tokens) == 1
        }
        for row, tokens in enumerate(forced):
            if tokens:
                known[tokens] = sum(float(steps[step][row][token]) for step, token in enumerate(tokens))
        return self.answer(known)

    def beginnings(self) -> dict[Tokens, list[int]]:
        """What a spelling may begin with, nothing at first, and the tokens that may follow each beginning in a spelling."""
        following: dict[Tokens, set[int]] = defaultdict(set)
        for tokens in chain(*self.labels.values()):
            for at, token in enumerate(tokens):
                following[tokens[:at]].add(token)
        return {begun: sorted(next_ones) for begun, next_ones in following.items()}

    def score_beginnings(self, found: Mapping[Tokens, Mapping[int, float]]) -> str:
        """As :meth:`score`, from the log-probabilities of the tokens that :meth:`beginnings` names after each beginning.

        Raises:
            ValueError: They are no log-probabilities.
        """
        if any(math.isnan(value) for of_one in found.values() for value in of_one.values()):
            raise ValueError(NOT_FINITE)
        return self.answer(
            {
                tokens: sum(found[tokens[:at]][token] for at, token in enumerate(tokens))
                for tokens in chain(*self.labels.values())
            }
        )

    def answer(self, known: Mapping[Tokens, float]) -> str:
        """The answer to a question, as JSON, from the log-probability of each spelling."""
        scores = {
            label: _log_sum([self._alone(tokens, known) for tokens in spelt]) for label, spelt in self.labels.items()
        }
        return json.dumps(scores)

    def _alone(self, tokens: Tokens, known: Mapping[Tokens, float]) -> float:
        """The log-probability of a spelling, less that of other labels' longer ones that begin with it."""
        longer = [other for other in known if _begins(other, tokens)]
        # The longest only once: one that begins with another longer one is inside it.
        outer = [one for one in longer if not any(_begins(one, other) for other in longer)]
        inside = math.fsum(math.exp(known[other]) for other in outer)
        left = math.exp(known[tokens]) - inside
        return math.log(left) if left > 0 else -math.inf


def _begins(tokens: Tokens, other: Tokens) -> bool:
    """Whether ``tokens`` properly begins with ``other``."""
    return len(tokens) > len(other) and tokens[: len(other)] == other


def _spellings(form: str, tokenizer: PreTrainedTokenizerBase) -> set[Tokens]:
    """The ways that ``form`` is put into tokens: at the start of a text, after a space, after a line break."""

    def encode(text: str) -> Tokens:
        return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

    newline, after = encode("\n"), encode(f"\n{form}")
    # A form that begins with line breaks of its own stands behind nothing else.
    found = {encode(form), encode(f" {form}")} if form == form.lstrip() else {encode(form)}
    if form == form.lstrip() and _begins(after, newline):
        found.add(after[len(newline) :])
    spelt = {tokens for tokens in found if tokens and tokenizer.decode(tokens).strip() == form.strip()}
    # An encoder (Llama's) makes a token of its own of a doubled space before the word. A model hardly says it, and each
    # spelling of several tokens costs a row.
    joined = {tokens for tokens in spelt if tokenizer.decode(tokens[:1]).strip()}
    return joined or spelt


def _log_sum(values: Sequence[float]) -> float:
    return float(torch.logsumexp(torch.tensor(values, dtype=torch.float64), 0))


class Forced(LogitsProcessor):
    """Makes every row say its tokens, then ``end``, whatever their scores; the prompt has ``prompt_length`` columns."""

    def __init__(self, rows: Sequence[Tokens], prompt_length: int, end: int) -> None:
        self._rows, self._prompt_length, self._end = rows, prompt_length, end

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Scores with one finite entry a row, shape (B, V) as given."""
        step = input_ids.shape[1] - self._prompt_length
        said = [row[step] if step < len(row) else self._end for row in self._rows]
        forced = torch.full_like(scores, -math.inf)
        forced[torch.arange(len(said), device=scores.device), torch.tensor(said, device=scores.device)] = 0.0
        return forced  # type: ignore[return-value]
