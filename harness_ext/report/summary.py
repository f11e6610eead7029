"""Judged answers to the numbers of a report: pure, and ready for JSON.

Every number is one of ``harness_ext.metrics``; nothing is computed here.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from harness_ext.benchmark.probes import ALL, GAPS, GENERALISATION, TextVariant
from harness_ext.common.errors import UserError
from harness_ext.metrics.agreement import agreement
from harness_ext.metrics.likelihood import auroc, brier, expected_calibration_error, mean_mass, reliability
from harness_ext.metrics.ratios import (
    accuracy_estimate,
    failed_rate,
    knows_but_calls_safe,
    modality_gap,
    na_rate,
    over_refusal,
)
from harness_ext.metrics.units import by_label, concept_key, group_by
from harness_ext.records import FAILED, GENERATED, LABELS, LIKELIHOOD, Judgement, Label
from harness_ext.registry import benchmark_named, skill_of, text_variant
from harness_ext.report.scores import (
    CategoryScores,
    ConceptScores,
    GapScore,
    LikelihoodScores,
    OverRefusal,
    ProbeLikelihood,
    Score,
    Summary,
)

Answers = Mapping[str, Sequence[Judgement]]
Key = TypeVar("Key", bound=Hashable)
# The text-only probe by what it shows beside its question, and all probes that the modality gap is about.
TEXT_PROBES: Final[Mapping[TextVariant, str]] = {"none": "text", "blank": "text_blank"}
GAP_PROBES: Final = ("perception", "image", *TEXT_PROBES.values())


def summarise(answers: Answers, likelihood: Answers | None = None) -> Summary:
    """The numbers of one run, from its judged answers by task; only the summary's ``likelihood`` is about ``likelihood``.

    Raises:
        UserError: The answers are of several sources, two tasks answer the same questions, or the name of a text-only task
            does not end in ``_text`` or ``_text_blank``.
        ValueError: An answer is on the wrong side of the two.
    """
    for way, tasks in ((GENERATED, answers), (LIKELIHOOD, likelihood or {})):
        if wrong := [task for task, records in tasks.items() if any(record.way != way for record in records)]:
            raise ValueError(f"{', '.join(wrong)}: expected answers of the way {way!r} only")
    both = [*answers.values(), *(likelihood or {}).values()]
    if len(sources := {record.source for records in both for record in records}) != 1:
        raise UserError(f"a table is about one source; found {sorted(sources) or 'no answers'}")
    answered = _by_probe(answers)
    summary = _summarise(answered)
    if not likelihood:
        return summary
    asked = _by_probe(likelihood)
    probes = {probe: _likelihood(probe, asked[probe], answered.get(probe)) for probe in GAP_PROBES if probe in asked}
    return replace(summary, likelihood=LikelihoodScores(_summarise(asked), probes))


def _by_probe(answers: Answers) -> dict[str, list[Judgement]]:
    """Answers by probe; the forms of the text-only question, which differ in what is shown, are told apart.

    Refuses two tasks about the same concepts, and two answers to one question, which would be pooled without a word.
    """
    found: dict[str, list[Judgement]] = {}
    task_of: dict[tuple[str, Label], str] = {}
    for task, records in answers.items():
        if len(probes := {record.probe for record in records}) != 1:
            raise UserError(f"{task}: expected answers to one probe, found {sorted(probes)}")
        (probe,) = probes
        name = TEXT_PROBES[text_variant(task)] if probe == "text" else probe
        for label in {record.label for record in records}:
            if (other := task_of.setdefault((name, label), task)) != task:
                raise UserError(
                    f"{other} and {task} both hold {probe} answers about {label} concepts, which one table would pool. "
                    "Choose the tasks of the table with --task."
                )
        (label, concept, row, number), times = Counter(
            (each.label, each.concept, each.row, each.question) for each in records
        ).most_common(1)[0]
        if times > 1:
            raise UserError(f"{task}: {label} concept {concept!r}, row {row}, question {number} is answered twice")
        found.setdefault(name, []).extend(records)
    return found


def _summarise(asked: Answers) -> Summary:
    """The numbers of answers by probe."""
    unsafe = {probe: [record for record in records if record.label == "unsafe"] for probe, records in asked.items()}
    texts = {variant: asked[probe] for variant, probe in TEXT_PROBES.items() if probe in asked}
    skills = sorted(asked.get("capability", ()), key=lambda record: record.question)
    safe = {
        probe: [record for record in asked.get(probe, ()) if record.expected == "safe"]
        for probe in ("image", *TEXT_PROBES.values(), *GENERALISATION)
    }
    return Summary(
        perception=_by_label(asked.get("perception", [])),
        image=_by_label(asked.get("image", [])),
        text={variant: _by_label(text) for variant, text in texts.items()},
        gap=_gaps(unsafe),
        context_gap={
            context: _gap(unsafe[text], unsafe[image])
            for context in LABELS
            for text, image in [GAPS[context]]
            if unsafe.get(text) and unsafe.get(image)
        },
        knows_but_calls_safe={
            variant: knows_but_calls_safe(asked["perception"], text, asked["image"])
            for variant, text in texts.items()
            if unsafe.get("perception") and unsafe.get("image")
        },
        capability={skill: _score(records) for skill, records in group_by(skills, skill_of).items()},
        categories=_categories(unsafe),
        concepts=_concepts(asked),
        generalisation={
            probe: {ALL: _score(asked[probe])} | {str(label): each for label, each in _by_label(asked[probe]).items()}
            for probe in GENERALISATION
            if probe in asked
        },
        over_refusal={
            probe: OverRefusal(over_refusal(records), failed_rate(records))
            for probe, records in safe.items()
            if records
        },
    )


def _score(records: Sequence[Judgement]) -> Score:
    return Score(
        drop=accuracy_estimate(records, "drop"),
        wrong=accuracy_estimate(records, "wrong"),
        na_rate=na_rate(records),
        failed_rate=failed_rate(records),
        n_requests=len(records),
        n_failed=sum(record.verdict == FAILED for record in records),
    )


def _by_label(records: Sequence[Judgement]) -> dict[Label, Score]:
    groups = by_label(records)
    return {label: _score(groups[label]) for label in LABELS if label in groups}


def _gaps(unsafe: Answers) -> dict[TextVariant, GapScore]:
    """The modality gap of each text variant, from answers about unsafe concepts by probe."""
    return {
        variant: _gap(unsafe[probe], unsafe["image"])
        for variant, probe in TEXT_PROBES.items()
        if probe in unsafe and unsafe.get("image")
    }


def _gap(text: Sequence[Judgement], image: Sequence[Judgement]) -> GapScore:
    return GapScore(drop=modality_gap(text, image, "drop"), wrong=modality_gap(text, image, "wrong"))


def _split(asked: Answers, key: Callable[[Judgement], Key]) -> dict[Key, dict[str, list[Judgement]]]:
    """By key, the answers to each of ``GAP_PROBES``."""
    found: dict[Key, dict[str, list[Judgement]]] = {}
    for probe in GAP_PROBES:
        for value, records in group_by(asked.get(probe, ()), key).items():
            found.setdefault(value, {})[probe] = records
    return found


def _sides(asked: Answers) -> dict[str, Any]:
    """The scores of each probe, as the fields that a category and a concept share."""
    scores = {probe: _score(records) for probe, records in asked.items()}
    return {
        "perception": scores.get("perception"),
        "image": scores.get("image"),
        "text": {variant: scores[probe] for variant, probe in TEXT_PROBES.items() if probe in scores},
    }


def _categories(unsafe: Answers) -> tuple[CategoryScores, ...]:
    found = _split(unsafe, lambda record: record.category)
    scores = []
    everything = [record for records in unsafe.values() for record in records]
    for category in benchmark_named(everything[0].source).categories_among(everything) if everything else ():
        if asked := found.get(category):
            records = [record for each in asked.values() for record in each]
            rest: dict[str, Any] = {"na_rate": na_rate(records), "failed_rate": failed_rate(records)}
            scores.append(CategoryScores(category, **_sides(asked), gap=_gaps(asked), **rest))
    return tuple(scores)


def _concepts(asked: Answers) -> tuple[ConceptScores, ...]:
    scores = []
    for of_concept in _split(asked, concept_key).values():
        first = next(iter(of_concept.values()))[0]
        scores.append(ConceptScores(first.concept, first.category, first.label, **_sides(of_concept)))
    return tuple(scores)


def _likelihood(probe: str, records: Sequence[Judgement], generated: Sequence[Judgement] | None) -> ProbeLikelihood:
    """What the likelihoods of one probe's answers say beyond verdicts, beside its generated answers if there are any."""
    labels = by_label(records)
    return ProbeLikelihood(
        mass={label: mean_mass(labels[label]) for label in LABELS if label in labels},
        auroc=None if probe == "perception" else auroc(records),
        calibration_error=expected_calibration_error(records),
        brier=brier(records),
        reliability=reliability(records),
        agreement=None if generated is None else agreement(records, generated),
    )
