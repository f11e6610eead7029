"""``unsafeconcepts retention``: did the fine-tuned model keep its abilities?

Evaluates both models on general benchmarks, what has not been evaluated yet, and prints their scores beside each other.
A model is NAME or NAME,key=value,… as for lmms_eval: llava-7b,adapter=runs/ppo/final or hf-vlm,pretrained=FOLDER.
"""

import argparse
import functools
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness_ext.common.errors import UserError
from harness_ext.common.files import require_writable_folder
from harness_ext.report import terminal
from harness_ext.retention.benchmarks import JUDGED, LIMIT_STEP, SUITES, Suite, benchmarks, check_without

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from harness_ext.retention.evaluation import Evaluation
    from harness_ext.retention.judging import Judge
    from harness_ext.retention.outcome import Outcome

_PROG: Final = "unsafeconcepts retention"
_PIPED_WIDTH: Final = 120
_TERMINATED: Final = 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be, 1 when an evaluation failed."""
    from harness_ext.retention.evaluation import EvaluationFailed

    options = _parser().parse_args(argv)
    try:
        _retention(options)
    except UserError as error:
        print(f"{_PROG}: {error}", file=sys.stderr)
        return 1 if isinstance(error, EvaluationFailed) else 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", required=True, metavar="MODEL", help="the model before it was fine-tuned")
    parser.add_argument("--after", required=True, metavar="MODEL", help="the fine-tuned one")
    parser.add_argument(
        "--suite",
        choices=list(SUITES),
        default="all",
        help="vision: lmms-eval's benchmarks with images; text: lm-eval's, of the language side; all: both of these; "
        "glyphworld: the embedded stand-in, for models trained in it (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("runs/retention"),
        metavar="DIR",
        help="where results are kept; what is there, whole, is not evaluated again (default: %(default)s)",
    )
    parser.add_argument(
        "--margin", type=float, metavar="SHARE", help="the loss that is acceptable, as in `unsafeconcepts compare`"
    )
    parser.add_argument("--without", default="", metavar="TASK,…", help="leave out these benchmarks")
    parser.add_argument("--judge-url", metavar="URL", help=f"an OpenAI-compatible server, which judges {JUDGED}")
    parser.add_argument("--judge-model", metavar="NAME", help="the model there")
    parser.add_argument(
        "--judge-key-variable",
        metavar="NAME",
        help="the environment variable with its key (default: OPENAI_API_KEY for OpenAI, none for other servers)",
    )
    parser.add_argument(
        "--batch_size", type=int, default=8, metavar="N", help="questions at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="only the first N rows of each task, an even number; to try"
    )
    parser.add_argument(
        "--apply_chat_template",
        action="store_true",
        help="ask text within the model's chat template; lm-eval's default: not",
    )
    return parser


def _retention(options: argparse.Namespace) -> None:
    suites = SUITES[options.suite]
    without = [name for name in options.without.split(",") if name]
    judge = _check(options, suites, without)
    from harness_ext.retention.models import read_model
    from harness_ext.retention.settings import Settings

    models = {role: read_model(getattr(options, role)) for role in ("before", "after")}
    if models["before"].what == models["after"].what:
        raise UserError(
            f"{models['before'].named} and {models['after'].named} are the same model: same weights, adapter and options"
        )
    settings = Settings(options.batch_size, options.limit, options.apply_chat_template, judge)
    console = terminal.console(_PIPED_WIDTH)
    with _held(options.output) as output:
        from harness_ext.retention.evaluation import Evaluation

        planned = [
            (role, Evaluation(suite, benchmark, model, settings, output))
            for suite in suites
            for role, model in models.items()
            for benchmark in benchmarks(suite, without)
        ]
        outcomes = _evaluate(planned, judge, console)
    _compare(suites, planned, outcomes, options.margin, console)


def _check(options: argparse.Namespace, suites: Sequence[Suite], without: Sequence[str]) -> "Judge | None":
    """What can be known to be wrong in the first second is said in the first second; returns who judges."""
    check_without(suites, without)
    require_writable_folder(options.output.expanduser())
    if options.margin is not None:
        from harness_ext.report.compare.pairs import check_margin

        check_margin(options.margin)
    if options.batch_size < 1:
        raise UserError(f"--batch_size must be at least 1, found {options.batch_size}")
    if options.limit is not None and (options.limit < LIMIT_STEP or options.limit % LIMIT_STEP):
        raise UserError(f"--limit must be an even number of rows, found {options.limit}: MME counts questions in pairs")
    if options.apply_chat_template and "text" not in suites:
        raise UserError("--apply_chat_template: no text is asked for; about images the chat template is always applied")
    if "text" in suites:
        from harness_ext.models.language_names import require_language_side

        for specification in (options.before, options.after):
            require_language_side(specification.partition(",")[0])
    judged = any(benchmark.task == JUDGED for suite in suites for benchmark in benchmarks(suite, without))
    if not judged:
        if options.judge_url or options.judge_model:
            raise UserError(f"--judge-url, --judge-model: nothing is judged by a language model without {JUDGED}")
        return None
    from harness_ext.retention.judging import read_judge

    return read_judge(options.judge_url, options.judge_model, options.judge_key_variable)


@contextmanager
def _held(output: Path) -> Iterator[Path]:
    """The output folder, in which this process alone writes; what a killed one has left is swept."""
    from harness_ext.common.files import held
    from harness_ext.retention.evaluation import UNFINISHED

    output = output.expanduser().absolute()
    with held(
        output / ".lock",
        cannot=lambda error: UserError(f"--output {output} cannot be written to ({error.strerror})"),
        busy=f"another process evaluates into {output}: wait for it, or choose another --output",
    ):
        shutil.rmtree(output / UNFINISHED, ignore_errors=True)
        yield output


def _evaluate(
    planned: "Sequence[tuple[str, Evaluation]]", judge: "Judge | None", console: "Console"
) -> "list[Outcome]":
    """What came of every evaluation, those that are there already first looked at, the others asked."""
    kept = [evaluation.outcome() for _, evaluation in planned]
    missing = [evaluation for (_, evaluation), outcome in zip(planned, kept, strict=True) if outcome is None]
    console.print(f"{len(planned)} evaluations, {len(planned) - len(missing)} of them there already", highlight=False)
    if judge and any(evaluation.benchmark.task == JUDGED for evaluation in missing):
        judge.require_answer()
    # So that the harness ends with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    outcomes = []
    for number, ((role, evaluation), outcome) in enumerate(zip(planned, kept, strict=True), 1):
        about = f"[{number}/{len(planned)}] {role}: {evaluation.model.title}, {evaluation.benchmark.task}"
        if outcome is None:
            start = time.monotonic()
            console.print(about, highlight=False, markup=False)
            with console.status("starting") as status:
                outcome = evaluation.run(functools.partial(_show, status))
            console.print(f"  done in {time.monotonic() - start:.0f} s", highlight=False)
        outcomes.append(outcome)
    return outcomes


def _show(status: "Status", line: str) -> None:
    from rich.text import Text

    # A line of a log may hold colours, and brackets that Rich would read.
    status.update(Text.from_ansi(line, no_wrap=True, overflow="ellipsis"))


def _compare(
    suites: Sequence[Suite],
    planned: "Sequence[tuple[str, Evaluation]]",
    outcomes: "Sequence[Outcome]",
    margin: float | None,
    console: "Console",
) -> None:
    """Both scores of every benchmark as the harness has them, and then what `unsafeconcepts compare` makes of the samples."""
    from harness_ext.report.compare import compare
    from harness_ext.report.compare.pairs import MARGIN
    from harness_ext.report.compare.tables import print_tables
    from harness_ext.retention.table import Pair, print_table

    for suite in suites:
        sides = {
            role: {
                evaluation.benchmark: (evaluation, outcome)
                for (which, evaluation), outcome in zip(planned, outcomes, strict=True)
                if which == role and evaluation.suite == suite
            }
            for role in ("before", "after")
        }
        pairs = [
            Pair(benchmark, before[1], sides["after"][benchmark][1]) for benchmark, before in sides["before"].items()
        ]
        print_table(suite, pairs, console)
        folders = [next(iter(side.values()))[0].models_folder for side in sides.values()]
        tasks = [pair.benchmark.task for pair in pairs]
        print_tables(compare(folders, MARGIN if margin is None else margin, tasks), console)
