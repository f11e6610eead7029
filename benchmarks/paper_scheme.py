"""The paper's scheme of PPO, to be timed: written out as it is described, no line of its code taken.

One pass over a rollout; a LoRA for the policy and another one for the value, so that values take forward and backward passes
of their own; every response padded to 512 tokens. Log-probabilities and entropies are computed by the same fused head that
TRL's trainers have, so that figures are those of the scheme and not of a kernel.

Source: Qu, Backes, Zhang, USENIX Security 2025, arXiv 2507.11155.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin
from trl.trainer.utils import add_fused_lm_head

from align.ppo.maths import generalized_advantages, policy_loss, token_rewards, value_loss, whiten


class PaperScheme:
    """PPO with a value adapter of its own, passes of its own for everything, and fixed padding.

    Args:
        base: The model; it is put on the GPU where there is one, and computes under bfloat16 autocast there.
        processor: Its processor.
        lora: Of the policy and of the value.
        reward: Of TRL's signature.
        tokens: Of every response.
        padded: Tokens that responses are padded to.
        batch: Responses in a forward and backward pass.
        entropy_coef: Weight of the entropy bonus.
        checkpointing: Whether activations are computed again in the backward pass.
    """

    def __init__(
        self,
        base: PreTrainedModel,
        processor: ProcessorMixin,
        lora: LoraConfig,
        reward: Callable[..., list[float]],
        *,
        tokens: int,
        padded: int,
        batch: int,
        entropy_coef: float,
        checkpointing: bool,
    ) -> None:
        self.processor, self.reward = processor, reward
        self.tokens, self.padded, self.batch, self.entropy_coef = tokens, padded, batch, entropy_coef
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        add_fused_lm_head(base, outputs=("log_probs", "entropy"))
        self.model = get_peft_model(base.to(self.device), lora, adapter_name="policy")
        self.model.add_adapter("value", lora)
        if checkpointing:
            base.gradient_checkpointing_enable({"use_reentrant": False})
            self.model.enable_input_require_grads()
        width = base.config.get_text_config().hidden_size
        self.head = torch.nn.Linear(width, 1, dtype=torch.float32, device=self.device)
        adapters = [parameter for name, parameter in self.model.named_parameters() if "lora_" in name]
        for parameter in adapters:
            parameter.requires_grad_(True)
        self.trained = [*adapters, *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(self.trained, lr=3e-5)

    def rollout(self, rows: Dataset) -> None:
        """Draw responses, score them in three passes, and take one step from two more."""
        whole, mask = self._drawn(rows)
        responses = whole["input_ids"][:, -self.padded :]
        # Checkpointing is done by layers in training mode alone; there is no dropout.
        self.model.train()
        with torch.no_grad():
            self.model.set_adapter("policy")
            old = torch.cat([self._scored(part)[0] for part in self._parts(whole)])
            with self.model.disable_adapter():
                reference = torch.cat([self._scored(part)[0] for part in self._parts(whole)])
            self.model.set_adapter("value")
            values = torch.cat([self._values(part) for part in self._parts(whole)])
        drawn = [ids[:count] for ids, count in zip(responses.tolist(), mask.sum(1).int().tolist(), strict=True)]
        scores = torch.tensor(self.reward(completion_ids=drawn), device=self.device)
        rewards = token_rewards(scores, old, reference, mask, 0.1)
        advantages = generalized_advantages(rewards, values, mask, 1.0, 1.0)
        returns, advantages = advantages + values, whiten(advantages, mask)
        kept = {"old": old, "values": values, "returns": returns, "advantages": advantages, "mask": mask}
        for part in self._parts({**whole, **kept}):
            self.model.set_adapter("policy")
            new, entropies = self._scored(part)
            loss = policy_loss(new, part["old"], part["advantages"], part["mask"], 0.2, 0.2).loss
            ((loss - self.entropy_coef * (entropies * part["mask"]).sum()) / mask.sum()).backward()
            self.model.set_adapter("value")
            error = value_loss(self._values(part), part["values"], part["returns"], 0.2)
            (0.1 * (error * part["mask"]).sum() / mask.sum()).backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _drawn(self, rows: Dataset) -> tuple[dict[str, Tensor], Tensor]:
        """Prompts with their responses, padded, and the mask of the responses' real tokens."""
        chats = [
            [{"role": "user", "content": [{"type": "image", "image": each["image"]}, {"type": "text", "text": text}]}]
            for each in rows
            for text in [each["prompt"][0]["content"]]
        ]
        kwargs = {"return_tensors": "pt", "padding": True}
        inputs = self.processor.apply_chat_template(
            chats, add_generation_prompt=True, tokenize=True, return_dict=True, processor_kwargs=kwargs
        ).to(self.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        self.model.set_adapter("policy")
        self.model.eval()
        with torch.no_grad():
            drawn = self.model.generate(**inputs, do_sample=True, max_new_tokens=self.tokens)
        responses = drawn[:, inputs["input_ids"].shape[1] :]
        mask = torch.zeros(len(responses), self.padded, device=self.device)
        mask[:, : responses.shape[1]] = 1
        padded = torch.nn.functional.pad(responses, (0, self.padded - responses.shape[1]), value=0)
        ids = torch.cat([inputs["input_ids"], padded], dim=1)
        attention = torch.cat([inputs["attention_mask"], mask.long()], dim=1)
        return {"input_ids": ids, "attention_mask": attention, "pixel_values": inputs["pixel_values"]}, mask

    def _parts(self, whole: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        for first in range(0, len(whole["input_ids"]), self.batch):
            yield {name: each[first : first + self.batch] for name, each in whole.items()}

    def _inputs(self, part: dict[str, Tensor]) -> dict[str, Any]:
        return {**{name: part[name] for name in ("input_ids", "attention_mask", "pixel_values")}, "use_cache": False}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda")

    def _scored(self, part: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies of a response's padded tokens, each of shape (B, padded)."""
        labels = part["input_ids"].clone()
        labels[:, : -self.padded] = -100
        with self._autocast():
            found = self.model(**self._inputs(part), labels=labels, fused_lm_head=True)
        return found.log_probs[:, -self.padded :].float(), found.entropy[:, -self.padded :].float()

    def _values(self, part: dict[str, Tensor]) -> Tensor:
        """The value before each padded token, of shape (B, padded)."""
        with self._autocast():
            hidden = self.model.get_base_model().model(**self._inputs(part)).last_hidden_state
        return self.head(hidden[:, -self.padded - 1 : -1].float())[..., 0]
