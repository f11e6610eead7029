"""``documents.<task>`` is the ``process_docs`` of the task's file; no other name here can be a task's."""

from collections.abc import Callable

from datasets import Dataset

from harness_ext.probes.rows import rows_of_task
from harness_ext.registry import find_task


def __getattr__(name: str) -> Callable[[Dataset], Dataset]:
    """The ``process_docs`` of the task of that name."""
    task = find_task(name)
    if task is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: no task has that name")

    # A function and no partial: lmms-eval writes its source text into the results, which must not differ from run to run.
    def process_docs(concepts: Dataset) -> Dataset:
        return rows_of_task(task, concepts)

    return process_docs
