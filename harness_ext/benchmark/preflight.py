"""What a task needs is there, or the run ends before anything long begins.

lmms-eval loads the model first and the data after it, and repeats a failing data set five times; a missing permission would
show minutes later, in a traceback. So sources are asked for as soon as the tasks are known.
"""

from collections.abc import Iterable

# The text-only probe asks about the taxonomy's concepts; no image of the gated data set is needed for it.
_WITHOUT_IMAGES = ("unsafeconcepts_text",)
_WITH_OPTIONS = ("unsafeconcepts_perception", "unsafeconcepts_sampled", "unsafeconcepts_likelihood")


def need_gated_images(tasks: Iterable[str]) -> bool:
    """Whether any of ``tasks`` (names of tasks or groups) shows images of the gated data set."""
    return any(name.startswith("unsafeconcepts") and not name.startswith(_WITHOUT_IMAGES) for name in tasks)


def check_access_for(tasks: Iterable[str]) -> None:
    """Ask, within seconds and without downloading, whether the images that ``tasks`` show may be read.

    Raises:
        SourceError: They may not, or cannot; the message says how to get them.
    """
    if need_gated_images(tasks):
        from harness_ext.benchmark.sources import check_access

        check_access()


def require_sources(tasks: Iterable[str]) -> None:
    """Have everything that ``tasks`` read on this machine, checked against the taxonomy, before a model is loaded.

    Raises:
        SourceError: Access is missing, or the data is not what the taxonomy says it is.
    """
    names = list(tasks)
    if not need_gated_images(names):
        return
    from harness_ext.benchmark.options import published_options
    from harness_ext.benchmark.sources import check_access, load_unsafeconcepts

    check_access()
    # First what is small: a missing file must not show after the images have been downloaded.
    if any(name == "unsafeconcepts" or name.startswith(_WITH_OPTIONS) for name in names):
        published_options()
    load_unsafeconcepts()
