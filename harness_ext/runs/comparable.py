"""Two runs' tasks held against each other: the same settings, the same questions, the same judge, or no comparison.

What may differ between two models: weights, adapter, precision, batch size, device, the wording of a chat template (whether
one was applied may not), and seeds of sampling (seeds of few-shot examples may not).

Two benchmarks of one data set may differ in their policies and labels too, and in nothing else: their tasks are paired by
what they ask.
"""

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

from harness_ext.common.errors import UserError
from harness_ext.common.provenance import without_address
from harness_ext.judges.guard import is_of_guard
from harness_ext.registry import PACKAGED, benchmark_named, source_of, task_in
from harness_ext.runs.answers import Answers, Key
from harness_ext.runs.evaluations import BENCHMARKS, ENVELOPE, GUARD_FORMAT, Evaluation, RunFiles
from harness_ext.runs.policies import policies_of

_SHOWN: Final = 12
_LONGEST: Final = 120
_PARTS: Final = (("document", "another document"), ("wording", "another prompt"), ("target", "another target"))
_WHERE: Final = ("in the first run", "in this one")
_BUT_POLICIES: Final = (
    ", unless both are of one data set under two policies: the same files, each of the same concept. Give both folders "
    "the same images and the same list of them, and evaluate again"
)
_METRICS: Final = "metric_list (task)"
_ENVELOPE: Final = "envelope of the answers"
# The keys of a task's configuration that put the question and read the answer. The rest says where the data lie; that the
# questions are the same is seen from the samples themselves.
_TASK: Final = (
    "dataset_name", "test_split", "output_type", "description", "doc_to_text", "doc_to_choice", "doc_to_target", "gen_prefix",
    "target_delimiter", "fewshot_delimiter", "fewshot_config", "generation_kwargs", "repeats", "filter_list",
    "process_results", "metric_list", "lmms_eval_specific_kwargs", "reasoning_tags",
)  # fmt: skip


def check_tasks(first: RunFiles, other: RunFiles) -> dict[str, str]:
    """The task of ``other`` that asks what each task of ``first`` asks, by name.

    Raises:
        UserError: The runs do not hold the same tasks, asked in the same way, and of one source or of two of one data set.
    """
    sources, policies = [run.sources() for run in (first, other)], policies_of(first, other)
    if all(sources) and not set(sources[0]) & set(sources[1]) and policies is None:
        _refuse_several(first, other)
        _refuse_two_benchmarks(first, other)
    before, after = (policy.benchmark for policy in policies) if policies else ("", "")
    called, called_in_first = _called(first, after), _called(other, before)
    lacking = [
        f"{run.path} lacks {', '.join(missing)}"
        for run, names in ((first, called_in_first), (other, called))
        if (missing := [task for task in names.values() if task not in run.tasks])
    ]
    if lacking:
        common = dict.fromkeys(each for both in called.items() if both[1] in other.tasks for each in both)
        raise UserError(
            f"the runs are not of the same tasks: {'; '.join(lacking)}. Evaluate what is missing, or choose with --task "
            f"among those of both: {', '.join(common) or 'none'}."
        )
    _refuse_several(first)
    found = []
    for task, evaluation in first.tasks.items():
        against = other.tasks[called[task]]
        one, two = _settings(evaluation, task), _settings(against, called[task])
        # Nothing is taken out of a guard's answer, which is read as it is.
        not_held = (
            {_ENVELOPE} if GUARD_FORMAT in {**evaluation.content["config"], **against.content["config"]} else set()
        )
        found += [
            f"{task}, {name}: {_short(one[name])} in the first run, {_short(two[name])} in this one"
            for name in one
            # There is a metric for each category of unsafe concepts.
            if one[name] != two[name] and not (policies and name == _METRICS) and name not in not_held
        ]
    _refuse(first.path, other.path, found)
    return called


def _called(run: RunFiles, source: str) -> dict[str, str]:
    """What the tasks of a run are called in the benchmark ``source``, in a run that may be of another one."""
    return {task: task_in(source, task) if source else task for task in run.tasks}


def _refuse_several(*runs: RunFiles) -> None:
    for run in runs:
        if len(sources := sorted(run.sources())) > 1:
            raise UserError(
                f"{run.path}: tasks of {' and of '.join(sources)} do not belong into one table: choose with --task, "
                f"for example --task '{sources[-1]}_*'."
            )


def _refuse_two_benchmarks(first: RunFiles, other: RunFiles) -> None:
    names = [", ".join(run.sources()) for run in (first, other)]
    packaged = all(benchmark in PACKAGED for run in (first, other) for benchmark in map(benchmark_named, run.sources()))
    but = "" if packaged else _BUT_POLICIES
    raise UserError(
        f"{first.path} is of {names[0]}, {other.path} of {names[1]}: numbers of two benchmarks are never compared{but}."
    )


def check_answers(first: Answers, other: Answers, under_policies: bool = False) -> None:
    """Raise ``UserError`` unless both answered the same questions and were judged by the same judge.

    ``under_policies`` says that labels, what is expected by them, and the concepts' categories may differ.
    """
    if bool(first.records) != bool(other.records):
        without = other if first.records else first
        raise UserError(
            f"{without.path}: no judged answers in it, but in the other run's. Was it written by another version of this "
            "project? Evaluate it again, or leave the task out with --task."
        )
    found = list(_other_questions(first, other, under_policies))
    judges = [sorted({record.judge for record in answers.records.values()}) for answers in (first, other)]
    # A guard's answers can be read in its own format alone, and a reader of both there is not.
    if judges[0] != judges[1] and not any(map(is_of_guard, [*judges[0], *judges[1]])):
        found.append(f"judge: {', '.join(judges[0])} in the first run, {', '.join(judges[1])} in this one")
    if not found and first.scores.keys() != other.scores.keys():
        found.append(f"filters: {', '.join(first.scores)} in the first run, {', '.join(other.scores)} in this one")
    _refuse(first.path, other.path, found)


def _other_questions(first: Answers, other: Answers, under_policies: bool) -> list[str]:
    only = [[key for key in one.asked if key not in two.asked] for one, two in ((first, other), (other, first))]
    if only[0] or only[1]:
        which = [
            f"{len(keys)} only {where} ({_named(keys[0])} …)" for keys, where in zip(only, _WHERE, strict=True) if keys
        ]
        return [f"other questions: {', '.join(which)}"]
    found = []
    for part, meaning in _PARTS:
        # lm-eval's prompts hold the chat template; that it was applied to both is seen from the settings.
        if part == "wording" and _template(first.evaluation) != _template(other.evaluation):
            continue
        differ = [key for key, asked in first.asked.items() if getattr(asked, part) != getattr(other.asked[key], part)]
        if differ:
            found.append(f"{len(differ)} questions with {meaning} ({_named(differ[0])} …)")
    pairs = [(key, record, other.records[key]) for key, record in first.records.items()]
    if under_policies:
        pairs = [both for both in pairs if both[1].label == both[2].label]
    for name in ("expected",) if under_policies else ("expected", "category"):
        differ = [key for key, record, another in pairs if getattr(record, name) != getattr(another, name)]
        if differ:
            found.append(f"{len(differ)} questions with another {name} ({_named(differ[0])} …)")
    return found


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


# --- how a task was asked ---------------------------------------------------------------------------------------------


def _settings(evaluation: Evaluation, task: str) -> dict[str, str]:
    content, config = evaluation.content, evaluation.content["config"]
    shots = content.get("n-shot", {}).get(task, content["configs"].get(task, {}).get("num_fewshot"))
    found: dict[str, Any] = {
        "harness": evaluation.harness,
        "task version": content.get("versions", {}).get(task),
        "documents of the task": evaluation.available(task),
        "documents asked": evaluation.asked(task),
        "--limit": config.get("limit"),
        "--gen_kwargs": config.get("gen_kwargs") or None,
        "few-shot examples": shots,
        "few-shot seed": config.get("fewshot_seed") if shots else None,
        "few-shot examples as turns": content.get("fewshot_as_multiturn") if shots else None,
        "chat template": "applied" if _template(evaluation) else "the backend's own way",
        "system instruction": content.get("system_instruction"),
        _ENVELOPE: config.get(ENVELOPE) if source_of(task) else None,
        "copy of the images": _copy(config, source_of(task)),
    }
    found |= {f"{name} (task)": content["configs"].get(task, {}).get(name) for name in _TASK}
    return {
        name: without_address(value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str))
        for name, value in found.items()
    }


def _copy(config: Mapping[str, Any], source: str | None) -> object:
    """Which images a task of the benchmark ``source`` asked about; ``None`` where that cannot differ, or is not said."""
    if source is None:
        return None
    recorded = config.get(BENCHMARKS, {}).get(source, {})
    return recorded.get("images_sha256") or config.get(benchmark_named(source).source_fact)


def _template(evaluation: Evaluation) -> object:
    """Two models' templates can differ: the same question is then worded differently for each."""
    return evaluation.content.get("chat_template_sha")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
