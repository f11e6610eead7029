"""One benchmark of one model: a harness asks it in a process of its own, and it is kept, so that it need not be asked again.

    OUTPUT/<suite>-<settings>/<model>-<contents>/<task>/   the harness's files, log.txt, and retention.json
    OUTPUT/.unfinished/                                    what a killed process left; the next one deletes it

A task's folder is renamed into its place when the harness has ended well and what it wrote has been checked. lmms_eval keeps
a model's answers on disk as they are given (``harness_ext.models.store``), so that an interrupted evaluation resumes;
lm_eval asks again from the start.
"""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from harness_ext import __version__
from harness_ext.common.errors import UserError, one_line
from harness_ext.common.files import new_folder, sha256, write_bytes, write_text
from harness_ext.common.options import problem
from harness_ext.common.reading import Unreadable, read_json
from harness_ext.common.secrets import hide_in_bytes
from harness_ext.judges import RuleJudge
from harness_ext.judges.registry import JUDGE_VARIABLE
from harness_ext.models.catalogue import OPTION_FILE_VARIABLE, USER_FILE_VARIABLE
from harness_ext.models.store import ANSWERS_VARIABLE, NOT_KEPT
from harness_ext.probes.files import tasks_folder
from harness_ext.report.compare.own_scores import is_about
from harness_ext.retention.benchmarks import HOLISAFE_JUDGED, LLAVA_BENCH, METRICS, Suite, harness_of
from harness_ext.retention.models import GENERATING, SCORING, Judge, Model
from harness_ext.runs.evaluations import open_run
from harness_ext.runs.samples import holds_failure, read_rows

UNFINISHED: Final = ".unfinished"
_RECORD: Final = "retention.json"
_LOG: Final = "log.txt"
# The end of a harness's output that is read for messages, in bytes, and the lines and the width that they show.
_TAIL_BYTES: Final = 2**15
_TAIL_LINES: Final = 25
_LONGEST: Final = 100
_GRACE_SECONDS: Final = 10
# With it, safety_redteam sends every answer to Google's Perspective, and where that fails counts words instead.
_PERSPECTIVE: Final = "PERSPECTIVE_API_KEY"
_JUDGE_FAILED: Final = (
    "\nWhere its judge failed, what the model answered is kept: run the command again, name a judge that sees images and "
    f"answers about unsafe ones, or leave it out by --without {HOLISAFE_JUDGED}"
)


class _RestsOn(TypedDict):
    task: str
    model: dict[str, Any]
    settings: dict[str, Any]


class _Kept(TypedDict):
    rests_on: _RestsOn


class _Given(TypedDict):
    scores: Annotated[list[float], Field(min_length=1)]
    review: NotRequired[Any]


class _JudgedRow(TypedDict):
    gpt_eval_llava_all: _Given


_KEPT: Final = TypeAdapter(_Kept)
_JUDGED_ROW: Final = TypeAdapter(_JudgedRow)


class EvaluationFailed(UserError):
    """A harness failed, or what it wrote is not what was asked for."""

    status: ClassVar[int] = 1


@dataclass(frozen=True)
class Outcome:
    """The scores of one benchmark of one model, by metric, its tasks' versions, and counts of rows."""

    scores: Mapping[str, float | None]  # None where the harness had nothing to count
    versions: Mapping[str, Any]
    asked: int
    available: int
    failed: int  # the harness counts a failed request as a wrong answer


@dataclass(frozen=True)
class Evaluation:
    """One benchmark of one model, and how it is asked."""

    suite: Suite
    task: str
    model: Model
    judge: Judge | None  # of this benchmark
    batch_size: int  # only the last bits of an answer depend on it
    limit: int | None  # the most rows of a task
    chat_template: bool  # whether text is asked within it; about images it always is
    output: Path  # of all evaluations

    @property
    def models_folder(self) -> Path:
        """The folder of this model's results in this suite."""
        settings = sha256(json.dumps(self._settings(), sort_keys=True))
        return self.output / f"{self.suite}-{settings[:6]}" / self.model.folder

    @property
    def folder(self) -> Path:
        """The folder of this evaluation, there only if it is whole."""
        return self.models_folder / self.task

    def _settings(self) -> dict[str, Any]:
        """What the scores of the whole suite rest on beside the model; the judge of one benchmark is not in it."""
        # A harness's tasks have the version of its package, ours that of this one; a judge reads the answers on glyphworld.
        packages = (harness_of(self.suite).replace("_", "-"), "torch", "transformers", "peft")
        return {
            **{name: importlib.metadata.version(name) for name in packages},
            "unsafeconcepts": __version__,
            "limit": self.limit,
            **({"chat_template": self.chat_template} if self.suite == "text" else {}),
            **({"rules": RuleJudge().name} if self.suite == "glyphworld" else {}),
        }

    def _rests_on(self) -> dict[str, Any]:
        """All that tells this evaluation from another one."""
        judged = {"judge": self.judge.name} if self.judge else {}
        return {"task": self.task, "model": dict(self.model.what), "settings": self._settings() | judged}

    def outcome(self) -> Outcome | None:
        """The kept outcome; ``None`` where the benchmark has not been asked.

        Raises:
            UserError: The results are damaged, or were asked in another way.
        """
        if not self.folder.exists():
            return None
        record = self.folder / _RECORD
        try:
            kept = _KEPT.validate_python(read_json(record))["rests_on"]
        except (Unreadable, ValidationError) as error:
            raise UserError(
                f"{record}: cannot be read ({one_line(error)}). Delete its folder to have it asked again."
            ) from error
        if kept != (expected := json.loads(json.dumps(self._rests_on()))):
            was, now = ({**each["model"], **each["settings"]} for each in (kept, expected))
            differing = [
                f"{key} {was.get(key)}, now {now.get(key)}" for key in was | now if was.get(key) != now.get(key)
            ]
            raise UserError(
                f"{self.folder} holds an evaluation under other settings: {'; '.join(differing)}.\n"
                "Delete it to have it asked again, or choose another --output"
            )
        return read_outcome(self.folder, self.task, self.model.what, self.limit)

    def run(self, show: Callable[[str], None]) -> Outcome:
        """Ask, check, and put the results into their place; ``show`` is given the last line of the harness's output.

        Raises:
            EvaluationFailed: The harness failed, or what it wrote is not what was asked for; only its log is kept.
        """
        failed = self.output / f"{self.model.folder}-{self.task}.failed.txt"
        with new_folder(self.folder, within=self.output / UNFINISHED) as attempt:
            try:
                outcome = self._ask(attempt, show)
            except UserError as error:
                shutil.copyfile(attempt / _LOG, failed)
                hint = _JUDGE_FAILED if self.task == HOLISAFE_JUDGED else ""
                raise EvaluationFailed(
                    f"{self.model.title}, {self.task}: {error}\nAll of its output: {failed}{hint}"
                ) from error
        failed.unlink(missing_ok=True)
        return outcome

    def _ask(self, into: Path, show: Callable[[str], None]) -> Outcome:
        key = self.judge.server.key if self.judge else ""
        environment = _environment() | (self.judge.environment() if self.judge else {})
        run_logged(self._command(into), into, environment, into / _LOG, key, show)
        # A judge's error, which lmms-eval keeps in a row, may repeat the key.
        for file in into.rglob("*.json*"):
            write_bytes(file, hide_in_bytes(file.read_bytes(), key))
        outcome = read_outcome(into, self.task, self.model.what, self.limit)
        record = {
            "rests_on": self._rests_on(),
            "named": self.model.named,
            "versions": outcome.versions,
            "scores": outcome.scores,
        }
        write_text(into / _RECORD, json.dumps(record, indent=1) + "\n")
        return outcome

    def _command(self, into: Path) -> list[str]:
        """The harness's command, to write its files below ``into``."""
        of_lm_eval = harness_of(self.suite) == "lm_eval"
        arguments = self.model.model_args(without=GENERATING if of_lm_eval else SCORING)
        return [
            *(sys.executable, "-m", *(("harness_ext.lm_cli", "run") if of_lm_eval else ("harness_ext.cli",))),
            *("--model", self.model.name, *(["--model_args", arguments] if arguments else [])),
            *("--tasks", self.task, "--batch_size", str(self.batch_size)),
            *("--log_samples", "--output_path", str(into)),
            *(["--limit", str(self.limit)] if self.limit is not None else []),
            *(["--include_path", str(tasks_folder("lm_eval"))] if of_lm_eval else []),
            *(["--apply_chat_template"] if of_lm_eval and self.chat_template else []),
        ]


def _environment() -> dict[str, str]:
    """That of this process, with absolute paths.

    A harness runs in an empty working folder, because it takes a folder named as a task for the task.
    """
    found = dict(os.environ)
    # The records of retention name the rule judge.
    found.pop(JUDGE_VARIABLE, None)
    found.pop(_PERSPECTIVE, None)
    for name in (USER_FILE_VARIABLE, OPTION_FILE_VARIABLE, ANSWERS_VARIABLE):
        if (path := found.get(name)) and path != NOT_KEPT:
            found[name] = str(Path(path).expanduser().absolute())
    return found


def read_outcome(folder: Path, task: str, what: Mapping[str, Any], limit: int | None) -> Outcome:
    """Read the one evaluation below ``folder``, of the model that ``what`` says (the identities ``weights`` and ``adapter``).

    Raises:
        UserError: It is not whole, not of that model, or holds failed judgements.
    """
    run = open_run(folder)
    evaluation, *others = {each.path: each for each in run.tasks.values()}.values()
    if others or run.notes:
        raise UserError(f"{folder}: expected the results of one evaluation of {task}, found several")
    for part in ("weights", "adapter"):
        if (found := evaluation.content["config"].get(f"{part}_identity")) != what[part]:
            raise UserError(
                f"{evaluation.path}: its {part} were {found}, expected {what[part]}. "
                "Did they change while they were evaluated?"
            )
    metrics = METRICS[task]
    asked = available = failed = 0
    names, counted = {name: name.partition(",")[0] for name in metrics}, set[str]()
    for part in run.tasks:
        rows = evaluation.available(part) if limit is None else min(limit, evaluation.available(part))
        asked, available = asked + rows, available + evaluation.available(part)
        for _, row in read_rows(evaluation.samples(part), rows):
            failed += holds_failure(row)
            counted |= {name for name, of in names.items() if is_about(of, row.get(of))}
            if part == LLAVA_BENCH:
                _require_scores(row, evaluation.samples(part))
    results = evaluation.content.get("results", {}).get(task, {})
    if not results.keys() & metrics.keys():
        raise UserError(
            f"{evaluation.path}: expected {', '.join(metrics)} of {task}, found {', '.join(results) or 'nothing'}"
        )
    # nan, the words that a harness writes in the place of a number, and the 0 of HoliSafe where no row is of the type, are no
    # score.
    scores = {
        name: float(value)
        if name in counted and isinstance(value := results.get(name), int | float) and value == value
        else None
        for name in metrics
    }
    return Outcome(scores, evaluation.content.get("versions", {}), asked, available, failed)


def _require_scores(row: Mapping[str, Any], samples: Path) -> None:
    """Raise ``UserError`` where the judge of LLaVA-Bench gave an answer no pair of scores."""
    try:
        judged = _JUDGED_ROW.validate_python(row)
    except ValidationError as error:
        raise UserError(f"{samples}: not a row of {LLAVA_BENCH}: {problem(error)}") from error
    given = judged["gpt_eval_llava_all"]
    if min(given["scores"]) < 0:
        raise UserError(
            f"{LLAVA_BENCH}, row {row.get('doc_id')}: its judge gave no pair of scores, but "
            f"{str(given.get('review'))[:200]!r}; lmms-eval would average -1. Run the command again"
        )


def run_logged(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    secret: str,
    show: Callable[[str], None],
) -> None:
    """Run ``command`` in ``folder`` until it ends; it ends with this process, too.

    Its output goes into ``log`` as it comes, without ``secret``, which holds no space. ``show`` gets its last line.

    Raises:
        UserError: It ended with another status than 0; the message holds the end of its output.
    """
    unwritten = b""
    with (
        log.open("wb") as written,
        subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process,
    ):
        assert process.stdout is not None
        try:
            piece = None
            while piece != b"":
                piece = os.read(process.stdout.fileno(), 2**16)
                unwritten += piece
                # Word by word, because a secret may come in two pieces.
                whole = max(map(unwritten.rfind, (b" ", b"\n", b"\r"))) + 1 if piece else len(unwritten)
                written.write(hide_in_bytes(unwritten[:whole], secret))
                written.flush()
                unwritten = unwritten[whole:]
                show(_last_lines(log, 1).strip()[:_LONGEST])
            process.wait()
        finally:
            _end(process)
    if process.returncode:
        raise UserError(
            f"python {' '.join(command[1:3])} ended with status {process.returncode}; the end of its output:\n"
            f"{_last_lines(log, _TAIL_LINES)}"
        )


def _last_lines(log: Path, lines: int) -> str:
    """The last lines; each state of a progress bar is one."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        tail = file.read().decode("utf-8", errors="replace")
    return "\n".join([line for line in re.split(r"[\r\n]+", tail) if line.strip()][-lines:])


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
