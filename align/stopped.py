"""A run that cannot go on, with what a person needs to see why."""

from collections.abc import Sequence
from typing import Any

from harness_ext.errors import UserError

_SHOWN = 8


class TrainingStopped(UserError):
    """Training would have gone on from something that is not a number, or that means nothing.

    Attributes:
        step: The optimiser step that was to come.
        samples: What it happened on, a mapping each: ``row``, ``question``, ``label``, and ``response`` where there is one.
            The message names rows alone; a response may hold text that not everybody wants on a screen.
    """

    def __init__(self, reason: str, step: int, samples: Sequence[dict[str, Any]] = ()) -> None:
        self.step = step
        self.samples = list(samples)
        rows = ", ".join(str(sample["row"]) for sample in self.samples[:_SHOWN])
        more = f" and {len(self.samples) - _SHOWN} more" if len(self.samples) > _SHOWN else ""
        super().__init__(f"stopped at step {step}: {reason}" + (f"; rows {rows}{more}" if rows else ""))
