"""How a task was asked: two runs are comparable where this is the same, and else it is said what differs.

Not among them is what may differ between two models that are compared: weights, adapter, precision, batch size, device, the
wording of a chat template (whether one was applied is), and seeds of sampling (of few-shot examples they are).
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from harness_ext.report.compare.evaluations import Evaluation

# Of a task's configuration: what puts the question, what reads the answer. The rest is where the data lie and how they are
# called; that the questions are the same is seen from the samples themselves.
_TASK: Final = (
    "dataset_name",
    "test_split",
    "output_type",
    "description",
    "doc_to_text",
    "doc_to_choice",
    "doc_to_target",
    "gen_prefix",
    "target_delimiter",
    "fewshot_delimiter",
    "fewshot_config",
    "generation_kwargs",
    "repeats",
    "filter_list",
    "process_results",
    "metric_list",
    "lmms_eval_specific_kwargs",
)


def settings(evaluation: Evaluation, task: str) -> dict[str, str]:
    """How ``task`` was asked."""
    content, config = evaluation.content, evaluation.content["config"]
    shots = content.get("n-shot", {}).get(task, content["configs"].get(task, {}).get("num_fewshot"))
    found: dict[str, Any] = {
        "harness": evaluation.harness,
        "task version": content.get("versions", {}).get(task),
        "documents of the task": evaluation.available(task),
        "documents asked": evaluation.rows(task),
        "--limit": config.get("limit"),
        "--gen_kwargs": config.get("gen_kwargs") or None,
        "few-shot examples": shots,
        "few-shot seed": config.get("fewshot_seed") if shots else None,
        "few-shot examples as turns": content.get("fewshot_as_multiturn") if shots else None,
        "chat template": "applied" if content.get("chat_template_sha") else "the backend's own way",
        "system instruction": content.get("system_instruction"),
        "copy of the images": config.get("unsafeconcepts_source") if task.startswith("unsafeconcepts_") else None,
    }
    found |= {f"{name} (task)": content["configs"].get(task, {}).get(name) for name in _TASK}
    return {name: _text(value) for name, value in found.items()}


def other_templates(first: Evaluation, second: Evaluation) -> bool:
    """Whether the two models' chat templates differ, so that the same question is worded differently for each."""
    return first.content.get("chat_template_sha") != second.content.get("chat_template_sha")


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """What is not the same, as lines for a reader."""
    return [
        f"{name}: {_short(first[name])} in the first run, {_short(second[name])} in this one"
        for name in first
        if first[name] != second[name]
    ]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    # Where in memory a function was is in the file, and differs from run to run.
    return re.sub(r"<function (\S+) at 0x[0-9a-f]+>", r"<function \1>", text)


def _short(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
