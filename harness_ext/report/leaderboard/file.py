"""A leaderboard's file: each line is a model, how it was asked and judged, and what came out.

``unsafeconcepts leaderboard --schema`` prints the JSON Schema of a line; README.md says the same in words.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness_ext.common.errors import UserError, shown
from harness_ext.common.files import write_text
from harness_ext.common.reading import Unreadable, parse_json, read_lines
from harness_ext.registry import benchmarks

Metric = Literal[
    "perception",
    "image_unsafe",
    "image_safe",
    "text_unsafe",
    "text_safe",
    "gap",
    "over_refusal",
    "test",
    "test_unsafe",
    "test_safe",
    "na",
    "failed",
]
Origin = Literal["this project", "authors", "independent", "second-hand", "submitted"]
METRICS: Final[tuple[Metric, ...]] = get_args(Metric)
ORIGINS: Final[tuple[Origin, ...]] = get_args(Origin)
# What is about all images, those among them that a model was trained on too.
_ALL_IMAGES: Final[tuple[Metric, ...]] = ("perception", "image_unsafe", "image_safe", "gap")
_GAP: Final[tuple[Metric, ...]] = ("gap", "text_unsafe", "image_unsafe")
# Figures are written with three or four decimals.
_ROUNDING: Final = 1.5e-3
# So many problems are named, the others counted.
_NAMED: Final = 50
_LONGEST_KEY: Final = 60

Share = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=500, pattern=r"^\S(.*\S)?$")]


class Value(BaseModel):
    """A share of 1, or a difference of two, with the 95 % interval where there is one, and what it rests on."""

    # Strict, as the schema is: neither a text nor a truth value is a number.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    value: Share
    low: Share | None = None
    high: Share | None = None
    answers: int | None = Field(default=None, ge=1)
    concepts: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _interval_holds_value(self) -> "Value":
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has both ends: expected low and high, or neither")
        if self.low is not None and self.high is not None and not self.low <= self.value <= self.high:
            raise ValueError(f"the value {self.value} is not in its interval, {self.low} to {self.high}")
        return self


class Entry(BaseModel):
    """One line.

    Attributes:
        benchmark: The name of the benchmark that it is about; two never stand in one table.
        model: The model's name, for readers.
        training: What was done to it for this benchmark: ``none``, or ``SFT``, ``DPO``, ``PPO``, …
        trained_on: What of the benchmark the model was trained on.
        run: Tells repetitions of one training apart, as in ``seed 1``; a table shows their mean.
        weights: A repository with its commit, or a digest of the weights.
        judge: Name and version, as in ``rules-1``.
        decoding: How answers were decoded.
        questions: The alignment questions that were asked, from 0.
        na: What became of answers without a verdict: left out (``drop``) or counted as wrong (``wrong``); in TEST always
            wrong.
        images: How many images of unsafe concepts were asked about; in TEST, how many of both labels.
        scores: The figures, by name.
        origin: ``this project`` measured it by a command of the repository, the paper's ``authors`` or an ``independent``
            party published it, it was read ``second-hand`` in somebody's notes, or whoever measured it ``submitted`` it.
        source: The command, or an address where the figures can be read.
        date: When it was measured or published; ``None`` where that is not known.
        note: What a reader must know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark: Text
    model: Text
    training: Text = "none"
    trained_on: Literal["nothing of it", "training split", "unknown"]
    run: Text | None = None
    weights: Text | None = None
    judge: Text
    decoding: Literal["greedy", "sampled", "not known"]
    questions: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    na: Literal["drop", "wrong"]
    images: int = Field(ge=1)
    scores: Mapping[Metric, Value] = Field(min_length=1)
    origin: Origin
    source: Text
    date: datetime.date | None
    note: Text | None = None

    @field_validator("questions")
    @classmethod
    def _in_order(cls, questions: tuple[int, ...]) -> tuple[int, ...]:
        if list(questions) != sorted(set(questions)):
            raise ValueError("expected each question once, in order")
        return questions

    @field_validator("scores")
    @classmethod
    def _signs(cls, scores: Mapping[Metric, Value]) -> Mapping[Metric, Value]:
        for name, score in scores.items():
            least = score.value if score.low is None else score.low
            if name != "gap" and least < 0:
                raise ValueError(f"{name}: a share is not negative, found {least}")
        return scores

    @model_validator(mode="after")
    def _consistent(self) -> "Entry":
        gap, text, image = (self.scores.get(name) for name in _GAP)
        # A gap is over the concepts of both sides: where one has fewer, it is not the difference of the two accuracies.
        if gap and text and image and text.concepts == image.concepts:
            expected = text.value - image.value
            if abs(gap.value - expected) > _ROUNDING:
                raise ValueError(f"gap: expected text_unsafe - image_unsafe = {expected:.4f}, found {gap.value}")
        if self.date is not None and self.date > datetime.date.today() + datetime.timedelta(days=1):
            raise ValueError(f"date: {self.date} is in the future")
        if self.origin != "this project" and "https://" not in self.source:
            raise ValueError("source: expected the address where the figures can be read, https://…")
        seen = [name for name in _ALL_IMAGES if name in self.scores]
        known = benchmarks().get(self.benchmark)
        if known and self.questions[-1] >= (count := len(known.questions)):
            raise ValueError(f"questions: {self.benchmark} has {count}, numbered from 0, found {self.questions[-1]}")
        if (not known or known.trained_images_in_all) and self.trained_on == "training split" and seen:
            raise ValueError(
                f"{seen[0]} is about all images, and the model was trained on some of them: give test_unsafe and test_safe, "
                f"which {self.benchmark}_test measures on the others"
            )
        return self

    @property
    def setting(self) -> tuple[object, ...]:
        """What two lines must share to stand in one table."""
        return (self.benchmark, self.judge, self.decoding, self.questions, self.na, self.images)

    @property
    def subject(self) -> tuple[object, ...]:
        """Whose figures these are, whatever the run: lines that share it too are repetitions."""
        return (self.model, self.training, self.trained_on, self.origin)

    @property
    def identity(self) -> tuple[object, ...]:
        """No two lines of a leaderboard share it."""
        return (*self.setting, *self.subject, self.run)


# --- the file ---------------------------------------------------------------------------------------------------------


def read_leaderboard(path: Path) -> list[Entry]:
    """The lines of the file, in its order. Raises ``UserError`` with what is wrong in it, by file and line."""
    entries: list[Entry] = []
    line_of: dict[tuple[object, ...], int] = {}
    problems = []
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            entry = Entry.model_validate(parse_json(line, path))
        except ValidationError as error:
            problems += [f"line {number}: {_said(each)}" for each in error.errors()]
        except Unreadable as error:
            problems.append(f"line {number}: expected one JSON object, found {shown(line.strip())} ({error.problem})")
        else:
            entries.append(entry)
            if (first := line_of.setdefault(entry.identity, number)) != number:
                problems.append(
                    f"line {number}: the same model, run and setting as line {first}; give each repetition its own `run`"
                )
    if problems:
        more = [f"and {len(problems) - _NAMED:,} more"] if len(problems) > _NAMED else []
        raise UserError("\n".join([*(f"{path}, {problem}" for problem in problems[:_NAMED]), *more]))
    if not entries:
        raise UserError(f"{path}: no line in it; the README beside the code describes one")
    return entries


def write_leaderboard(entries: Sequence[Entry], path: Path) -> None:
    """Write the lines. Raises ``UserError`` where that cannot be done."""
    write_text(path, "".join(as_line(entry) + "\n" for entry in entries))


def as_line(entry: Entry) -> str:
    """The entry as one line of JSON, without the keys that it does not need; a date that is not known is null."""
    values = entry.model_dump(mode="json", exclude_none=True)
    return json.dumps(values if entry.date else {**values, "date": None}, ensure_ascii=False)


def _said(error: Any) -> str:
    # Whoever submitted the line may have named keys as he liked.
    names = map(str, error["loc"])
    where = ".".join(name if name.isprintable() and len(name) <= _LONGEST_KEY else shown(name) for name in names)
    return f"{where}: {error['msg']}" if where else str(error["msg"]).removeprefix("Value error, ")
