"""What a task needs is there, or the run ends before anything long begins.

lmms-eval loads the model first and the data after it, and repeats a failing data set five times; a missing permission would
show minutes later, in a traceback. So sources are asked for as soon as the tasks are known.
"""

from collections.abc import Iterable

from harness_ext.benchmark.probes import Need, tasks_named


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
    _check_access(needs(tasks))


def _check_access(needed: set[Need]) -> None:
    if "block" in needed:
        from harness_ext.glyphworld.rows import block_of_run

        block_of_run()
    if "images" in needed:
        from harness_ext.sources.access import check_access

        check_access()
    if "safe" in needed:
        from harness_ext.sources.safe_images import check_safe_access

        check_safe_access()
    for name in sorted(needed & {"smid", "nsfw"}):
        from harness_ext.sources.labelled import check_labelled_access

        check_labelled_access(name)


def require_sources(tasks: Iterable[str]) -> None:
    """Have everything that ``tasks`` read on this machine, checked against the taxonomy, before a model is loaded.

    Raises:
        SourceError: Access is missing, or the data is not what the taxonomy says it is.
    """
    needed = needs(tasks)
    _check_access(needed)
    # First what is small: a missing file must not show after the images have been downloaded.
    if "options" in needed:
        from harness_ext.sources.published import published_options

        published_options()
    if "contexts" in needed:
        from harness_ext.sources.published import published_contexts

        published_contexts()
    if "images" in needed:
        from harness_ext.sources.unsafeconcepts import load_unsafeconcepts

        load_unsafeconcepts()
    if "safe" in needed:
        from harness_ext.sources.collections import both_sides

        both_sides()
    for name in sorted(needed & {"smid", "nsfw"}):
        from harness_ext.sources.labelled import load_labelled

        load_labelled(name)
