"""PPO for vision-language models, on TRL's GRPO machinery.

One response a prompt, a critic as the baseline, the KL in the reward, advantages for each token, a clipped loss over several
passes. Every mean is taken over the real tokens of all processes, so that a run on several processes takes the steps of one.
Every response has noise of its own, seeded by its place: the batch, the number of processes and a resumption change nothing.
``surface.py`` lists the part of TRL's private surface that this rests on.
"""

from collections.abc import Callable, Iterable
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate.utils import gather_object, is_peft_model
from datasets import Dataset
from peft import PeftConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import GenerationConfig, PreTrainedModel, ProcessorMixin
from trl import GRPOTrainer

from align.anchors import ANCHOR
from align.monitor import Monitor
from align.ppo.config import PPOConfig
from align.ppo.credit import Credit, Scored
from align.ppo.critic import Critic, Trunk, ValueHead
from align.ppo.drawn import Drawn
from align.ppo.maths import policy_loss
from align.ppo.passes import Passes
from align.ppo.schedule import hold_back
from align.ppo.surface import FORWARD_KEYS
from align.rewards.base import RULES, judged_rows, responses
from align.rollouts import draw_what_is_scored
from align.stopped import TrainingStopped, sample
from harness_ext.common.errors import UserError
from harness_ext.judges.base import BatchJudge
from harness_ext.models.generation import request_seed, seeded_sampling
from harness_ext.models.settings import GenerationSettings


class PPOTrainer(GRPOTrainer):
    """Trains a LoRA by PPO; the base model stays as it is and is the reference.

    Args:
        model: The base model.
        reward_funcs: Functions of TRL's signature; a response's score is their sum, weighted by ``args.reward_weights``.
        args: The settings.
        train_dataset: Rows with a ``prompt`` and an ``image``; their other columns go to the reward functions. Those whose
            ``anchor`` is true earn the KL alone; every process has as many of them in a rollout (:mod:`align.anchors`).
        processing_class: The model's processor.
        peft_config: The LoRA to put on ``model``.
        judge: Watches the run; :func:`align.monitor.watching_judge` opens the one that ``args.monitor`` names. The rows then
            have the columns ``label`` and ``question``.
        kwargs: As in TRL's GRPOTrainer.

    Raises:
        UserError: There is no adapter to train, the rows do not fill a rollout, or a judge is named and not given.
        TrainingStopped: Something is not a number, the KL exploded, no answer of a rollout could be read, or the reward
            drifted away from the judge that watches.
    """

    _tag_names: ClassVar = ["trl", "ppo"]
    _name: ClassVar = "PPO"
    args: PPOConfig

    def __init__(
        self,
        model: PreTrainedModel,
        reward_funcs: Callable[..., list[float]] | list[Callable[..., list[float]]],
        args: PPOConfig,
        train_dataset: Dataset,
        processing_class: ProcessorMixin,
        peft_config: PeftConfig | None = None,
        judge: BatchJudge | None = None,
        **kwargs: Any,
    ) -> None:
        if is_peft_model(model) or peft_config is None:
            raise UserError(
                "PPO trains a new adapter, for its reference is the model without it: give a base model and a peft_config"
            )
        if args.stop_on_na and "question" not in train_dataset.column_names:
            raise UserError(
                "stop_on_na reads answers as verdicts, and the rows have no column question: set it to false"
            )
        if (judge is None) is not (args.monitor is None):
            raise UserError("monitor and the argument judge go together: name a judge and give it, or do neither")
        if judge is not None and (missing := {"label", "question"} - set(train_dataset.column_names)):
            raise UserError(f"a watched run needs rows with a label and a question, these have no {', '.join(missing)}")
        if len(train_dataset) < args.generation_batch_size:
            raise UserError(
                f"a rollout takes {args.generation_batch_size} rows, and there are {len(train_dataset)}: "
                "lower per_device_train_batch_size or steps_per_generation"
            )
        draw_what_is_scored(model)
        super().__init__(
            model,
            reward_funcs,
            args,
            train_dataset,
            processing_class=processing_class,
            peft_config=peft_config,
            **kwargs,
        )
        self._monitor = Monitor(judge, args, self.accelerator) if judge is not None else None
        if self._monitor is not None:
            self.add_callback(self._monitor)
        self._trunk = Trunk(self.model)
        critic = Critic(self._trunk.width, args, self.accelerator.device)
        self._credit = Credit(critic, args, self.accelerator)
        self._sampling = None if args.use_vllm else _greedy(self.generation_config)
        is_read = {"question", "label", "concept"} <= set(train_dataset.column_names)
        self._drawn = Drawn(RULES.name) if is_read else None
        # The rollout that is being drawn: this process's rows and responses as a stop reports them, their scores, 0 for an
        # anchor, and which are no anchors.
        self._samples: list[dict[str, Any]] = []
        self._scores = torch.empty(0)
        self._judged = torch.empty(0, dtype=torch.bool)
        self._old: Tensor | None = None
        self._features: Tensor | None = None
        # The passes over the rollout that is optimised on.
        self._passes: Passes | None = None

    # --- drawing a rollout -------------------------------------------------------------------------------------------

    @property
    def rollout(self) -> int:
        """The number of the rollout that is drawn or optimised on, from 0 on."""
        return int(self.state.global_step) // self.args.updates_per_rollout

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        """One micro-batch of the rollout, which is drawn first where it is time to."""
        if not self.model.training:
            raise UserError(
                "PPO has no evaluation of its own: set eval_strategy to 'no', and evaluate through lmms_eval"
            )
        if self._is_time_to_draw() or self._passes is None:
            rollout = self._generate_and_score_completions(generation_batch)
            self._passes = Passes(rollout, self.rollout, self.args, self.accelerator)
        return self._passes.micro_batch(self._step % self._steps_per_rollout)

    def _generate_single_turn(self, prompt_ids: list[Any], *args: Any, **kwargs: Any) -> Any:
        if self._sampling is None:
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        first = self.accelerator.process_index * len(prompt_ids)
        places = range(first, first + len(prompt_ids))
        seeds = [request_seed(self.args.seed, "rollout", self.rollout, place) for place in places]
        of_fsdp = vars(self.model).get("generate")
        self.model.generate = partial(self.model.generate, logits_processor=seeded_sampling(self._sampling, seeds))
        try:
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        finally:
            del self.model.generate
            if of_fsdp is not None:
                self.model.generate = of_fsdp

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        given = model, input_ids, attention_mask, logits_to_keep
        if torch.is_grad_enabled() or self._trunk.is_reference:
            return super()._get_per_token_logps_and_entropies(*given, *args, **kwargs)
        with self._trunk.recording(attention_mask[:, -logits_to_keep:]) as recording:
            scored = super()._get_per_token_logps_and_entropies(*given, *args, **kwargs)
        self._old, self._features = scored[0], recording.features
        return scored

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: list[Any], completions: list[Any], completion_ids: list[list[int]]
    ) -> Tensor:
        """Each function's rewards of all processes' responses; NaN for anchors, which no function and no judge reads."""
        self._judged = torch.tensor([not row.get(ANCHOR, False) for row in inputs], device=self.accelerator.device)
        judged = self._judged.nonzero()[:, 0].tolist()
        rows, told = [inputs[at] for at in judged], [completions[at] for at in judged]
        of_judged = super()._calculate_rewards(
            rows, [prompts[at] for at in judged], told, [completion_ids[at] for at in judged]
        )
        everywhere = self.accelerator.gather(self._judged)
        by_function = of_judged.new_full((len(everywhere), of_judged.shape[1]), torch.nan)
        by_function[everywhere] = of_judged
        weighted = (by_function * self.reward_weights.to(by_function.device)).nansum(dim=1)
        weighted[by_function.isnan().all(dim=1) & everywhere] = torch.nan
        first = self.accelerator.process_index * len(prompts)
        self._scores = weighted[first : first + len(prompts)]
        self._samples = [sample(row, text) for row, text in zip(inputs, responses(completions), strict=True)]
        self._stop_if(~self._scores.isfinite(), "a response's reward is not a finite number")
        self._read(rows, responses(told), judged)
        if self._monitor is not None:
            step, scores = int(self.state.global_step), self._scores[self._judged]
            for name, value in self._monitor.watch(self.rollout, step, rows, told, scores).items():
                self._log(name, value)
        if self.args.missing_eos_penalty is not None:
            ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
            cut_off = torch.tensor([ids[-1] not in ends for ids in completion_ids], device=self._scores.device)
            self._scores = self._scores - self.args.missing_eos_penalty * (cut_off & self._judged)
        return by_function

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """TRL's rollout, with advantages of shape (B, T) and the old log-probabilities."""
        self._old = self._features = None
        batch = super()._generate_and_score_completions(inputs)
        if self._features is None:  # with a single pass, TRL leaves the old log-probabilities out
            with torch.no_grad():
                self._log_probabilities(self.model, batch, compute_entropy=False)
        assert self._old is not None and self._features is not None
        reference = batch.pop("ref_per_token_logps")
        self._metrics["train"].pop("frac_reward_zero_std", None)
        scored = Scored(self._scores, self._old, reference, batch["completion_mask"], self._features, self._judged)
        self._features = None  # the critic keeps them, and in the precision that they are in
        reason = "a log-probability is not a finite number: the weights or the precision are at fault"
        self._stop_if(scored.broken(), reason)
        kl, of_anchors = (self._credit.kl(scored, judged) for judged in (True, False))
        if isfinite(of_anchors):
            self._log("ppo/anchor_kl", of_anchors)
        if not kl <= self.args.max_kl or of_anchors > self.args.max_kl:
            found = f"{kl:.3g} nats a response" if not kl <= self.args.max_kl else f"{of_anchors:.3g} nats an anchor"
            reason = f"the KL to the reference is {found}, and max_kl is {self.args.max_kl:g}"
            raise self._stopped(f"{reason}: lower the learning rate, or raise kl_coef", range(len(self._samples)))
        ratio = self._sampled_by_vllm(batch, scored)
        advantages, figures = self._credit.assign(scored, kl, self.rollout)
        # A weight of the clipped surrogate, as in TRL: it is never negative.
        batch["advantages"] = advantages if ratio is None else advantages * ratio
        for name, value in figures.items():
            self._log(name, value)
        batch["old_per_token_logps"], batch["judged"] = scored.policy, self._judged
        return batch

    def _sampled_by_vllm(self, batch: dict[str, Any], scored: Scored) -> Tensor | None:
        """TRL's ratio of the policy's to vLLM's probabilities, shape (B, T) or (B, 1), where vLLM drew and it is asked for.

        Stops where the two are too far apart to be corrected: vLLM draws by other weights, or from other prompts.
        """
        drawn, ratio = batch.pop("sampling_per_token_logps", None), batch.pop("importance_sampling_ratio", None)
        if drawn is None:
            return None
        known = scored.mask.bool() & drawn.isfinite()
        apart = torch.where(known, scored.policy - drawn, 0.0).abs()
        total = self.accelerator.reduce(torch.stack([apart.sum(), known.sum().float()]), reduction="sum")
        mean, most = float(total[0] / total[1]), float(self.accelerator.gather(apart.max()).max())
        self._log("ppo/mismatch", mean)
        self._log("ppo/mismatch_max", most)
        if not mean <= self.args.max_mismatch:
            raise self._stopped(
                f"vLLM's log-probabilities and the policy's are {mean:.3g} nats a token apart, and max_mismatch is "
                f"{self.args.max_mismatch:g}: vLLM has other weights, another precision, or other prompts",
                apart.sum(1).topk(min(8, len(apart))).indices.tolist(),
            )
        return ratio

    def _log_probabilities(self, model: Any, batch: dict[str, Any], compute_entropy: bool) -> tuple[Any, ...]:
        """Log-probabilities of the drawn tokens, and entropies where asked for, each of shape (B, T)."""
        return self._get_per_token_logps_and_entropies(
            model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_ids"].size(1),
            batch_size=self.args.per_device_train_batch_size,
            compute_entropy=compute_entropy,
            **{key: batch.get(key) for key in FORWARD_KEYS},
        )[:2]

    # --- stopping: every process together, with the samples of all --------------------------------------------------

    def _read(self, rows: list[dict[str, Any]], texts: list[str], at: list[int]) -> None:
        """Count the right verdicts of the responses ``at`` these places, which are no anchors.

        Stops where no response of the rollout, of all processes, has a verdict.
        """
        if self._drawn is None and not self.args.stop_on_na:
            return
        verdicts = judged_rows(RULES, texts, rows)
        if self._drawn is not None:
            self._drawn.note(rows, verdicts, self.state.global_step / self.state.max_steps)
        is_read = torch.tensor([verdict != "na" for verdict in verdicts], device=self.accelerator.device)
        count = int(self.accelerator.reduce(is_read.sum(), reduction="sum"))
        if self.args.stop_on_na and not count:
            raise self._stopped(
                f"none of the rollout's {len(verdicts) * self.accelerator.num_processes} responses could be read as a "
                "verdict: the model no longer answers the question (stop_on_na: false to continue all the same)",
                at,
            )

    def _stop_if(self, wrong: Tensor, reason: str) -> None:
        """Stop where ``wrong``, shape (B,), about this process's samples, is true anywhere."""
        if int(self.accelerator.reduce(wrong.sum(), reduction="sum")):
            raise self._stopped(reason, wrong.nonzero()[:, 0].tolist())

    def _stopped(self, reason: str, at: Iterable[int]) -> TrainingStopped:
        return TrainingStopped(reason, int(self.state.global_step), gather_object([self._samples[i] for i in at]))

    # --- optimising on it --------------------------------------------------------------------------------------------

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """The learning rate's schedule: over all updates, or over those that come after the critic's warm-up."""
        if self.args.critic_warmup_in_schedule or self.lr_scheduler is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        held = self.args.critic_warmup * self.args.updates_per_rollout
        scheduler = super().create_scheduler(max(1, num_training_steps - held), optimizer)
        hold_back(scheduler, held)
        return scheduler

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any) -> Tensor:
        """A forward and backward pass; none in the critic's warm-up, and none after the passes were ended early.

        Without a gradient the optimiser leaves the weights alone; a loss of zero would not do, for momentum moves them.
        """
        if self.rollout >= self.args.critic_warmup and not (self._is_over and not self._is_time_to_draw()):
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        self._prepare_inputs(inputs)
        self._step += 1
        return torch.zeros((), device=self.accelerator.device)

    @property
    def _is_over(self) -> bool:
        return self._passes is not None and self._passes.over

    def _is_time_to_draw(self) -> bool:
        return bool(self._step % self._steps_per_rollout == 0)

    @property
    def _steps_per_rollout(self) -> int:
        return int(self.args.steps_per_generation * self.num_iterations)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        mask, old = inputs["completion_mask"], inputs["old_per_token_logps"]
        new, entropies = self._log_probabilities(model, inputs, compute_entropy=True)
        loss = policy_loss(new, old, inputs["advantages"], mask, self.epsilon_low, self.epsilon_high)
        # Exploring verdicts is what the bonus is for: anchors get none.
        entropy = torch.where(mask.bool() & inputs["judged"][:, None], entropies, 0.0).sum()
        # Processes' gradients are averaged, those of the micro-batches of an update are added up.
        weight = self.accelerator.num_processes / inputs["update_tokens"]
        total = (loss.loss - self.args.entropy_coef * entropy) * weight
        wrong = torch.zeros(len(self._samples), dtype=torch.bool, device=total.device)
        wrong[inputs["sample"]] = ~total.detach().isfinite()
        self._stop_if(wrong, "the loss is not a finite number: lower the learning rate, or use another precision")
        if self._is_time_to_draw():
            deviation = torch.where(mask.bool(), (new.detach() - old).exp() - 1, 0.0).abs().max()
            self._log("ppo/first_ratio_deviation", float(deviation))
        tokens, of_responses = inputs["update_tokens"], inputs["update_responses"]
        self._note(
            torch.stack([loss.kl / of_responses, loss.clipped / tokens, entropy.detach() / inputs["judged_tokens"]])
        )
        return total

    def _note(self, parts: Tensor) -> None:
        """Log an update once its last micro-batch is through, and end the rollout's passes where it went too far."""
        assert self._passes is not None
        if (figures := self._passes.add(parts)) is None:
            return
        kl, clipped, entropy = figures
        self._log("ppo/policy_kl", kl)
        self._log("ppo/clipped", clipped)
        self._log("entropy", entropy)
        self._passes.over |= self.args.target_kl is not None and kl > self.args.target_kl

    def _log(self, name: str, value: float) -> None:
        self._metrics["train"][name].append(value)

    # --- checkpoints -------------------------------------------------------------------------------------------------

    def save_critic(self, folder: Path) -> None:
        """Write the critic, the KL's weight, what was drawn and the monitor, for a resumed run to take the same steps."""
        self._credit.save(folder)
        if self._drawn is not None:
            self._drawn.save(folder)
        if self._monitor is not None:
            self._monitor.save(folder)

    def load_critic(self, folder: Path) -> None:
        """Read what `save_critic` wrote."""
        self._credit.load(folder)
        if self._drawn is not None:
            self._drawn.load(folder)
        if self._monitor is not None:
            self._monitor.load(folder)

    @property
    def value_head(self) -> ValueHead:
        """The critic's head."""
        return self._credit.critic.head


def _greedy(config: GenerationConfig) -> GenerationSettings:
    """Make ``config`` greedy, in place, and return the sampling it asked for: the noise samples, not `generate`."""
    settings = GenerationSettings(do_sample=True, temperature=config.temperature or 1.0)
    config.do_sample = False
    config.temperature = config.top_p = config.top_k = config.min_p = None
    return settings
