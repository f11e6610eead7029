"""A rollout as the judge that watches read it, on all processes together."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from align.ppo.drift import Pairs
from align.rewards.base import alignment_answer, require_labels, require_questions, responses
from align.stopped import TrainingStopped, sample
from harness_ext.judges.batch import BatchJudge

_FAILED: Final = "failed"


@dataclass(frozen=True)
class Watched:
    """A rollout's responses, of all processes, as far as the judge did not fail on them.

    Attributes:
        rollout: Its number, from 0 on.
        scores: What each response earned.
        verdicts: What the judge read in it.
        samples: Its row and its text, as in ``stopped.json``.
    """

    rollout: int
    scores: list[float]
    verdicts: list[str]
    samples: list[dict[str, Any]]

    @property
    def pairs(self) -> Pairs:
        """What each response earned, and 1 where the judge calls it right for its image's label, else 0."""
        read = zip(self.verdicts, self.samples, strict=True)
        return np.array(self.scores), np.array([float(verdict == each["label"]) for verdict, each in read])


def read(
    judge: BatchJudge,
    accelerator: Accelerator,
    rollout: int,
    step: int,
    inputs: list[dict[str, Any]],
    completions: list[Any],
    scores: Tensor,
) -> tuple[Watched, int]:
    """What ``judge`` says of a rollout, and on how many responses it failed; the same on all processes.

    Args:
        judge: Reads this process's responses.
        accelerator: Of the trainer.
        rollout: Its number, from 0 on.
        step: The optimiser step that is to come, for messages.
        inputs: This process's rows, with the columns ``label`` and ``question``.
        completions: What they were answered.
        scores: What the answers earned, shape (B,).

    Raises:
        UserError: A row's label or question is none.
        TrainingStopped: The judge failed on every response.
    """
    require_labels([each["label"] for each in inputs])
    require_questions([each["question"] for each in inputs])
    texts = responses(completions)
    answers = [alignment_answer(each["question"], text) for each, text in zip(inputs, texts, strict=True)]
    samples = [sample(each, text) for each, text in zip(inputs, texts, strict=True)]
    every = gather_object(list(zip(scores.tolist(), judge.judge(answers), samples, strict=True)))
    kept = [each for each in every if each[1] != _FAILED]
    if not kept:
        raise TrainingStopped(
            f"the judge {judge.name}, which watches the run, failed on all {len(every)} responses of a rollout: "
            "see what it says is wrong, then run the same command again",
            step,
            [each[2] for each in every],
        )
    earned, verdicts, samples = map(list, zip(*kept, strict=True))
    return Watched(rollout, earned, verdicts, samples), len(every) - len(kept)
