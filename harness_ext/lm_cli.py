"""``unsafeconcepts lm_eval``: lm-eval's own command, with the names of the catalogue as models and with our tasks.

lm-eval has no entry points by which a package could add models, so that its command must be started from here. For several
processes: ``accelerate launch -m harness_ext.lm_cli run …``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import require_writable_folder
from harness_ext.common.secrets import secret_in
from harness_ext.hooks import LM_EVAL_SWALLOWS, Swallowed, register_language_sides, require_imports, watch_lm_eval
from harness_ext.probes.files import tasks_folder
from harness_ext.registry import take_folders, tasks_named


def main(arguments: Sequence[str] | None = None) -> int:
    """Run lm-eval with ``arguments``, those of its own command; returns 2, with a message, when what is asked cannot be."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return exit_status("lm_eval", lambda: _run(given))


def _run(arguments: Sequence[str]) -> int:
    arguments = take_folders(arguments)
    swallowed = Swallowed(*LM_EVAL_SWALLOWS)
    # lm-eval reads them itself.
    sys.argv = ["lm_eval", *_with_our_tasks(arguments)]
    _check(arguments)
    from lm_eval.__main__ import cli_evaluate

    register_language_sides()
    watch_lm_eval(swallowed)
    cli_evaluate()
    for _, said in swallowed.errors:
        print(f"lm_eval: not done as asked: {said}", file=sys.stderr)
    return 1 if swallowed.errors else 0


def _check(arguments: Sequence[str]) -> None:
    """What can be known to be wrong in the first second is said in the first second."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--output_path", "-o", type=Path)
    parser.add_argument("--model_args", "-a", nargs="+", default=[])
    parser.add_argument("--tasks", "-t", nargs="+", default=[])
    known, _ = parser.parse_known_args(arguments)
    names = [name for task in known.tasks for name in task.split(",")]
    if tasks_named(names):
        from harness_ext.judges.registry import require_rule_judge
        from harness_ext.probes.preflight import require_sources

        require_rule_judge()
        require_sources(names)
    for each in known.model_args:
        if secret := secret_in(each):
            raise UserError(
                f"--model_args: {secret} would be written into the results as it is; set HF_TOKEN, or the variable in which "
                "the model of lm-eval looks for its key"
            )
    if known.output_path:
        # A name ending in .json is that of a file, to which lm-eval adds the date.
        require_writable_folder(known.output_path.parent if known.output_path.suffix == ".json" else known.output_path)
    # What lm-eval 0.4.13 imports when it prints its table.
    require_imports("lm_eval", "pytablewriter")


def _with_our_tasks(arguments: Sequence[str]) -> list[str]:
    options = {argument.partition("=")[0] for argument in arguments}
    if not options & {"--tasks", "-t"} or "--include_path" in options:
        return list(arguments)
    return [*arguments, "--include_path", str(tasks_folder("lm_eval"))]


if __name__ == "__main__":
    sys.exit(main())
