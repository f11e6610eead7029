"""Made-up evaluations of glyphworld, in lmms-eval's own format."""

import json
from itertools import product
from pathlib import Path
from typing import Any

from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.records import Judgement


def rows(right: float, probe: str) -> list[dict[str, Any]]:
    """Answers to a task's questions, of which about ``right`` are right."""
    questions = {"image": 5, "text": 5, "perception": 1, "capability": 3}[probe]
    found = []
    for at, (concept, question) in enumerate(product(CONCEPTS, range(questions))):
        wrong = (at * 37) % 100 >= 100 * right
        other = {"unsafe": "safe", "safe": "unsafe"}[concept.label]
        pairs = {"perception": ("A", "B"), "capability": ("Red", "na")}
        expected, mistaken = pairs.get(probe, (concept.label, other))
        verdict = mistaken if wrong else expected
        record = Judgement(
            "glyphworld",
            probe,
            at,
            concept.name,
            concept.category,
            concept.label,
            question,
            expected,
            verdict,
            "rules-1",
        )
        found.append(
            {
                "doc_id": at,
                "input": "?",
                "filtered_resps": f"{verdict} {concept.name} {at}",
                "judgement": record.to_dict(),
            }
        )
    return found


def evaluation(
    folder: Path, right: float, tasks: tuple[str, ...] = ("image", "text", "perception", "capability")
) -> None:
    """A result folder as lmms-eval writes it."""
    folder.mkdir(parents=True)
    named = {f"glyphworld_{task}": rows(right, task) for task in tasks}
    results = {
        "results": {task: {} for task in named},
        "configs": {task: {"task": task, "metadata": {"version": 1.0}} for task in named},
        "n-samples": {task: {"original": len(found), "effective": len(found)} for task, found in named.items()},
        "config": {"model": "glyph-vlm", "model_args": "", "batch_size": 8, "limit": None, "gen_kwargs": ""},
        "model_name": "glyph-vlm",
        "date": "20260101_000000",
    }
    (folder / "20260101_000000_results.json").write_text(json.dumps(results))
    for task, found in named.items():
        text = "".join(json.dumps(row) + "\n" for row in found)
        (folder / f"20260101_000000_samples_{task}.jsonl").write_text(text)
