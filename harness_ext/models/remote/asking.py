"""Asking a model with code of its own, one question at a time: what its adapters share."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import torch
from transformers import LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from harness_ext.common.errors import UserError
from harness_ext.common.provenance import record_provenance
from harness_ext.models.answering import LocalModel, Question
from harness_ext.models.conversation import Conversation
from harness_ext.models.generation import RequireFinite, by_halves, request_seed, seeded_sampling
from harness_ext.models.loading import check_adapter
from harness_ext.models.remote.loading import adapted, load_model, load_tokenizer, open_repository, tokenizer_identity
from harness_ext.models.settings import GenerationSettings


class RemoteCodeModel(LocalModel):
    """A model that is asked through a method of its own; a subclass says which, and how.

    Args:
        pretrained: A hub repository or a folder; for what is not described here, see
            :class:`harness_ext.models.hf.HuggingFaceVLM`.
        revision: The commit, tag or branch of it; of its code too.
        tokenizer: The repository or folder of its tokenizer, where it has none of its own.
        device_map: ``"auto"`` spreads the model over all GPUs; instead of ``device``.
        trust_remote_code: Run the repository's code; never unless you say so.
        shared: See :class:`AnsweringModel`; ``batch_size`` stays 1.

    Raises:
        UserError: ``trust_remote_code`` is missing, its code does not work here, or an option is not as expected.
    """

    # The key of the repository's auto_map that names the model's class, and the method that it is asked by.
    auto_class: ClassVar[str] = "AutoModelForCausalLM"
    method: ClassVar[str]

    def __init__(
        self,
        pretrained: str,
        revision: str | None = None,
        tokenizer: str | None = None,
        adapter: str | None = None,
        adapter_base: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        device_map: str | None = None,
        trust_remote_code: bool = False,
        **shared: Any,
    ) -> None:
        repository = open_repository(pretrained, revision, trust_remote_code)
        super().__init__(**shared)
        if self.batch_size > 1:
            raise UserError(f"{self.method} of {pretrained!r} takes one question at a time: leave batch_size at 1")
        check_adapter(adapter, pretrained, adapter_base)
        self._repository = repository
        self._tokenizer: PreTrainedTokenizerBase = load_tokenizer(repository, tokenizer)
        model = load_model(repository, self.auto_class, dtype=dtype, device=device, device_map=device_map)
        if not hasattr(model, self.method):
            raise UserError(f"the model of {pretrained!r} has no method {self.method}, by which this backend asks")
        if adapter:
            model = adapted(model, adapter, repository)
        with repository.running(loading=True):
            self.prepare(model)
        record_provenance(trust_remote_code=True)
        rests_on = {"backend": type(self).method, "tokenizer": tokenizer_identity(tokenizer)}
        self.loaded(model, pretrained, repository.commit, adapter, rests_on)

    @abstractmethod
    def ask(self, turns: Conversation, settings: GenerationSettings, seed: int) -> str:
        """The model's answer; ``seed`` is that of this one answer, if it is sampled."""

    def prepare(self, model: PreTrainedModel) -> None:
        """What its code needs done once, before it is asked; nothing by default."""

    def answer(self, batches: Sequence[list[Question]]) -> Iterator[tuple[list[Question], list[str]]]:
        """Answer one question after the other."""
        for batch in batches:
            yield batch, by_halves(self._ask, batch)

    def _ask(self, batch: Sequence[Question]) -> list[str]:
        (question,) = batch
        seed = request_seed(self._seed, *question.sampling)
        # Code that says no more than `.cuda()` means the current device.
        current = torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()
        turns = self.conversation(question)
        with torch.inference_mode(), current, self._repository.running():
            return [question.settings.cut(self.ask(turns, question.settings, seed))]


def question_parts(turns: Conversation) -> list[dict[str, Any]]:
    """The texts and images of the one question that is asked.

    Raises:
        UserError: There are other turns; these interfaces have each their own way with them.
    """
    roles = [turn["role"] for turn in turns]
    if roles != ["user"]:
        raise UserError(f"this backend asks single questions of a user, found turns of {', '.join(roles) or 'nobody'}")
    return turns[0]["content"]


def generate_options(settings: GenerationSettings, seed: int) -> dict[str, Any]:
    """Keyword arguments of ``generate`` for one answer, seeded where it is sampled; ``ValueError`` of scores not finite."""
    sampling = seeded_sampling(settings, [seed]) if settings.do_sample else []
    return {**settings.to_generate(), "logits_processor": LogitsProcessorList([RequireFinite(), *sampling])}
