"""What is asked: a benchmark as a value, the published questions, the one table of probes, and the folder of the tasks."""

from pathlib import Path

from harness_ext.common.errors import UserError


def task_folder(harness: str) -> Path:
    """Our task folder for ``"lmms_eval"`` or ``"lm_eval"``.

    Installed, it lies inside the package; in a checkout, beside it. Raises ``UserError`` if it is in neither place.
    """
    package = Path(__file__).parents[1]
    for tasks in (package / "tasks", package.parent / "tasks"):
        if (tasks / harness).is_dir():
            return tasks / harness
    raise UserError(f"the task folder {harness!r} is neither in {package} nor beside it; install unsafeconcepts again")
