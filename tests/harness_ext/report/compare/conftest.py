"""Writes result folders of other benchmarks as lmms-eval 0.7.3 and lm-eval 0.4.13 write them."""

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

LM_DATE = "2026-01-01T12-00-00.123456"
LMMS_DATE = "20260101_120000"
Rows = Sequence[Mapping[str, Any]]


def digest(value: object) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()


def scored(count: int, share: float, seed: int = 0, metric: str = "acc") -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [{metric: float(rng.random() < share)} for _ in range(count)]


def write_lm_eval(
    folder: Path,
    tasks: Mapping[str, Rows],
    model: str = "org/tiny",
    grouping: Mapping[str, Sequence[str]] | None = None,
    filters: Mapping[str, Sequence[str]] | None = None,
    **changes: Any,
) -> Path:
    """Scores of tasks, a mapping of metrics for every document; returns the results file.

    Args:
        folder: Where to write.
        tasks: The metrics of each document by task.
        model: The weights.
        grouping: Tasks by group; the group's value is the mean over samples.
        filters: The names of a task's filters, each of which gets the same scores.
        changes: What else the results file holds, by key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    for task, rows in tasks.items():
        names = (filters or {}).get(task, ["none"])
        lines = []
        for name in names:
            for at, metrics in enumerate(rows):
                question = f"{task} {at}"
                row = {"doc_id": at, "doc": {"question": question}, "target": "0", "arguments": {}, "resps": [["a"]]}
                row |= {"filtered_resps": ["a"], "filter": name, "metrics": list(metrics), "doc_hash": digest(question)}
                lines.append(row | {"prompt_hash": digest(question), "target_hash": digest("0"), **metrics})
        write_lines(folder / f"samples_{task}_{LM_DATE}.jsonl", lines)
        means = {
            name: [row[name] for row in rows if name in row] for name in dict.fromkeys(k for row in rows for k in row)
        }
        results[task] = {f"{name},{of}": sum(each) / len(each) for name, each in means.items() for of in names}
    grouped = {}
    for group, inside in (grouping or {}).items():
        scores = [row["acc"] for task in inside for row in tasks[task]]
        grouped[group] = {"acc,none": sum(scores) / len(scores)}
    metric_list = {
        task: [
            {"metric": name, "aggregation": "mean", "higher_is_better": True}
            for name in dict.fromkeys(k for r in rows for k in r)
        ]
        for task, rows in tasks.items()
    }
    content: dict[str, Any] = {
        "results": results | grouped,
        "groups": grouped,
        "group_subtasks": {group: list(inside) for group, inside in (grouping or {}).items()},
        "configs": {
            task: {
                "task": task,
                "doc_to_text": "{{question}}",
                "output_type": "multiple_choice",
                "metric_list": metric_list[task],
                "filter_list": [{"name": name} for name in (filters or {}).get(task, [])],
                "metadata": {"version": 1.0, "pretrained": model},
            }
            for task in tasks
        },
        "versions": dict.fromkeys(tasks, 1.0),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {
            task: {entry["metric"]: True for entry in entries} for task, entries in metric_list.items()
        },
        "n-samples": {task: {"original": len(rows), "effective": len(rows)} for task, rows in tasks.items()},
        "config": {
            "model": "hf",
            "model_args": {"pretrained": model},
            "model_sha": "",
            "batch_size": "4",
            "limit": None,
            "gen_kwargs": {},
            "fewshot_seed": 1234,
        },
        "chat_template_sha": None,
        "system_instruction": None,
        "fewshot_as_multiturn": None,
    }
    path = folder / f"results_{LM_DATE}.json"
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


def mme_answers(seed: int, share: float = 0.7) -> list[dict[str, Any]]:
    """Answers to two questions about five images of each of three categories."""
    rng = random.Random(seed)
    categories = {
        "existence": "mme_perception_score",
        "color": "mme_perception_score",
        "code_reasoning": "mme_cognition_score",
    }
    return [
        {metric: {"question_id": f"{category}/{image}.png", "category": category, "score": float(rng.random() < share)}}
        for category, metric in categories.items()
        for image in range(5)
        for _ in range(2)
    ]


def llava_answers(seed: int, better: int = 0) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    scores = [[rng.randint(7, 10), min(10, rng.randint(3, 8) + better)] for _ in range(30)]
    return [{"gpt_eval_llava_all": {"scores": each, "eval_model": "judge-1", "question": "q"}} for each in scores]


def write_lmms_eval(
    folder: Path, task: str, rows: Rows, results: Mapping[str, float], model: str = "tiny", **changes: Any
) -> Path:
    """One task of lmms-eval, with what its aggregation gave."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"doc_id": at, "target": "Yes", "filtered_resps": "Yes", "token_counts": [None], "doc_hash": "74234e98"}
        | {**metrics, "input": f"Is it {at}?"}
        for at, metrics in enumerate(rows)
    ]
    write_lines(folder / f"{LMMS_DATE}_samples_{task}.jsonl", lines)
    content = {
        "results": {task: {f"{name},none": value for name, value in results.items()}},
        "configs": {
            task: {
                "task": task,
                "doc_to_text": "<function mme_doc_to_text at 0x7f00>",
                "metric_list": [
                    {"metric": name, "aggregation": f"<function {name} at 0x7f00>", "higher_is_better": True}
                    for name in results
                ],
                "generation_kwargs": {"max_new_tokens": 16},
            }
        },
        "versions": {task: "Yaml"},
        "n-shot": {task: 0},
        "n-samples": {task: {"original": len(rows), "effective": len(rows)}},
        "config": {"model": model, "model_args": "", "batch_size": "8", "limit": None, "offset": 0, "gen_kwargs": ""},
    }
    path = folder / f"{LMMS_DATE}_results.json"
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


def write_lines(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="session")
def lm_eval() -> Callable[..., Path]:
    return write_lm_eval


@pytest.fixture(scope="session")
def lmms_eval() -> Callable[..., Path]:
    return write_lmms_eval


@pytest.fixture(scope="session")
def score() -> Callable[..., list[dict[str, Any]]]:
    return scored


@pytest.fixture(scope="session")
def mme() -> Callable[..., list[dict[str, Any]]]:
    return mme_answers


@pytest.fixture(scope="session")
def llava() -> Callable[..., list[dict[str, Any]]]:
    return llava_answers
