"""How the task ``retention_holisafe_judged`` scores an answer: as lmms-eval does, with the judge's name beside it."""

from typing import Any

from lmms_eval.tasks.holisafe import utils


def judged(row: dict[str, Any], answers: list[str]) -> dict[str, Any]:
    """lmms-eval's verdict on the answer to ``row``, by metric: its type, its category, its error, and who judged."""
    found = utils.holisafe_process_results_judge(row, answers)
    # lmms-eval opens it at the first row; where it cannot, it logs that and has phrases judge.
    opened = utils._judge_server
    name = opened.config.model_name if opened else "phrases"
    return {metric: {**value, "judge": name} for metric, value in found.items()}
