"""The language side of a VLM behind lm-eval: text is scored by the VLM itself, adapter and all, without an image.

lm-eval's own ``hf`` loads a VLM's language model under another class, puts no adapter of a VLM on it, and knows no names of
ours. Here the whole VLM is loaded as for lmms-eval and handed to lm-eval's ``HFLM``, which tokenises, batches and scores as
always. Its scoring assumes that a token is read without those after it. That is tried first: some VLMs read a prompt in both
directions, and would be told the answer.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import simple_parse_args_string
from transformers import LogitsProcessorList, PreTrainedModel

from harness_ext.common.errors import UserError
from harness_ext.common.failures import failure_reason
from harness_ext.common.processes import processes_of_run
from harness_ext.common.provenance import forget_model, provenance
from harness_ext.common.time_limit import rendering
from harness_ext.models.checkpoint import commit_of, record_model
from harness_ext.models.generation import NOT_FINITE, WatchFinite, no_distributions
from harness_ext.models.loading import load_model, load_processor

# What lm-eval's command names where the user names no device.
_DEFAULT_DEVICE: Final = "cuda:0"
# The most that a token's scores may move with the tokens after it, in standard deviations of the scores: rounding in a batch
# of a mixture of experts stays far below, reading ahead moves them by about one.
_ROUNDING: Final = 0.05
_TRIAL: Final = "Question: What is two plus two? Answer: It is four, as everyone knows."


class LanguageSide(HFLM):
    """A VLM of transformers behind lm-eval's requests, text alone.

    Args:
        pretrained: A hub repository or a folder; for the options that are not described here, see
            :class:`harness_ext.models.hf.HuggingFaceVLM`.
        softmax_dtype: The precision in which scores become log-likelihoods, whatever the model's own.
        prompt: A chat template (Jinja) for a processor that has none; used with lm-eval's ``--apply_chat_template``.
        batch_size: As lm-eval's, ``"auto"`` too.
        max_batch_size: As lm-eval's.
        max_length: The most tokens of a prompt; the model's own limit by default.

    Raises:
        UserError: The weights, the adapter or an option are not as expected, or the model cannot score text alone.
    """

    def __init__(
        self,
        pretrained: str,
        revision: str | None = None,
        adapter: str | None = None,
        adapter_base: str | None = None,
        dtype: str = "auto",
        softmax_dtype: str = "float32",
        device: str | None = None,
        device_map: str | None = None,
        attn_implementation: str | None = None,
        prompt: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = 64,
        max_length: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        forget_model()
        commit = commit_of(pretrained, revision, "processor")
        self._processor = load_processor(pretrained, commit, trust_remote_code, prompt)
        if device == _DEFAULT_DEVICE:
            device = None
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
        tokenizer = self._processor.tokenizer
        require_text_alone(model, tokenizer(_TRIAL)["input_ids"], pretrained)
        # HFLM asks the tokenizer for the template that it records.
        tokenizer.chat_template = self._processor.chat_template
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            backend="causal",
            softmax_dtype=softmax_dtype,
            batch_size=batch_size,
            max_batch_size=max_batch_size,
            max_length=max_length,
            chat_template_args=dict(template_options or {}),
        )
        record_model(pretrained, commit, adapter, model.dtype)
        if processes_of_run() > 1:
            # HFLM leaves processes to the caller where it is given a model.
            self.accelerator = Accelerator(
                cpu=model.device.type == "cpu",
                kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(weeks=52))],
            )
            self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict | None = None) -> "LanguageSide":
        """As lm-eval's; what the user names in ``--model_args`` wins over the command's own options."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> "LanguageSide":
        """As lm-eval's, which has no answer where ``device`` is in both."""
        given = {key: value for key, value in (additional_config or {}).items() if value is not None}
        return cls(**(given | arg_dict))

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation by the processor's template, whose messages are lists of parts.

        Raises:
            UserError: The template does not format a conversation of text alone.
        """
        turns = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in chat_history]
        try:
            with rendering("the processor's chat template"):
                return self._processor.apply_chat_template(
                    turns,
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    continue_final_message=not add_generation_prompt,
                    **self.chat_template_args,
                )
        except ValueError as error:
            raise UserError(f"the chat template does not format text alone: {error}") from error

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval writes into the result file about the model, and what its name stood for."""
        return {
            "model_num_parameters": self.model.num_parameters(),
            "model_dtype": str(self.model.dtype),
            # lm-eval records the device that was asked for, its default where none was.
            "model_device": str(self.device),
            **provenance(),
        }

    def _model_call(
        self, inps: torch.Tensor, attn_mask: torch.Tensor | None = None, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores of shape (B, T, V) for tokens of shape (B, T), padded on the right."""
        assert attn_mask is None and labels is None, "only encoder-decoders are called with them"
        return _scores(self.model, inps)

    def _select_cont_toks(
        self, logits: torch.Tensor, contlen: int | None = None, inplen: int | None = None
    ) -> torch.Tensor:
        """The log-probabilities of a continuation, shape (T, V), without what is before it and what pads it.

        Raises:
            UserError: They are not finite; lm-eval knows no failed request, and would count one as a wrong answer.
        """
        chosen = super()._select_cont_toks(logits, contlen, inplen)
        if no_distributions(chosen).any():
            raise UserError(f"cannot score text: {NOT_FINITE}")
        return chosen

    def _model_generate(
        self, context: torch.Tensor, max_length: int, stop: list[str], **generation_kwargs: Any
    ) -> torch.Tensor:
        """As lm-eval's. Raises ``UserError`` where the scores of an answer are not finite."""
        watch = WatchFinite(self.eot_token_id)
        tokens = super()._model_generate(
            context,
            max_length,
            stop,
            logits_processor=LogitsProcessorList([watch]),
            remove_invalid_values=False,
            **generation_kwargs,
        )
        # A row that a stop string has ended is padded.
        if any(watch.failed(tokens[:, context.shape[1] :], [self.eot_token_id, self.tokenizer.pad_token_id])):
            raise UserError(f"cannot answer in text: {NOT_FINITE}")
        return tokens


def require_text_alone(model: PreTrainedModel, tokens: list[int], pretrained: str) -> None:
    """Raise ``UserError`` unless ``model`` scores text without an image, each token without those after it.

    Args:
        model: In evaluation mode, on its device.
        tokens: Some tokens of text, shape (T,); T of four at least.
        pretrained: What the user called the weights.
    """
    cannot = f"cannot score text with {pretrained!r}: "
    if model.config.is_encoder_decoder:
        raise UserError(f"{cannot}it is an encoder-decoder; a language side is scored where one model reads and writes")
    kept = len(tokens) // 2
    # lm-eval pads with token 0.
    both = torch.tensor([tokens, tokens[:kept] + [0] * (len(tokens) - kept)], device=model.device)
    try:
        scores = torch.cat([_scores(model, row[None]) for row in both]).float()[:, :kept]
    except (ValueError, TypeError, RuntimeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{cannot}it does not read text without an image ({failure_reason(error)}).\n"
            "Its abilities with images are measured by --suite vision"
        ) from error
    if not torch.isfinite(scores).all():
        raise UserError(f"{cannot}its scores are not finite; another dtype may help")
    moved = float((scores[0] - scores[1]).abs().max() / scores.std())
    if moved > _ROUNDING:
        raise UserError(
            f"{cannot}a token's scores depend on the tokens after it (by {moved:.2g} standard deviations): "
            "it reads a prompt in both directions, and would be told the answer"
        )


def _scores(model: PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
    # By name: the first argument of some VLMs is the pixels.
    with torch.no_grad():
        return model(input_ids=tokens, use_cache=False).logits
