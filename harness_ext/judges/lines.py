"""An answer from a line of JSON.

``{"question": 0, "response": "…"}`` answers an alignment question, given as its index, 0 to 4, or its text, on the image or
text-only. ``{"options": {"A": "…", …}, "response": "…"}`` answers the perception question. Other keys may stand beside these.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, NUM_QUESTIONS, TEXT_QUESTIONS
from harness_ext.common.errors import shown
from harness_ext.judges.base import AlignmentAnswer, Answer, PerceptionAnswer

_TEXT_FORMS: Final = tuple(
    re.compile(".+".join(re.escape(part) for part in question.split("{concept}")), re.IGNORECASE | re.DOTALL)
    for question in TEXT_QUESTIONS
)


class BadInputError(ValueError):
    """A line is invalid; the message says why in one or two lines."""


def read_object(line: str) -> dict[str, Any]:
    """The object of one line. Raises BadInputError for anything else."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInputError(f"expected one JSON object, found {_short(line.strip())} ({error.msg})") from error
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
    question = row["question"]
    return row, AlignmentAnswer(_index(question), response, question if isinstance(question, str) else "")


def _index(question: object) -> int:
    """The index of a question given as index or as text (image form, or text-only with any concept)."""
    if isinstance(question, int) and not isinstance(question, bool) and 0 <= question < NUM_QUESTIONS:
        return question
    if isinstance(question, str):
        text = " ".join(question.split())
        for index, asked in enumerate(IMAGE_QUESTIONS):
            if text.casefold() == asked.casefold() or _TEXT_FORMS[index].fullmatch(text):
                return index
    raise BadInputError(
        f'expected as "question" an index from 0 to {NUM_QUESTIONS - 1} or the text of one of the five questions, '
        f"found {_short(question)}"
    )


def _options(options: object) -> Mapping[str, str]:
    letters = isinstance(options, dict) and options and all(len(letter) == 1 and letter.isupper() for letter in options)
    if not isinstance(options, dict) or not letters or not all(isinstance(text, str) for text in options.values()):
        raise BadInputError(
            f'expected as "options" capital letters with their texts, {{"A": "…", …}}, found {_short(options)}'
        )
    return options


def _short(value: object) -> str:
    return shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
