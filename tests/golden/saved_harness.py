"""Stands in for the interpreter that `unsafeconcepts retention` starts a harness by: gives the saved answers of a model.

It writes, of the tasks asked, what ``--log_samples --output_path`` of lmms-eval or lm-eval would. The results name the
contents of the model's folder, as the harnesses do.
"""

import json
import re
import sys
from pathlib import Path

RUNS = Path(__file__).parent / "runs"
SAVED = {
    "before": (RUNS / "original" / "generated", RUNS / "lm_eval" / "original"),
    "after": (RUNS / "ppo" / "generated", RUNS / "lm_eval" / "sft"),
}
# What tells the two folders of `make.py` from each other.
IDENTITY = {
    "before": "files e29e1a399eba64ae95b8085846aac57a9baf9486",
    "after": "files 67b80c3b03fee9fd98c9bd355ebc81e0e968977d",
}


def _option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def main() -> None:
    """Write the results and the rows of the tasks asked."""
    (role,) = re.findall(r"pretrained=[^,]*/(before|after)\b", _option("--model_args"))
    tasks, output = _option("--tasks").split(","), Path(_option("--output_path"))
    saved = next(folder for folder in SAVED[role] if next(folder.rglob(f"*samples_{tasks[0]}*.jsonl"), None))
    (results,) = (*saved.rglob("*_results.json"), *saved.rglob("results_*.json"))
    content = json.loads(results.read_text(encoding="utf-8"))
    for part in ("results", "n-samples", "versions", "configs", "groups", "group_subtasks"):
        content[part] = {task: value for task, value in content.get(part, {}).items() if task in tasks}
    content["config"] |= {"weights_identity": IDENTITY[role], "adapter_identity": "none"}
    output.mkdir(parents=True, exist_ok=True)
    for samples in results.parent.glob("*.jsonl"):
        # 20260101_120000_samples_TASK.jsonl, or samples_TASK_2026-01-05T12-00-00.000000.jsonl
        if re.sub(r"^.*samples_|_\d{4}-.*$", "", samples.stem) in tasks:
            (output / samples.name).write_bytes(samples.read_bytes())
    (output / results.name).write_text(json.dumps(content), encoding="utf-8")


main()
