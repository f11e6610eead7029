"""Judges by name, and their names on a command line: ``NAME``, or ``NAME:k=v,k=v`` with options.

A name stands for a function whose typed keywords are the judge's options. Its module is imported when the judge is opened.
"""

import argparse
import functools
import importlib
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from harness_ext.common.errors import UserError
from harness_ext.common.options import InvalidOptionError, checked
from harness_ext.common.provenance import record_provenance
from harness_ext.judges.base import BatchJudge
from harness_ext.judges.envelope import VERSION
from harness_ext.judges.llm.prompt import QUALITY

DEFAULT: Final = "rules"
# The judges that can also rate answers.
RATERS: Final = ("llm", "llm-local")
# The judge of evaluations.
JUDGE_VARIABLE: Final = "UNSAFECONCEPTS_JUDGE"
JUDGES: Final[Mapping[str, str]] = {
    "rules": "harness_ext.judges.rules:rule_judge",
    "llm": "harness_ext.judges.llm.api:llm_judge",
    "llm-local": "harness_ext.judges.llm.local:local_judge",
    "classifier": "harness_ext.judges.classifier.judge:classifier_judge",
    "paper": "harness_ext.judges.classifier.paper:paper_judge",
}


def open_judge(name: str, options: Mapping[str, str]) -> BatchJudge:
    """The judge of that name, one of ``JUDGES``; each option is converted to the type that its function states.

    Raises:
        UserError: There is no such judge or option, a value is invalid, or the judge cannot be loaded.
    """
    if name not in JUDGES:
        raise UserError(f"no judge is named {name!r}; expected one of {', '.join(JUDGES)}")
    module, function = JUDGES[name].split(":")
    make: Callable[..., BatchJudge] = getattr(importlib.import_module(module), function)
    known = inspect.signature(make).parameters
    if unknown := sorted(options.keys() - known.keys()):
        raise UserError(f"judge {name}: no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    try:
        return checked(make, strict=False)(**options)
    except InvalidOptionError as error:
        raise UserError(f"judge {name}, {error}") from error


# --- the judge of an evaluation ---------------------------------------------------------------------------------------


def evaluation_judge() -> BatchJudge:
    """The judge that ``UNSAFECONCEPTS_JUDGE`` names as ``--judge`` would; the rule judge by default. Opened once a process.

    One that is named is noted for the result file, and so is the version of the envelope.

    Raises:
        UserError: There is no such judge, or it cannot be loaded.
    """
    named = os.environ.get(JUDGE_VARIABLE, "").strip()
    record_provenance(envelope=VERSION, **({"evaluation_judge": named} if named else {}))
    try:
        return _opened(named or DEFAULT)
    except UserError as error:
        raise UserError(f"{JUDGE_VARIABLE}={named}: {error}") from error


@functools.cache
def _opened(named: str) -> BatchJudge:
    return read_spec(named).open()


def require_rule_judge() -> None:
    """Raise ``UserError`` where an evaluation by lm-eval names a judge: lm-eval's result files cannot say who judged."""
    if named := os.environ.get(JUDGE_VARIABLE, "").strip():
        raise UserError(
            f"{JUDGE_VARIABLE}={named}: lm-eval's result files cannot say who judged; evaluate by lmms_eval, or unset it"
        )


# --- a judge on a command line -----------------------------------------------------------------------------------------


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
    """``NAME`` or ``NAME:k=v,k=v``. Raises ``UserError`` for an option that is not ``k=v``."""
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


def add_judge_options(parser: argparse.ArgumentParser, names: str) -> None:
    """The options that name one judge: ``--judge``, whose help lists the ``names``, ``--judge_args``, ``--judge_arg``."""
    parser.add_argument("--judge", metavar="NAME", help=f"one of {names}")
    parser.add_argument("--judge_args", metavar="k=v,k=v", default="", help="its options, separated by commas")
    parser.add_argument(
        "--judge_arg",
        metavar="k=v",
        action="append",
        default=[],
        help="one option, whose value may hold commas; may be repeated",
    )


def judge_spec(arguments: argparse.Namespace) -> JudgeSpec:
    """The judge that :func:`add_judge_options`' options name. Raises ``UserError`` for an option that is not ``k=v``."""
    separated = arguments.judge_args.split(",") if arguments.judge_args else []
    return JudgeSpec(arguments.judge or DEFAULT, read_options([*separated, *arguments.judge_arg]))


def rater_spec(arguments: argparse.Namespace) -> JudgeSpec:
    """As :func:`judge_spec`, of a judge that rates answers by a rubric. Raises ``UserError`` for another judge."""
    spec = judge_spec(arguments)
    if spec.name not in RATERS:
        raise UserError(f"--judge {spec.name}: does not rate answers; expected one of {', '.join(RATERS)}")
    return JudgeSpec(spec.name, {"rubric": QUALITY, **spec.options})
