"""The ``lmms_eval`` command: lmms-eval's own, with our tasks and models in every subcommand, and an honest exit status.

lmms-eval ends with status 0 when an evaluation failed, lists only its own tasks, and asks for a data set after loading the
model. This command registers the plugin first, checks access to gated data before any long import, and then hands over.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import require_writable_folder
from harness_ext.common.output import say
from harness_ext.common.provenance import forget_model
from harness_ext.hooks import (
    LATE,
    LATE_AFTER_IT,
    LMMS_EVAL_SWALLOWS,
    Swallowed,
    let_faults_end_it,
    register_tasks,
    require_imports,
    watch_lmms_eval,
)
from harness_ext.models.catalogue import OPTION_FILE_VARIABLE, describe_names, load_catalogue
from harness_ext.options import check_model_name, check_options
from harness_ext.probes.preflight import check_access_for
from harness_ext.registry import take_folders, tasks_named

_HARNESS: Final = "lmms-eval"


def main() -> None:
    """Run lmms-eval; exits 1 when an evaluation failed, 2 when what was asked for cannot be."""
    if status := exit_status("lmms_eval", _run):
        sys.exit(status)


def _run() -> int:
    arguments = take_folders(_take_models_file(sys.argv[1:]))
    # lmms-eval reads them again, and does not know our options.
    sys.argv[1:] = arguments
    evaluates = _is_evaluation(arguments)
    if evaluates:
        _check(arguments)
    # Loading lmms_eval.models loads the entry points, ours among them.
    require_imports(_HARNESS, "lmms_eval.models")
    from lmms_eval.cli import dispatch

    let_faults_end_it()
    register_tasks()
    failures: list[Exception] = []
    swallowed = Swallowed(*LMMS_EVAL_SWALLOWS)
    if evaluates:
        require_imports(_HARNESS, "lmms_eval.__main__", *LATE_AFTER_IT)
        watch_lmms_eval(swallowed, failures, _check_evaluation)
    dispatch.main()
    if arguments[:1] == ["models"]:
        say(describe_names())
    # An evaluation's own error is caught, and logged, too.
    not_done = [said for error, said in swallowed.errors if not any(error is failure for failure in failures)]
    for said in not_done:
        say(f"lmms_eval: not done as asked: {said}", file=sys.stderr)
    if not_done or not all(isinstance(failure, UserError) for failure in failures):
        return 1
    return 2 if failures else 0


def _take_models_file(arguments: Sequence[str]) -> list[str]:
    """``arguments`` without ``--models-file FILE`` or ``--models-file=FILE``, whose names are known from here on."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--models-file", nargs="?", const="")
    known, rest = parser.parse_known_args(arguments)
    if known.models_file == "":
        raise UserError("--models-file is not followed by a file; expected --models-file NAMES.yaml")
    if known.models_file is not None:
        os.environ[OPTION_FILE_VARIABLE] = str(Path(known.models_file).expanduser().absolute())
        load_catalogue()
    return rest


def _is_evaluation(arguments: Sequence[str]) -> bool:
    if {"-h", "--help"} & set(arguments):
        return False
    return bool(arguments) and (arguments[0] == "eval" or arguments[0].startswith("-"))


def _check(arguments: Sequence[str]) -> None:
    """What can be known to be wrong in the first second is said in the first second."""
    require_imports(_HARNESS, *LATE)
    load_catalogue()
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--model", "--tasks", "--config", "--output_path"):
        parser.add_argument(option)
    known, _ = parser.parse_known_args(arguments)
    if known.output_path:
        require_writable_folder(Path(known.output_path))
    if known.config is not None:
        return
    if known.tasks is None:
        if known.model is not None:
            raise UserError("which tasks? Add --tasks NAME; `lmms_eval tasks list` shows the names.")
        return
    if known.model is None and not known.tasks.startswith("list"):
        raise UserError(f"which model? Add --model NAME.\n{describe_names()}")
    tasks = known.tasks.split(",")
    if len(tasks) == 1 and tasks_named(tasks) and Path(known.tasks).is_dir():
        raise UserError(
            f"{known.tasks!r} is a folder here, and lmms-eval would read the tasks in it instead of the task named so;\n"
            "run the command from another folder"
        )
    check_access_for(tasks)


def _check_evaluation(arguments: argparse.Namespace) -> None:
    # Of the evaluation before: a model that is not ours notes nothing of itself, and its answers are not a guard's.
    forget_model()
    if arguments.tasks is not None and not arguments.tasks.startswith("list"):
        check_model_name(arguments.model)
        check_options(arguments)


if __name__ == "__main__":
    # For torchrun and accelerate, which start modules: `python -m torch.distributed.run … -m harness_ext.cli …`.
    main()
