"""The figures of a judge, by hand."""

import pytest

from harness_ext.judges.classifier.examples import Example
from harness_ext.judges.classifier.measures import measure


def test_ten_responses_by_hand() -> None:
    labels = ["safe"] * 6 + ["unsafe"] * 3 + ["na"]
    read = ["safe"] * 6 + ["unsafe", "unsafe", "na", "na"]
    examples = [Example(f"response {at}", label, 9 if at == 8 else 1) for at, label in enumerate(labels)]
    found = measure(examples, read, [0.8] * 10, ["safe", "unsafe", "na"])
    assert (found.accuracy, found.right, found.responses) == (0.9, 9, 10)
    # Clopper and Pearson's interval of 9 of 10, as in their tables.
    assert found.interval == pytest.approx((0.5550, 0.9975), abs=5e-5)
    assert found.rows_accuracy == 0.5
    assert found.commonest == 0.6
    # One bin: sure by 0.8, right in 0.9.
    assert found.calibration[0] == pytest.approx(0.1)
    assert found.confusion == {
        "safe": {"safe": 6, "unsafe": 0, "na": 0},
        "unsafe": {"safe": 0, "unsafe": 2, "na": 1},
        "na": {"safe": 0, "unsafe": 0, "na": 1},
    }
