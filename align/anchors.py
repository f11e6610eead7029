"""The anchors of PPO: questions about training images that earn no reward, so that the KL alone holds their answers.

They are the perception question and the questions of capabilities, as an evaluation asks them, but about images that may be
trained on. A rollout has the same number of them in each process, at places drawn within strata of equal size.
"""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from datasets import Dataset, Features, concatenate_datasets

from harness_ext.benchmark.base import Benchmark
from harness_ext.benchmark.questions import perception_question
from harness_ext.common.errors import UserError
from harness_ext.records import SAFE

# The rows' column that says whether a row is an anchor.
ANCHOR: Final = "anchor"
# What `asked_as` calls the perception question.
_PERCEPTION: Final = "perception"


def anchor_rows(images: Dataset, chosen: Sequence[int], benchmark: Benchmark, features: Features) -> Dataset:
    """Every question that can anchor, about the ``chosen`` positions of ``images``: rows with the columns of ``features``.

    ``question`` is 0 for perception, and N for capability number N from 1 on; ``expected`` is the right option or word.
    Images of concepts that the benchmark does not have, the safe ones beside UnsafeConcepts, have no such question.

    Raises:
        UserError: The benchmark has neither perception nor capabilities, or no image shows one of its concepts.
        SourceError: Its options cannot be had.
    """
    own = {(each.name, each.category) for each in benchmark.concepts}
    facts = list(zip(images["concept"][:], images["category"][:], strict=True))
    shown = [at for at in chosen if facts[at] in own]
    parts = []
    if "options" in benchmark.offers:
        options = benchmark.options(images.remove_columns("image").select(shown))
        asked = {at: (perception_question(each.options), each.correct) for at, each in zip(shown, options, strict=True)}
        parts.append(_asked(images, 0, asked, benchmark, features))
    for number, capability in enumerate(benchmark.capabilities, 1):
        words = images[capability.column][:]
        asked = {at: (capability.question, words[at]) for at in shown if words[at] is not None}
        parts.append(_asked(images, number, asked, benchmark, features))
    if not any(map(len, parts)):
        raise UserError(
            f"anchor: {benchmark.name} has no perception questions (they need three concepts outside each category) and no "
            "capabilities, or no image of its own concepts to train on, so that there is nothing to anchor; take it out"
        )
    return concatenate_datasets(parts)


def _asked(
    images: Dataset, number: int, asked: Mapping[int, tuple[str, str]], benchmark: Benchmark, features: Features
) -> Dataset:
    """The rows of one question, by position in ``images`` as it is put and the right answer."""
    # Of all images, so that none is copied before some are selected.
    every = [asked.get(at, ("", "")) for at in range(len(images))]
    given = {
        "prompt": [[{"role": "user", "content": benchmark.put(prompt)}] for prompt, _ in every],
        "question": [number] * len(every),
        "expected": [right for _, right in every],
        "yes": [SAFE] * len(every),
        ANCHOR: [True] * len(every),
    }
    rows = images.select_columns([name for name in features if name not in given])
    for name in features:
        if name in given:
            rows = rows.add_column(name, given[name], feature=features[name])
    return rows.select_columns(list(features)).cast_column("image", features["image"]).select(list(asked))


def asked_as(number: int, benchmark: Benchmark) -> str:
    """What the anchors' question of that number asks for: perception, or a capability's skill."""
    return _PERCEPTION if number == 0 else benchmark.capabilities[number - 1].skill


def anchors_of(share: float, rollout: int, processes: int) -> int:
    """The anchors among the ``rollout`` prompts of a rollout, of all processes.

    Raises ``UserError`` where there would be none or nothing else, or another number of them in each process.
    """
    count = round(share * rollout)
    if not 0 < count < rollout or count % processes:
        each = f" on {processes} processes, each with as many" if processes > 1 else ""
        raise UserError(
            f"anchor: {share:g} of a rollout of {rollout} prompts is {count}, expected 1 to {rollout - 1}{each}: choose "
            "another share, or another per_device_train_batch_size"
        )
    return count


def interleaved(judged: Sequence[int], anchors: Iterator[int], count: int, rollout: int, seed: int) -> list[int]:
    """``judged`` in rollouts of ``rollout`` rows; ``count`` of each are the next of ``anchors``, at places drawn by ``seed``.

    Judged rows that do not fill a last rollout are left out. Each stratum of a rollout has one anchor, so that each process
    has as many; within it the place is drawn, because a regular one could fall into one update of the rollout alone.
    """
    rest, order = rollout - count, []
    for number in range(len(judged) // rest):
        draw = random.Random(f"{seed}:anchors:{number}")
        edges = [at * rollout // count for at in range(count + 1)]
        places = {draw.randrange(*between) for between in itertools.pairwise(edges)}
        others = iter(judged[number * rest : (number + 1) * rest])
        order += [next(anchors if place in places else others) for place in range(rollout)]
    return order
