"""Two runs' tasks held against each other: the same settings, the same questions, the same judge, or no comparison."""

from itertools import islice
from pathlib import Path
from typing import Final

from harness_ext.benchmark import SOURCES
from harness_ext.common.errors import UserError
from harness_ext.report.compare.answers import Answers, Key
from harness_ext.report.compare.evaluations import RunFolder
from harness_ext.report.compare.settings import differences, other_templates, settings

_SHOWN: Final = 12


def check_tasks(first: RunFolder, other: RunFolder) -> None:
    """Raise ``UserError`` unless both runs hold the same tasks, asked in the same way, and of one source."""
    sources = [_sources(run) for run in (first, other)]
    if all(sources) and not sources[0].keys() & sources[1].keys():
        raise UserError(
            f"{first.path} is of {', '.join(sources[0])}, {other.path} of {', '.join(sources[1])}: glyphworld is a stand-in, "
            "and its numbers are never compared with the benchmark's."
        )
    lacking = [
        f"{run.path} lacks {', '.join(missing)}"
        for run, missing in (
            (first, [task for task in other.tasks if task not in first.tasks]),
            (other, [task for task in first.tasks if task not in other.tasks]),
        )
        if missing
    ]
    if lacking:
        common = [task for task in first.tasks if task in other.tasks]
        raise UserError(
            f"the runs are not of the same tasks: {'; '.join(lacking)}. Evaluate what is missing, or choose with --task "
            f"among those of both: {', '.join(common) or 'none'}."
        )
    if len(sources[0]) > 1:
        raise UserError(
            f"{first.path}: tasks of {' and of '.join(sorted(sources[0]))} do not belong into one table: choose with --task, "
            f"for example --task '{sorted(sources[0])[-1]}_*'."
        )
    found = [
        f"{task}, {difference}"
        for task in first.tasks
        for difference in differences(settings(first.tasks[task], task), settings(other.tasks[task], task))
    ]
    _refuse(first.path, other.path, found)


def check_answers(first: Answers, other: Answers) -> None:
    """Raise ``UserError`` unless both answered the same questions and were judged by the same judge."""
    if bool(first.records) != bool(other.records):
        without = other if first.records else first
        raise UserError(
            f"{without.path}: no judged answers in it, but in the other run's. Was it written by another version of this "
            "project? Evaluate it again, or leave the task out with --task."
        )
    found = list(_other_questions(first, other))
    judges = [sorted({record.judge for record in answers.records.values()}) for answers in (first, other)]
    if judges[0] != judges[1]:
        found.append(f"judge: {', '.join(judges[0])} in the first run, {', '.join(judges[1])} in this one")
    if not found and first.scores.keys() != other.scores.keys():
        found.append(f"filters: {', '.join(first.scores)} in the first run, {', '.join(other.scores)} in this one")
    _refuse(first.path, other.path, found)


def _other_questions(first: Answers, other: Answers) -> list[str]:
    only = [[key for key in one.asked if key not in two.asked] for one, two in ((first, other), (other, first))]
    if only[0] or only[1]:
        which = [
            f"{len(keys)} only {where} ({_named(keys[0])} …)" for keys, where in zip(only, _WHERE, strict=True) if keys
        ]
        return [f"other questions: {', '.join(which)}"]
    found = []
    for part, meaning in _PARTS:
        # lm-eval's prompts hold the chat template; that it was applied to both is seen from the settings.
        if part == "wording" and other_templates(first.evaluation, other.evaluation):
            continue
        differ = [key for key, asked in first.asked.items() if getattr(asked, part) != getattr(other.asked[key], part)]
        if differ:
            found.append(f"{len(differ)} questions with {meaning} ({_named(differ[0])} …)")
    for name in ("expected", "category"):
        differ = [k for k, record in first.records.items() if getattr(record, name) != getattr(other.records[k], name)]
        if differ:
            found.append(f"{len(differ)} questions with another {name} ({_named(differ[0])} …)")
    return found


_PARTS: Final = (("document", "another document"), ("wording", "another prompt"), ("target", "another target"))
_WHERE: Final = ("in the first run", "in this one")


def _named(key: Key) -> str:
    return f"document {key[0]}" if len(key) == 1 else " ".join(map(str, key))


def _refuse(first: Path, other: Path, found: list[str]) -> None:
    if not found:
        return
    shown = "".join(f"\n  - {line}" for line in islice(found, _SHOWN))
    more = f"\n  - and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise UserError(
        f"{other} cannot be compared with {first}:{shown}{more}\nEvaluate both alike, or leave these tasks out with --task."
    )


def _sources(run: RunFolder) -> dict[str, None]:
    return {source: None for source in SOURCES if any(task.startswith(f"{source}_") for task in run.tasks)}
