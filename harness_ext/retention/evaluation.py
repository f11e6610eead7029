"""One benchmark of one model: asked by a harness as a process of its own, and kept so that it need not be asked again.

    OUTPUT/<suite>-<settings>/<model>-<contents>/<task>/   the harness's files, log.txt, and retention.json
    OUTPUT/.unfinished/                                    what a process that was killed has left; swept by the next one

A task's folder is renamed into its place when the harness has ended well and what it wrote has been checked. Of ``lmms_eval``
a model's answers are kept on disk as they are given (see ``harness_ext.models.store``), so that an evaluation that was cut
off goes on where it stopped; of ``lm_eval`` it is asked anew.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness_ext.benchmark import task_folder
from harness_ext.common.errors import UserError
from harness_ext.common.files import new_folder, sha256, write_bytes, write_text
from harness_ext.models.api_options import hide_in_bytes
from harness_ext.models.catalogue import OPTION_FILE_VARIABLE, USER_FILE_VARIABLE
from harness_ext.models.store import ANSWERS_VARIABLE, NOT_KEPT
from harness_ext.retention.benchmarks import JUDGED, Benchmark, Suite
from harness_ext.retention.models import GENERATING, SCORING, Model
from harness_ext.retention.outcome import Outcome, read_outcome
from harness_ext.retention.running import run_logged
from harness_ext.retention.settings import Settings

UNFINISHED: Final = ".unfinished"
_RECORD: Final = "retention.json"
_LOG: Final = "log.txt"
_MODULES: Final = {"lmms_eval": "harness_ext.cli", "lm_eval": "harness_ext.lm_cli"}
_PATHS: Final = (USER_FILE_VARIABLE, OPTION_FILE_VARIABLE, ANSWERS_VARIABLE)


class EvaluationFailed(UserError):
    """A harness failed, or what it wrote is not what was asked for."""


@dataclass(frozen=True)
class Evaluation:
    """One benchmark of one model.

    Attributes:
        suite: The suite that the benchmark is asked in.
        benchmark: What is asked.
        model: Who is asked.
        settings: How.
        output: Where all results are.
    """

    suite: Suite
    benchmark: Benchmark
    model: Model
    settings: Settings
    output: Path

    @property
    def models_folder(self) -> Path:
        """The folder of this model's results in this suite."""
        settings = sha256(json.dumps(self.settings.of(self.suite), sort_keys=True))
        return self.output / f"{self.suite}-{settings[:6]}" / self.model.folder

    @property
    def folder(self) -> Path:
        """The folder of this evaluation, there only if it is whole."""
        return self.models_folder / self.benchmark.task

    def rests_on(self) -> dict[str, Any]:
        """All that tells this evaluation from another one."""
        judge = self.settings.judge
        judged = {"judge": judge.name} if judge and self.benchmark.task == JUDGED else {}
        return {
            "task": self.benchmark.task,
            "model": dict(self.model.what),
            "settings": self.settings.of(self.suite) | judged,
        }

    def outcome(self) -> Outcome | None:
        """What came of it; ``None`` where it has not been asked.

        Raises:
            UserError: What is there is damaged, or was asked in another way.
        """
        record = self.folder / _RECORD
        if not self.folder.exists():
            return None
        try:
            kept = json.loads(record.read_text(encoding="utf-8"))["rests_on"]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{record}: cannot be read ({error}); delete its folder to have it asked again") from error
        if kept != (expected := json.loads(json.dumps(self.rests_on()))):
            was, now = ({**each["model"], **each["settings"]} for each in (kept, expected))
            differing = [
                f"{key} {was.get(key)}, now {now.get(key)}" for key in was | now if was.get(key) != now.get(key)
            ]
            raise UserError(
                f"{self.folder} holds an evaluation under other settings: {'; '.join(differing)}.\n"
                "Delete it to have it asked again, or choose another --output"
            )
        return read_outcome(self.folder, self.benchmark, self.model.what, self.settings.limit)

    def run(self, show: Callable[[str], None]) -> Outcome:
        """Ask, check, and put the results into their place.

        Args:
            show: Is given the last line of the harness's output every now and then.

        Raises:
            EvaluationFailed: The harness failed, or what it wrote is not what was asked for; only its log is kept.
        """
        failed = self.output / f"{self.model.folder}-{self.benchmark.task}.failed.txt"
        with new_folder(self.folder, within=self.output / UNFINISHED) as attempt:
            try:
                outcome = self._ask(attempt, show)
            except UserError as error:
                shutil.copyfile(attempt / _LOG, failed)
                raise EvaluationFailed(
                    f"{self.model.title}, {self.benchmark.task}: {error}\nAll of its output: {failed}"
                ) from error
        failed.unlink(missing_ok=True)
        return outcome

    def _ask(self, into: Path, show: Callable[[str], None]) -> Outcome:
        judge = self.settings.judge if self.benchmark.task == JUDGED else None
        secrets = [judge.key if judge else "", os.environ.get("HF_TOKEN", "")]
        run_logged(
            self.command(into),
            folder=into,
            environment=_environment() | dict(judge.environment() if judge else {}),
            log=into / _LOG,
            secrets=secrets,
            show=show,
        )
        _hide_in_files(into, secrets)
        outcome = read_outcome(into, self.benchmark, self.model.what, self.settings.limit)
        record = {
            "rests_on": self.rests_on(),
            "named": self.model.named,
            "versions": dict(outcome.versions),
            "scores": dict(outcome.scores),
        }
        write_text(into / _RECORD, json.dumps(record, indent=1) + "\n")
        return outcome

    def command(self, into: Path) -> list[str]:
        """The harness's command, to write its files below ``into``."""
        harness = self.benchmark.harness
        arguments = self.model.model_args(without=SCORING if harness == "lmms_eval" else GENERATING)
        return [
            *(sys.executable, "-m", _MODULES[harness], *([] if harness == "lmms_eval" else ["run"])),
            *("--model", self.model.name, *(["--model_args", arguments] if arguments else [])),
            *("--tasks", self.benchmark.task, "--batch_size", str(self.settings.batch_size)),
            *("--log_samples", "--output_path", str(into)),
            *(["--limit", str(self.settings.limit)] if self.settings.limit is not None else []),
            *(["--include_path", str(task_folder(harness))] if harness == "lm_eval" else []),
            *(["--apply_chat_template"] if harness == "lm_eval" and self.settings.chat_template else []),
        ]


def _environment() -> dict[str, str]:
    """As of this process, with paths that mean the same in another working folder.

    A harness is run in an empty one: it takes a folder named as a task for the task.
    """
    found = dict(os.environ)
    for name in _PATHS:
        if (path := found.get(name)) and path != NOT_KEPT:
            found[name] = str(Path(path).expanduser().absolute())
    return found


def _hide_in_files(folder: Path, secrets: list[str]) -> None:
    """A judge's error, which lmms-eval keeps in a row, may repeat the key."""
    for file in folder.rglob("*.json*"):
        content = file.read_bytes()
        hidden = hide_in_bytes(content, secrets)
        if hidden != content:
            write_bytes(file, hidden)
