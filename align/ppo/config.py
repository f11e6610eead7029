"""The settings of PPO: those it shares with TRL's GRPO, its own, and a refusal of those without effect."""

from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Final

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from trl import GRPOConfig

from align.arguments import from_text, option, require
from align.rewards.base import JudgeOptions
from harness_ext.common.errors import UserError
from harness_ext.common.processes import processes_of_run
from harness_ext.judges.registry import JUDGES

# Another value than the default would be ignored here (`beta` is called `kl_coef`), would draw from another distribution than
# the one that is scored, or, as fp16, cannot take the updates without a gradient.
WITHOUT_EFFECT: Final = (
    "beta delta fp16 generation_kwargs importance_sampling_level loss_type mask_truncated_completions min_p "
    "multi_objective_aggregation num_generations off_policy_mask_threshold repetition_penalty router_aux_loss_coef "
    "scale_rewards sync_ref_model top_entropy_quantile top_k top_p use_bias_correction_kl use_adaptive_entropy "
    "vllm_structured_outputs_regex"
)
_Share = Annotated[float, Field(ge=0, le=1)]
# The bounds of TRL's settings; those of `PPOConfig` have theirs in its annotations.
_OF_TRL: Final = {
    "gradient_accumulation_steps": PositiveInt,
    "epsilon": Annotated[float, Field(gt=0, lt=1)],
    "epsilon_high": PositiveFloat | None,
    "temperature": PositiveFloat,
}


@dataclass
class PPOConfig(GRPOConfig):
    """Arguments of :class:`align.ppo.trainer.PPOTrainer`.

    A rollout is ``per_device_train_batch_size * steps_per_generation`` responses a process, one to each prompt. It is then
    optimised on for ``num_iterations`` passes of ``steps_per_generation / gradient_accumulation_steps`` updates each; every
    pass deals the responses anew. ``epsilon`` and ``epsilon_high`` clip the policy's ratio. ``entropy_coef`` weights the
    entropy bonus.

    ``target_kl``, ``kl_target`` and ``max_kl`` are in nats a response (the sum over its tokens). So are the logged figures
    they are compared with: ``ppo/policy_kl``, from the rollout's policy to the new one on the responses of an update, and
    ``ppo/kl``, from the rollout's policy to the reference. ``missing_eos_penalty`` acts before advantages are computed; the
    logged ``reward`` and the judge that watches leave it out. The logged ``completions/clipped_ratio`` is the share of a
    rollout's responses that ``max_completion_length`` cut off.
    """

    kl_coef: NonNegativeFloat = option(0.1, "Weight of the per-token KL to the reference, in the reward.")
    kl_target: PositiveFloat | None = option(
        None, "Adapt kl_coef to hold this KL to the reference, in nats a response."
    )
    kl_horizon: PositiveInt = option(10_000, "How slowly it adapts, in responses.")
    gamma: _Share = option(1.0, "Discount of later rewards.")
    lam: _Share = option(0.95, "Lambda of generalized advantage estimation.")
    whiten_advantages: bool = option(True, "Whiten advantages over a rollout's real tokens.")
    target_kl: PositiveFloat | None = option(
        None,
        "Leave out a rollout's other updates after one with a KL, in nats a response, to the rollout's policy above this.",
    )
    max_kl: PositiveFloat = option(
        50.0, "Stop the run when the KL to the reference, in nats a response, is above this."
    )
    max_mismatch: PositiveFloat = option(
        0.1,
        "use_vllm: stop the run when its log-probabilities and the policy's differ by more than this on average, in nats a "
        "token.",
    )
    missing_eos_penalty: PositiveFloat | None = option(
        None, "Taken from the score of a response that max_completion_length cut off."
    )
    stop_on_na: bool = option(True, "Stop the run when not one answer of a rollout can be read as a verdict.")
    critic_learning_rate: PositiveFloat = option(3e-3, "Learning rate of the value head's own Adam.")
    critic_steps: NonNegativeInt = option(40, "Updates of the value head a rollout; 0 for no critic.")
    critic_batch: PositiveInt = option(512, "Tokens in each of them.")
    critic_replay: PositiveInt = option(10, "Rollouts that they are drawn from, the latest ones.")
    critic_warmup: NonNegativeInt = option(4, "Rollouts in which only the critic is trained.")
    critic_warmup_in_schedule: bool = option(
        True, "Whether its updates count as steps of the learning rate's schedule, which otherwise begins after them."
    )
    critic_lam: _Share = option(1.0, "Lambda of the critic's targets; 1 for Monte-Carlo returns.")
    cliprange_value: PositiveFloat | None = option(
        None, "Keeps the value within this of the rollout's own, in the value loss."
    )
    monitor: str | None = option(
        None, "A judge, by name, that reads every rollout and gives no reward; off by default."
    )
    monitor_options: Any = field(default=None, metadata={"help": "Its options, a mapping."})
    monitor_first: Annotated[int, Field(ge=2)] = option(
        4, "As many first rollouts are what later ones are held against; best those of critic_warmup."
    )
    monitor_window: PositiveInt = option(10, "As many rollouts, the last ones, are held against them.")
    monitor_warn: Annotated[float, Field(ge=0, lt=1)] = option(
        0.1, "Warn when reward and judge drifted apart by two standard errors more than this share."
    )
    monitor_stop: float | None = option(
        None, "Stop the run when they drifted apart by two standard errors more than this."
    )
    # Defaults that differ from TRL's.
    learning_rate: float = option(3e-5, "Learning rate of the policy.")
    num_generations: int = option(1, "Responses to a prompt: one, a critic is the baseline.")
    num_iterations: PositiveInt = option(4, "Optimisation passes over a rollout.")
    disable_dropout: bool = option(True, "Without it, the ratio of the first update would not be 1.")
    scale_rewards: str = option("none", "Rewards are not scaled.")
    num_train_epochs: float = option(1.0, "Always 1; `passes` says how often a row is used.")
    shuffle_dataset: bool = option(False, "The rows come in the order of their passes.")

    def __post_init__(self) -> None:
        defaults = {each.name: each.default for each in fields(self)}
        if in_vain := [name for name in WITHOUT_EFFECT.split() if getattr(self, name) != defaults[name]]:
            raise UserError(
                f"{', '.join(in_vain)}: without effect in PPO, or harmful to it; take it out (why: align/ppo/config.py)"
            )
        if self.use_transformers_continuous_batching:
            # Responses are drawn with their own seeded noise.
            raise UserError(
                "use_transformers_continuous_batching: PPO draws its rollouts itself, or by use_vllm; take it out"
            )
        for name, kind in (_OF_TRL | PPOConfig.__annotations__).items():
            require(name, getattr(self, name), kind)
        if self.num_train_epochs != 1:
            raise UserError(
                f"num_train_epochs: expected 1, found {self.num_train_epochs:g}; say `passes` for how often each row is used"
            )
        if self.kl_target is not None and self.kl_coef == 0:
            raise UserError("kl_target: without effect with a kl_coef of 0, which no factor changes")
        self._check_monitor()
        # Not a coefficient here: a value other than 0 makes TRL compute the reference, which the KL is measured against.
        self.beta = 1.0
        # TRL's own check asks for two or more responses to a prompt, to compare them.
        if self._responses_of_a_process() % 2:
            raise UserError(
                "per_device_train_batch_size: a process's part of a rollout must be an even number of responses"
            )
        self.num_generations = 2
        super().__post_init__()
        self.num_generations = 1
        if self.steps_per_generation % self.gradient_accumulation_steps:
            raise UserError(
                f"steps_per_generation: expected a multiple of gradient_accumulation_steps "
                f"({self.gradient_accumulation_steps}), found {self.steps_per_generation}"
            )

    @property
    def updates_per_rollout(self) -> int:
        """Optimiser steps between one rollout and the next."""
        return self.num_iterations * self.steps_per_generation // self.gradient_accumulation_steps

    def _responses_of_a_process(self) -> int:
        """A process's responses in a rollout, before TRL makes the settings agree."""
        if self.generation_batch_size is not None:
            return int(self.generation_batch_size // processes_of_run())
        return int(self.per_device_train_batch_size * (self.steps_per_generation or self.gradient_accumulation_steps))

    def _check_monitor(self) -> None:
        self.monitor_options = from_text("monitor_options", self.monitor_options)
        if self.monitor is None:
            if self.monitor_options or self.monitor_stop is not None:
                raise UserError("monitor_options, monitor_stop: without effect, for no monitor is named")
            return
        if self.monitor not in JUDGES:
            raise UserError(f"monitor: expected a judge, one of {', '.join(JUDGES)}, found {self.monitor!r}")
        require("monitor_options", self.monitor_options, JudgeOptions | None)
        require("monitor_stop", self.monitor_stop, Annotated[float, Field(ge=self.monitor_warn, lt=1)] | None)
