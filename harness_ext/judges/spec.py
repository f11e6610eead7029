"""A judge as a command line names it: ``NAME``, or ``NAME:k=v,k=v`` with its options."""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from harness_ext.errors import UserError
from harness_ext.judges.batch import BatchJudge
from harness_ext.judges.registry import JUDGES, open_judge

DEFAULT: Final = "rules"


@dataclass(frozen=True)
class JudgeSpec:
    """A judge's name in the registry, and its options as text."""

    name: str
    options: Mapping[str, str]

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}:{options}" if options else self.name

    def open(self) -> BatchJudge:
        """The judge, ready to read. Raises ``UserError`` as :func:`open_judge` does."""
        return open_judge(self.name, self.options)


def read_spec(text: str) -> JudgeSpec:
    """``NAME`` or ``NAME:k=v,k=v``. Raises ``UserError`` for options that are no ``k=v``."""
    name, colon, options = text.partition(":")
    if colon and not options:
        raise UserError(f"--judge {text}: expected options after the colon, as in NAME:k=v,k=v")
    return JudgeSpec(name, read_options(options.split(",") if options else ()))


def read_options(pairs: Iterable[str]) -> dict[str, str]:
    """Options from texts ``k=v``. Raises ``UserError`` for another text, and for an option that is given twice."""
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UserError(
                f"option of a judge: expected k=v, found {pair!r}; a value with a comma in it goes into --judge_arg k=v"
            )
        if key.strip() in options:
            raise UserError(f"option of a judge: {key.strip()} is given twice")
        options[key.strip()] = value
    return options


def add_judge_options(parser: argparse.ArgumentParser) -> None:
    """The options that name one judge: ``--judge``, ``--judge_args``, ``--judge_arg``."""
    parser.add_argument("--judge", metavar="NAME", help=f"one of {', '.join(JUDGES)} (default, for a file: {DEFAULT})")
    parser.add_argument("--judge_args", metavar="k=v,k=v", default="", help="its options, separated by commas")
    parser.add_argument(
        "--judge_arg",
        metavar="k=v",
        action="append",
        default=[],
        help="one option, whose value may hold commas; may be repeated",
    )


def judge_spec(arguments: argparse.Namespace) -> JudgeSpec:
    """The judge that :func:`add_judge_options`' options name. Raises ``UserError`` for options that are no ``k=v``."""
    separated = arguments.judge_args.split(",") if arguments.judge_args else []
    return JudgeSpec(arguments.judge or DEFAULT, read_options([*separated, *arguments.judge_arg]))
