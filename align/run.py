"""One run from its settings to its final adapter: begun, resumed, or found finished; and the trainers of the five methods."""

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final

from accelerate.utils import broadcast_object_list
from datasets import Dataset
from torch import Tensor
from trl import DPOTrainer, GRPOTrainer, RLOOTrainer, SFTTrainer

from align import vllm
from align.arguments import check_last_batch, check_reporting
from align.data import passes, training_rows, with_targets
from align.difficulty import of_difficulty
from align.folder import RunFolder, WholeCheckpoints, is_complete
from align.models import Base, find_base, load, lora_config, switch_off_dropout
from align.monitor import watching_judge
from align.own_answers import with_own_targets
from align.ppo.config import PPOConfig
from align.ppo.trainer import PPOTrainer
from align.record import (
    Record,
    judges_of,
    make_record,
    other_environment,
    read_record,
)
from align.rendering import Renderer, collated, fitting
from align.rewards.base import Reward
from align.rewards.build import build_rewards, try_reading
from align.rollouts import draw_what_is_scored
from align.settings import OF_ORIGINAL, WITH_ROLLOUTS, RunSettings, asks_original
from align.sharding import SPREAD, sharding
from align.stopped import TrainingStopped
from harness_ext.common.errors import UserError
from harness_ext.common.output import say
from harness_ext.common.processes import processes_of_run
from harness_ext.common.step_bar import show_steps
from harness_ext.judges.base import BatchJudge

# The logged figures that the bar shows, and their names there.
_SHOWN: Final = {
    "loss": "loss",
    "reward": "reward",
    "ppo/kl": "kl",
    "kl": "kl",
    "entropy": "entropy",
    "ppo/explained_variance": "explained",
    "monitor/drift": "drift",
    "rewards/accuracies": "preferred",
}
# Set by accelerate's launcher, also where the engine then spreads nothing.
_ENGINES: Final = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")


def run(settings: RunSettings, command: str) -> None:
    """Train; the same ``command`` line again resumes from the last whole checkpoint, or says that there is nothing to do.

    Raises:
        UserError: The folder holds another run, or something is not as expected.
        TrainingStopped: The run had to stop; ``stopped.json`` in its folder says why.
    """
    args = settings.arguments
    processes, is_main = args.distributed_state, args.process_index == 0
    if processes.num_processes != processes_of_run():
        raise UserError(
            f"started in {processes_of_run()} processes, of which the trainer sees {processes.num_processes}: without a GPU "
            "for each, add --use_cpu true"
        )
    if settings.model.load_in_4bit and any(os.environ.get(engine) == "true" for engine in _ENGINES):
        raise UserError(
            "load_in_4bit: FSDP and DeepSpeed do not spread weights of four bits here: launch without them, so that every "
            "process has all weights, or take it out"
        )
    if settings.model.load_in_4bit and vllm.is_used(args):
        raise UserError(
            "load_in_4bit: use_vllm: vLLM has no weights of four bits that an adapter could be added to: take one out"
        )
    if is_main:
        check_reporting(args)
    rewards = build_rewards(settings.rewards) if settings.method in WITH_ROLLOUTS else None
    judge = watching_judge(args, settings.rewards) if isinstance(args, PPOConfig) and settings.rewards else None
    base = find_base(settings.model)
    # One process downloads, hashes or converts first; the others find it done.
    with processes.main_process_first():
        rows = with_targets(training_rows(settings.data), settings.data, settings.method)
    if rewards is not None and "yes" in rows.column_names:
        try_reading(rewards[0], judge, rows)
    has_own, asks_first = settings.data.targets in OF_ORIGINAL, asks_original(settings.data)
    is_dealt = settings.method not in WITH_ROLLOUTS and not settings.leave_out_long
    if is_dealt and not asks_first:
        check_last_batch(args, len(rows) * settings.data.passes)
    folder = RunFolder(Path(args.output_dir))
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(folder.logs))
    with folder.held(settings.overwrite) if is_main else nullcontext():
        record: Record = {}
        last: Path | None = None
        found: dict[str, Any] = {}
        if asks_first:
            processes.wait_for_everyone()  # until the folder is known to be this run's
            if settings.data.difficulty is not None:
                rows, found["by_difficulty"] = of_difficulty(rows, settings, base, folder.own_answers)
            if has_own:
                rows, found["own"] = with_own_targets(rows, settings, base, folder.own_answers)
            if is_dealt:
                check_last_batch(args, len(rows) * settings.data.passes)
        if is_main:
            rests_on = judges_of(rewards[0] if rewards else (), judge)
            record = make_record(settings, base, rows, rests_on, command, found)
            last = folder.last(record)
        (last,) = broadcast_object_list([last])
        if last is None or not is_complete(last):
            if is_main:
                folder.begin()
            if is_main and last is not None:
                _say_resumed(last, record)
            trainer = _trainer(settings, base, rows, rewards, judge, folder, record)
            _train(trainer, last, folder)
        if is_main and not folder.final.is_dir():
            folder.finish()
            say(f"finished: {folder.final}")
        elif is_main:
            say(f"there is nothing to do: the run is finished, and its adapter is {folder.final}")
        processes.wait_for_everyone()


def _say_resumed(checkpoint: Path, record: Record) -> None:
    say(f"resuming from {checkpoint}", file=sys.stderr)
    if others := other_environment(read_record(checkpoint), record):
        say("  but not to the same bits, for these differ:\n    " + "\n    ".join(others), file=sys.stderr)
    if "noise" in record:
        say(f"  but not to the same bits, for the noise of its responses is {record['noise']}", file=sys.stderr)


def _train(trainer: WholeCheckpoints, checkpoint: Path | None, folder: RunFolder) -> None:
    """Train from ``checkpoint``, or from the beginning, to the last step. Raises ``TrainingStopped`` before that."""
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        state = trainer.state
        if state.global_step < state.max_steps:
            raise TrainingStopped(
                f"training ended before its last step, {state.max_steps}: the same command resumes from the last checkpoint",
                state.global_step,
            )
    except TrainingStopped as stopped:
        stopped.write(folder.path)
        raise


def _trainer(
    settings: RunSettings,
    base: Base,
    rows: Dataset,
    rewards: tuple[list[Reward], list[float]] | None,
    judge: BatchJudge | None,
    folder: RunFolder,
    record: Record,
) -> WholeCheckpoints:
    """The trainer, on the rows that fit; ``record``, of the main process, says how many do not.

    Raises ``UserError`` where the settings do not fit the model or the rows.
    """
    args, is_main = settings.arguments, settings.arguments.process_index == 0
    rollout = args.generation_batch_size if isinstance(args, PPOConfig) else 0
    sharded = sharding(args) in SPREAD
    model, processor = load(base, settings.model, args.device, sharded)
    given: dict[str, Any] = {"judge": judge} if judge is not None else {}
    if rewards is not None:
        draw_what_is_scored(model)
        given["reward_funcs"], args.reward_weights = rewards
        args.chat_template_kwargs = dict(base.template_options)
    trainer = TRAINERS[settings.method](
        model=model,
        args=args,
        train_dataset=passes(rows, settings.data, rollout, args.world_size),
        processing_class=processor,
        peft_config=lora_config(model, settings.model, base.commit),
        run=folder,
        base=base,
        record=record,
        **given,
    )
    if settings.model.load_in_4bit:
        # TRL rounds it to bfloat16 beside such a base, in which a small step of Adam changes nothing.
        for weight in trainer.trained():
            weight.data = weight.data.float()
    record["left_out"] = 0
    if rewards is None:
        renderer = Renderer(model, processor, base.template_options, settings.data.modality == "image")
        trainer.data_collator = partial(collated, trainer.data_collator, renderer)
        if args.max_length is not None:
            bar = is_main and not args.disable_tqdm
            fit = fitting(rows, renderer, args.max_length, settings.leave_out_long, bar)
            trainer.train_dataset = passes(fit, settings.data)
            # A run that leaves no row out was checked before anything was loaded.
            check_last_batch(args, len(trainer.train_dataset))
            record["left_out"] = len(rows) - len(fit)
            if record["left_out"] and is_main:
                say(f"left out: {record['left_out']} of {len(rows)} rows, longer than max_length", file=sys.stderr)
    if settings.method != "sft" and args.disable_dropout:
        switch_off_dropout(trainer.model)
    show_steps(trainer, _SHOWN)
    return trainer


# --- the trainers -----------------------------------------------------------------------------------------------------


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

    save_extra = PPOTrainer.save_critic
    load_extra = PPOTrainer.load_critic

    def trained(self) -> Iterator[Tensor]:
        """The adapter's weights, and the value head's."""
        yield from super().trained()
        yield from self.value_head.parameters()


TRAINERS: Final[dict[str, type[WholeCheckpoints]]] = {"sft": SFT, "dpo": DPO, "ppo": PPO, "grpo": GRPO, "rloo": RLOO}
