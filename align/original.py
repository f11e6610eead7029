"""The original model, asked about the training rows before training: its answers become targets, or say what is hard for it.

It is asked through the harness's own decoder, as in an evaluation. Every answer is on disk, batch by batch, as soon as it is
given; a resumed run asks the rest in the same batches, whatever the number of processes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from datasets import Dataset
from tqdm import tqdm

from align.models import Base, load
from align.settings import RunSettings
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.models.checkpoint import weights_identity
from harness_ext.models.conversation import Conversation
from harness_ext.models.decoding import Decoder, Row, options_text
from harness_ext.models.generation import NOT_FINITE, by_halves
from harness_ext.models.likelihood import Candidates
from harness_ext.models.settings import Generated, GenerationSettings
from harness_ext.models.store import AnswerStore, answer_key
from harness_ext.registry import benchmark_named

# By likelihood a question takes one pass, and generates nothing.
_SCORING = GenerationSettings(likelihood=True)


class Original:
    """Asks the original model, in this process and the others, and keeps what it answers in ``folder``.

    Args:
        settings: The run's.
        base: The model.
        folder: Where answers are kept, of every process.
        why: What the user set that needs them, for errors: ``"targets own"``.
        rests_on: What the answers depend on beside the model, by name.
    """

    def __init__(self, settings: RunSettings, base: Base, folder: Path, why: str, **rests_on: str) -> None:
        self._settings, self._base, self._folder, self._why = settings, base, folder, why
        self._args = settings.arguments
        self._decoder: Decoder | None = None
        self._identity = {
            "weights": weights_identity(base.pretrained, base.commit),
            "prompt": base.prompt or "",
            "template_options": options_text(base.template_options),
            "dtype": settings.model.dtype,
            "attention": str(settings.model.attn_implementation),
            "batch": str(self._args.per_device_eval_batch_size),
            **({"load_in_4bit": "True"} if settings.model.load_in_4bit else {}),
            **rests_on,
        }

    @property
    def decoder(self) -> Decoder:
        """The model, loaded when there is something to ask."""
        if self._decoder is None:
            model, processor = load(self._base, self._settings.model, self._args.device)
            self._decoder = Decoder(model.eval(), processor, self._base.template_options)
        return self._decoder

    def kept(
        self,
        light: Sequence[Mapping[str, Any]],
        left: Sequence[int],
        attempt: int,
        title: str,
        answered: Callable[[Sequence[int]], list[str]],
    ) -> dict[int, Any]:
        """What is known about the rows at ``left``, by position, read from JSON; ``answered`` gives what is not kept yet.

        Args:
            light: The rows without images; they and ``attempt`` identify an answer.
            left: Positions in ``light``.
            attempt: Which answer to the same row it is, from 0 on.
            title: Of the progress bar.
            answered: From positions to an answer each, as JSON.
        """
        size, args = self._args.per_device_eval_batch_size, self._args
        keys = {at: answer_key(light[at], attempt) for at in left}
        batches = [left[first : first + size] for first in range(0, len(left), size)]
        with AnswerStore(self._folder, self._identity) as store:
            # Every process deals the same batches: none of them has answered one before all have looked.
            args.distributed_state.wait_for_everyone()
            open_ = [batch for batch in batches if any(store.get(keys[at]) is None for at in batch)]
            own = open_[args.process_index :: args.world_size]
            quiet = args.disable_tqdm or args.process_index > 0
            with tqdm(total=sum(map(len, own)), desc=title, unit="row", leave=False, disable=quiet) as bar:
                for batch in own:
                    facts = [
                        {"row": light[at]["row"], "question": light[at]["question"], "attempt": attempt} for at in batch
                    ]
                    store.add(zip([keys[at] for at in batch], answered(batch), facts, strict=True))
                    bar.update(len(batch))
        args.distributed_state.wait_for_everyone()
        with AnswerStore(self._folder, self._identity) as store:  # with what the other processes were given
            return {at: json.loads(cast(str, store.get(keys[at]))) for at in left}

    def sampled(self, conversations: Sequence[Conversation], seeds: Sequence[int], most: int) -> list[Generated]:
        """Sampled answers of at most ``most`` tokens, each with a seed of its own. Raises ``UserError`` where one fails."""
        settings = GenerationSettings(max_new_tokens=most, do_sample=True)

        def ask(batch: Sequence[tuple[Conversation, int]]) -> list[str]:
            inputs = self.decoder.encode([turns for turns, _ in batch])
            rows = [Row(at, seed=seed) for at, (_, seed) in enumerate(batch)]
            tokens, _, failed = self.decoder.proceed(inputs, rows, settings)
            if any(failed):
                raise UserError(f"{self._why}: {NOT_FINITE}")
            return self.decoder.text(tokens, settings)

        answers = by_halves(ask, list(zip(conversations, seeds, strict=True)))
        return [cast(Generated, each) for each in self._answers(answers)]

    def scored(self, conversations: Sequence[Conversation], forms: Sequence[Mapping[str, Sequence[str]]]) -> list[str]:
        """By likelihood: label to natural-log probability, as JSON; ``forms`` says, by label, what an answer begins with.

        Raises ``UserError`` where an answer fails.
        """

        def ask(batch: Sequence[tuple[Conversation, Mapping[str, Sequence[str]]]]) -> list[str]:
            tokenizer = self.decoder.processor.tokenizer
            candidates = [Candidates.tokenise(each, tokenizer) for _, each in batch]
            rows = [Row(at, forced=tokens) for at, each in enumerate(candidates) for tokens in each.forced()]
            inputs = self.decoder.encode([batch[row.question][0] for row in rows])
            _, steps, _ = self.decoder.proceed(inputs, rows, _SCORING)
            found = []
            for at, each in enumerate(candidates):
                places = [place for place, row in enumerate(rows) if row.question == at]
                found.append(each.score([rows[place].forced for place in places], [step[places] for step in steps]))
            return found

        return self._answers(by_halves(ask, list(zip(conversations, forms, strict=True))))

    def _answers(self, answers: Sequence[str]) -> list[str]:
        for answer in answers:
            if is_failed(answer):
                raise UserError(f"{self._why}: the model cannot answer a training row: {reason_of(answer)}")
        return list(answers)


def without_images(rows: Dataset) -> list[dict[str, Any]]:
    """``rows`` as a list, without their images."""
    return list(rows.remove_columns([name for name in ("image", "images") if name in rows.column_names]).to_list())


def as_asked(row: Mapping[str, Any]) -> Conversation:
    """A row as an evaluation asks it: the image, if it has one, then the question."""
    shown = [{"type": "image", "image": row["image"]}] if "image" in row else []
    return [{"role": "user", "content": [*shown, {"type": "text", "text": row["prompt"][0]["content"]}]}]


def in_words(row: Mapping[str, Any], source: str) -> Conversation:
    """The same question of the benchmark ``source`` in words alone: about the row's concept, by its name."""
    benchmark = benchmark_named(source)
    question = benchmark.put(benchmark.questions[row["question"]].about(row["concept"]))
    return [{"role": "user", "content": [{"type": "text", "text": question}]}]
