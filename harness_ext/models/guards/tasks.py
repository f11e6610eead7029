"""Which tasks are put to a guard, known before anything is loaded."""

from harness_ext.models.guards.form import GuardFormat
from harness_ext.records import LIKELIHOOD, SAMPLED
from harness_ext.registry import find_task


def not_asked(form: GuardFormat, name: str) -> str:
    """Why the task ``name`` is not put to a guard; empty where it is."""
    task = find_task(name)
    if task is None:
        return "it is no task of this project, and a guard is asked by its own prompt alone"
    probe = task.probe
    if probe.asks != "alignment":
        return f"a guard judges content; it does not answer questions of {probe.asks}"
    if probe.context:
        return "a guard's prompt has no place for the context in which an image is shown"
    if task.manner == SAMPLED:
        return "a guard gives one verdict; take the task without _sampled"
    if probe.shows == "blank":
        return "a guard is not shown a blank image beside a concept's name; take the task named …_text"
    if probe.shows == "none" and not form.about_text:
        return f"{form.name} judges images, and takes no text alone"
    if task.way == LIKELIHOOD and not (form.begins or form.scores):
        return f"{form.name} gives no probability"
    return ""
