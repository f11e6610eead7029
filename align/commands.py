r"""The ``align`` command: train a model by a recipe, or look at what it would be trained on.

align ppo --config glyphworld_ppo --seed 1 --output_dir runs/ppo-1
torchrun --nproc_per_node 4 -m align.commands ppo --config paper_fixed \
    --gradient_accumulation_steps 1 --steps_per_generation 2
"""

import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from align.recipe import METHODS, packaged_recipes
from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.output import guard_log, say
from harness_ext.common.processes import processes_of_run

_USAGE: Final = """usage: align METHOD --config RECIPE [--key value ...]

  align sft|dpo|ppo|grpo|rloo --config RECIPE   train; the same command again resumes where it was cut off
  align data --config RECIPE                    show what would be trained on
  align plan RECIPE --gpus N --memory GIB       what a run needs on each GPU, and which way to run it fits
  align table FOLDER                            the table of a comparison
  align ways FOLDER                             what each way to close the gap gains, keeps and costs

RECIPE is a YAML file, or a packaged one:
  {recipes}
What a recipe sets, --key value overrides; align METHOD --help lists all keys."""


def _train(method: str, arguments: Sequence[str]) -> None:
    _ignore_new_names()
    from align.run import run
    from align.settings import read_settings
    from align.stopped import TrainingStopped

    try:
        run(read_settings(method, arguments), shlex.join(["align", method, *arguments]))
    except TrainingStopped:
        say(file=sys.stderr)  # the bar stands on the line
        raise


def _show_data(arguments: Sequence[str]) -> None:
    from align.data import describe
    from align.settings import read_data_settings

    say(describe(read_data_settings(arguments)))


def _make_table(arguments: Sequence[str]) -> None:
    from align.table import main as table

    table(arguments)


def _make_ways(arguments: Sequence[str]) -> None:
    from align.ways import main as ways

    ways(arguments)


def _ignore_new_names() -> None:
    """No warnings about a name that TRL's defaults have, which no recipe can change."""
    warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)


def _plan(arguments: Sequence[str]) -> None:
    _ignore_new_names()
    from align.plan.command import main as plan

    plan(arguments)


def main() -> None:
    """Run one command; exits 2 for a request that cannot be met, 1 when a run had to stop."""
    name, *arguments = sys.argv[1:] or ["--help"]
    usage = _USAGE.format(recipes=", ".join(packaged_recipes()))
    commands: dict[str, Callable[[Sequence[str]], None]] = {method: partial(_train, method) for method in METHODS}
    commands |= {"data": _show_data, "plan": _plan, "table": _make_table, "ways": _make_ways}

    def run() -> None:
        if name in ("-h", "--help"):
            say(usage)
        elif name not in commands:
            raise UserError(f"no command {name!r}\n{usage}")
        else:
            commands[name](arguments)

    # Otherwise TRL reports every trainer that is made to its maker.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    guard_log()
    program = f"align (process {os.environ['RANK']})" if processes_of_run() > 1 else "align"
    if status := exit_status(program, run):
        sys.exit(status)


if __name__ == "__main__":
    # For torchrun and accelerate, which start modules.
    main()
