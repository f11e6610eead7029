"""Training by transformers' Trainer, from the last whole epoch on, until the validation loss stops falling."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tqdm import tqdm
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME

from harness_ext.classifiers.labels import LABELS, Kind
from harness_ext.classifiers.training.rows import Example
from harness_ext.classifiers.training.settings import Settings
from harness_ext.classifiers.training.split import Parts
from harness_ext.step_bar import StepBar

_WARMUP: Final = 0.1


def fit(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    kind: Kind,
    parts: Parts,
    settings: Settings,
    work: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> None:
    """Train ``model`` in place; it ends as it was after the epoch of the least validation loss.

    Args:
        model: A classifier of transformers.
        tokenizer: Its tokenizer.
        kind: Whose labels it has.
        parts: The examples.
        settings: How.
        work: Where epochs are kept, and found again.
        callbacks: The trainer's, beside our own.
    """
    steps = math.ceil(len(parts.train) / settings.batch_size) * settings.epochs
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=4 * settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=0.01,
        lr_scheduler_type="linear",
        warmup_steps=int(_WARMUP * steps),
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        seed=settings.seed,
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=_tokens(parts.train, tokenizer, kind),
        eval_dataset=_tokens(parts.validation, tokenizer, kind),
        callbacks=[EarlyStoppingCallback(settings.patience), _Bar(), *callbacks],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=_last_whole(work))


def _tokens(examples: Sequence[Example], tokenizer: Any, kind: Kind) -> list[dict[str, Any]]:
    found = tokenizer([each.text for each in examples], truncation=True)
    return [
        {"input_ids": ids, "attention_mask": mask, "labels": LABELS[kind].index(each.label)}
        for ids, mask, each in zip(found["input_ids"], found["attention_mask"], examples, strict=True)
    ]


def _last_whole(work: Path) -> str | None:
    """The last epoch that was written to its end; what came after it is removed."""
    found = sorted(work.glob("checkpoint-*"), key=lambda folder: int(folder.name.removeprefix("checkpoint-")))
    for folder in reversed(found):
        # Written last of all.
        if _is_json(folder / TRAINER_STATE_NAME):
            return str(folder)
        shutil.rmtree(folder)
    return None


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


class _Bar(StepBar):
    """A progress bar with the last losses."""

    def opened(self, args: TrainingArguments, state: TrainerState) -> "tqdm[Any]":
        return tqdm(total=state.max_steps, initial=state.global_step, unit="step", desc="train-judge")

    def figures(self, logs: dict[str, Any]) -> dict[str, float] | None:
        return {"validation loss": logs["eval_loss"]} if "eval_loss" in logs else None
