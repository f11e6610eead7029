"""The harnesses' task files, made from the one set of YAML and the benchmarks that there are.

Both harnesses find tasks as YAML files in a folder. So each task and group of each benchmark becomes a file of the cache
folder, whole and without includes; the folder's name is the digest of what is in it, so that it is written once.
"""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from harness_ext.benchmark import task_folder
from harness_ext.benchmark.base import Benchmark, slug
from harness_ext.benchmark.probes import Function, Task, TaskGroup, read_part
from harness_ext.common.files import cache_dir, held, new_folder, not_cached, sha256
from harness_ext.records import GREEDY, UNSAFE
from harness_ext.registry import groups, tasks

Harness = Literal["lmms_eval", "lm_eval"]
_ROWS: Final = "harness_ext.probes.rows"
_GAP: Final = Function("harness_ext.probes.metrics.modality_gap")
_MEAN: Final[Mapping[Harness, str]] = {"lmms_eval": Function("statistics.fmean"), "lm_eval": "mean"}
_VISUALS: Final = {"image": "image", "blank": "blank_image", "none": "no_image"}


_FAST: Any = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper


class _Dumper(_FAST):
    """Writes YAML in which a :class:`Function` is one again."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(Function, lambda dumper, name: dumper.represent_scalar("!function", str(name)))


def tasks_folder(harness: Harness) -> Path:
    """A folder of the cache folder with a file for every task and group that a harness can ask.

    Raises:
        UserError: A benchmark of the user is invalid, or the folder cannot be written.
    """
    contents = {f"{name}.yaml": text for name, text in _files(harness)}
    folder = cache_dir() / "tasks" / sha256(repr(contents))[:16]
    if folder.is_dir():
        return folder
    lock = folder.with_suffix(".lock")
    # Of several processes that start together one writes it.
    with held(lock, functools.partial(not_cached, lock)):
        if not folder.is_dir():
            try:
                with new_folder(folder) as part:
                    for name, text in contents.items():
                        (part / name).write_text(text, encoding="utf-8")
            except OSError as error:
                raise not_cached(folder, error) from error
    return folder


def _files(harness: Harness) -> Iterator[tuple[str, str]]:
    """The name of each file, without its ending, and its text."""
    for path in sorted(task_folder(harness).rglob("retention*.yaml")):
        yield path.stem, path.read_text(encoding="utf-8")
    shared, manners = read_part(harness, "task.yaml"), read_part("lmms_eval", "manners.yaml")
    for task in (each for each in tasks().values() if each.benchmark.concepts_file):
        if harness == "lmms_eval":
            yield task.name, _text(_lmms_eval_task(task, shared, manners[task.manner]))
        elif task.probe.shows == "none" and task.manner == GREEDY:
            yield task.name, _text(_lm_eval_task(task, shared))
    if harness == "lmms_eval":
        for group in (each for each in groups().values() if each.benchmark.concepts_file):
            yield group.name, _text(_group(group))


def _text(config: Mapping[str, Any]) -> str:
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _lmms_eval_task(task: Task, shared: Mapping[str, Any], manner: Mapping[str, Any]) -> dict[str, Any]:
    probe = task.probe
    return {
        **_lm_eval_task(task, shared),
        "doc_to_visual": Function(f"{_ROWS}.{_VISUALS[probe.shows]}"),
        "generation_kwargs": manner["generation_kwargs"],
        "metric_list": [*shared["metric_list"], *_by_category(task.benchmark, "lmms_eval")],
        "metadata": {"version": probe.version, "decoding": manner["decoding"]},
        **probe.task,
    }


def _lm_eval_task(task: Task, shared: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task": task.name,
        **shared,
        "dataset_kwargs": {"data_files": {"test": task.benchmark.concepts_file}},
        "process_docs": Function(f"harness_ext.probes.documents.{task.name}"),
        "metric_list": [*shared["metric_list"], *_by_category(task.benchmark, "lm_eval")],
    }


def _by_category(benchmark: Benchmark, harness: Harness) -> list[dict[str, Any]]:
    return [
        {"metric": f"acc_{slug(category)}", "aggregation": _MEAN[harness], "higher_is_better": True}
        for category in benchmark.categories
    ]


def _group(group: TaskGroup) -> dict[str, Any]:
    config: dict[str, Any] = {"group": group.name}
    if group.group.gap:
        by = " by likelihood" if group.manner == "likelihood" else ""
        config["group_alias"] = f"{group.benchmark.name}: {group.group.gap}{by} (text minus image)"
    config["task"] = list(group.members)
    if group.group.gap:
        # The aggregation gets the two values in the order of the members, image first. lmms-eval takes every metric whose
        # name contains the one given here; with ",none" (the filter) each names just one.
        config["aggregate_metric_list"] = [
            {"metric": f"acc_{part},none", "aggregation": _GAP, "weight_by_size": False}
            for part in (UNSAFE, *map(slug, group.benchmark.categories))
        ]
    return {**config, "metadata": {"version": group.group.version}}
