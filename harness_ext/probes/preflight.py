"""What a task needs is there, or the run ends before anything long begins.

lmms-eval loads the model first and the data after it, and repeats a failing data set five times; a missing permission would
show minutes later, in a traceback. So sources are asked for as soon as the tasks are known.
"""

from collections.abc import Iterable

from harness_ext.benchmark.probes import Need, tasks_named
from harness_ext.benchmark.questions import LETTERS
from harness_ext.records import GENERATED
from harness_ext.sources.access import SETS, check_access


def needs(tasks: Iterable[str]) -> set[Need]:
    """What ``tasks`` (names of tasks or groups, or patterns with ``*``) read beside the concepts' names."""
    found: set[Need] = set()
    for task in tasks_named(tasks):
        found.update(("block",) if task.source == "glyphworld" else task.probe.needs)
    return found


def check_access_for(tasks: Iterable[str]) -> None:
    """Ask, within seconds and without downloading, whether the images that ``tasks`` show may be read.

    Raises:
        SourceError: They may not, or cannot; the message says how to get them.
    """
    needed = needs(tasks)
    if "block" in needed:
        from harness_ext.glyphworld.rows import block_of_run

        block_of_run()
    for name in SETS:
        if name in needed:
            check_access(name)


def require_judge(tasks: Iterable[str]) -> None:
    """Have the judge of ``tasks`` read an empty answer to what they ask, before a model is loaded.

    Raises:
        UserError: There is no such judge, it cannot be loaded, or it does not read such answers.
    """
    from harness_ext.judges.base import AlignmentAnswer, Answer, PerceptionAnswer, verdicts
    from harness_ext.judges.registry import evaluation_judge

    asks = {task.probe.asks for task in tasks_named(tasks) if task.way == GENERATED}
    trials: list[Answer] = []
    if "perception" in asks:
        trials.append(PerceptionAnswer({letter: f"option {letter}" for letter in LETTERS}, ""))
    if "alignment" in asks:
        trials.append(AlignmentAnswer(0, ""))
    if trials:
        list(verdicts(evaluation_judge(), trials))


def require_sources(tasks: Iterable[str]) -> None:
    """Have everything that ``tasks`` read on this machine, checked against the taxonomy, before a model is loaded.

    Raises:
        SourceError: Access is missing, or the data is not what the taxonomy says it is.
    """
    tasks = list(tasks)
    require_judge(tasks)
    check_access_for(tasks)
    if not (needed := needs(tasks) - {"block"}):
        return
    from harness_ext.sources import collections, published, sets

    # First what is small: a missing file must not show after the images have been downloaded.
    if "options" in needed:
        published.published_options()
    if "contexts" in needed:
        published.published_contexts()
    if "safe" in needed:
        collections.both_sides()
    for name in ("images", "nsfw", "smid"):
        if name in needed:
            sets.load_set(name)
