"""A text model of transformers, asked in one turn: the likelihood of a few words as its reply, or its generated reply."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason
from harness_ext.models.checkpoint import locate
from harness_ext.models.generation import GenerationSettings, came_to_an_end, ending_tokens
from harness_ext.models.identity import weights_identity
from harness_ext.models.likelihood import Candidates, Forced, Tokens
from harness_ext.models.loading import load_model
from harness_ext.models.prefix_cache import CACHE, repeated

_TRIAL = "Is it so?"


class TextModel:
    """A causal language model with its tokenizer's chat template.

    Args:
        named: A folder or a hub repository.
        revision: The commit, tag or branch of a hub repository.
        dtype: ``"auto"`` (the checkpoint's), ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        device: A torch device; a GPU if there is one, else the CPU.
        device_map: As in transformers, instead of ``device``.
        template_options: Further variables of the chat template.

    Attributes:
        weights: The weights' identity, by their contents or the hub's commit.
        version: The hub's commit, or the digest of the folder's contents.

    Raises:
        UserError: Something cannot be loaded, or there is no chat template.
    """

    def __init__(
        self,
        named: str,
        *,
        revision: str | None,
        dtype: str,
        device: str | None,
        device_map: str | None,
        template_options: Mapping[str, Any],
    ) -> None:
        folder = locate(named, revision, "weights")
        commit = None if Path(named).is_dir() else folder.name
        self._template_options = dict(template_options)
        self.tokenizer = self._load_tokenizer(named, commit)
        self.model: PreTrainedModel = load_model(
            named,
            revision=commit,
            adapter=None,
            dtype=dtype,
            device=device,
            device_map=device_map,
            attn_implementation=None,
            trust_remote_code=False,
            auto_class=AutoModelForCausalLM,
        )
        self.weights = weights_identity(named, commit)
        self.version = commit or self.weights.removeprefix("files ")

    def _load_tokenizer(self, named: str, commit: str | None) -> PreTrainedTokenizerBase:
        try:
            tokenizer = AutoTokenizer.from_pretrained(named, revision=commit)
        except (OSError, ValueError, ImportError) as error:
            raise UserError(f"cannot load the tokenizer of {named!r}: {failure_reason(error)}") from error
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if not tokenizer.chat_template:
            raise UserError(
                f"the tokenizer of {named!r} has no chat template: expected a model that was tuned to follow instructions"
            )
        try:
            shown = self._render(tokenizer, _TRIAL)
        except (TemplateError, ValueError, TypeError, LookupError) as error:
            raise UserError(
                f"the chat template of {named!r} does not format a turn: {failure_reason(error)}"
            ) from error
        if _TRIAL not in shown:
            raise UserError(f"the chat template of {named!r} leaves out what is asked: it makes {shown[:200]!r} of it")
        return tokenizer

    def _render(self, tokenizer: PreTrainedTokenizerBase, text: str) -> str:
        # One turn of the user: some templates refuse a system turn, or leave it out.
        turns = [{"role": "user", "content": text}]
        return tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, **self._template_options
        )

    def render(self, text: str) -> str:
        """The prompt for one turn of the user."""
        return self._render(self.tokenizer, text)

    def tokens(self, prompt: str) -> list[int]:
        """A rendered prompt's tokens; the template already holds the token that begins a text."""
        return list(self.tokenizer(prompt, add_special_tokens=False)["input_ids"])

    def room_for(self, tokens: Sequence[int], more: int) -> bool:
        """Whether the model has positions for ``tokens`` and ``more`` tokens."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        return positions is None or len(tokens) + more <= positions

    @torch.inference_mode()
    def scores(self, prompts: Sequence[Sequence[int]], candidates: Candidates) -> list[str]:
        """For each prompt, the probability that the reply begins with each candidate; see :meth:`Candidates.score`.

        A prompt is read once, however many spellings continue it, where the model's cache can be repeated.

        Args:
            prompts: Tokens of B prompts.
            candidates: The words, spelt in tokens.

        Raises:
            ValueError: A score is no number.
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
        cache = getattr(self._generate(most, GenerationSettings(max_new_tokens=1), return_dict_in_generate=True), CACHE)
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
            GenerationSettings(max_new_tokens=max(1, len(tokens))),
            logits_processor=LogitsProcessorList([force]),
            return_dict_in_generate=True,
            output_logits=True,
            **more,
        ).logits

    def replies(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[tuple[str, bool]]:
        """Greedy replies to B prompts, and whether each came to its end."""
        inputs = self._padded(prompts)
        tokens = self._generate(inputs, GenerationSettings(max_new_tokens=max_new_tokens))
        new = tokens[:, inputs["input_ids"].shape[1] :]
        texts = self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return list(zip(texts, came_to_an_end(new, ending_tokens(self.model, self.tokenizer)), strict=True))

    def _padded(self, rows: Sequence[Sequence[int]]) -> Mapping[str, torch.Tensor]:
        padded = self.tokenizer.pad({"input_ids": [list(row) for row in rows]}, return_tensors="pt")
        return {name: padded[name].to(self.model.device) for name in ("input_ids", "attention_mask")}

    @torch.inference_mode()
    def _generate(self, inputs: Mapping[str, torch.Tensor], settings: GenerationSettings, **more: Any) -> Any:
        return self.model.generate(**inputs, **settings.to_generate(), pad_token_id=self.tokenizer.pad_token_id, **more)
