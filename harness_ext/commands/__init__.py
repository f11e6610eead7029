"""The ``unsafeconcepts`` command: what is not part of an evaluation itself."""

import sys
from collections.abc import Callable, Sequence
from typing import Final

from harness_ext.common.errors import UserError, exit_status

_USAGE: Final = """usage: unsafeconcepts COMMAND ...

  judge FILE.jsonl        judge saved responses; judge RUN: judge an evaluation's answers again
  agreement RUN...        do judges agree on the same answers, and with people's labels
  quality RUN...          how sound and informative answers are, as a judge and people rate them
  train-judge DATA...     train a judge of labelled responses
  table RUN               the table (and figure) of an evaluation's result folder
  compare BEFORE AFTER…   is a model better, and did it keep its abilities
  report RUN... -o PAGE   all of one or more result folders as one HTML page
  leaderboard FILE.jsonl  check a leaderboard, draw it, add to it
  retention ...           did a fine-tuned model keep its general abilities
  glyphworld ACTION       build, draw or measure the embedded stand-in
  tasks HARNESS           print the task folder for lmms_eval or lm_eval
  lm_eval ...             lm-eval's own command, for the language side of our models

unsafeconcepts COMMAND --help says more. Evaluations are run by lmms_eval."""


def _judge(arguments: Sequence[str]) -> int:
    from harness_ext.commands.judge import main

    return main(arguments)


def _agreement(arguments: Sequence[str]) -> int:
    from harness_ext.commands.agreement import main

    return main(arguments)


def _quality(arguments: Sequence[str]) -> int:
    from harness_ext.commands.quality import main

    return main(arguments)


def _train_judge(arguments: Sequence[str]) -> int:
    from harness_ext.commands.train_judge import main

    return main(arguments)


def _table(arguments: Sequence[str]) -> int:
    from harness_ext.commands.table import main

    return main(arguments)


def _compare(arguments: Sequence[str]) -> int:
    from harness_ext.commands.compare import main

    return main(arguments)


def _report(arguments: Sequence[str]) -> int:
    from harness_ext.commands.report import main

    return main(arguments)


def _leaderboard(arguments: Sequence[str]) -> int:
    from harness_ext.commands.leaderboard import main

    return main(arguments)


def _glyphworld(arguments: Sequence[str]) -> int:
    from harness_ext.commands.glyphworld import main

    return main(arguments)


def _tasks(arguments: Sequence[str]) -> int:
    from harness_ext.benchmark import task_folder

    if len(arguments) != 1 or arguments[0] not in ("lmms_eval", "lm_eval"):
        raise UserError("usage: unsafeconcepts tasks lmms_eval|lm_eval")
    print(task_folder(arguments[0]))
    return 0


def _retention(arguments: Sequence[str]) -> int:
    from harness_ext.commands.retention import main

    return main(arguments)


def _lm_eval(arguments: Sequence[str]) -> int:
    from harness_ext.lm_cli import main

    return main(arguments)


_COMMANDS: Final[dict[str, Callable[[Sequence[str]], int]]] = {
    "judge": _judge,
    "agreement": _agreement,
    "quality": _quality,
    "train-judge": _train_judge,
    "table": _table,
    "compare": _compare,
    "report": _report,
    "leaderboard": _leaderboard,
    "retention": _retention,
    "glyphworld": _glyphworld,
    "tasks": _tasks,
    "lm_eval": _lm_eval,
}


def main() -> None:
    """Run one command; exits 2 when what was asked for cannot be."""
    name, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("--help", [])
    if name in ("-h", "--help"):
        print(_USAGE)
        return
    if name not in _COMMANDS:
        print(f"unsafeconcepts: no command {name!r}\n{_USAGE}", file=sys.stderr)
        sys.exit(2)
    sys.exit(exit_status("unsafeconcepts", lambda: _COMMANDS[name](arguments)))
