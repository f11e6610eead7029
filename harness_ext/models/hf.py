"""The backend for Hugging Face VLMs: any ``AutoModelForMultimodalLM``, batched, on a CPU or a GPU.

Why one of our own: those of lmms-eval answer one request at a time, know no adapters, cannot mix prompts with and without an
image, and turn an error into an empty answer, which a judge then reads as "no answer". Here an error is an error, and the
questions about one image are answered from one encoding of it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from harness_ext.common.failures import failure_reason, mark_failed
from harness_ext.models.answering import MAX_FAILED_SHARE, REQUEST_ERRORS, Question
from harness_ext.models.asking import Asker, grouped
from harness_ext.models.checkpoint import locate
from harness_ext.models.decoding import Decoder
from harness_ext.models.loading import load_model, load_processor
from harness_ext.models.local import LocalModel
from harness_ext.models.prompts import Conversation

# Questions about one image that are planned together; more of them (a blank image has hundreds) are more than one plan, so
# that not too many answers wait to be written.
_MOST_TOGETHER: Final = 32


class HuggingFaceVLM(LocalModel):
    """A VLM of transformers behind lmms-eval's ``generate_until``.

    Args:
        pretrained: A hub repository or a folder.
        revision: The commit, tag or branch of the weights.
        adapter: A folder or repository of a PEFT adapter for these weights.
        adapter_base: ``"any"`` to put an adapter on weights it does not name as its base.
        dtype: ``"auto"`` (the checkpoint's), ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; the GPU of this process if there is one, else the CPU.
        device_map: As in transformers, ``"auto"`` spreads one model over several GPUs; instead of ``device``.
        attn_implementation: As in transformers (``"sdpa"``, ``"flash_attention_2"``, ``"eager"``).
        prompt: A chat template (Jinja) for a processor that has none.
        template_options: What the chat template is given beside the conversation.
        generation: Defaults under the settings that a task names.
        share_prefix: Answer the questions about one image from one encoding of it, where the model allows.
        batch_size: Questions answered at a time; halved where memory does not suffice.
        max_batch_size: Given by lmms-eval, without effect here.
        max_failed: The share of a process's requests that may fail before the run does; 0.001 by default.
        seed: Seed of sampling; lmms-eval's ``--seed`` (its torch seed) by default.
        answers: The folder where answers are kept, ``"none"`` for not at all; the cache folder by default.
        trust_remote_code: Run code from the model's repository; never unless you say so.

    Raises:
        UserError: The weights, the adapter or an option are not as expected.
    """

    def __init__(
        self,
        pretrained: str,
        revision: str | None = None,
        adapter: str | None = None,
        adapter_base: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        device_map: str | None = None,
        attn_implementation: str | None = None,
        prompt: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        generation: Mapping[str, Any] | None = None,
        share_prefix: bool = True,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        max_failed: float = MAX_FAILED_SHARE,
        seed: int | None = None,
        answers: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size, max_failed=max_failed, seed=seed, generation=generation, answers=answers
        )
        # The hub's cache names a snapshot by its commit: looked up once, so that all that follows is of that one.
        folder = locate(pretrained, revision, "processor")
        commit = None if Path(pretrained).is_dir() else folder.name
        processor = load_processor(pretrained, commit, trust_remote_code, prompt)
        model = load_model(
            pretrained,
            revision=commit,
            adapter=adapter,
            adapter_base=adapter_base,
            dtype=dtype,
            device=device,
            device_map=device_map,
            attn_implementation=attn_implementation,
            trust_remote_code=trust_remote_code,
        )
        self._decoder = Decoder(model, processor, template_options)
        self._asker = Asker(self._decoder, batch_size=self.batch_size, seed=self._seed, share_prefix=share_prefix)
        self._shares = self._asker.shares
        rests_on = {
            "attention": str(model.config._attn_implementation),
            "share_prefix": str(self._shares),
            # Some of them reach the processor, and change what an image becomes without changing the rendered prompt.
            "template_options": json.dumps(dict(template_options or {}), sort_keys=True, default=str),
        }
        self.loaded(model, pretrained, commit, adapter, rests_on)

    def render(self, turns: Conversation) -> str:
        """The prompt as text, by the chat template."""
        return self._decoder.render(turns)

    def clean(self) -> None:
        """Let the model go; called by the harness after the last answer."""
        del self._decoder, self._asker
        super().clean()

    def plan(self, questions: Sequence[Question]) -> list[list[Question]]:
        """Questions about one image together, images together up to the batch size; the rest by length, longest first."""
        shared = [question for question in questions if self._shares and question.images]
        batches: list[list[Question]] = [[]]
        for group in grouped(shared, lambda question: question.images):
            most = max(self.batch_size, _MOST_TOGETHER)
            for start in range(0, len(group), most):
                part = group[start : start + most]
                if batches[-1] and len(batches[-1]) + len(part) > self.batch_size:
                    batches.append([])
                batches[-1].extend(part)
        together = {question.index for question in shared}
        alone = [question for question in questions if question.index not in together]
        # Few processors take prompts with an image and prompts without at once.
        for group in grouped(alone, lambda question: (question.settings, bool(question.images))):
            group.sort(key=lambda question: -len(question.prompt))
            batches.extend(group[start : start + self.batch_size] for start in range(0, len(group), self.batch_size))
        return [batch for batch in batches if batch]

    def answer(self, batches: Sequence[list[Question]]) -> Iterator[tuple[list[Question], list[str]]]:
        """Answer batch after batch; of one that fails the halves are tried, down to the one question that fails."""
        for batch in batches:
            yield batch, self._answer(batch)

    def _answer(self, batch: list[Question]) -> list[str]:
        try:
            return self._asker.ask(batch, [self.conversation(question) for question in batch])
        except REQUEST_ERRORS as error:
            if len(batch) == 1:
                return [mark_failed(failure_reason(error))]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        middle = len(batch) // 2
        return self._answer(batch[:middle]) + self._answer(batch[middle:])
