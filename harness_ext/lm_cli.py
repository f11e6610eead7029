"""``unsafeconcepts lm_eval``: lm-eval's own command, with the names of the catalogue as models and with our tasks.

lm-eval has no entry points by which a package could add models, so that its command must be started from here. For several
processes: ``accelerate launch -m harness_ext.lm_cli run …``.
"""

import sys
from collections.abc import Sequence

from harness_ext.errors import UserError
from harness_ext.plugin import task_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run lm-eval with ``arguments``, those of its own command; returns 2, with a message, when what is asked cannot be."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # lm-eval reads them itself.
    sys.argv = ["lm_eval", *_with_our_tasks(given)]
    try:
        from lm_eval.__main__ import cli_evaluate

        from harness_ext.models.language_names import register_language_sides

        register_language_sides()
        cli_evaluate()
    except UserError as error:
        print(f"lm_eval: {error}", file=sys.stderr)
        return 2
    return 0


def _with_our_tasks(arguments: Sequence[str]) -> list[str]:
    options = {argument.partition("=")[0] for argument in arguments}
    if not options & {"--tasks", "-t"} or "--include_path" in options:
        return list(arguments)
    return [*arguments, "--include_path", str(task_folder("lm_eval"))]


if __name__ == "__main__":
    sys.exit(main())
