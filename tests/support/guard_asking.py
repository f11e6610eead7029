"""Putting the rows of a task to a guard as lmms-eval does, and judging its answers as the task does."""

from typing import Any

from datasets import load_dataset
from lmms_eval.api.instance import Instance

from harness_ext.probes.metrics import judgement
from harness_ext.probes.rows import image, rows_of_task
from harness_ext.records import Judgement
from harness_ext.registry import task_named

SETTINGS = {"max_new_tokens": 1, "do_sample": False, "until": []}


def put(guard: Any, task: str, every: int = 1, count: int = 40) -> list[tuple[str, Judgement]]:
    """The answers to ``count`` rows of a task, every ``every``-th, each with its judgement."""
    asked = task_named(task)
    concepts = load_dataset("json", data_files=asked.benchmark.concepts_file, split="train")
    rows = rows_of_task(asked, concepts)
    rows = rows.select(range(0, len(rows), every)[:count])
    guard.task_dict[task] = {"test": rows}
    settings = {**SETTINGS, "likelihood": True} if asked.way == "likelihood" else SETTINGS

    def messages(row: dict[str, Any]) -> list[dict[str, Any]]:
        shown = [{"type": "image", "url": image(row)[0]}] if asked.probe.shows == "image" else []
        return [{"role": "user", "content": [*shown, {"type": "text", "text": row["prompt"]}]}]

    requests = [
        Instance(
            "generate_until",
            (row["prompt"], messages, dict(settings), at, task, "test"),
            0,
            {"task": task, "doc_id": at, "repeats": 1},
        )
        for at, row in enumerate(rows)
    ]
    answers = guard.generate_until(requests)
    return [(answer, judgement(row, answer)) for answer, row in zip(answers, rows, strict=True)]
