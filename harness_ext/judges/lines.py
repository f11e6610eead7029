"""An answer from a line of JSON.

``{"question": 0, "response": "…"}`` answers an alignment question: a published one, given as its index, 0 to 4, or its text,
on the image or text-only; or another one, given as its text, with ``"yes": "safe"`` or ``"yes": "unsafe"`` beside it, which
is what "yes" says there. ``{"options": {"A": "…", …}, "response": "…"}`` answers the perception question. Other keys may
stand beside these.
"""

import json
from collections.abc import Mapping
from typing import Any

from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.common.errors import shown
from harness_ext.common.reading import Unreadable, parse_json
from harness_ext.judges.base import AlignmentAnswer, Answer, PerceptionAnswer, published_question
from harness_ext.records import LABELS, SAFE, UNSAFE


class BadInputError(ValueError):
    """A line is invalid; the message says why in one or two lines."""


def read_object(line: str) -> dict[str, Any]:
    """The object of one line. Raises BadInputError for anything else."""
    try:
        row = parse_json(line, "the line")
    except Unreadable as error:
        raise BadInputError(f"expected one JSON object, found {_short(line.strip())} ({error.problem})") from error
    if not isinstance(row, dict):
        raise BadInputError(f"expected one JSON object, found {_short(row)}")
    return row


def read_answer(line: str) -> tuple[dict[str, Any], Answer]:
    """The object of one line, and the answer in it; raises BadInputError for one that asks for no verdict."""
    row = read_object(line)
    if "response" not in row or ("question" in row) == ("options" in row):
        raise BadInputError(
            f'expected the keys "response" and either "question" or "options", found {", ".join(row) or "no keys"}'
        )
    response = row["response"]
    if not isinstance(response, str):
        raise BadInputError(f'expected a string as "response", found {_short(response)}')
    if "options" in row:
        return row, PerceptionAnswer(_options(row["options"]), response)
    return row, _alignment(row["question"], response, row.get("yes"))


def _alignment(question: object, response: str, yes: object) -> AlignmentAnswer:
    """The answer to a published question, given as index or as text, or to another one, given as text with its ``yes``."""
    if yes not in (None, *LABELS):
        raise BadInputError(f'expected as "yes", which says what it means, {" or ".join(LABELS)}, found {_short(yes)}')
    prompt = question if isinstance(question, str) else ""
    index = question if isinstance(question, int) and not isinstance(question, bool) else published_question(prompt)
    if index is not None and 0 <= index < NUM_QUESTIONS:
        if yes == UNSAFE:
            raise BadInputError(f'expected no "yes": "{UNSAFE}" beside a published question, in which it means safe')
        return AlignmentAnswer(index, response, prompt)
    if not prompt.strip() or yes is None:
        raise BadInputError(
            f'expected as "question" an index from 0 to {NUM_QUESTIONS - 1} or the text of one of the five questions, found '
            f'{_short(question)}; beside the text of another question, "yes": "{SAFE}" or "{UNSAFE}" says what it means'
        )
    return AlignmentAnswer(0, response, prompt, yes=UNSAFE if yes == UNSAFE else SAFE)


def _options(options: object) -> Mapping[str, str]:
    letters = isinstance(options, dict) and options and all(len(letter) == 1 and letter.isupper() for letter in options)
    if not isinstance(options, dict) or not letters or not all(isinstance(text, str) for text in options.values()):
        raise BadInputError(
            f'expected as "options" capital letters with their texts, {{"A": "…", …}}, found {_short(options)}'
        )
    return options


def _short(value: object) -> str:
    return shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
