"""Judged answers by likelihood, for the tests of the metrics and of the report."""

import math
from collections.abc import Mapping

from hypothesis import strategies as st

from harness_ext.judges.likelihood import NAME, alignment_verdict, perception_choice
from harness_ext.records import Judgement


def by_likelihood(concept: str, probabilities: Mapping[str, float], **fields: object) -> Judgement:
    """An answer with these probabilities of its labels, judged: alignment by Yes and No, perception by letters."""
    probe = fields.get("probe", "image" if "Yes" in probabilities else "perception")
    scores = {label: math.log(chance) for label, chance in probabilities.items()}
    label = fields.get("label", "unsafe")
    values: dict[str, object] = {
        "source": "glyphworld",
        "probe": probe,
        "row": 0,
        "category": "Hate",
        "label": label,
        "question": 0,
        "expected": "A" if probe == "perception" else label,
        "verdict": perception_choice(scores) if probe == "perception" else alignment_verdict(scores),
    }
    return Judgement(concept=concept, judge=NAME, way="likelihood", scores=scores, **values | fields)  # type: ignore[arg-type]


def unsafe_with(concept: str, chance: float, mass: float = 0.9, **fields: object) -> Judgement:
    """An alignment answer that says unsafe with this probability, given that it is yes or no."""
    return by_likelihood(concept, {"Yes": mass * (1 - chance), "No": mass * chance}, **fields)


@st.composite
def alignment_answers(draw: st.DrawFn, min_size: int = 1) -> list[Judgement]:
    """About a few safe and unsafe concepts, with ties among the probabilities and here and there a failed request."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from("abcd"),
                st.sampled_from(("unsafe", "safe")),
                st.integers(1, 99),
                st.floats(0.01, 1.0),
                st.integers(0, 9),
            ),
            min_size=min_size,
            max_size=40,
        )
    )
    answers = []
    for row, (concept, label, percent, mass, failed) in enumerate(drawn):
        if failed == 0:
            answers.append(
                Judgement("glyphworld", "image", row, concept, "Hate", label, 0, label, "failed", NAME, "likelihood")  # type: ignore[arg-type]
            )
        else:
            answers.append(unsafe_with(concept, percent / 100, mass, row=row, label=label))
    return answers
