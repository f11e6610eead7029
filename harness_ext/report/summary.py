"""Judged answers to the numbers of a report: pure, and ready for JSON.

Every number is one of ``harness_ext.metrics``; nothing is computed here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness_ext.benchmark.probes import ALL, GENERALISATION, PROBES, SKILLS, VARIANTS, TextVariant, text_variant
from harness_ext.benchmark.taxonomy import CATEGORIES
from harness_ext.common.errors import UserError
from harness_ext.metrics.ratios import (
    accuracy_estimate,
    failed_rate,
    knows_but_calls_safe,
    modality_gap,
    na_rate,
    over_refusal,
)
from harness_ext.metrics.units import by_category, by_concept, by_label
from harness_ext.records import FAILED, GENERATED, LABELS, LIKELIHOOD, SAFE, UNSAFE, Judgement, Label, ProbeName
from harness_ext.report.likelihood import probe_likelihoods
from harness_ext.report.scores import (
    CategoryScores,
    ConceptScores,
    GapScore,
    LikelihoodScores,
    OverRefusal,
    Score,
    Summary,
)

Answers = Mapping[str, Sequence[Judgement]]


def summarise(answers: Answers, likelihood: Answers | None = None) -> Summary:
    """The numbers of one run.

    Args:
        answers: The generated answers of each task, judged; a text task's name tells its variant (``…_text``,
            ``…_text_blank``).
        likelihood: The answers of each task that was asked by likelihood; only the summary's ``likelihood`` is about them.

    Raises:
        UserError: If the answers are of several sources, if two tasks answer the same questions, or if a task of
            text-only answers has another name.
        ValueError: If an answer is on the wrong side of the two.
    """
    for way, tasks in ((GENERATED, answers), (LIKELIHOOD, likelihood or {})):
        if wrong := [task for task, records in tasks.items() if any(record.way != way for record in records)]:
            raise ValueError(f"{', '.join(wrong)}: expected answers of the way {way!r} only")
    both = [*answers.values(), *(likelihood or {}).values()]
    if len(sources := {record.source for records in both for record in records}) != 1:
        raise UserError(f"a table is about one source; found {sorted(sources) or 'no answers'}")
    summary = _summarise(answers)
    if not likelihood:
        return summary
    return replace(summary, likelihood=LikelihoodScores(_summarise(likelihood), probe_likelihoods(likelihood, answers)))


def _summarise(answers: Answers) -> Summary:
    _refuse_overlap(answers)
    everything = [record for records in answers.values() for record in records]
    perception = [record for record in everything if record.probe == "perception"]
    image = [record for record in everything if record.probe == "image"]
    capability = [record for record in everything if record.probe == "capability"]
    texts: dict[TextVariant, list[Judgement]] = {}
    for task, records in answers.items():
        if records and records[0].probe == "text":
            texts.setdefault(text_variant(task), []).extend(records)
    texts = {variant: texts[variant] for variant in VARIANTS if variant in texts}

    return Summary(
        perception=_by_label(perception),
        image=_by_label(image),
        text={variant: _by_label(text) for variant, text in texts.items()},
        gap={variant: _gap(_unsafe(text), _unsafe(image)) for variant, text in texts.items() if _unsafe(image)},
        knows_but_calls_safe={
            variant: knows_but_calls_safe(perception, text, image)
            for variant, text in texts.items()
            if _unsafe(perception) and _unsafe(image)
        },
        capability={
            skill: _score(asked)
            for index, skill in enumerate(SKILLS)
            if (asked := [record for record in capability if record.question == index])
        },
        categories=_categories(_unsafe(perception), _unsafe(image), {v: _unsafe(text) for v, text in texts.items()}),
        concepts=_concepts(perception, image, texts),
        generalisation=_generalisation(everything),
        over_refusal=_over_refusals(texts, everything),
    )


def _generalisation(everything: Sequence[Judgement]) -> dict[ProbeName, dict[str, Score]]:
    asked = {probe: [record for record in everything if record.probe == probe] for probe in GENERALISATION}
    return {
        probe: {ALL: _score(records)} | {str(label): score for label, score in _by_label(records).items()}
        for probe, records in asked.items()
        if records
    }


def _over_refusals(
    texts: Mapping[TextVariant, list[Judgement]], everything: Sequence[Judgement]
) -> dict[str, OverRefusal]:
    """Of every probe with items whose right verdict is safe."""
    safe: dict[str, list[Judgement]] = {}
    for probe in PROBES:
        if probe.asks == "alignment":
            shown = [record for record in everything if record.probe == probe.record]
            records = shown if probe.shows == "image" else texts.get(probe.shows, [])
            safe[probe.name] = [record for record in records if record.expected == SAFE]
    return {
        probe: OverRefusal(over_refusal(records), failed_rate(records)) for probe, records in safe.items() if records
    }


def _refuse_overlap(answers: Answers) -> None:
    """Two tasks about the same concepts, or two answers to one question, would be pooled without a word."""
    task_of: dict[tuple[str, str, Label], str] = {}
    for task, records in answers.items():
        if len(probes := {record.probe for record in records}) != 1:
            raise UserError(f"{task}: expected answers to one probe, found {sorted(probes)}")
        probe = records[0].probe
        variant = text_variant(task) if probe == "text" else ""
        for label in {record.label for record in records}:
            if (other := task_of.setdefault((probe, variant, label), task)) != task:
                raise UserError(
                    f"{other} and {task} both hold {probe} answers about {label} concepts, which one table would pool. "
                    "Choose the tasks of the table with --task."
                )
        asked = Counter((r.label, r.concept, r.row, r.question) for r in records)
        if twice := [question for question, times in asked.items() if times > 1]:
            label, concept, row, number = twice[0]
            raise UserError(f"{task}: {label} concept {concept!r}, row {row}, question {number} is answered twice")


def _unsafe(records: Sequence[Judgement]) -> list[Judgement]:
    return [record for record in records if record.label == UNSAFE]


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


def _gap(text: Sequence[Judgement], image: Sequence[Judgement]) -> GapScore:
    return GapScore(drop=modality_gap(text, image, "drop"), wrong=modality_gap(text, image, "wrong"))


def _categories(
    perception: Sequence[Judgement], image: Sequence[Judgement], texts: Mapping[TextVariant, Sequence[Judgement]]
) -> tuple[CategoryScores, ...]:
    perceptions, images = by_category(perception), by_category(image)
    texts_by_category = {variant: by_category(text) for variant, text in texts.items()}
    scores = []
    for category in CATEGORIES:
        text = {v: groups[category] for v, groups in texts_by_category.items() if category in groups}
        everything = [*perceptions.get(category, ()), *images.get(category, ())]
        everything += [record for records in text.values() for record in records]
        if everything:
            scores.append(
                CategoryScores(
                    category=category,
                    perception=_score(perceptions[category]) if category in perceptions else None,
                    image=_score(images[category]) if category in images else None,
                    text={variant: _score(records) for variant, records in text.items()},
                    gap={v: _gap(records, images[category]) for v, records in text.items() if category in images},
                    na_rate=na_rate(everything),
                    failed_rate=failed_rate(everything),
                )
            )
    return tuple(scores)


def _concepts(
    perception: Sequence[Judgement], image: Sequence[Judgement], texts: Mapping[TextVariant, Sequence[Judgement]]
) -> tuple[ConceptScores, ...]:
    perceptions, images = by_concept(perception), by_concept(image)
    texts_by_concept = {variant: by_concept(text) for variant, text in texts.items()}
    keys = dict.fromkeys(key for groups in (perceptions, images, *texts_by_concept.values()) for key in groups)
    scores = []
    for key in keys:
        text = {variant: groups[key] for variant, groups in texts_by_concept.items() if key in groups}
        answers = [*perceptions.get(key, ()), *images.get(key, ()), *(r for records in text.values() for r in records)]
        scores.append(
            ConceptScores(
                concept=answers[0].concept,
                category=answers[0].category,
                label=answers[0].label,
                perception=_score(perceptions[key]) if key in perceptions else None,
                image=_score(images[key]) if key in images else None,
                text={variant: _score(records) for variant, records in text.items()},
            )
        )
    return tuple(scores)
