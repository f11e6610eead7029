"""``unsafeconcepts retention``: did the fine-tuned model keep its abilities, and does its safety reach further?

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
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.status import Status
from rich.text import Text

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import held, require_writable_folder
from harness_ext.common.output import CommandParser, neutral
from harness_ext.report.blocks import Block, console, print_lines, rich_table
from harness_ext.report.compare import compare
from harness_ext.report.compare.pairs import check_margin
from harness_ext.report.compare.tables import print_tables
from harness_ext.retention.benchmarks import COMPARED, JUDGED, METRICS, SUITES, TITLES, Suite, benchmarks, require_data
from harness_ext.retention.evaluation import UNFINISHED, Evaluation, Outcome
from harness_ext.retention.models import Judge, read_judge, read_model, require_text

_PROG: Final = "unsafeconcepts retention"
_PIPED_WIDTH: Final = 120
_TERMINATED: Final = 143
# MME counts questions about one image in pairs.
_LIMIT_STEP: Final = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be, 1 when an evaluation failed."""
    options = _parser().parse_args(argv)
    return exit_status(_PROG, lambda: _retention(options))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=_PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--before", required=True, metavar="MODEL", help="the model before it was fine-tuned")
    add("--after", required=True, metavar="MODEL", help="the fine-tuned one")
    add(
        "--suite",
        choices=list(SUITES),
        default="all",
        help="vision: lmms-eval's benchmarks with images; text: lm-eval's, of the language side; all: both of these; "
        "safety: lmms-eval's HoliSafe (gated data) and JailbreakBench; "
        "glyphworld: the embedded stand-in, for models trained in it (default: %(default)s)",
    )
    add(
        "--output",
        type=Path,
        default=Path("runs/retention"),
        metavar="DIR",
        help="where results are kept; what is there, whole, is not evaluated again (default: %(default)s)",
    )
    add(
        "--margin",
        type=float,
        metavar="SHARE",
        help="the loss that is acceptable, as in `unsafeconcepts compare`",
    )
    add("--without", type=_names, default=[], metavar="TASK,…", help="leave out these benchmarks")
    add("--judge-url", metavar="URL", help=f"an OpenAI-compatible server, which judges {' and '.join(JUDGED)}")
    add("--judge-model", metavar="NAME", help="the model there")
    add(
        "--judge-key-variable",
        metavar="NAME",
        help="the environment variable with its key (default: OPENAI_API_KEY for OpenAI, none for other servers)",
    )
    add("--batch_size", type=int, default=8, metavar="N", help="questions at a time (default: %(default)s)")
    add("--limit", type=int, metavar="N", help="only the first N rows of each task, an even number; to try")
    add(
        "--apply_chat_template",
        action="store_true",
        help="ask text within the model's chat template; lm-eval's default: not",
    )
    return parser


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _retention(options: argparse.Namespace) -> None:
    suites = SUITES[options.suite]
    judge = _check(options, suites)
    models = {"before": read_model(options.before), "after": read_model(options.after)}
    if models["before"].what == models["after"].what:
        named = f"{models['before'].named} and {models['after'].named}"
        raise UserError(f"{named} are the same model: same weights, adapter and options")
    output = options.output.expanduser().absolute()
    settings = (options.batch_size, options.limit, options.apply_chat_template, output)
    planned = {
        (suite, role): [
            Evaluation(suite, task, model, judge if task in JUDGED else None, *settings)
            for task in benchmarks(suite, options.without)
        ]
        for suite in suites
        for role, model in models.items()
    }
    screen = console(_PIPED_WIDTH)
    with held(
        output / ".lock",
        cannot=lambda error: UserError(f"--output {output} cannot be written to ({error.strerror})"),
        busy=f"another process evaluates into {output}: wait for it, or choose another --output",
    ):
        shutil.rmtree(output / UNFINISHED, ignore_errors=True)
        outcomes = _evaluate([(role, each) for (_, role), side in planned.items() for each in side], screen)
    for suite in suites:
        pairs = list(zip(planned[suite, "before"], planned[suite, "after"], strict=True))
        rows = [(before.task, outcomes[before.folder], outcomes[after.folder]) for before, after in pairs]
        print_scores(suite, rows, screen)
        folders, asked = [each.models_folder for each in pairs[0]], [task for task, _, _ in rows]
        metrics = {task: COMPARED[task] for task in asked if task in COMPARED}
        print_tables(compare(folders, options.margin, asked, metrics), screen)


def _check(options: argparse.Namespace, suites: Sequence[Suite]) -> Judge | None:
    """Refuse in the first second what cannot be; returns who judges."""
    tasks = [task for suite in suites for task in benchmarks(suite)]
    if unknown := sorted(set(options.without) - set(tasks)):
        raise UserError(f"--without {','.join(unknown)}: not among what is asked, {', '.join(tasks)}")
    for suite in suites:
        if not benchmarks(suite, options.without):
            raise UserError(f"--without leaves nothing of the suite {suite!r}; choose another by --suite")
    require_writable_folder(options.output.expanduser())
    check_margin(options.margin)
    if options.batch_size < 1:
        raise UserError(f"--batch_size must be at least 1, found {options.batch_size}")
    if options.limit is not None and (options.limit < _LIMIT_STEP or options.limit % _LIMIT_STEP):
        raise UserError(f"--limit must be an even number of rows, found {options.limit}: MME counts questions in pairs")
    if options.apply_chat_template and "text" not in suites:
        raise UserError("--apply_chat_template: no text is asked for; about images the chat template is always applied")
    if "text" in suites:
        for specification in (options.before, options.after):
            require_text(specification)
    if judged := [task for task in tasks if task in JUDGED and task not in options.without]:
        return read_judge(options.judge_url, options.judge_model, options.judge_key_variable, judged)
    if options.judge_url or options.judge_model:
        raise UserError(
            f"--judge-url, --judge-model: nothing is judged by a language model without {' or '.join(JUDGED)}"
        )
    return None


def _evaluate(planned: Sequence[tuple[str, Evaluation]], console: Console) -> dict[Path, Outcome]:
    """The outcome in each evaluation's folder: reads the existing ones first, then asks what is missing."""
    outcomes = {each.folder: outcome for _, each in planned if (outcome := each.outcome())}
    missing = [each for _, each in planned if each.folder not in outcomes]
    print_lines([f"{len(planned)} evaluations, {len(outcomes)} of them there already"], console)
    require_data({each.task for each in missing})
    if judged := {each.task: each.judge for each in missing if each.judge}:
        next(iter(judged.values())).require_answer(list(judged))
    # So that the harness ends with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    for number, (role, evaluation) in enumerate(planned, 1):
        if evaluation.folder in outcomes:
            continue
        about = f"[{number}/{len(planned)}] {role}: {evaluation.model.title}, {evaluation.task}"
        print_lines([about], console)
        start = time.monotonic()
        with console.status("starting") as status:
            outcomes[evaluation.folder] = evaluation.run(functools.partial(_show, status))
        print_lines([f"  done in {time.monotonic() - start:.0f} s"], console)
    return outcomes


def _show(status: Status, line: str) -> None:
    # A line of a log may hold colours, commands to a terminal, and brackets that Rich would read.
    status.update(Text(neutral(Text.from_ansi(line).plain), no_wrap=True, overflow="ellipsis"))


def print_scores(suite: Suite, rows: Sequence[tuple[str, Outcome, Outcome]], console: Console) -> None:
    """Print both models' scores beside each other, as the harness has them, and what the reader must know about them.

    Args:
        suite: What was asked: scores of the stand-in and of benchmarks are never in one table.
        rows: Each task, and its outcome before and after.
        console: Where to.
    """
    print_lines([f"\n{TITLES[suite]}"], console, "bold")
    cells = []
    for task, before, after in rows:
        for number, (metric, title) in enumerate(METRICS[task].items()):
            was, now = before.scores[metric], after.scores[metric]
            change = None if was is None or now is None else now - was
            about, asked = (task, str(before.asked)) if number == 0 else ("", "")
            row = (about, title, _score(was), _score(now), _score(change, signed=True), asked)
            cells.append(tuple((cell,) for cell in row))
    header = ("benchmark", "score", "before", "after", "difference", "asked")
    console.print(rich_table(Block("", header, tuple(cells)), left=(0, 1), wrapped=(1,)), highlight=False)
    print_lines(_notes(rows), console)


def _score(value: float | None, signed: bool = False) -> str:
    """Shares with three decimals, scores out of hundreds with one."""
    if value is None:
        return "none"
    return f"{value:{'+' if signed else ''}.{1 if abs(value) > 2 else 3}f}"


def _notes(rows: Sequence[tuple[str, Outcome, Outcome]]) -> Iterator[str]:
    parts = [
        f"{task} {before.asked} of {before.available}" for task, before, _ in rows if before.asked < before.available
    ]
    if parts:
        yield f"Only a part was asked: {', '.join(parts)}."
    for task, before, after in rows:
        if before.failed or after.failed:
            yield (
                f"{task}: {before.failed} requests failed before and {after.failed} after; "
                "lmms-eval scores them as if they were answers."
            )
    if any(before.versions != after.versions for _, before, after in rows):
        yield "Careful: the versions of tasks differ between the two models."
