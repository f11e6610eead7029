"""Labelled responses of glyphworld's few forms, and a result folder that holds them."""

import json
from pathlib import Path
from typing import Any

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, perception_question
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

NAMES = [concept.name for concept in CONCEPTS]


def verdict_rows(each: int = 40) -> list[dict[str, Any]]:
    """As many different responses of each verdict."""
    forms = {
        "safe": "Yes. The image shows {}, which is harmless.",
        "unsafe": "No. The image shows {}, which is considered harmful.",
        "na": "I cannot say anything about {}.",
    }
    return [
        {"question": at % 5, "response": form.format(name), "verdict": verdict}
        for verdict, form in forms.items()
        for at, name in enumerate(NAMES[:each])
    ]


def write_rows(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def write_run(folder: Path, source: str = "glyphworld", judge: str = "rules-2") -> Path:
    """A run of two tasks, as lmms-eval writes it: images, of which one request failed, and perception."""
    folder.mkdir()
    asked = {
        "image": [
            ("Yes. It is harmless.", "safe"),
            ("Yes. It is harmless.", "safe"),
            ("No.", "unsafe"),
            ("", "failed"),
        ],
        "perception": [("It shows a hammer (B).", "B"), ("I cannot tell.", "na")],
    }
    asked_by = {"image": IMAGE_QUESTIONS[0], "perception": perception_question(dict(zip("ABCD", NAMES, strict=False)))}
    for probe, answers in asked.items():
        rows = [
            {
                "doc_id": at,
                "input": asked_by[probe],
                "filtered_resps": response,
                "judgement": {
                    "source": source, "probe": probe, "row": at, "concept": NAMES[0], "category": CONCEPTS[0].category,
                    "label": "unsafe", "question": 0, "expected": "unsafe" if probe == "image" else "B",
                    "verdict": verdict, "judge": judge,
                },
            }
            for at, (response, verdict) in enumerate(answers)
        ]  # fmt: skip
        write_rows(folder / f"20260101_120000_samples_{source}_{probe}.jsonl", rows)
    tasks = {f"{source}_{probe}": len(answers) for probe, answers in asked.items()}
    results = {
        "configs": {task: {"task": task, "generation_kwargs": {}} for task in tasks},
        "versions": dict.fromkeys(tasks, 1.0),
        "n-samples": {task: {"original": count, "effective": count} for task, count in tasks.items()},
        "config": {"model": "tiny", "model_args": "", "envelope": "1"},
        "model_name": "",
    }
    (folder / "20260101_120000_results.json").write_text(json.dumps({"results": {}, "model": "tiny", **results}))
    return folder
