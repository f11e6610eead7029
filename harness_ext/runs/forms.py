"""What is read of a results file and of a sample row, of the types that both harnesses and this project write."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

_Count = Annotated[int, Field(ge=0)]
_Number = int | float
_Values = Mapping[str, Any]
_ByName = Mapping[str, _Values]


class _Config(TypedDict):
    model: str
    model_args: str | _Values | None
    offset: NotRequired[int | None]
    judged_by: NotRequired[str]
    imported_from: NotRequired[str]
    benchmarks: NotRequired[Mapping[str, Mapping[str, str]]]
    weights_identity: NotRequired[str | None]


class _Task(TypedDict, total=False):
    generation_kwargs: _Values | None
    filter_list: list[Any] | None
    metric_list: list[_Values] | None


class _Asked(TypedDict):
    original: _Count
    effective: _Count


# Not all of its keys are names to Python.
_Results = TypedDict(
    "_Results",
    {
        "config": _Config,
        "configs": Mapping[str, _Task],
        "n-samples": Mapping[str, _Asked],
        "model_name": NotRequired[str | None],
        "results": NotRequired[_ByName],
        "groups": NotRequired[_ByName | None],
        "group_subtasks": NotRequired[Mapping[str, list[str]]],
        "versions": NotRequired[_Values],
        "n-shot": NotRequired[_Values],
        "higher_is_better": NotRequired[_ByName],
        "without_labels": NotRequired[Mapping[str, Mapping[str, _Number]]],
    },
)


class _Row(TypedDict, total=False):
    doc_id: int | str
    filter: str
    metrics: list[str] | None
    input_media: list[Any] | None


RESULTS: Final = TypeAdapter(_Results)
ROW: Final = TypeAdapter(_Row)
