"""What ``benchmark.yaml`` may say, as types (``written.py`` reads them)."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.records import UNSAFE, Label, is_known

FILE: Final = "benchmark.yaml"
# Of tasks that are there already.
TAKEN: Final = ("unsafeconcepts", "glyphworld", "retention")


def _one_line(text: str) -> str:
    if not text or text != text.strip() or any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") for sign in text):
        raise PydanticCustomError("one_line", "expected text on one line, without blanks around it")
    return text


def _concept(name: str) -> str:
    if not is_known(name):
        raise PydanticCustomError(
            "concept", "expected another name: 'NAME image 7' stands for an image without a concept"
        )
    return name


def _category(name: str) -> str:
    if any(sign in name for sign in ",/\\"):
        raise PydanticCustomError(
            "category", "expected a category without commas and slashes: metrics are named after it"
        )
    return name


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise PydanticCustomError("name", "expected small letters, digits, '_' and '-', for the names of tasks")
    if name in TAKEN or name.startswith(tuple(f"{taken}_" for taken in TAKEN)):
        raise PydanticCustomError("taken", "expected another name: there are tasks of this name")
    return name


def _repository(name: str) -> str:
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name):
        raise PydanticCustomError("hub", "expected OWNER/NAME of a data set on the hub")
    return name


def _commit(revision: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise PydanticCustomError("commit", "expected a commit, 40 hexadecimal digits: a branch can change")
    return revision


def _with_concept(text: str) -> str:
    if "{concept}" not in text:
        raise PydanticCustomError("text", "expected a question with {concept} in the place of the concept's name")
    return text


Line = Annotated[str, AfterValidator(_one_line)]
ConceptName = Annotated[Line, AfterValidator(_concept)]
CategoryName = Annotated[Line, AfterValidator(_category)]
Phrases = Annotated[list[Line], Field(min_length=1)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Form):
    """A concept, and what else it is called."""

    name: ConceptName
    also: list[ConceptName] = []

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data


class Category(_Form):
    """The concepts of one category, all of one label."""

    label: Label = UNSAFE
    of: Annotated[list[Entry], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"of": data} if isinstance(data, list) else data


class Columns(_Form):
    """What the columns are called; those that need not be there are empty."""

    image: Line = "image"
    concept: Line = "concept"
    label: str = "label"
    split: str = "split"

    @property
    def besides_image(self) -> tuple[str, str, str]:
        """Those of concept, label and split."""
        return self.concept, self.label, self.split


class Images(_Form):
    """Where the images are: a path within the folder, or a commit of a data set on the hub."""

    path: str = ""
    hub: Annotated[str, AfterValidator(_repository)] = ""
    revision: Annotated[str, AfterValidator(_commit)] = ""
    split: Line = "train"
    columns: Columns = Columns()

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"path": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _one_place(self) -> "Images":
        if bool(self.path) == bool(self.hub):
            raise PydanticCustomError("place", "expected a path within the folder, or hub: and revision:")
        if bool(self.hub) != bool(self.revision):
            raise PydanticCustomError("commit", "expected revision: a commit of the data set on the hub, 40 digits")
        return self


class Asked(_Form):
    """One alignment question; what "yes" says has to be said."""

    image: Line
    text: Annotated[Line, AfterValidator(_with_concept)]
    yes: Label

    @model_validator(mode="after")
    def _as_published(self) -> "Asked":
        if self.yes == UNSAFE and self.image in IMAGE_QUESTIONS:
            raise PydanticCustomError("yes", 'expected yes: safe: in this question of the paper\'s "yes" means safe')
        return self


class Contexts(_Form):
    """Phrases for contexts in which showing a concept is safe, and in which it is unsafe."""

    safe: Phrases
    unsafe: Phrases

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {key: [value] if isinstance(value, str) else value for key, value in data.items()}


class Form(_Form):
    """The whole file. ``name`` and ``concepts`` have to be there (:func:`read_form` sees to it)."""

    name: Annotated[str, AfterValidator(_name)] = ""
    title: Line | None = None
    concepts: Annotated[dict[CategoryName, Category], Field(min_length=1)] = {}
    images: Images = Images(path="images")
    policy: Line | None = None
    questions: Annotated[list[Asked], Field(min_length=1)] | None = None
    contexts: dict[str, Contexts] = {}

    @model_validator(mode="before")
    @classmethod
    def _default(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("questions") == "default":
            return {key: value for key, value in data.items() if key != "questions"}
        return data
