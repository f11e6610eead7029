"""Trains a judge by transformers' Trainer, and writes its folder whole or not at all; an interrupted training resumes.

FOLDER/              model.safetensors, config.json, the tokenizer, README.md (the card), measures.json, record.json
FOLDER.unfinished/   the last epochs, and the record of their run; one run at a time works there, held by a lock
"""

import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

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
    set_seed,
)
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils import logging

from harness_ext.common.errors import UserError
from harness_ext.common.files import held, sha256
from harness_ext.common.step_bar import StepBar
from harness_ext.judges.classifier import LABELS, Kind
from harness_ext.judges.classifier.examples import Example, LabelledResponses, Parts, check_labels, split
from harness_ext.judges.classifier.measures import Measures, card, measure
from harness_ext.judges.classifier.start import TINY, Start, load_start
from harness_ext.judges.classifier.text_classifier import TextClassifier
from harness_ext.models.checkpoint import read_json

RECORD_FILE: Final = "record.json"
MEASURES_FILE: Final = "measures.json"
_PACKAGES: Final = ("torch", "transformers", "tokenizers")
_WARMUP: Final = 0.1


@dataclass(frozen=True)
class Settings:
    """How a judge is trained; see the help of ``unsafeconcepts train-judge``.

    Attributes:
        epochs: Passes over the examples, at most.
        learning_rate: Its highest value; it rises over the first tenth of all steps and falls to 0 from there.
        batch_size: Examples in a step.
        patience: Epochs without a lower validation loss after which training ends.
        held_out: The share of the responses that is held out; half as many validate.
        seed: The seed of the parts, of random weights, and of the order of the examples.
        without: Labels that no example has.

    Raises:
        UserError: A value is out of range.
    """

    epochs: int
    learning_rate: float
    batch_size: int = 16
    patience: int = 3
    held_out: float = 0.2
    seed: int = 0
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("batch-size", self.batch_size), ("patience", self.patience)):
            if value < 1:
                raise UserError(f"--{name}: expected at least 1, found {value}")
        if not 0 < self.learning_rate < 1:
            raise UserError(f"--learning-rate: expected more than 0 and less than 1, found {self.learning_rate:g}")
        if not 0 < self.held_out <= 0.5:
            raise UserError(f"--held-out: expected a share, more than 0 and at most 0.5, found {self.held_out:g}")

    @classmethod
    def of(cls, base: str, epochs: int | None, learning_rate: float | None, **others: Any) -> Self:
        """The settings, with epochs and learning rate that suit ``base`` where they are ``None``."""
        usual_epochs, usual_rate = (30, 1e-3) if base == TINY else (5, 2e-5)
        return cls(
            usual_epochs if epochs is None else epochs,
            usual_rate if learning_rate is None else learning_rate,
            **others,
        )


# --- the folder -------------------------------------------------------------------------------------------------------


def train_judge(
    labelled: LabelledResponses,
    start: Start,
    settings: Settings,
    output: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> Measures:
    """Train a judge, measure it on what was held out, and write its folder.

    Args:
        labelled: The labelled responses.
        start: The classifier that training begins with.
        settings: How it is trained.
        output: The folder, which must not exist; an interrupted run beside it is resumed.
        callbacks: Further callbacks of the trainer.

    Raises:
        UserError: A label has too few responses, the folder exists, another run writes to it, or a run of other settings
            was interrupted there.
    """
    check_labels(labelled, settings.without)
    record = make_record(labelled, start, settings)
    output = output.absolute()
    work = output.with_name(f"{output.name}.unfinished")
    with held(
        output.with_name(f".{output.name}.lock"),
        lambda error: UserError(f"{output.parent} cannot be written to ({error.strerror})"),
        f"another run writes to {output}: wait for it, or choose another folder",
    ):
        if output.exists():
            raise UserError(f"{output} is there already; remove it, or choose another folder")
        _begin(work, record)
        return _finish(labelled, start, settings, record, work, output, callbacks)


def make_record(labelled: LabelledResponses, start: Start, settings: Settings) -> dict[str, Any]:
    """Everything that decides a judge's weights: its rows, its base, its settings, and the packages' versions."""
    rows = "".join(f"{json.dumps(asdict(each), sort_keys=True)}\n" for each in labelled.examples)
    return {
        "kind": labelled.kind,
        "examples": len(labelled.examples),
        "data_sha256": sha256(rows),
        "base": start.name,
        "base_identity": start.identity,
        **{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()},
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _begin(work: Path, record: Mapping[str, Any]) -> None:
    """Make the unfinished folder, or check that the existing one is of the same run."""
    file = work / RECORD_FILE
    if file.is_file():
        before = read_json(file)
        if other := [name for name in record if before.get(name) != record[name]]:
            raise UserError(
                f"{work} is of an interrupted run that differs in {', '.join(other)}: remove it, or choose another folder"
            )
        return
    if work.exists():
        shutil.rmtree(work)
    work.mkdir()
    file.write_text(_json(record), encoding="utf-8")


def _finish(
    labelled: LabelledResponses,
    start: Start,
    settings: Settings,
    record: Mapping[str, Any],
    work: Path,
    output: Path,
    callbacks: Sequence[TrainerCallback],
) -> Measures:
    parts = split(labelled.examples, settings.held_out, settings.seed)
    written, trained = work / "written", work / "trained"
    begun = time.perf_counter()
    # Transformers would draw a bar for every file over ours.
    logging.disable_progress_bar()
    if not trained.is_dir():
        set_seed(settings.seed)
        model, tokenizer = load_start(start, labelled.kind, [each.text for each in parts.train])
        fit(model, tokenizer, labelled.kind, parts, settings, work, callbacks)
        if written.exists():
            shutil.rmtree(written)
        model.save_pretrained(written)
        tokenizer.save_pretrained(written)
        written.rename(trained)
    seconds = time.perf_counter() - begun
    measures = measure_folder(trained, labelled.kind, parts.held_out)
    (trained / "README.md").write_text(card(labelled, measures, record, seconds), encoding="utf-8")
    (trained / MEASURES_FILE).write_text(_json(measures.to_dict()), encoding="utf-8")
    shutil.copyfile(work / RECORD_FILE, trained / RECORD_FILE)
    trained.rename(output)
    shutil.rmtree(work)
    return measures


def measure_folder(folder: Path, kind: Kind, examples: Sequence[Example]) -> Measures:
    """How well the classifier in a folder reads ``examples``, read as a judge reads them."""
    found = TextClassifier(str(folder), kind=kind).log_probabilities([each.text for each in examples])
    best = found.max(dim=-1)
    read = [LABELS[kind][at] for at in best.indices.tolist()]
    return measure(examples, read, best.values.exp().tolist(), LABELS[kind])


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


# --- training ---------------------------------------------------------------------------------------------------------


def fit(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    kind: Kind,
    parts: Parts,
    settings: Settings,
    work: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> None:
    """Train ``model`` in place, from the last whole epoch on; it ends with the weights of the least validation loss.

    Args:
        model: A classifier of transformers.
        tokenizer: Its tokenizer.
        kind: The kind of its labels.
        parts: The examples.
        settings: How it is trained.
        work: The folder of the epochs.
        callbacks: Further callbacks of the trainer.
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
    """The last epoch that is whole; later ones are removed."""
    found = sorted(work.glob("checkpoint-*"), key=lambda folder: int(folder.name.removeprefix("checkpoint-")))
    for folder in reversed(found):
        # Its last file.
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
