"""The folder of a run: everything in it is whole, whenever its process was killed.

    OUTPUT_DIR/checkpoint-100/   a PEFT adapter, the trainer's state, run.json, a model card, digests.json of the others
    OUTPUT_DIR/final/            the last checkpoint's adapter, run.json, card and log: to evaluate and to hand on
    OUTPUT_DIR/stopped.json      why a run had to stop, and on which rows
    OUTPUT_DIR/monitor.jsonl     where its reward drifted away from the judge that watched, a warning a line
    OUTPUT_DIR/own_answers/      what the original model answered to the rows before training, where it was asked
    OUTPUT_DIR/logs/             TensorBoard's
    OUTPUT_DIR/.align            says that a run writes here

A folder is written inside ``.unfinished``, its seal (``digests.json``) last, and renamed into its place in one step;
transformers alone would write file by file into its place, and resume in silence from a part. Nothing that another program
wrote is deleted.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import Trainer
from transformers.trainer import OPTIMIZER_NAME, SCALER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME

from align.models import Base
from align.monitor import MONITOR_FILE
from align.ppo.credit import PPO_FILE
from align.ppo.critic import CRITIC_FILE, HEAD_FILE
from align.ppo.drawn import DRAWN_FILE
from align.record import CARD_FILE, Record, bears_record, differences, read_record, write_card, write_record
from align.sharding import (
    FSDP2,
    SPREAD,
    CompleteSpread,
    adapter_of,
    set_adapter,
    set_up_fsdp2,
    sharding,
    spread_state,
    whole_state,
)
from align.stopped import FiniteSteps
from harness_ext.common.errors import UserError, shown
from harness_ext.common.files import UNFINISHED, held, write_text
from harness_ext.common.output import say
from harness_ext.common.reading import read_json
from harness_ext.common.seals import SEAL, is_sealed, require_unchanged, seal
from harness_ext.models.checkpoint import require_whole
from harness_ext.report.page.training import CHECKPOINT, FINAL, RECORD_FILE, STOPPED_FILE, WARNINGS_FILE

ADAPTER_FILES: Final = ("adapter_config.json", "adapter_model.safetensors", TRAINER_STATE_NAME)


class RunFolder:
    """The output folder of one run; it need not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.final = self.path / FINAL
        self.logs = self.path / "logs"
        self.own_answers = self.path / "own_answers"
        self.unfinished = self.path / ".unfinished"

    @contextmanager
    def held(self, overwrite: bool) -> Iterator[None]:
        """Within it, this process alone writes here. Sweeps unfinished folders, and with ``overwrite`` an earlier run.

        Raises ``UserError`` where it cannot be written to, another run writes here, or something in it is not a run's.
        """
        with held(
            self.path / ".lock",
            lambda error: UserError(f"output_dir {self.path} cannot be written to ({error.strerror})"),
            f"another run writes to {self.path}: wait for it, or choose another output_dir",
        ):
            self._claim()
            self._sweep()
            if overwrite:
                # The checkpoints first: where this is killed, no run resumes without its warnings.
                for folder in [self.final, *self.checkpoints().values(), self.own_answers]:
                    self._remove(folder)
                self._remove_logs()
                (self.path / WARNINGS_FILE).unlink(missing_ok=True)
            yield
            self._sweep()

    def checkpoints(self) -> dict[int, Path]:
        """The whole checkpoints by their steps, the earliest first."""
        named = ((CHECKPOINT.fullmatch(folder.name), folder) for folder in self.path.iterdir())
        return dict(sorted((int(match[1]), folder) for match, folder in named if match))

    def last(self, record: Record) -> Path | None:
        """The folder to resume from: ``final`` of a finished run, or the last checkpoint; ``None`` to begin.

        Raises ``UserError`` where that folder is not whole, or of another run than ``record``'s, which is about to start.
        """
        folders = [*([self.final] if self.final.is_dir() else []), *reversed(self.checkpoints().values())]
        if not folders:
            return None
        folder = folders[0]
        if found := differences(read_record(folder), record):
            listed = [*found[:10], *([f"and {len(found) - 10} more"] if len(found) > 10 else [])]
            raise UserError(
                f"{self.path} holds a run of other settings, data or judges:\n  " + "\n  ".join(listed) + "\n"
                "Choose another output_dir, or add --overwrite to delete that run and begin anew"
            )
        _require_first_whole(folders, record)
        return folder

    def begin(self) -> None:
        """Forget why an earlier attempt stopped, and what a killed writer left: training is about to start."""
        for file in [self.path / STOPPED_FILE, *self.path.glob(UNFINISHED)]:
            file.unlink(missing_ok=True)

    def publish(self, name: str) -> None:
        """Seal ``.unfinished/name``, complete by now, and move it into its place."""
        written, place = self.unfinished / name, self.path / name
        seal(written)
        _flush(written)
        self._remove(place)
        written.rename(place)
        _flush(self.path, files=False)

    def keep_last(self, most: int | None) -> None:
        """Remove the earliest checkpoints until at most ``most`` remain; ``None`` keeps all."""
        for folder in list(self.checkpoints().values())[: -most if most else 0]:
            self._remove(folder)

    def finish(self) -> None:
        """Make ``final`` of the last checkpoint, without what only resuming needs."""
        checkpoint = next(reversed(self.checkpoints().values()))
        folder = self.unfinished / FINAL
        folder.mkdir(parents=True)
        of_ppo = [name for name in (HEAD_FILE, DRAWN_FILE) if (checkpoint / name).is_file()]
        for name in (*ADAPTER_FILES, *of_ppo, CARD_FILE, RECORD_FILE):
            shutil.copyfile(checkpoint / name, folder / name)
        self.publish(FINAL)

    def _claim(self) -> None:
        """Mark the folder as a run's. Raises ``UserError`` where it holds another program's files, which could be deleted."""
        marker = self.path / ".align"
        results = [each for each in (self.final, *self.checkpoints().values()) if each.exists()]
        strangers = [each for each in results if not bears_record(each)]
        # Runs from before there was a marker are known by their results.
        if not results and not marker.exists():
            beside = [self.logs, self.own_answers, self.unfinished, self.path / WARNINGS_FILE, self.path / STOPPED_FILE]
            strangers = [each for each in beside if each.exists()]
        if strangers:
            raise UserError(
                f"{strangers[0]} is not known to be of a run of align, which would write to it or delete it:\n"
                "move it away, or choose another output_dir"
            )
        write_text(marker, "A run of align writes to this folder.\n")

    def _remove_logs(self) -> None:
        """Delete TensorBoard's files, and the folders that are then empty; a linked folder is somebody else's."""
        if self.logs.is_symlink():
            return
        for file in self.logs.rglob("events.out.tfevents.*"):
            file.unlink()
        for folder in sorted([self.logs, *self.logs.rglob("*")], reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _sweep(self) -> None:
        if self.unfinished.exists():
            shutil.rmtree(self.unfinished)

    def _remove(self, folder: Path) -> None:
        """Delete a published folder, which leaves its place in one step, so that no half of it is ever there."""
        if folder.exists():
            self.unfinished.mkdir(exist_ok=True)
            gone = self.unfinished / f"{folder.name}.removed"
            folder.rename(gone)
            shutil.rmtree(gone)


def is_complete(folder: Path) -> bool:
    """Whether a whole checkpoint is that of its run's last step, or a run's ``final``."""
    if folder.name == FINAL:
        return True
    file = folder / TRAINER_STATE_NAME
    done, most = (read_json(file).get(name) for name in ("global_step", "max_steps"))
    if not isinstance(done, int) or not isinstance(most, int):
        raise UserError(f"{file}: expected numbers as global_step and max_steps, found {shown(done)} and {shown(most)}")
    return done >= most


def _require_first_whole(folders: Sequence[Path], record: Record) -> None:
    """Raise ``UserError`` unless the first of a run's ``folders``, latest first, is whole; it names the first one that is."""
    problems: dict[str, UserError] = {}
    then = "begins anew"
    for folder in folders:
        try:
            _require_in_place(folder)
            for name in _files_of(folder, record):
                if name.endswith(".json"):
                    read_json(folder / name)
                else:
                    require_whole(folder / name, f"cannot resume from {folder.name}: ")
            _require_unchanged(folder)
            then = f"resumes from {folder.name}"
            break
        except UserError as error:
            problems[folder.name] = error
    if problems:
        first = next(iter(problems.values()))
        raise UserError(f"{first}\nOr remove {', '.join(problems)}: the same command then {then}") from first


def _require_in_place(folder: Path) -> None:
    """Raise ``UserError`` where a checkpoint bears the name of another step."""
    named, step = CHECKPOINT.fullmatch(folder.name), read_record(folder).get("step")
    if named and step != int(named[1]):
        raise UserError(
            f"{folder} was written after step {step}: its name is another checkpoint's; give it its own back"
        )


def _require_unchanged(folder: Path) -> None:
    """Raise ``UserError`` where a file is not what the run wrote. A folder from before there were seals is said to be one."""
    remedy = "restore it from a copy"
    if is_sealed(folder) or read_record(folder).get("sealed"):
        require_unchanged(folder, f"cannot resume from {folder.name}: ", remedy)
    else:
        say(
            f"{folder} was written before checkpoints had a {SEAL}: a damaged number in it would not show",
            file=sys.stderr,
        )


def _files_of(folder: Path, record: Record) -> list[str]:
    """The files that a checkpoint, or ``final``, of such a run holds."""
    arguments, is_ppo = record["arguments"], record["method"] == "ppo"
    names = [*ADAPTER_FILES, *([HEAD_FILE, DRAWN_FILE] if is_ppo else [])]
    if folder.name == FINAL:
        return names
    processes = record["processes"]
    names += [f"rng_state_{rank}.pth" for rank in range(processes)] if processes > 1 else ["rng_state.pth"]
    # DeepSpeed keeps the optimizer's state in files that it names after its own count of steps: the seal knows them.
    names += [OPTIMIZER_NAME] if record.get("sharding") in (None, FSDP2) else []
    names += [SCHEDULER_NAME, *([SCALER_NAME] if arguments.get("fp16") else [])]
    names += [CRITIC_FILE, PPO_FILE] if is_ppo else []
    return names + ([MONITOR_FILE] if arguments.get("monitor") else [])


def _flush(folder: Path, files: bool = True) -> None:
    """Have the disk hold what was written, so that a folder in its place is whole after a power cut too."""
    for path in [*(folder.rglob("*") if files else ()), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- the trainers' part -----------------------------------------------------------------------------------------------


class WholeCheckpoints(Trainer):
    """A trainer's checkpoints, whole or not there, and its stop before a step on an invalid number.

    Goes before a trainer of TRL among the bases of a class. The tests that kill runs hold the installed transformers to the
    three private methods that it overrides.

    Args:
        run: The folder of the run.
        base: The origin of the model, for the card of a checkpoint.
        record: Of the main process, as :func:`align.record.make_record` makes it, for ``run.json``.
        kwargs: The trainer's own.

    Raises:
        UserError: The model is spread over processes in a way that is not served here.
    """

    def __init__(self, *, run: RunFolder, base: Base, record: Record, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._sharding = sharding(self.args)
        if self._sharding == FSDP2:
            set_up_fsdp2(self.model, self.accelerator.state.fsdp_plugin)
        if self._sharding in SPREAD:
            self.add_callback(CompleteSpread(self._sharding))
        self._run = run
        self._base, self._record = base, record
        # What the clocks show is added to these.
        self._seconds, self._cpu_seconds = -time.monotonic(), -time.process_time()
        self._finite = FiniteSteps(self.accelerator)
        self.add_callback(self._finite)

    def trained(self) -> Iterator[Tensor]:
        """The weights that training changes and a checkpoint holds."""
        return (each for each in self.model.parameters() if each.requires_grad)

    def save_extra(self, folder: Path) -> None:
        """Write further files of a checkpoint, beside the adapter and the trainer's state; in the main process."""

    def load_extra(self, folder: Path) -> None:
        """Read the files of `save_extra`; in every process, when a run resumes."""

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """A forward and backward pass, whose loss is watched."""
        # A rollout's prompts, or a batch of tensors, which the model gets without its rows.
        rows = [each["row"] for each in inputs] if isinstance(inputs, list) else inputs.pop("row").tolist()
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._finite.note(loss, rows)
        return loss

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the adapter; where the model is spread, without gathering the base's weights, as transformers would."""
        if self._sharding is None:
            super().save_model(output_dir, _internal_call)
        else:
            self._save(output_dir, state_dict=adapter_of(self.model))

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None in the output folder: each checkpoint has its own."""

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._run.unfinished)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self._finite.check_weights(self.trained(), int(self.state.global_step))
        super()._save_checkpoint(model, trial)
        # Each process wrote the state of its random generators.
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            step = int(self.state.global_step)
            folder = self._run.unfinished / f"checkpoint-{step}"
            self.save_extra(folder)
            seconds, cpu_seconds = time.monotonic() + self._seconds, time.process_time() + self._cpu_seconds
            write_card(folder, self._base, self._record, step)
            write_record(folder, self._record, step, seconds, cpu_seconds, self._total_train_tokens)
            self._run.publish(folder.name)
            self._run.keep_last(self.args.save_total_limit)
        self.accelerator.wait_for_everyone()

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self._sharding != FSDP2:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        # As of a whole model. torch's own way would take a step of Adam that has taken none, as in the critic's warm-up.
        state = whole_state(self.optimizer)
        if self.is_world_process_zero():
            torch.save(state, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
        if self._sharding == FSDP2:
            set_adapter(self.model, load_file(Path(checkpoint) / ADAPTER_FILES[1]))
        else:
            super()._load_from_checkpoint(checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if self._sharding == FSDP2:  # from the file of a whole model
            self.optimizer.optimizer.register_load_state_dict_pre_hook(spread_state)
            self.is_fsdp_enabled = False
        super()._load_optimizer_and_scheduler(checkpoint)
        self.is_fsdp_enabled = self._sharding == FSDP2
        if checkpoint is not None:
            earlier = read_record(Path(checkpoint))
            self._seconds += float(earlier["seconds"])
            self._cpu_seconds += float(earlier["cpu_seconds"])
            # Those of SFT and DPO, which TRL counts from 0 again; the other trainers count in the trainer's state.
            self._total_train_tokens = int(earlier.get("num_tokens", 0))
            self.load_extra(Path(checkpoint))
