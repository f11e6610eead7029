"""What is asked: the taxonomy, the questions, the splits, the sources of the rows, and the folder of the tasks."""

from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError

# The two sources of rows. Every task's name begins with its source's, so these also tell our tasks from the harness's own.
SOURCES: Final = ("unsafeconcepts", "glyphworld")


def task_folder(harness: str) -> Path:
    """Our task folder for ``"lmms_eval"`` or ``"lm_eval"``.

    Installed, it lies inside the package; in a checkout, beside it. Raises ``UserError`` if it is in neither place.
    """
    package = Path(__file__).parents[1]
    for tasks in (package / "tasks", package.parent / "tasks"):
        if (tasks / harness).is_dir():
            return tasks / harness
    raise UserError(f"the task folder {harness!r} is neither in {package} nor beside it; install unsafeconcepts again")
