"""The ``unsafeconcepts`` command: what is not part of an evaluation itself."""

import importlib
import sys
from collections.abc import Sequence
from typing import Final

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.output import guard_log, say

_USAGE: Final = """usage: unsafeconcepts COMMAND ...

  init DIR --images F     make a benchmark of your own from folders of images
  check DIR               all that is wrong with a benchmark of your own, and what it can show
  judge FILE.jsonl        judge saved responses; judge RUN: judge an evaluation's answers again
  agreement RUN...        do judges agree on the same answers, and with people's labels
  quality RUN...          how sound and informative answers are, as a judge and people rate them
  train-judge DATA...     train a judge of labelled responses
  table RUN               the table (and figure) of an evaluation's result folder
  import DIR -o RUN       make a result folder of answers that somebody else's run gave
  compare BEFORE AFTER…   is a model better, and did it keep its abilities
  report RUN... -o PAGE   all of one or more result folders as one HTML page
  leaderboard FILE.jsonl  check a leaderboard, draw it, add to it
  retention ...           did a fine-tuned model keep its general abilities
  glyphworld ACTION       build, draw or measure the embedded stand-in
  tasks HARNESS           print the task folder for lmms_eval or lm_eval
  lm_eval ...             lm-eval's own command, for the language side of our models

unsafeconcepts COMMAND --help says more. Evaluations are run by lmms_eval."""

_COMMANDS: Final = (
    *("init", "check"),
    *(
        "judge",
        "agreement",
        "quality",
        "train-judge",
        "table",
        "import",
        "compare",
        "report",
        "leaderboard",
        "retention",
    ),
    *("glyphworld", "tasks", "lm_eval"),
)
# Modules that are not named after their command.
_MODULES: Final = {"lm_eval": "harness_ext.lm_cli", "import": "harness_ext.commands.import_answers"}


def main() -> None:
    """Run one command; exits 2 when what was asked for cannot be."""
    name, *arguments = sys.argv[1:] or ["--help"]
    sys.exit(exit_status("unsafeconcepts", lambda: _run(name, arguments)))


def _run(name: str, arguments: Sequence[str]) -> int:
    if name in ("-h", "--help"):
        say(_USAGE)
        return 0
    if name not in _COMMANDS:
        raise UserError(f"no command {name!r}\n{_USAGE}")
    if name == "tasks":
        if len(arguments) != 1 or arguments[0] not in ("lmms_eval", "lm_eval"):
            raise UserError("usage: unsafeconcepts tasks lmms_eval|lm_eval")
        from harness_ext.probes.files import tasks_folder

        say(tasks_folder("lmms_eval" if arguments[0] == "lmms_eval" else "lm_eval"))
        return 0
    guard_log()
    # Imported only when it is asked for: most commands import what is slow.
    module = _MODULES.get(name, f"harness_ext.commands.{name.replace('-', '_')}")
    return int(importlib.import_module(module).main(arguments))
