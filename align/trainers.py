"""The trainers of the five methods: TRL's and our PPO's, with checkpoints that are whole or not there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PrinterCallback, ProcessorMixin, ProgressCallback
from trl import DPOTrainer, GRPOTrainer, RLOOTrainer, SFTTrainer

from align.arguments import check_last_batch
from align.checkpoints import WholeCheckpoints
from align.data import passes
from align.models import Base, lora_config, switch_off_dropout
from align.ppo.trainer import PPOTrainer
from align.progress import Progress
from align.rendering import Collator, Renderer, fitting
from align.rewards.base import Reward
from align.settings import Settings
from harness_ext.judges.batch import BatchJudge


class SFT(WholeCheckpoints, SFTTrainer):
    """Supervised fine-tuning on the right answers."""


class DPO(WholeCheckpoints, DPOTrainer):
    """Direct preference optimisation; its reference is the model without the adapter."""


class GRPO(WholeCheckpoints, GRPOTrainer):
    """Group relative policy optimisation."""


class RLOO(WholeCheckpoints, RLOOTrainer):
    """REINFORCE leave-one-out."""


class PPO(WholeCheckpoints, PPOTrainer):
    """Proximal policy optimisation; its checkpoints hold the critic too."""

    def trained(self) -> Iterator[Tensor]:
        """The adapter's weights, and the value head's."""
        yield from super().trained()
        yield from self.value_head.parameters()

    def save_extra(self, folder: Path) -> None:
        """Write the critic."""
        self.save_critic(folder)

    def load_extra(self, folder: Path) -> None:
        """Read the critic."""
        self.load_critic(folder)


Rewards: TypeAlias = tuple[list[Reward], list[float]]
TRAINERS: Final[dict[str, type[WholeCheckpoints]]] = {"sft": SFT, "dpo": DPO, "ppo": PPO, "grpo": GRPO, "rloo": RLOO}


def build_trainer(
    settings: Settings,
    base: Base,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Dataset,
    rewards: Rewards | None,
    judge: BatchJudge | None,
    **of_run: Any,
) -> WholeCheckpoints:
    """The trainer of a run.

    Args:
        settings: The run's settings.
        base: Where the model is from.
        model: It, on its device.
        processor: Its processor.
        rows: The rows, each once, with the targets of SFT or DPO.
        rewards: What a response earns and what that weighs, for the other methods.
        judge: Watches a run of PPO, if one is to.
        of_run: The folder and the description, as :class:`WholeCheckpoints` takes them.

    Raises:
        UserError: The settings do not fit the model or the rows.
    """
    args = settings.arguments
    given: dict[str, Any] = {}
    if rewards is not None:
        given["reward_funcs"], args.reward_weights = rewards
        args.chat_template_kwargs = dict(base.template_options)
    if judge is not None:
        given["judge"] = judge
    trainer = TRAINERS[settings.method](
        model=model,
        args=args,
        train_dataset=passes(rows, settings.data),
        processing_class=processor,
        peft_config=lora_config(model, settings.model, base.commit),
        **given,
        **of_run,
    )
    if rewards is None:
        renderer = Renderer(model, processor, base.template_options)
        trainer.data_collator = Collator(trainer.data_collator, renderer)
        if args.max_length is not None:
            bar = args.process_index == 0 and not args.disable_tqdm
            rows = fitting(rows, renderer, args.max_length, settings.leave_out_long, bar)
            trainer.train_dataset = passes(rows, settings.data)
            # Of the rows that are left; a run that leaves none out was checked before anything was loaded.
            check_last_batch(args, len(trainer.train_dataset))
    if settings.method != "sft" and args.disable_dropout:
        switch_off_dropout(trainer.model)
    for printing in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(printing)
    trainer.add_callback(Progress())
    return trainer
