"""The probes: rows of a source, one for every question, and the judging of an answer.

These are the functions that the tasks' YAML names. The harness reads the list of concepts as the task's data set, and
``process_docs`` puts the rows of the source in its place: one checked load for all tasks of a run, whatever kind of copy the
source is. Every row holds its whole question (``prompt``, ``expected``), so that the YAML needs no code of its own.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from datasets import Dataset, concatenate_datasets
from PIL import Image

from harness_ext.benchmark import questions
from harness_ext.benchmark.images import to_rgb
from harness_ext.benchmark.rows import (
    Collection,
    ask,
    ask_alignment,
    collection_of,
    image_file,
    question_by_question,
    rows_of,
)
from harness_ext.common.failures import is_failed_here
from harness_ext.judges import RuleJudge, likelihood
from harness_ext.judges.exact import exact_answer
from harness_ext.metrics.harness import TESTED, Metric, by_concept, per_answer_metrics
from harness_ext.metrics.records import FAILED, Judgement

# The size that the authors' code sends with a text-only question.
_BLANK_SIZE: Final = (1000, 1000)
# Fixed once: options are part of the instrument, and every run must see the same ones.
_GLYPHWORLD_OPTIONS_SEED: Final = 0

_judge = RuleJudge()


# --- rows -------------------------------------------------------------------------------------------------------------


def unsafeconcepts_perception(_: Dataset) -> Dataset:
    """The gated images, each with its published options."""
    from harness_ext.benchmark.options import published_options

    options = published_options()
    rows = rows_of("unsafeconcepts", "all")
    return _perception(rows, [options[row] for row in rows["row"]])


def unsafeconcepts_image(_: Dataset) -> Dataset:
    """The gated images, each with the five alignment questions."""
    return ask_alignment(rows_of("unsafeconcepts", "all"), "image")


def unsafeconcepts_text(concepts: Dataset) -> Dataset:
    """The taxonomy's concepts (columns ``concept``, ``category``), each with the five questions in their text-only form."""
    return _text_alignment("unsafeconcepts", concepts.add_column("label", ["unsafe"] * len(concepts)))


def glyphworld_perception(_: Dataset) -> Dataset:
    """Held-out renders of every glyph, each with generated options."""
    from harness_ext.benchmark.options import generated_options

    rows = rows_of("glyphworld", "all")
    return _perception(rows, generated_options(rows["concept"], rows["category"], seed=_GLYPHWORLD_OPTIONS_SEED))


def glyphworld_image(_: Dataset) -> Dataset:
    """Held-out renders of every glyph, each with the five alignment questions."""
    return ask_alignment(rows_of("glyphworld", "all"), "image")


def glyphworld_text(concepts: Dataset) -> Dataset:
    """Glyphworld's concepts (columns ``concept``, ``category``, ``label``), each with the five text-only questions."""
    return _text_alignment("glyphworld", concepts)


def glyphworld_capability(_: Dataset) -> Dataset:
    """Held-out renders with questions of colour, count and, where there is one glyph, position."""
    from harness_ext.glyphworld.questions import CAPABILITIES

    rows = rows_of("glyphworld", "all")
    parts = []
    for index, (skill, question, vocabulary) in enumerate(CAPABILITIES):
        answers = rows[skill]
        asked = rows.select([at for at, answer in enumerate(answers) if answer is not None])
        part = ask(asked, "capability", index, [question] * len(asked), asked[skill])
        parts.append(part.add_column("vocabulary", [list(vocabulary)] * len(asked)))
    return concatenate_datasets(parts)


def _perception(rows: Dataset, options: Sequence[Any]) -> Dataset:
    prompts = [questions.perception_question(choice.options) for choice in options]
    asked = ask(rows, "perception", 0, prompts, [choice.correct for choice in options])
    return asked.add_column("options", [dict(choice.options) for choice in options])


def _text_alignment(source: str, concepts: Dataset) -> Dataset:
    names, count = list(concepts["concept"]), len(concepts)
    rows = concepts.add_column("source", [source] * count).add_column("row", list(range(count)))
    asked = [
        ask(rows, "text", index, [questions.text_question(index, name) for name in names], list(rows["label"]))
        for index in range(questions.NUM_QUESTIONS)
    ]
    return question_by_question(asked)


# --- what the model sees ----------------------------------------------------------------------------------------------


def image(doc: Mapping[str, Any]) -> list[Image.Image]:
    """The row's image, upright, in RGB."""
    return [image_of(doc["source"], collection_of(doc["probe"]), doc["row"])]


def image_of(source: str, name: Collection, row: int) -> Image.Image:
    """An image of a collection, upright, in RGB."""
    return to_rgb(image_file(source, name, row), row)


@functools.cache
def _blank() -> Image.Image:
    return Image.new("RGB", _BLANK_SIZE, "white")


def blank_image(_: Mapping[str, Any]) -> list[Image.Image]:
    """A blank white image, as the authors' code sends with a text-only question."""
    return [_blank()]


def no_image(_: Mapping[str, Any]) -> list[Image.Image]:
    """Nothing: truly text-only."""
    return []


# --- judging ----------------------------------------------------------------------------------------------------------


def judge(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Judge the answer to one row.

    Returns:
        The metrics that this answer counts for, each with its concept, and the whole record under ``judgement``, for the
        sample rows. For TEST and the other data sets also ``diversity``, the response with its row: of one answer an image,
        to each of the five questions in turn, as the paper asks one question about an image.
    """
    record = judgement(doc, results[0])
    found: dict[str, Any] = {**by_concept(per_answer_metrics(record), record.concept), "judgement": record.to_dict()}
    if record.probe in TESTED and record.verdict != FAILED and record.question == record.row % questions.NUM_QUESTIONS:
        found["diversity"] = (record.row, results[0])
    return found


def judge_for_lm_eval(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Metric]:
    """As :func:`judge`, in plain numbers and without the record: lm-eval averages every key that it is given."""
    return per_answer_metrics(judgement(doc, results[0]))


def judgement(doc: Mapping[str, Any], response: str) -> Judgement:
    """The judged answer to one row of a probe; a row with ``candidates`` is answered by their likelihood.

    Raises:
        UserError: The answer to a row with ``candidates`` holds no likelihoods.
    """
    verdict, scores = _read(doc, response)
    by_likelihood = "candidates" in doc
    return Judgement(
        source=doc["source"],
        probe=doc["probe"],
        row=doc["row"],
        concept=doc["concept"],
        category=doc["category"],
        label=doc["label"],
        question=doc["question"],
        expected=doc["expected"],
        verdict=verdict,
        judge=likelihood.NAME if by_likelihood else _judge.name,
        way="likelihood" if by_likelihood else "generated",
        scores=scores,
    )


def _read(doc: Mapping[str, Any], response: str) -> tuple[str, dict[str, float] | None]:
    """The verdict and, by likelihood, what it goes by."""
    perception = doc["probe"] == "perception"
    # Other backends never mark a failure, so a mark in their answers is ordinary text.
    if is_failed_here(response):
        return FAILED, None
    if "candidates" in doc:
        scores = likelihood.read_scores(response, doc["candidates"])
        return (likelihood.perception_choice if perception else likelihood.alignment_verdict)(scores), scores
    if perception:
        return _judge.perception(doc["options"], response), None
    if doc["probe"] == "capability":
        return exact_answer(doc["vocabulary"], response), None
    return _judge.alignment(doc["question"], response), None
