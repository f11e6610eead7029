"""What a reader of the results should know of a server's answers: each kind is told once, and counted at the end."""

from collections import Counter
from typing import Final, Literal

from loguru import logger

Event = Literal["filtered", "cut to nothing", "thoughts alone", "unknown end"]

# What is told of the first (`{what}` is a server's word for it; nothing where that is empty), and of all at the end.
_TOLD: Final[dict[Event, tuple[str, str]]] = {
    "filtered": ("", "{count} requests were refused by the service's content filter and recorded as failed"),
    "cut to nothing": (
        "an answer is empty because max_new_tokens was used up before it began: a model that reasons needs more, "
        "--gen_kwargs max_new_tokens=4096, a judge --judge_args max_new_tokens=4096",
        "{count} answers were empty because max_new_tokens was used up before they began",
    ),
    "thoughts alone": (
        "an answer is empty, and its text is in {what}, where a server's reasoning parser puts a model's thoughts. Start the "
        "server with the parser that belongs to the model (vLLM and SGLang: --reasoning-parser), or with none if the model "
        "does not think, and ask again with another folder: --model_args answers=FOLDER",
        "{count} answers were empty because the server's reasoning parser (--reasoning-parser) took all their text for "
        "thoughts; they are no answers of the model",
    ),
    "unknown end": (
        "the server ended an answer for the reason {what}, which is unknown here: it is taken as whole, see that it is",
        "{count} answers ended for a reason that is unknown here, and were taken as whole",
    ),
}


class Notes:
    """The events of one client."""

    def __init__(self) -> None:
        self._counts: Counter[Event] = Counter()

    def add(self, event: Event, what: str = "") -> None:
        """Count an event, and tell of the first."""
        self._counts[event] += 1
        if self._counts[event] == 1 and (first := _TOLD[event][0]):
            logger.warning(first.format(what=what))

    def tell(self) -> None:
        """Tell how many there were of each."""
        for event, count in self._counts.items():
            logger.warning(_TOLD[event][1].format(count=count))
