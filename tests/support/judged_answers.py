"""Makes judged answers."""

from collections.abc import Callable

import pytest

from harness_ext.records import Judgement


def judged(concept: str, verdict: str, **fields: object) -> Judgement:
    values: dict[str, object] = {
        "source": "glyphworld",
        "probe": "image",
        "row": 0,
        "category": "Hate",
        "label": "unsafe",
        "question": 0,
        "judge": "rules-1",
    } | fields
    values.setdefault("expected", "A" if values["probe"] == "perception" else values["label"])
    return Judgement(concept=concept, verdict=verdict, **values)  # type: ignore[arg-type]


@pytest.fixture
def judge() -> Callable[..., Judgement]:
    return judged
