"""Targets of SFT that the original model gives itself: its own right answers, or its answers to the question in words.

``own`` (rejection sampling): the model answers each row by sampling, and is asked again, at most ``own_samples`` times, until
an answer is right: as good as a draw among its right answers. ``told`` (self-distillation; Kim and Rush, arXiv 1606.07947, by
sequences): it answers the same question in words, where the concept is named and not shown, and this answer, whatever its
verdict, is the target beside the image. Sampled at temperature 1, it estimates the KL from the model that is told to the one
that sees; no label is read.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from datasets import Dataset

from align.data import meanings, target
from align.models import Base
from align.original import Original, as_asked, in_words, without_images
from align.rewards.base import judge_named, read_verdicts
from align.settings import DataConfig, RunSettings
from harness_ext.common.errors import UserError
from harness_ext.common.output import say
from harness_ext.judges.base import BatchJudge
from harness_ext.models.generation import request_seed
from harness_ext.records import SAFE

_CUT_SHORT: Final = "cut short"


def with_own_targets(rows: Dataset, settings: RunSettings, base: Base, folder: Path) -> tuple[Dataset, dict[str, Any]]:
    """``rows`` with an answer of the original model each, as ``completion``; and what was found, for ``run.json``.

    Rows without one are left out, or get a written target, as ``settings`` say. Every process calls this, with the same rows;
    ``folder`` keeps the answers of all.

    Raises:
        UserError: The model or the judge fails on an answer, a label has no such answer at all, or fewer rows are left than
            an update takes.
    """
    config, args = settings.data, settings.arguments
    judge = judge_named(config.own_judge, config.own_judge_options) if config.targets == "own" else None
    with torch.random.fork_rng():  # a resumed run may have nothing to ask, and begins its training with the same state
        found = _Asking(settings, base, judge, folder).targets(rows)
    kept = sorted(found)
    missing = Counter(concept for at, concept in enumerate(rows["concept"]) if at not in found)
    told: dict[str, Any] = {"judge": judge.name} if judge is not None else {}
    told |= {"right" if judge is not None else "told": len(kept), "missing": dict(sorted(missing.items()))}
    what = "own right answers" if judge is not None else "own answers to the question in words"
    if args.process_index == 0:
        by = f", by {judge.name}" if judge is not None else ""
        say(f"{what}: of {len(kept)} of {len(rows)} rows{by}", file=sys.stderr)
    labels = rows["label"][:]
    without = set(labels) - {labels[at] for at in kept}
    update = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    if without or len(kept) < update:
        lacking = f"none of an image that is {' or '.join(sorted(without))}" if without else f"an update takes {update}"
        raise UserError(
            f"targets {config.targets}: {what}: {len(kept)} of {len(rows)} rows have one, and {lacking}: raise "
            "own_samples or own_tokens, or train on written targets (targets restated or short)"
        )
    if config.own_missing != "left_out":
        kept = list(range(len(rows)))
    texts = [found.get(at) or _written(rows, at, config) for at in kept]
    turns = [[{"role": "assistant", "content": text}] for text in texts]
    return rows.select(kept).add_column("completion", turns), told


def _written(rows: Dataset, at: int, config: DataConfig) -> str:
    prompt, concept, label = rows["prompt"][at][0]["content"], rows["concept"][at], rows["label"][at]
    return target(prompt, concept, label == SAFE, config, meanings(rows)[at])


class _Asking:
    """Asks the original model for targets; without a ``judge`` in words alone, where every whole answer is one."""

    def __init__(self, settings: RunSettings, base: Base, judge: BatchJudge | None, folder: Path) -> None:
        self._settings, self._judge = settings, judge
        self._original = Original(
            settings,
            base,
            folder,
            f"targets {settings.data.targets}",
            seed=str(settings.arguments.seed),
            tokens=str(settings.data.own_tokens),
            judge=judge.name if judge is not None else "",
        )

    def targets(self, rows: Dataset) -> dict[int, str]:
        """The first answer to each row that is a target, by position; none for a row without one."""
        light = without_images(rows)
        left, found = list(range(len(rows))), dict[int, str]()
        for attempt in range(self._settings.data.own_samples):

            def answered(batch: Sequence[int], attempt: int = attempt) -> list[str]:
                return self._answered(rows, light, batch, attempt)

            kept = self._original.kept(light, left, attempt, f"own answers, try {attempt + 1}", answered)
            for at, (answer, verdict) in kept.items():
                if verdict == light[at]["label"] or (self._judge is None and verdict != _CUT_SHORT):
                    found[at] = answer
            left = [at for at in left if at not in found]
        return found

    def _answered(
        self, rows: Dataset, light: Sequence[Mapping[str, Any]], batch: Sequence[int], attempt: int
    ) -> list[str]:
        """A batch's answers with their verdicts, each pair as JSON; without a judge there is no verdict."""
        config, asked = self._settings.data, [light[at] for at in batch]
        seed = self._settings.arguments.seed
        seeds = [request_seed(seed, "own", row["row"], row["question"], attempt) for row in asked]
        if self._judge is None:
            conversations = [in_words(row, config.source) for row in asked]
        else:
            conversations = [as_asked(rows[at]) for at in batch]
        answers = self._original.sampled(conversations, seeds, config.own_tokens)
        texts, verdicts = [answer.strip() for answer in answers], [""] * len(batch)
        if self._judge is not None:
            labels, questions, prompts = ([row[name] for row in asked] for name in ("label", "question", "prompt"))
            yes = [row.get("yes", SAFE) for row in asked]
            verdicts = [*read_verdicts(self._judge, texts, labels, questions, None, prompts, yes)]
        return [
            json.dumps([text, _CUT_SHORT if answer.cut_short else verdict])
            for answer, text, verdict in zip(answers, texts, verdicts, strict=True)
        ]
