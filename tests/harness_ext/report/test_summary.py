"""The numbers of a report are the metrics', and answers that must not be pooled are refused."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness_ext.common.errors import UserError
from harness_ext.metrics.ratios import accuracy, accuracy_estimate, knows_but_calls_safe, modality_gap
from harness_ext.records import Judgement
from harness_ext.report.summary import summarise
from harness_ext.unsafeconcepts.taxonomy import CATEGORIES

Answers = dict[str, list[Judgement]]
Make = Callable[..., Answers]


def of(records: list[Judgement], **fields: object) -> list[Judgement]:
    return [record for record in records if all(getattr(record, name) == value for name, value in fields.items())]


def test_every_number_is_the_metrics_over_the_right_answers(make_answers: Make) -> None:
    answers = make_answers()
    image, text, perception = (answers[f"glyphworld_{probe}"] for probe in ("image", "text", "perception"))
    summary = summarise(answers)
    for label in ("unsafe", "safe"):
        assert summary.image[label].drop == accuracy_estimate(of(image, label=label), "drop")
        assert summary.image[label].wrong == accuracy_estimate(of(image, label=label), "wrong")
        assert summary.text["none"][label].wrong == accuracy_estimate(of(text, label=label), "wrong")
        assert summary.perception[label].drop == accuracy_estimate(of(perception, label=label), "drop")
    assert summary.text["blank"]["unsafe"].drop.value == accuracy(
        of(answers["glyphworld_text_blank"], label="unsafe"), "drop"
    )
    unsafe = of(text, label="unsafe"), of(image, label="unsafe")
    assert summary.gap["none"].drop == modality_gap(*unsafe, "drop")
    assert summary.gap["none"].wrong.pooled.value == pytest.approx(
        summary.text["none"]["unsafe"].wrong.value - summary.image["unsafe"].wrong.value
    )
    assert summary.knows_but_calls_safe["none"] == knows_but_calls_safe(perception, text, image)
    assert summary.capability["count"].drop.value == accuracy(of(answers["glyphworld_capability"], question=1), "drop")
    assert [scores.category for scores in summary.categories] == list(CATEGORIES)
    for scores in summary.categories:
        sides = of(text, category=scores.category), of(image, category=scores.category)
        assert scores.gap["none"].wrong == modality_gap(*sides, "wrong")
        assert scores.image is not None and scores.image.n_requests == len(sides[1])


def test_every_concept_has_its_own_numbers(make_answers: Make) -> None:
    answers = make_answers()
    image = answers["glyphworld_image"]
    concepts = summarise(answers).concepts
    assert len({(scores.label, scores.concept) for scores in concepts}) == len(concepts)
    assert {(r.label, r.concept) for r in image} <= {(scores.label, scores.concept) for scores in concepts}
    for scores in concepts:
        answered = of(image, concept=scores.concept, label=scores.label)
        assert scores.image is not None
        assert scores.image.wrong.value == accuracy(answered, "wrong")
        assert scores.image.wrong.low is None


def test_what_was_not_asked_is_absent(make_answers: Make) -> None:
    hate = of(make_answers()["glyphworld_image"], category="Hate")
    summary = summarise({"glyphworld_image": hate})
    assert not (summary.perception or summary.text or summary.gap or summary.knows_but_calls_safe or summary.capability)
    assert list(summary.image) == ["unsafe"]
    (scores,) = summary.categories
    assert (scores.category, scores.perception, dict(scores.text), dict(scores.gap)) == ("Hate", None, {}, {})


def test_the_json_is_strict_json(make_answers: Make) -> None:
    failed = [replace(record, verdict="failed") for record in make_answers()["glyphworld_image"]]
    values = json.loads(json.dumps(summarise({"glyphworld_image": failed}).to_json(), allow_nan=False))
    assert values["image"]["unsafe"]["drop"]["value"] is None
    assert values["image"]["unsafe"]["failed_rate"] == 1.0


def test_sampled_tasks_have_the_same_text_variants(make_answers: Make) -> None:
    answers = make_answers()
    sampled = {f"{task}_sampled": records for task, records in answers.items()}
    assert summarise(sampled) == summarise(answers)


def test_answers_that_must_not_be_pooled_are_refused(make_answers: Make) -> None:
    answers = make_answers()
    image, text = answers["glyphworld_image"], answers["glyphworld_text"]
    with pytest.raises(UserError, match=r"glyphworld_image and glyphworld_image_test both hold image answers.*--task"):
        summarise({"glyphworld_image": image, "glyphworld_image_test": image[:10]})
    with pytest.raises(UserError, match=r"one source; found \['glyphworld', 'unsafeconcepts'\]"):
        summarise(
            {"glyphworld_image": image, "unsafeconcepts_text": make_answers("unsafeconcepts")["unsafeconcepts_text"]}
        )
    with pytest.raises(UserError, match="glyphworld_words: expected a task of this project"):
        summarise({"glyphworld_words": text})
    with pytest.raises(UserError, match="unsafe concept 'Swastika', row 0, question 0 is answered twice"):
        summarise({"glyphworld_image": [*image, image[0]]})
    with pytest.raises(UserError, match=r"expected answers to one probe, found \['image', 'text'\]"):
        summarise({"glyphworld_image": image + text})
