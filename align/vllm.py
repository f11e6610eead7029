"""Rollouts by vLLM (``use_vllm``): TRL's own generation, made to draw from the distribution that the trainer scores.

TRL 1.16 gives vLLM a prompt whose image tokens are there already, and in the same process vLLM adds them once more
(huggingface/trl, issue 6294); it lets vLLM draw the image token, sends weights that were never trained under names that vLLM
may not know, and does not say which commit of a hub repository to load. Here all of that is otherwise.
"""

import importlib.util
from collections.abc import Iterator
from typing import Any, Final

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from transformers import TrainingArguments
from trl.generation.vllm_generation import VLLMGeneration
from trl.trainer import grpo_trainer, rloo_trainer

from harness_ext.common.errors import UserError
from harness_ext.models.checkpoint import locate

# The lowest bias that vLLM takes: less than 1e-43 of what a token's probability was.
_NEVER: Final = -100.0
_NOISE: Final = "vLLM's own, which no seed of a response decides: a resumed run draws other responses"


def draw_by_ours() -> None:
    """Make TRL's trainers with rollouts use `DrawnAsScored` for ``use_vllm``. A second call changes nothing."""
    for trainer in (grpo_trainer, rloo_trainer):
        trainer.VLLMGeneration = DrawnAsScored


class DrawnAsScored(VLLMGeneration):
    """Generation by vLLM from the trainer's own prompts, weights and distribution.

    Raises ``UserError`` where vLLM reads other tokens than the trainer; `VLLMGeneration` has the arguments.
    """

    def _init_vllm(self) -> None:
        self._image = self.model.config.image_token_id
        ends = self.model.generation_config.eos_token_id
        ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
        tokenizer = self.processing_class.tokenizer
        # The trainer's ends of a response and no others; the rest of a checkpoint's generation settings does not reach vLLM
        # through explicit sampling parameters.
        self.generation_kwargs: dict[str, Any] = {
            **self.generation_kwargs,
            "logit_bias": {self._image: _NEVER},
            "ignore_eos": True,
            "stop_token_ids": sorted({tokenizer.eos_token_id, *ends}),
        }
        commit = self.model.active_peft_config.revision
        # On the adapter's wrapper alone: the base keeps its name, which the adapter is saved with.
        self.model.name_or_path = str(locate(self.model.name_or_path, commit, "weights"))
        try:
            super()._init_vllm()
        finally:
            del self.model.name_or_path

    @torch.no_grad()
    def _iter_named_params(self) -> Iterator[tuple[str, Tensor]]:
        """The weights that an adapter changes, with it; vLLM has read the others from the same files.

        The model stays as it is: TRL adds the adapter to the weights and subtracts it again, which leaves its rounding there.
        """
        if self._dist.is_fsdp:
            raise UserError("use_vllm: FSDP spreads the weights that vLLM is to get; take it out, or train by DDP")
        for path, module in self.model.get_base_model().named_modules():
            if isinstance(module, BaseTunerLayer):
                with self._dist.gather_params(list(module.parameters())):
                    weight = module.get_base_layer().weight
                    of_adapter = sum(module.get_delta_weight(name).float() for name in module.active_adapters)
                    yield f"{path}.weight", (weight.float() + of_adapter).to(weight.dtype)

    def generate(
        self, prompts: list[list[int]], images: list[Any] | None, *args: Any, **kwargs: Any
    ) -> tuple[Any, ...]:
        """As `VLLMGeneration.generate`; ``prompts`` hold every token that an image takes."""
        if self.mode == "server":  # which is told where the images' tokens are
            return tuple(super().generate(prompts, images, *args, **kwargs))
        read, *found = super().generate([self._once(prompt) for prompt in prompts], images, *args, **kwargs)
        for prompt, tokens in zip(prompts, read, strict=True):
            if list(prompt) != list(tokens):
                raise UserError(
                    f"use_vllm: vLLM reads a prompt as {len(tokens)} tokens where the trainer reads {len(prompt)}, and "
                    "so would not draw from what is scored; take use_vllm out"
                )
        return prompts, *found

    def _once(self, prompt: list[int]) -> list[int]:
        """``prompt`` with one token in place of an image's: vLLM puts in as many as there are."""
        follows = zip([None, *prompt], prompt, strict=False)
        return [token for before, token in follows if token != self._image or before != token]


def is_used(arguments: TrainingArguments) -> bool:
    """Whether the responses of a run with these arguments are drawn by vLLM."""
    return bool(vars(arguments).get("use_vllm"))


def check(arguments: TrainingArguments) -> None:
    """Raise ``UserError`` where vLLM could not draw the rollouts that ``arguments`` ask it for."""
    if not is_used(arguments):
        return
    mode = vars(arguments)["vllm_mode"]
    if mode not in ("colocate", "server"):
        raise UserError(f"vllm_mode: expected colocate or server, found {mode!r}")
    if vars(arguments)["vllm_enable_sleep_mode"]:
        raise UserError(
            "vllm_enable_sleep_mode: vLLM forgets all weights when it sleeps, and gets those alone that an adapter changes; "
            "take it out"
        )
    if importlib.util.find_spec("vllm") is None:
        raise UserError("use_vllm: vLLM is not installed; pip install 'trl[vllm]', or take it out")
    if mode == "server" and arguments.device.type != "cuda":
        raise UserError(
            f"vllm_mode: a server gets its weights by NCCL, which needs a CUDA device, found {arguments.device.type}; take "
            "colocate"
        )


def noted(arguments: TrainingArguments) -> dict[str, str]:
    """What the record of a run says of the responses' noise, where vLLM draws them."""
    return {"noise": _NOISE} if is_used(arguments) else {}
