"""Runs of two benchmarks of one data set: the same images of the same concepts, under two policies or under one and none.

That they are of one data set, and where a policy ends and the question begins, is read from the digests that results hold of
every benchmark that is not packaged; the benchmarks themselves need not be on this machine.
"""

import functools
import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from harness_ext.common.files import sha256
from harness_ext.registry import source_of, tasks_named
from harness_ext.runs.evaluations import BENCHMARKS, RunFiles


@dataclass(frozen=True)
class Policy:
    """What one of two runs was asked under.

    Attributes:
        benchmark: The name of the benchmark.
        title: Its title.
        sha256: The digest of the policy's text, which stands before every question; empty where there is none.
    """

    benchmark: str
    title: str
    sha256: str


def policies_of(first: RunFiles, other: RunFiles) -> tuple[Policy, Policy] | None:
    """The policies of two runs of one data set.

    ``None`` where the runs are of one benchmark under one policy, of two data sets, or of benchmarks whose results hold no
    digest of their images.
    """
    found = []
    for run in (first, other):
        if len(sources := run.sources()) != 1:
            return None
        newest = max(run.tasks.values(), key=lambda evaluation: evaluation.date)
        facts = newest.content["config"].get(BENCHMARKS, {}).get(sources[0], {})
        policy = Policy(sources[0], facts.get("title", sources[0]), facts.get("policy_sha256", ""))
        found.append((facts.get("images_sha256"), policy))
    (images, before), (other_images, after) = found
    alike = (before.benchmark, before.sha256) == (after.benchmark, after.sha256)
    return None if alike or not images or images != other_images else (before, after)


def by_benchmark(run: RunFiles, wanted: Collection[str]) -> list[RunFiles]:
    """A run of several benchmarks as one run of each: in the order in which ``wanted`` names their tasks, then by name."""
    if len(sources := run.sources()) < 2:
        return [run]

    def place(source: str) -> tuple[int, str]:
        named = [at for at, name in enumerate(wanted) if any(task.source == source for task in tasks_named([name]))]
        return min(named, default=len(wanted)), source

    parts = [
        replace(run, tasks={task: each for task, each in run.tasks.items() if source_of(task) == source}, notes=())
        for source in sorted(sources, key=place)
    ]
    left_out = [task for task in run.tasks if source_of(task) is None]
    notes = [f"{', '.join(left_out)}: left out, for no policy belongs to it."] if left_out else []
    return [replace(parts[0], notes=(*run.notes, *notes)), *parts[1:]]


def without_policy(prompt: str, policy_sha256: str) -> str:
    """The question behind the policy of that digest; ``prompt`` itself where it does not begin with that policy."""
    for blank_line in re.finditer("\n\n", prompt) if policy_sha256 else ():
        if _digest(prompt[: blank_line.start()]) == policy_sha256:
            return prompt[blank_line.end() :]
    return prompt


# Every prompt of a run begins alike.
_digest = functools.lru_cache(maxsize=64)(sha256)
