"""One run from its settings to its final adapter: begun, gone on with, or found finished."""

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from accelerate.utils import broadcast_object_list
from datasets import Dataset

from align.arguments import check_last_batch, check_reporting
from align.data import dpo_rows, sft_rows, training_rows
from align.folder import RunFolder, is_complete
from align.models import Base, find_base, load
from align.monitor import watching_judge
from align.ppo.config import PPOConfig
from align.record import Record, Taken, judges_of, make_record, other_environment, read_record, write_card, write_record
from align.rewards.build import build_rewards
from align.settings import WITH_ROLLOUTS, Settings
from align.stopped import TrainingStopped
from align.trainers import Rewards, build_trainer
from harness_ext.errors import UserError
from harness_ext.judges.batch import BatchJudge
from harness_ext.processes import processes_of_run


def run(settings: Settings, command: str) -> None:
    """Train; the same command again goes on from the last whole checkpoint, or says that there is nothing to do.

    Args:
        settings: The run's settings.
        command: The command line, for the record.

    Raises:
        UserError: The folder holds another run, or something is not as expected.
        TrainingStopped: The run could not go on; ``stopped.json`` in its folder says why.
    """
    args = settings.arguments
    processes, is_main = args.distributed_state, args.process_index == 0
    if processes.num_processes != processes_of_run():
        raise UserError(
            f"started in {processes_of_run()} processes, of which the trainer sees {processes.num_processes}: without a GPU "
            "for each, add --use_cpu true"
        )
    if is_main:
        check_reporting(args)
    rewards = build_rewards(settings.rewards.rewards) if settings.rewards else None
    judge = watching_judge(args, settings.rewards.rewards) if isinstance(args, PPOConfig) and settings.rewards else None
    base = find_base(settings.model)
    # What is downloaded, hashed or converted for the first time is so once.
    with processes.main_process_first():
        rows = _rows(settings)
    if settings.method not in WITH_ROLLOUTS and not settings.leave_out_long:
        check_last_batch(args, len(rows) * settings.data.passes)
    folder = RunFolder(Path(args.output_dir))
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(folder.logs))
    with folder.held(settings.overwrite) if is_main else nullcontext():
        record: Record = {}
        last: Path | None = None
        if is_main:
            rests_on = judges_of(rewards[0] if rewards else (), judge)
            record = make_record(settings, base, rows, rests_on, processes.num_processes, command)
            last = folder.last(record)
            record["left_out"] = read_record(last).get("left_out", 0) if last is not None else 0
        (last,) = broadcast_object_list([last])
        if last is None or not is_complete(last):
            _train(settings, base, rows, rewards, judge, folder, record, last)
        if is_main and not folder.is_finished():
            folder.finish(_describing(base, record))
            print(f"finished: {folder.final}")
        elif is_main:
            print(f"there is nothing to do: the run is finished, and its adapter is {folder.final}")
        processes.wait_for_everyone()


def _rows(settings: Settings) -> Dataset:
    """The rows, each once, with the targets of the method."""
    rows = training_rows(settings.data)
    if settings.method == "sft":
        return sft_rows(rows, settings.data)
    return dpo_rows(rows, settings.data) if settings.method == "dpo" else rows


def _say_where(last: Path, record: Record) -> None:
    print(f"going on from {last}", file=sys.stderr)
    if others := other_environment(read_record(last), record):
        print("  but not to the same bits, for these are others:\n    " + "\n    ".join(others), file=sys.stderr)


def _train(
    settings: Settings,
    base: Base,
    rows: Dataset,
    rewards: Rewards | None,
    judge: BatchJudge | None,
    folder: RunFolder,
    record: Record,
    checkpoint: Path | None,
) -> None:
    if settings.arguments.process_index == 0:
        folder.begin()
        if checkpoint is not None:
            _say_where(checkpoint, record)
    model, processor = load(base, settings.model, settings.arguments.device)
    describe = _describing(base, record)
    trainer = build_trainer(settings, base, model, processor, rows, rewards, judge, run=folder, describe=describe)
    record["left_out"] = len(rows) - len(trainer.train_dataset) // settings.data.passes
    if record["left_out"] and settings.arguments.process_index == 0:
        print(f"left out: {record['left_out']} of {len(rows)} rows, longer than max_length", file=sys.stderr)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        state = trainer.state
        if state.global_step < state.max_steps:
            raise TrainingStopped(
                f"training ended before its last step, {state.max_steps}: the same command goes on from the last checkpoint",
                state.global_step,
            )
    except TrainingStopped as stopped:
        stopped.write(folder.path)
        raise


def _describing(base: Base, record: Record) -> Callable[[Path, int, Taken], None]:
    def describe(folder: Path, step: int, taken: Taken) -> None:
        write_card(folder, base, record, step)
        write_record(folder, record, step, taken)

    return describe
