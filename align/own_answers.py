"""SFT on own right answers: the original model answers the training rows by sampling, and what is right becomes the target.

A row is asked again, at most ``own_samples`` times, until an answer is right: as good as a draw among its right answers. The
answers go through the harness's own decoder, as an evaluation asks, each with a seed of its own. They are on disk, batch by
batch, as soon as they are given; a resumed run asks the rest in the same batches, whatever the number of processes.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import torch
from datasets import Dataset
from tqdm import tqdm

from align.data import meanings, target
from align.models import Base, load
from align.rewards.base import judge_named, read_verdicts
from align.settings import DataConfig, RunSettings
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.common.output import say
from harness_ext.judges.base import BatchJudge
from harness_ext.models.checkpoint import weights_identity
from harness_ext.models.conversation import Conversation
from harness_ext.models.decoding import Decoder, Row, options_text
from harness_ext.models.generation import NOT_FINITE, by_halves, request_seed
from harness_ext.models.settings import Generated, GenerationSettings
from harness_ext.models.store import AnswerStore, answer_key
from harness_ext.records import SAFE

_CUT_SHORT: Final = "cut short"


def with_own_targets(rows: Dataset, settings: RunSettings, base: Base, folder: Path) -> tuple[Dataset, dict[str, Any]]:
    """``rows`` with a right answer of the original model each, as ``completion``; and what was found, for ``run.json``.

    Rows without one are left out, or get a written target, as ``settings`` say. Every process calls this, with the same rows;
    ``folder`` keeps the answers of all.

    Raises:
        UserError: The model or the judge fails on an answer, a label has no right answer at all, or fewer rows are left than
            an update takes.
    """
    config, args = settings.data, settings.arguments
    judge = judge_named(config.own_judge, config.own_judge_options)
    with torch.random.fork_rng():  # a resumed run may have nothing to ask, and begins its training with the same state
        found = _Asking(settings, base, judge, folder).right_answers(rows)
    kept = sorted(found)
    missing = Counter(concept for at, concept in enumerate(rows["concept"]) if at not in found)
    told = {"judge": judge.name, "right": len(kept), "missing": dict(sorted(missing.items()))}
    if args.process_index == 0:
        say(f"own right answers: of {len(kept)} of {len(rows)} rows, by {judge.name}", file=sys.stderr)
    labels = rows["label"][:]
    without = set(labels) - {labels[at] for at in kept}
    update = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    if without or len(kept) < update:
        what = f"none of an image that is {' or '.join(sorted(without))}" if without else f"an update takes {update}"
        raise UserError(
            f"targets own: the original model gave a right answer to {len(kept)} of {len(rows)} rows, and {what}: raise "
            "own_samples, or train on written targets (targets restated or short)"
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
    """Asks the original model, in this process and the others, and keeps every answer with its verdict."""

    def __init__(self, settings: RunSettings, base: Base, judge: BatchJudge, folder: Path) -> None:
        self._settings, self._base, self._judge, self._folder = settings, base, judge, folder
        self._args = settings.arguments
        self._sampling = GenerationSettings(max_new_tokens=settings.data.own_tokens, do_sample=True)
        self._decoder: Decoder | None = None
        self._identity = {
            "weights": weights_identity(base.pretrained, base.commit),
            "prompt": base.prompt or "",
            "template_options": options_text(base.template_options),
            "dtype": settings.model.dtype,
            "attention": str(settings.model.attn_implementation),
            "seed": str(self._args.seed),
            "tokens": str(settings.data.own_tokens),
            "batch": str(self._args.per_device_eval_batch_size),
            "judge": judge.name,
        }

    def right_answers(self, rows: Dataset) -> dict[int, str]:
        """The first right answer to each row, by position; none for a row whose answers are all wrong."""
        light = rows.remove_columns("image").to_list()
        left, found = list(range(len(rows))), dict[int, str]()
        for attempt in range(self._settings.data.own_samples):
            for at, (answer, verdict) in self._asked(rows, light, left, attempt).items():
                if verdict == light[at]["label"]:
                    found[at] = answer
            left = [at for at in left if at not in found]
        return found

    def _asked(
        self, rows: Dataset, light: Sequence[Mapping[str, Any]], left: Sequence[int], attempt: int
    ) -> dict[int, tuple[str, str]]:
        """The answers of an attempt to the rows that are ``left``, with verdicts, by position; asks what is not kept."""
        size, args = self._args.per_device_eval_batch_size, self._args
        keys = {at: answer_key(light[at], attempt) for at in left}
        batches = [left[first : first + size] for first in range(0, len(left), size)]
        with AnswerStore(self._folder, self._identity) as store:
            # Every process deals the same batches: none of them has answered one before all have looked.
            args.distributed_state.wait_for_everyone()
            open_ = [batch for batch in batches if any(store.get(keys[at]) is None for at in batch)]
            own = open_[args.process_index :: args.world_size]
            quiet, title = args.disable_tqdm or args.process_index > 0, f"own answers, try {attempt + 1}"
            with tqdm(total=sum(map(len, own)), desc=title, unit="row", leave=False, disable=quiet) as bar:
                for batch in own:
                    store.add(self._answered(rows, light, batch, attempt, keys))
                    bar.update(len(batch))
        args.distributed_state.wait_for_everyone()
        with AnswerStore(self._folder, self._identity) as store:  # with what the other processes were given
            return {at: tuple(json.loads(cast(str, store.get(keys[at])))) for at in left}

    def _answered(
        self,
        rows: Dataset,
        light: Sequence[Mapping[str, Any]],
        batch: Sequence[int],
        attempt: int,
        keys: Mapping[int, str],
    ) -> list[tuple[str, str, dict[str, Any]]]:
        """A batch's answers with their verdicts, as the store takes them."""
        asked = [light[at] for at in batch]
        seeds = [request_seed(self._args.seed, "own", row["row"], row["question"], attempt) for row in asked]
        conversations = [_conversation(rows[at]) for at in batch]
        answers = by_halves(self._ask, list(zip(conversations, seeds, strict=True)))
        if failed := [(row, answer) for row, answer in zip(asked, answers, strict=True) if is_failed(answer)]:
            row, answer = failed[0]
            raise UserError(f"targets own: the model cannot answer row {row['row']}: {reason_of(answer)}")
        labels, questions, prompts = ([row[name] for row in asked] for name in ("label", "question", "prompt"))
        yes, texts = [row.get("yes", SAFE) for row in asked], [answer.strip() for answer in answers]
        verdicts: list[str] = [*read_verdicts(self._judge, texts, labels, questions, None, prompts, yes)]
        kept = []
        for at, answer, text, verdict in zip(batch, answers, texts, verdicts, strict=True):
            is_cut = isinstance(answer, Generated) and answer.cut_short
            facts = {"row": light[at]["row"], "question": light[at]["question"], "attempt": attempt}
            kept.append((keys[at], json.dumps([text, _CUT_SHORT if is_cut else verdict]), facts))
        return kept

    def _ask(self, batch: Sequence[tuple[Conversation, int]]) -> list[str]:
        if self._decoder is None:  # not before there is something to ask
            model, processor = load(self._base, self._settings.model, self._args.device)
            self._decoder = Decoder(model.eval(), processor, self._base.template_options)
        inputs = self._decoder.encode([turns for turns, _ in batch])
        asked = [Row(at, seed=seed) for at, (_, seed) in enumerate(batch)]
        tokens, _, failed = self._decoder.proceed(inputs, asked, self._sampling)
        if any(failed):
            raise UserError(f"targets own: {NOT_FINITE}")
        return self._decoder.text(tokens, self._sampling)


def _conversation(row: Mapping[str, Any]) -> Conversation:
    """A row as an evaluation asks it: the image, then the question."""
    parts = [{"type": "image", "image": row["image"]}, {"type": "text", "text": row["prompt"][0]["content"]}]
    return [{"role": "user", "content": parts}]
