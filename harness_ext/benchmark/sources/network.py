"""The HTTP client that huggingface_hub brings along, and a wall-clock limit on a blocking call.

Timeouts of HTTP clients bound each socket operation, not the whole: name resolution has none, and a server that sends
one byte a second never reaches any.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

# Exported there for downstream libraries, whichever of httpx and httpx2 it is built on; not declared to type checkers.
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

__all__ = ["call_within", "httpx"]

Result = TypeVar("Result")


def call_within(seconds: float, call: Callable[[], Result]) -> Result:
    """The result of ``call()``, or whatever it raises; ``TimeoutError`` if it has not returned after ``seconds``.

    A call that is given up goes on in a daemon thread, which does not hold up the end of the program.
    """
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # handed to the thread that waits, which raises it
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    return outcome.result(timeout=seconds)
