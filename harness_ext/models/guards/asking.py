"""A guard behind a backend: asked once about each image or concept, by its own prompt; the answer stands for all questions.

A guard is not asked our questions. Its format (``form.py``) words what it is asked; our rows say about what.
"""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from lmms_eval.api.instance import Instance
from loguru import logger

from harness_ext.benchmark.probes import Task
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.common.files import sha256
from harness_ext.common.provenance import record_provenance
from harness_ext.common.reading import read_text
from harness_ext.models.answering import AnsweringModel
from harness_ext.models.guards.form import GuardFormat, read_format
from harness_ext.models.guards.tasks import not_asked
from harness_ext.records import GENERATED, NO, YES
from harness_ext.registry import benchmark_named, task_named

# A rule that stands for all: of a format that has no rules of its own, or for a policy in their place.
_ONE_RULE: Final = {"policy": ""}
# A logarithm below that of any positive float.
_LEAST: Final = -1000.0


class Asked(NamedTuple):
    """What one prompt rests on: requests that share it share its answer."""

    source: str
    about: str  # the collection and row of an image, or a concept's name
    options: str  # of generation, as JSON


@dataclass(frozen=True)
class _Request:
    """A request of the harness, and what its answer rests on."""

    instance: Instance
    task: Task
    row: Mapping[str, Any]

    @property
    def asked(self) -> Asked:
        probe = self.task.probe
        about = f"{probe.collection} {self.row['row']}" if probe.shows == "image" else self.row["concept"]
        return Asked(self.task.source, about, json.dumps(self.instance.args[2], sort_keys=True, default=str))


class Guard(AnsweringModel):
    """A guard, in front of a backend in a class made of both (see :func:`guarded`).

    Args:
        guard: Its format: a packaged one by name, or a file.
        guard_policy: A file with the policy that it is given, for benchmarks without one.
        backend: Those of the backend.

    Raises:
        UserError: There is no such format or file.
    """

    def __init__(self, guard: str, guard_policy: str | None = None, **backend: Any) -> None:
        if backend.get("defence"):
            raise UserError("a guard is asked by its own prompt, and no defence goes before it: leave out defence")
        if backend.get("tp_plan"):
            raise UserError("a guard is not shared out among processes: leave out tp_plan, or take device_map=auto")
        # Before weights are loaded.
        self._form = read_format(guard)
        self._policy = read_text(Path(guard_policy).expanduser()).strip() if guard_policy else ""
        self._policies: dict[str, str] = {}
        super().__init__(**backend)
        record_provenance(guard=guard, guard_format=self._form.name)

    def identity(self) -> Mapping[str, str]:
        """What the backend's answers rest on, and that they are in a guard's format."""
        # The backend's, which is not abstract: see `guarded`.
        return {**super().identity(), "guard": self._form.name}  # type: ignore[safe-super]

    def candidates(self, row: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """By label, what an answer in the guard's format begins with."""
        begins = self._form.begins
        # A guard that scores by itself is given none to score.
        return {YES: begins.safe, NO: begins.unsafe} if begins else {YES: ("",), NO: ("",)}

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """The guard's answers to ``requests``, in their order, each once for all requests about the same image or concept.

        Raises:
            UserError: A request is of a task that is not put to a guard.
            TooManyFailures: As the backend does.
        """
        read = [self._request(instance) for instance in requests]
        first = {each.asked: each for each in reversed(read)}
        by_source: dict[str, list[_Request]] = {}
        for each in read:
            if first[each.asked] is each:
                by_source.setdefault(each.task.source, []).append(each)
        answers: dict[Asked, str] = {}
        for source, asked in by_source.items():
            answers |= zip([each.asked for each in asked], self._of_source(source, asked), strict=True)
        return [answers[each.asked] for each in read]

    def _request(self, instance: Instance) -> _Request:
        _, _, _, row, name, split = instance.args
        if why := not_asked(self._form, name):
            raise UserError(f"{name} is not put to a guard: {why}")
        return _Request(instance, task_named(name), self.task_dict[name][split][row])

    def _of_source(self, source: str, asked: Sequence[_Request]) -> Iterator[str]:
        """The answers about images or concepts of one benchmark, under its policy."""
        policy = self._policy_of(source)
        rules = self._rules(policy)
        posed = [
            replace(each.instance, arguments=self._arguments(each, policy, rule)) for each in asked for rule in rules
        ]
        given = super().generate_until(posed)
        for at in range(0, len(given), len(rules)):
            yield self._together(dict(zip(rules, given[at : at + len(rules)], strict=True)))

    def _arguments(self, each: _Request, policy: str, rule: str) -> tuple[Any, ...]:
        context, to_messages, options, *rest = each.instance.args
        if each.task.way == GENERATED:
            options = {**options, **self._form.generation}
        known = {
            "concept": each.row["concept"],
            "policy": policy,
            "categories": benchmark_named(each.task.source).categories,
            "rule": self._rules(policy)[rule],
        }
        return context, functools.partial(_messages, to_messages, self._form, known), options, *rest

    def _rules(self, policy: str) -> Mapping[str, str]:
        """The rules that are asked one by one, by name."""
        if not self._form.own_rules:
            return _ONE_RULE
        return {"policy": policy} if policy else self.own_rules()

    def _together(self, given: Mapping[str, str]) -> str:
        """One answer of those to all rules: by likelihood that of the rule which is likeliest violated."""
        if failed := [answer for answer in given.values() if is_failed(answer)]:
            return failed[0]
        if not self._form.own_rules:
            return next(iter(given.values()))
        if all(answer.startswith("{") for answer in given.values()):
            return max(given.values(), key=lambda answer: _log_odds(json.loads(answer)))
        return "\n".join(f"{rule}: {(answer.strip().splitlines() or [''])[0]}" for rule, answer in given.items())

    # --- the policy ---------------------------------------------------------------------------------------------------

    def _policy_of(self, source: str) -> str:
        """The policy that is put into the guard's slot, after the backend is told what its chat template is given.

        Empty where there is none, or the guard has no slot: then it is asked its own, which is recorded and logged. So is a
        policy for the slot of a server's chat template, which is sent without being seen to arrive.
        """
        own = benchmark_named(source).policy
        if own and self._policy:
            raise UserError(f"guard_policy is given, and {source} has a policy of its own: give one")
        policy = own or self._policy
        self.put_template_options(self._form.template_options(policy))
        said = f"sha256 {sha256(policy)[:16]}" if policy else "its own"
        warning = ""
        if policy and not self._takes(policy):
            self.put_template_options(self._form.template_options(""))
            policy, said = "", "its own: it has no slot for another"
            warning = (
                f"{self._form.name} has no slot for the policy of {source}: it is asked its own, and its verdicts are held "
                "against labels by that policy"
            )
        elif policy and self._form.policy_options and self.template_is_elsewhere:
            said += " (sent, not verified)"
            warning = (
                f"the policy of {source} goes to the server for its chat template, which is not seen from here: where that "
                f"has no slot ({', '.join(self._form.policy_options)}), {self._form.name} is asked its own"
            )
        if warning and self._policies.get(source) != said:
            logger.warning(warning)
        self._policies[source] = said
        several = len(set(self._policies.values())) > 1
        told = [f"{name}: {each}" if several else each for name, each in self._policies.items()]
        record_provenance(guard_policy="; ".join(dict.fromkeys(told)))
        return policy

    def _takes(self, policy: str) -> bool:
        """Whether the policy can be found in what the guard is asked, as far as that is seen."""
        if not self._form.has_policy_slot:
            return False
        if not self._form.policy_options or self.template_is_elsewhere:
            return True
        trial = [{"role": "user", "content": [{"type": "text", "text": "A trial."}]}]
        return policy in self.render(trial)


def _messages(
    to_messages: Any, form: GuardFormat, known: Mapping[str, Any], row: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What the guard is asked about a row, with the image that the harness would have shown."""
    images = [
        part["url"]
        for turn in to_messages(row)
        if not isinstance(turn["content"], str)
        for part in turn["content"]
        if part["type"] == "image"
    ]
    return form.turns(images[0] if images else None, **known)


def _log_odds(scores: Mapping[str, float]) -> float:
    # Of two answers that are impossible neither is likelier.
    return max(scores[NO], _LEAST) - max(scores[YES], _LEAST)


def guarded(backend: type[AnsweringModel]) -> type[AnsweringModel]:
    """``backend`` with a guard in front of it."""
    return type(f"Guarded{backend.__name__}", (Guard, backend), {"__doc__": Guard.__doc__})
