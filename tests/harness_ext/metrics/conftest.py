"""Makes judged answers for the tests of the metrics."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from harness_ext.metrics.records import Judgement

# How long a resampling takes depends on the machine and on what else runs on it.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


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
