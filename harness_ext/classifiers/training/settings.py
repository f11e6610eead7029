"""How a judge is trained."""

from dataclasses import dataclass
from typing import Self

from harness_ext.classifiers.training.start import TINY
from harness_ext.errors import UserError


@dataclass(frozen=True)
class Settings:
    """See the help of ``unsafeconcepts train-judge``.

    Attributes:
        epochs: Passes over the examples, at most.
        learning_rate: Its highest value; it rises over the first tenth of all steps and falls to 0 from there.
        batch_size: Examples in a step.
        patience: Epochs without a lower validation loss after which training ends.
        held_out: The share of the responses that is held out; half as many validate.
        seed: Of the parts, the weights that begin at random, and the order of the examples.
        without: Labels that no example has.
    """

    epochs: int
    learning_rate: float
    batch_size: int = 16
    patience: int = 3
    held_out: float = 0.2
    seed: int = 0
    without: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        base: str,
        epochs: int | None,
        learning_rate: float | None,
        batch_size: int,
        patience: int,
        held_out: float,
        seed: int,
        without: tuple[str, ...],
    ) -> Self:
        """The settings, with what suits ``base`` where nothing is given; raises ``UserError`` for a value out of range."""
        tiny = base == TINY
        epochs = epochs if epochs is not None else 30 if tiny else 5
        learning_rate = learning_rate if learning_rate is not None else 1e-3 if tiny else 2e-5
        for name, value in (("epochs", epochs), ("batch-size", batch_size), ("patience", patience)):
            if value < 1:
                raise UserError(f"--{name}: expected at least 1, found {value}")
        if not 0 < learning_rate < 1:
            raise UserError(f"--learning-rate: expected more than 0 and less than 1, found {learning_rate:g}")
        if not 0 < held_out <= 0.5:
            raise UserError(f"--held-out: expected a share, more than 0 and at most 0.5, found {held_out:g}")
        return cls(epochs, learning_rate, batch_size, patience, held_out, seed, without)
