"""What a task needs is there, or the run ends before anything long begins.

lmms-eval loads the model first and the data after it, and repeats a failing data set five times; a missing permission would
show minutes later, in a traceback. So sources are asked for as soon as the tasks are known.
"""

from collections.abc import Iterable

from harness_ext.benchmark.base import Benchmark, Need
from harness_ext.benchmark.questions import LETTERS
from harness_ext.records import GENERATED, UNSAFE
from harness_ext.registry import tasks_named


def needs(tasks: Iterable[str]) -> dict[Benchmark, set[Need]]:
    """What ``tasks`` (names of tasks or groups, or patterns with ``*``) read of each benchmark beside the concepts' names."""
    found: dict[Benchmark, set[Need]] = {}
    for task in tasks_named(tasks):
        found.setdefault(task.benchmark, set()).update(task.probe.needs)
    return found


def check_access_for(tasks: Iterable[str]) -> None:
    """Ask, within seconds and without downloading, whether what ``tasks`` show may be read.

    Raises:
        SourceError: It may not, or cannot; the message says how to get it.
    """
    for benchmark, needed in needs(tasks).items():
        benchmark.check_access(needed)


def require_judge(tasks: Iterable[str]) -> None:
    """Have the judge of ``tasks`` read an empty answer to what they ask, before a model is loaded.

    Raises:
        UserError: There is no such judge, it cannot be loaded, or it does not read such answers.
    """
    from harness_ext.judges.base import AlignmentAnswer, Answer, PerceptionAnswer, verdicts
    from harness_ext.judges.registry import evaluation_judge

    asked = [task for task in tasks_named(tasks) if task.way == GENERATED]
    trials: list[Answer] = []
    if any(task.probe.asks == "perception" for task in asked):
        trials.append(PerceptionAnswer({letter: f"option {letter}" for letter in LETTERS}, ""))
    if any(task.probe.asks == "alignment" for task in asked):
        trials.append(AlignmentAnswer(0, ""))
    # Not every judge can read an answer to a question in which "yes" means unsafe.
    for benchmark in {task.benchmark for task in asked if task.probe.rows in ("all_questions", "drawn")}:
        turned = (each for each in benchmark.questions if each.yes == UNSAFE)
        trials += [AlignmentAnswer(0, "", each.image, yes=each.yes) for each in turned]
    if trials:
        list(verdicts(evaluation_judge(), trials))


def require_sources(tasks: Iterable[str]) -> None:
    """Have everything that ``tasks`` read on this machine, checked, before a model is loaded.

    Raises:
        SourceError: Access is missing, or the data is not what it should be.
    """
    tasks = list(tasks)
    require_judge(tasks)
    check_access_for(tasks)
    for benchmark, needed in needs(tasks).items():
        benchmark.require(needed)
