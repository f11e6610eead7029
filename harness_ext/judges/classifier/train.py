"""Trains a judge by transformers' Trainer, measures it, and writes its folder whole or not at all.

``FOLDER.partial`` holds the last epoch of an interrupted run: the next run resumes it.
"""

import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import BaseModel, ConfigDict, Field
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    RobertaConfig,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import logging

from harness_ext.common.errors import UserError
from harness_ext.common.files import OF_RESUMING, resumed_folder, sha256, write_text
from harness_ext.common.reading import read_json
from harness_ext.common.seals import seal
from harness_ext.common.step_bar import show_steps
from harness_ext.judges.classifier import LABELS, Kind, named_labels
from harness_ext.judges.classifier.examples import Example, LabelledResponses, check_labels, split
from harness_ext.judges.classifier.measures import Measures, card, measure
from harness_ext.judges.classifier.paper import BASE, BASE_REVISION
from harness_ext.judges.classifier.text_classifier import TextClassifier
from harness_ext.models.checkpoint import commit_of, read_by_libraries, require_weights, weights_identity

TINY: Final = "tiny"
# Unless they are given.
USUAL: Final[Mapping[str, Any]] = {"epochs": 5, "learning_rate": 2e-5}
USUAL_OF_TINY: Final[Mapping[str, Any]] = {"epochs": 30, "learning_rate": 1e-3}
_PACKAGES: Final = ("torch", "transformers", "tokenizers")
_TOKENS: Final = 512
_TINY_TOKENS: Final = 256


class Settings(BaseModel):
    """How a judge is trained, by the options of ``unsafeconcepts train-judge``."""

    model_config = ConfigDict(frozen=True)

    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0, lt=1)
    batch_size: int = Field(16, ge=1)
    patience: int = Field(3, ge=1)
    held_out: float = Field(0.2, gt=0, le=0.5)
    seed: int = 0
    # Labels that no example has.
    without: tuple[str, ...] = ()


def find_start(base: str, revision: str | None) -> tuple[str, str | None]:
    """The classifier that a training begins with: ``"tiny"`` (a new one), a folder, or a hub repository and its commit.

    ``roberta-base`` is at the commit of the paper's judges. Raises ``UserError`` where there is no such checkpoint, or its
    commit cannot be looked up.
    """
    if base == TINY:
        if revision is not None:
            raise UserError(f"--base-revision {revision}: {TINY} begins from nothing; leave it out")
        return TINY, None
    local = Path(base).is_dir()
    if not local and base in ("roberta-base", BASE):
        base, revision = BASE, revision or BASE_REVISION
    commit = commit_of(base, revision, "base")
    if local:
        require_weights(base, Path(base))
    return base, commit


def _load(base: str, revision: str | None, kind: Kind, texts: Sequence[str]) -> tuple[Any, PreTrainedTokenizerBase]:
    """The classifier to train, with a head of ``kind``'s labels, and its tokenizer."""
    if base == TINY:
        return _tiny(kind, texts)
    cannot = f"cannot load the base {base!r}: "
    with read_by_libraries(cannot):
        tokenizer = AutoTokenizer.from_pretrained(base, revision=revision)
        model, report = AutoModelForSequenceClassification.from_pretrained(
            base,
            revision=revision,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # a head of other labels is trained from nothing
            **named_labels(kind),
        )
    encoder = f"{model.base_model_prefix}."
    found = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if lacking := [name for name in found if name.startswith(encoder) and ".pooler." not in name]:
        raise UserError(
            f"{cannot}its weights lack {len(lacking)} tensors, {lacking[0]} the first; "
            "expected a text encoder of transformers"
        )
    # Two positions of RoBERTa's table are not for text, for padding has one too.
    positions = getattr(model.config, "max_position_embeddings", _TOKENS + 2) - 2
    tokenizer.model_max_length = min(tokenizer.model_max_length, _TOKENS, positions)
    return model, tokenizer


def _tiny(kind: Kind, texts: Sequence[str]) -> tuple[Any, PreTrainedTokenizerBase]:
    """A new RoBERTa of two layers, 64 wide: minutes of training on a CPU, for short answers of known forms.

    Its tokenizer is a byte-level BPE, which can write any text, learnt from ``texts``.
    """
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>"]
    bpe.train_from_iterator(texts, vocab_size=2000, min_frequency=2, special_tokens=special, show_progress=False)
    bpe.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=_TINY_TOKENS,
    )
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=_TINY_TOKENS + 2,
        type_vocab_size=1,
        initializer_range=0.05,
        **named_labels(kind),
    )
    return AutoModelForSequenceClassification.from_config(config), tokenizer


# --- the folder -------------------------------------------------------------------------------------------------------


def train_judge(
    labelled: LabelledResponses,
    start: tuple[str, str | None],
    settings: Settings,
    output: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> Measures:
    """Train a judge, measure it on what was held out, and write its folder; an interrupted run beside it is resumed.

    Raises:
        UserError: A label has too few responses, the folder exists, another run writes to it, or a run of other settings
            was interrupted there.
    """
    check_labels(labelled, settings.without)
    record = _record(labelled, *start, settings)
    with resumed_folder(output.absolute(), record) as part:
        steps, trained = part / "steps", part / "record.json"
        parts = split(labelled.examples, settings.held_out, settings.seed)
        started = time.perf_counter()
        # Transformers would draw a bar for every file over ours.
        logging.disable_progress_bar()
        if not trained.is_file():
            set_seed(settings.seed)
            model, tokenizer = _load(*start, labelled.kind, [each.text for each in parts.train])
            _fit(model, tokenizer, (parts.train, parts.validation), settings, steps, callbacks)
            model.save_pretrained(part)
            tokenizer.save_pretrained(part)
            # After the weights: where it is, they are whole.
            write_text(trained, json.dumps(record, indent=2) + "\n")
        seconds = time.perf_counter() - started
        measures = _measure_folder(part, labelled.kind, parts.held_out)
        write_text(part / "README.md", card(labelled, measures, record, seconds))
        write_text(part / "measures.json", json.dumps(asdict(measures), indent=2) + "\n")
        if steps.exists():
            shutil.rmtree(steps)
        seal(part, leave_out=OF_RESUMING)
    return measures


def _record(labelled: LabelledResponses, base: str, revision: str | None, settings: Settings) -> dict[str, Any]:
    """Everything that decides a judge's weights: its rows, its base, its settings, and the packages' versions."""
    rows = "".join(f"{json.dumps(asdict(each), sort_keys=True)}\n" for each in labelled.examples)
    return {
        "kind": labelled.kind,
        "examples": len(labelled.examples),
        "data_sha256": sha256(rows),
        "base": base,
        "base_identity": TINY if base == TINY else weights_identity(base, revision),
        **settings.model_dump(mode="json"),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _measure_folder(folder: Path, kind: Kind, examples: Sequence[Example]) -> Measures:
    """How well the classifier in a folder reads ``examples``, read as a judge reads them."""
    found = TextClassifier(str(folder), kind=kind).log_probabilities([each.text for each in examples])
    best = found.max(dim=-1)
    read = [LABELS[kind][at] for at in best.indices.tolist()]
    return measure(examples, read, best.values.exp().tolist(), LABELS[kind])


# --- training ---------------------------------------------------------------------------------------------------------


def _fit(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    parts: tuple[Sequence[Example], Sequence[Example]],
    settings: Settings,
    steps: Path,
    callbacks: Sequence[TrainerCallback],
) -> None:
    """Train ``model`` in place on the first of ``parts``; it ends with the epoch of the least loss on the second.

    The learning rate rises over the first tenth of all steps and falls to 0 from there. The last whole epoch in ``steps``, if
    any, is resumed.
    """
    columns = model.config.label2id
    train, validation = (
        [
            {**tokenizer(each.text, truncation=True, return_token_type_ids=False), "labels": columns[each.label]}
            for each in part
        ]
        for part in parts
    )
    total = math.ceil(len(train) / settings.batch_size) * settings.epochs
    arguments = TrainingArguments(
        output_dir=str(steps),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=4 * settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=0.01,
        warmup_steps=int(0.1 * total),
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        seed=settings.seed,
        report_to="none",
        disable_tqdm=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=train,
        eval_dataset=validation,
        callbacks=[EarlyStoppingCallback(settings.patience), *callbacks],
    )
    show_steps(trainer, {"eval_loss": "validation loss"}, desc="train-judge")
    trainer.train(resume_from_checkpoint=_last_whole(steps))


def _last_whole(steps: Path) -> str | None:
    """The last epoch that is whole; others are removed."""
    for folder in steps.glob("checkpoint-*"):
        try:
            read_json(folder / TRAINER_STATE_NAME)  # its last file
        except UserError:
            shutil.rmtree(folder)
    return get_last_checkpoint(str(steps)) if steps.exists() else None
