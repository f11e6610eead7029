"""The backend for Hugging Face VLMs: any ``AutoModelForImageTextToText``, batched, on a CPU or a GPU.

Why one of our own: those of lmms-eval answer one request at a time, know no adapters, cannot mix prompts with and without an
image, and turn an error into an empty answer, which a judge then reads as "no answer". Here an error is an error: a request
that fails even alone is recorded as ``failed``, and more than a few of them end the run.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from loguru import logger
from tqdm import tqdm

from harness_ext.errors import UserError
from harness_ext.failures import mark_failed
from harness_ext.models.generation import GenerationSettings, request_seed, seeded_sampling
from harness_ext.models.loading import load_model, load_processor
from harness_ext.models.prompts import Conversation, conversation, has_image
from harness_ext.provenance import record_provenance

# What one bad request can raise: an unreadable image, a prompt too long, memory. Anything else is a fault of the program.
_REQUEST_ERRORS: Final = (OSError, ValueError, RuntimeError)
MAX_FAILED_SHARE: Final = 0.001


class TooManyFailures(UserError):
    """More requests failed than the run may bear."""


@dataclass(frozen=True)
class _Request:
    """One question to answer: where its answer goes, what is asked, how, and what identifies it for sampling."""

    index: int
    instance: Instance
    settings: GenerationSettings
    repeat: int

    @property
    def identity(self) -> tuple[str, int, int]:
        """What tells this answer from every other of the run."""
        _, _, _, doc_id, task, _ = self.instance.args
        return task, doc_id, self.repeat


class HuggingFaceVLM(lmms):
    """A VLM of transformers behind lmms-eval's ``generate_until``.

    Args:
        pretrained: A hub repository or a folder.
        revision: The commit, tag or branch of the weights.
        adapter: A folder or repository of a PEFT adapter for these weights.
        dtype: ``"auto"`` (the checkpoint's), ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; the GPU of this process if there is one, else the CPU.
        device_map: As in transformers, ``"auto"`` spreads one model over several GPUs; instead of ``device``.
        attn_implementation: As in transformers (``"sdpa"``, ``"flash_attention_2"``, ``"eager"``).
        batch_size: Requests answered at a time; halved where memory does not suffice.
        max_batch_size: Given by lmms-eval, without effect here.
        max_failed: The share of a process's requests that may fail before the run does; 0.001 by default.
        seed: Seed of sampling; lmms-eval's ``--seed`` (its torch seed) by default.
        trust_remote_code: Run code from the model's repository; never unless you say so.

    Raises:
        UserError: The weights, the adapter or an option are not as expected.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str,
        revision: str | None = None,
        adapter: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        device_map: str | None = None,
        attn_implementation: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        max_failed: float = MAX_FAILED_SHARE,
        seed: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        super().__init__()
        if not str(batch_size).isdigit() or int(batch_size) < 1:
            raise UserError(f"batch_size must be a whole number of at least 1, found {batch_size!r}")
        self.batch_size = int(batch_size)
        if not isinstance(max_failed, int | float) or not 0 <= max_failed <= 1:
            raise UserError(f"max_failed must be a share from 0 to 1, found {max_failed!r}")
        self._max_failed = max_failed
        self._seed = torch.initial_seed() if seed is None else int(seed)
        self._processor = load_processor(pretrained, revision, trust_remote_code)
        self._model = load_model(
            pretrained,
            revision=revision,
            adapter=adapter,
            dtype=dtype,
            device=device,
            device_map=device_map,
            attn_implementation=attn_implementation,
            trust_remote_code=trust_remote_code,
        )
        record_provenance(
            weights=pretrained,
            revision=getattr(self._model.config, "_commit_hash", None) or revision,
            adapter=adapter,
            dtype=str(self._model.dtype).removeprefix("torch."),
        )
        # The harness deletes every module of this object once generation is over, and asks for the device after that.
        self._device = self._model.device

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return self._device

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Answer ``requests``, in their order; a failed one is marked by :func:`harness_ext.failures.mark_failed`.

        Raises:
            TooManyFailures: More than ``max_failed`` of the requests failed.
        """
        answers: list[str | None] = [None] * len(requests)
        failures: list[str] = []
        with tqdm(total=len(requests), desc="Model Responding", disable=self.rank != 0) as progress:
            for batch in self._batches(requests):
                for request, answer in zip(batch, self._answer(batch, failures), strict=True):
                    answers[request.index] = answer
                progress.update(len(batch))
                if len(failures) > self._max_failed * len(requests):
                    raise TooManyFailures(
                        f"{len(failures)} of {len(requests)} requests failed, more than max_failed={self._max_failed:g} "
                        f"allows; the first: {failures[0]}"
                    )
        if failures:
            logger.warning(f"{len(failures)} of {len(requests)} requests failed, recorded as such: {failures[0]}, …")
        assert None not in answers, "a request was neither answered nor recorded as failed"
        return cast(list[str], answers)

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Not part of this backend."""
        raise NotImplementedError("this backend answers single-turn tasks only")

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Not part of this backend."""
        raise NotImplementedError("this backend answers generation tasks only")

    def _batches(self, instances: Sequence[Instance]) -> Iterator[list[_Request]]:
        """Requests that can share a forward pass: same settings, longest first, so that memory runs out early or never."""
        groups: dict[GenerationSettings, list[_Request]] = defaultdict(list)
        seen: Counter[tuple[str, int]] = Counter()
        for index, instance in enumerate(instances):
            _, _, options, doc_id, task, _ = instance.args
            settings = GenerationSettings.from_task(options)
            groups[settings].append(_Request(index, instance, settings, seen[task, doc_id]))
            seen[task, doc_id] += 1
        for group in groups.values():
            group.sort(key=lambda request: -len(request.instance.args[0]))
            for start in range(0, len(group), self.batch_size):
                yield group[start : start + self.batch_size]

    def _answer(self, batch: list[_Request], failures: list[str]) -> list[str]:
        """The answers of a batch; where the batch fails its halves are tried, down to the one request that fails."""
        try:
            return self._generate(batch)
        except _REQUEST_ERRORS as error:
            if len(batch) == 1:
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                failures.append("task {}, row {}, repeat {}: ".format(*batch[0].identity) + reason)
                return [mark_failed(reason)]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        middle = len(batch) // 2
        return self._answer(batch[:middle], failures) + self._answer(batch[middle:], failures)

    def _generate(self, batch: list[_Request]) -> list[str]:
        """Prompts with an image and prompts without make a forward pass each: few processors take both at once."""
        conversations = [self._conversation(request) for request in batch]
        answers: dict[int, str] = {}
        for with_image in (True, False):
            chosen = [at for at, turns in enumerate(conversations) if has_image(turns) == with_image]
            if chosen:
                texts = self._forward([conversations[at] for at in chosen], [batch[at] for at in chosen])
                answers.update(zip(chosen, texts, strict=True))
        return [answers[at] for at in range(len(batch))]

    def _conversation(self, request: _Request) -> Conversation:
        _, to_messages, _, doc_id, task, split = request.instance.args
        return conversation(to_messages(self.task_dict[task][split][doc_id]))

    @torch.inference_mode()
    def _forward(self, conversations: list[Conversation], requests: list[_Request]) -> list[str]:
        settings = requests[0].settings
        inputs = self._processor.apply_chat_template(
            conversations,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self._device, self._model.dtype)
        options = settings.to_generate()
        if settings.do_sample:
            seeds = [request_seed(self._seed, *request.identity) for request in requests]
            options["logits_processor"] = seeded_sampling(settings, seeds)
        tokens = self._model.generate(**inputs, **options)
        texts = self._processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return [settings.cut(text) for text in texts]
