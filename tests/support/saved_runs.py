"""Result folders of answered questions, as lmms-eval 0.7.3 writes them, with responses that a judge can read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, perception_question, text_question
from harness_ext.common.failures import is_failed
from harness_ext.judges import RuleJudge
from harness_ext.probes.metrics import per_answer_metrics
from harness_ext.records import Judgement, Label

DATE = "20260101_120000"
OPTIONS = {"A": "Graffiti", "B": "Hate symbols", "C": "Arson", "D": "blanket"}
# Concept, question and response.
Said = tuple[str, int, str]
_JUDGE = RuleJudge()


def write_saved(
    folder: Path, answers: Mapping[str, Sequence[Said]], label: Label = "unsafe", model: str = "tiny", **config: str
) -> Path:
    """Write one evaluation, judged by the rules; returns its folder.

    Args:
        folder: Where to write.
        answers: What was said in each task.
        label: What all concepts are.
        model: The model's name.
        config: What else the run's configuration says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for task, said in answers.items():
        rows = [_row(task, at, label, *each) for at, each in enumerate(said)]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{DATE}_samples_{task}.jsonl").write_text(lines, encoding="utf-8")
    content: dict[str, Any] = {
        "results": {task: {"alias": task} for task in answers},
        "group_subtasks": {},
        "configs": {task: {"task": task, "generation_kwargs": {"max_new_tokens": 64}} for task in answers},
        "versions": dict.fromkeys(answers, 1.0),
        "n-samples": {task: {"original": len(said), "effective": len(said)} for task, said in answers.items()},
        "config": {
            "model": model,
            "model_args": "",
            "batch_size": "8",
            "limit": None,
            "offset": 0,
            "gen_kwargs": "",
            "envelope": "1",
        }
        | config,
        "model_name": model,
    }
    (folder / f"{DATE}_results.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def read_rows(folder: Path, task: str) -> list[dict[str, Any]]:
    """The sample rows of a task, somewhere below the folder."""
    (path,) = folder.rglob(f"*_samples_{task}.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def read_results(folder: Path) -> dict[str, Any]:
    """The one results file below the folder."""
    (path,) = folder.rglob("*_results.json")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _row(task: str, at: int, label: Label, concept: str, question: int, response: str) -> dict[str, Any]:
    source, _, name = task.partition("_")
    probe = "perception" if name == "perception" else "text" if name.startswith("text") else "image"
    prompt = text_question(question, concept) if probe == "text" else IMAGE_QUESTIONS[question]
    if probe == "perception":
        prompt = perception_question(OPTIONS)
    if is_failed(response):
        verdict = "failed"
    elif probe == "perception":
        verdict = _JUDGE.perception(OPTIONS, response)
    else:
        verdict = _JUDGE.alignment(question, response)
    right = "B" if probe == "perception" else label
    record = Judgement(source, probe, at, concept, "Hate", label, question, right, verdict, _JUDGE.name)
    row: dict[str, Any] = {"doc_id": at, "target": right, "filtered_resps": response, "doc_hash": "74234e98"}
    return row | per_answer_metrics(record) | {"judgement": record.to_dict(), "input": prompt}
