"""Every response of a chapter's runs, as columns: an item is one question about one row, with one answer a run.

The judged answers of a run hold no text. It is read here from the same sample rows, in the same order. In the page, the
responses are JSON, compressed, in letters that no parser of HTML can mistake for markup.
"""

import base64
import gzip
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from harness_ext.benchmark.base import ImageCollection
from harness_ext.benchmark.probes import OF_RECORD
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.records import FAILED, Judgement
from harness_ext.registry import benchmark_named
from harness_ext.report.page.chapters import Chapter
from harness_ext.runs.load import Run

NOT_ASKED: Final = -1
_ITEM: Final = ("task", "category", "concept", "label", "row", "number", "question", "expected")
# An image's longer side in pixels, and the quality of its JPEG.
_SIDE: Final = 224
_QUALITY: Final = 72


def read_responses(chapter: Chapter, include_images: bool) -> dict[str, Any]:
    """The responses of all runs of a chapter, as the page's script reads them.

    Returns:
        ``source``; ``runs``, each a ``name`` and a ``model``; ``texts``, the questions and responses; ``names``, the tasks,
        categories, concepts and verdicts. The rest holds the numbers of texts and names:

        ``items``: the columns ``task``, ``category``, ``concept``, ``label``, ``row``, ``number`` (of the question, from 0),
        ``question`` (its text) and ``expected``; ``answers``: for every run the columns ``response`` and ``verdict``, with
        ``NOT_ASKED`` where it was not asked; ``missed``: for every run the positions of the items whose image of an unsafe
        concept it called safe, though it recognised the concept in the same image; ``pictured``: the collections that the
        tasks show images of; ``images``: see :func:`_thumbnails`.

    Raises:
        UserError: A response or question is no text (the message names file and line), or the images cannot be read.
    """
    texts, names = _numbered(), _numbered()
    items: dict[tuple[int, ...], int] = {}
    pictured: dict[int, ImageCollection] = {}
    answered: list[dict[int, tuple[int, int]]] = [{} for _ in chapter.shown]
    missed: list[list[int]] = [[] for _ in chapter.shown]
    for run, shown in enumerate(chapter.shown):
        recognised = _recognised(shown.run)
        for task, record, question, response in _rows(shown.run):
            # What tells one question from another, under the names of _ITEM.
            item = (
                names[task],
                names[record.category],
                names[record.concept],
                names[record.label],
                record.row,
                record.question,
                texts[question],
                names[record.expected],
            )
            if OF_RECORD[record.probe].shows == "image":
                pictured[item[0]] = OF_RECORD[record.probe].collection
            position = items.setdefault(item, len(items))
            answered[run][position] = texts[response], names[record.verdict]
            called_safe = record.probe == "image" and record.label == "unsafe" and record.verdict == "safe"
            if called_safe and (record.way, record.row) in recognised:
                missed[run].append(position)
    columns = {name: [item[at] for item in items] for at, name in enumerate(_ITEM)}
    answers = [[given.get(position, (NOT_ASKED, NOT_ASKED)) for position in range(len(items))] for given in answered]
    return {
        "source": chapter.source,
        "runs": [{"name": shown.name, "model": shown.run.model} for shown in chapter.shown],
        "texts": list(texts),
        "names": list(names),
        "items": columns,
        "answers": [{"response": [each[0] for each in run], "verdict": [each[1] for each in run]} for run in answers],
        "missed": missed,
        "pictured": dict(sorted(pictured.items())),
        "images": _thumbnails(chapter.source, columns, pictured) if include_images else {},
    }


def encode(chapters: Sequence[Mapping[str, Any]]) -> str:
    """What :func:`read_responses` found, as base64 of gzip of JSON; the same answers give the same text."""
    # Responses may hold lone surrogates, which are no UTF-8; escaped, they are what the model said.
    text = json.dumps(chapters, ensure_ascii=True, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=6, mtime=0)).decode("ascii")


def _numbered() -> defaultdict[str, int]:
    """Different texts, each with the number of its first appearance."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers


def _recognised(run: Run) -> set[tuple[str, int]]:
    """The images, by the way of asking and the row, in which the model recognised the concept."""
    answers = [record for records in (*run.answers.values(), *run.likelihood.values()) for record in records]
    return {(record.way, record.row) for record in answers if record.probe == "perception" and record.correct}


def _rows(run: Run) -> Iterator[tuple[str, Judgement, str, str]]:
    """Task, judged answer, question and response of every sample row; they were checked when the answers were read."""
    for task, evaluation in run.evaluations.items():
        path = evaluation.samples(task)
        records = run.likelihood[task] if task in run.likelihood else run.answers[task]
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, (record, row) in enumerate(zip(records, map(json.loads, file), strict=True), start=1):
                question, response = row.get("input"), row.get("filtered_resps")
                if not isinstance(question, str) or not isinstance(response, str):
                    found = f"{type(question).__name__} and {type(response).__name__}"
                    raise UserError(
                        f"{path}, line {number}: expected a question ('input') and a response ('filtered_resps') as text, "
                        f"found {found}: of another version of lmms-eval?"
                    )
                yield task, record, question, _said(record, response)


def _said(record: Judgement, response: str) -> str:
    """What a reader is shown: the response, why there is none, or the probabilities that it stands for."""
    if record.verdict == FAILED and is_failed(response):
        return f"The request failed: {reason_of(response)}"
    if record.scores is not None:
        return ", ".join(f"P({label}) = {math.exp(score):.4f}" for label, score in record.scores.items())
    return response


def _thumbnails(source: str, items: Mapping[str, list[int]], pictured: Mapping[int, ImageCollection]) -> dict[str, str]:
    """Small JPEG images as ``data:`` addresses, by ``COLLECTION/ROW``, of the rows that were asked about with their image."""
    found = {}
    asked = zip(items["task"], items["row"], strict=True)
    for collection, row in sorted({(pictured[task], row) for task, row in asked if task in pictured}):
        picture = benchmark_named(source).image(collection, row)
        picture.thumbnail((_SIDE, _SIDE))
        written = io.BytesIO()
        picture.save(written, format="JPEG", quality=_QUALITY)
        found[f"{collection}/{row}"] = f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode('ascii')}"
    return found
