"""Result folders to a comparison: read both, refuse what is not comparable, measure, and say how sure it is."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from harness_ext.common.errors import UserError
from harness_ext.metrics.intervals import SEED
from harness_ext.report.compare.benchmarks import benchmark_measures
from harness_ext.report.compare.measures import Comparison, Model, Pair, rows
from harness_ext.report.compare.policies import PolicyPair, policy_measures, task_verdicts
from harness_ext.report.compare.probes import judged_measures, paired_records
from harness_ext.report.compare.ratings import rated_measures
from harness_ext.runs.answers import Answers, read_answers
from harness_ext.runs.comparable import check_answers, check_tasks
from harness_ext.runs.evaluations import RunFiles, open_run
from harness_ext.runs.policies import by_benchmark, policies_of


def compare(
    folders: Sequence[Path],
    margin: float | None = None,
    tasks: Collection[str] = (),
    metrics: Mapping[str, Sequence[str]] | None = None,
    seed: int = SEED,
) -> Comparison:
    """Hold every run against the first one.

    Args:
        folders: The result folders, the model BEFORE first; at least two, or one that holds several benchmarks of one data
            set, of which each is held against the first.
        margin: The loss that counts as acceptable, a share: 0.03 is three points of a hundred. Without one each measure has
            its own: 0.05 about text, 0.03 otherwise.
        tasks: Only these tasks, and those of these groups, where ``*`` stands for anything; all by default.
        metrics: The metrics to compare by task, instead of the first of the task's own list.
        seed: Of random weights and swaps.

    Raises:
        UserError: Naming the folder or the file, where something is missing, broken, or not comparable.
    """
    check_margin(margin)
    runs = [open_run(folder, tasks) for folder in folders]
    first, *others = by_benchmark(runs[0], tasks) if len(runs) == 1 else runs
    if not others:
        raise UserError(
            "expected at least two result folders, the model before first; or one that holds two benchmarks of one data set"
        )
    if unknown := [task for task in metrics or {} if task not in first.tasks]:
        raise UserError(f"--metric {unknown[0]}: no such task; found {', '.join(first.tasks)}")
    # What can be refused without reading a sample is refused first.
    called = [check_tasks(first, other) for other in others]
    pairs = [
        _pair(first, other, names, margin, metrics or {}, seed) for other, names in zip(others, called, strict=True)
    ]
    source = next(iter(first.sources()), None)
    return Comparison(_model(first), tuple(pairs), margin, source, seed)


def check_margin(margin: float | None) -> None:
    """Raise ``UserError`` for a margin that is no share."""
    if margin is not None and not 0 < margin < 1:
        raise UserError(
            f"--margin {margin}: expected a share between 0 and 1, such as 0.03 for three points of a hundred"
        )


def _pair(
    first: RunFiles,
    other: RunFiles,
    called: Mapping[str, str],
    margin: float | None,
    metrics: Mapping[str, Sequence[str]],
    seed: int,
) -> Pair:
    """``called`` has the name of the other run's task by that of the first."""
    policies = policies_of(first, other)
    digests = [policy.sha256 for policy in policies] if policies else [None, None]
    judged: dict[str, tuple[Answers, Answers]] = {}
    scored: dict[str, tuple[Answers, Answers]] = {}
    notes = [*first.notes, *other.notes]
    for task, evaluation in first.tasks.items():
        notes += evaluation.partly_asked(task)
        before = read_answers(evaluation, task, digests[0])
        after = read_answers(other.tasks[called[task]], called[task], digests[1])
        check_answers(before, after, under_policies=policies is not None)
        (judged if before.records else scored)[task] = before, after
    of_benchmarks, about_benchmarks = benchmark_measures(scored, metrics)
    if policies:
        records = paired_records(judged)
        of_policies, about_policies = policy_measures(records)
        found = rows([*of_policies, *of_benchmarks], margin, seed)
        verdicts = tuple(task_verdicts(records, called, seed))
        notes += [*about_policies, *about_benchmarks]
        return PolicyPair(_model(other), found, tuple(notes), policies, verdicts)
    of_probes, about_probes = judged_measures(judged)
    rated, about_ratings = rated_measures(judged)
    found = rows([*of_probes, *rated, *of_benchmarks], margin, seed)
    return Pair(_model(other), found, (*notes, *about_probes, *about_ratings, *about_benchmarks))


def _model(run: RunFiles) -> Model:
    evaluations = {str(each.path): each for each in run.tasks.values()}
    settings = {name: str(value) for each in evaluations.values() for name, value in each.model.items()}
    return Model(str(run.path), run.model, tuple(evaluations), settings)
