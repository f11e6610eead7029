"""What lmms-eval and lm-eval save: made such that it can be written and read back, and watched for what was not saved.

Both harnesses catch whatever goes wrong where they save results, log a line, and end with status 0.
"""

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from harness_ext.errors import UserError
from harness_ext.failures import failure_reason, writable


class NotDone(NamedTuple):
    """What a harness went on without: the error that it caught, and what it logged about it."""

    error: BaseException
    said: str


class Swallowed(logging.Handler):
    """Remembers each error that one of some modules caught and logged: what it logs while it handles an error is about that.

    Attributes:
        errors: In the order in which they were caught.
        modules: Whose errors it remembers.
    """

    def __init__(self, *modules: str) -> None:
        super().__init__()
        self.errors: list[NotDone] = []
        self.modules = modules

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`; the record's name is that of the module."""
        error = sys.exception()
        if error is None or record.name not in self.modules or any(error is known for known, _ in self.errors):
            return
        said = record.getMessage()
        if isinstance(error, Exception) and str(error) not in said:
            said = f"{said}: {failure_reason(error)}"
        self.errors.append(NotDone(error, said))


def save_readably(tracker: Any, plain: Callable[[Any], Any] = lambda value: value) -> None:
    """Let a harness's class ``EvaluationTracker`` save what no UTF-8 can carry as an escape, wherever in the results it is.

    Args:
        tracker: The class.
        plain: What a value of a sample row is saved as.
    """
    save_aggregated, save_samples = tracker.save_results_aggregated, tracker.save_results_samples

    @functools.wraps(save_aggregated)
    def save_results_aggregated(self: Any, results: Any, samples: Any = None, **kwargs: Any) -> None:
        save_aggregated(self, results=_escaped(results), samples=samples, **kwargs)

    @functools.wraps(save_samples)
    def save_results_samples(self: Any, task_name: str, samples: Any) -> None:
        for sample in samples:  # in place, as the harness itself changes them
            sample.update({key: _escaped(plain(value)) for key, value in sample.items()})
        save_samples(self, task_name=task_name, samples=samples)

    tracker.save_results_aggregated = save_results_aggregated
    tracker.save_results_samples = save_results_samples


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, dict):
        return {_escaped(key): _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(inner) for inner in value]
    return value


def require_read_back(read: Callable[[], object]) -> None:
    """Log the error that ``read`` raises about what was just saved, for a :class:`Swallowed` to hear.

    A file that nobody closed is closed by Python, which only prints what goes wrong then: that the disk is full, for example.
    """
    from loguru import logger

    try:
        read()
    except UserError as error:
        logger.error(str(error))
