"""The folder of a trained judge: whole, or not there. What is unfinished lies beside it and is gone on with.

FOLDER/              model.safetensors, config.json, the tokenizer, README.md (the card), measures.json, record.json
FOLDER.unfinished/   the last epochs, and what they are of; one run at a time works there, held by a lock
"""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from transformers import TrainerCallback, set_seed
from transformers.utils import logging

from harness_ext.classifiers.labels import LABELS, Kind
from harness_ext.classifiers.text_classifier import TextClassifier
from harness_ext.classifiers.training.card import card
from harness_ext.classifiers.training.fit import fit
from harness_ext.classifiers.training.measures import Measures, measure
from harness_ext.classifiers.training.rows import Example, Labelled
from harness_ext.classifiers.training.settings import Settings
from harness_ext.classifiers.training.split import check_labels, split
from harness_ext.classifiers.training.start import Start, load_start
from harness_ext.errors import UserError
from harness_ext.models.checkpoint import read_json

RECORD_FILE: Final = "record.json"
MEASURES_FILE: Final = "measures.json"
_PACKAGES: Final = ("torch", "transformers", "tokenizers")


def train_judge(
    labelled: Labelled, start: Start, settings: Settings, output: Path, callbacks: Sequence[TrainerCallback] = ()
) -> Measures:
    """Train a judge, measure it on what was held out, and write its folder.

    Args:
        labelled: The labelled responses.
        start: What is trained.
        settings: How.
        output: The folder, which must not be there yet; what an interrupted run left beside it is gone on with.
        callbacks: The trainer's, beside our own.

    Raises:
        UserError: A label has too few responses, the folder is there, another run writes to it, or one of other settings
            was interrupted there.
    """
    check_labels(labelled, settings.without)
    record = make_record(labelled, start, settings)
    output = output.absolute()
    work = output.with_name(f"{output.name}.unfinished")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(output.with_name(f".{output.name}.lock"))
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"another run writes to {output}: wait for it, or choose another folder") from error
    except OSError as error:
        raise UserError(f"{output.parent} cannot be written to ({error.strerror})") from error
    try:
        if output.exists():
            raise UserError(f"{output} is there already; remove it, or choose another folder")
        _begin(work, record)
        return _finish(labelled, start, settings, record, work, output, callbacks)
    finally:
        lock.release()


def make_record(labelled: Labelled, start: Start, settings: Settings) -> dict[str, Any]:
    """What decides how a judge comes out: its rows, its base, its settings, and the versions of what trains it."""
    rows = "".join(f"{json.dumps(asdict(each), sort_keys=True)}\n" for each in labelled.examples)
    return {
        "kind": labelled.kind,
        "examples": len(labelled.examples),
        "data_sha256": hashlib.sha256(rows.encode()).hexdigest(),
        "base": start.name,
        "base_identity": start.identity,
        **{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()},
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _begin(work: Path, record: Mapping[str, Any]) -> None:
    """Make the folder of what is unfinished, or see that the one that is there is of the same run."""
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
    labelled: Labelled,
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
    # Transformers draws a bar for every file it reads or writes, over ours.
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
    """How well the classifier in a folder reads ``examples``, as a judge would read them."""
    found = TextClassifier(str(folder), kind=kind).log_probabilities([each.text for each in examples])
    best = found.max(dim=-1)
    read = [LABELS[kind][at] for at in best.indices.tolist()]
    return measure(examples, read, best.values.exp().tolist(), LABELS[kind])


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
