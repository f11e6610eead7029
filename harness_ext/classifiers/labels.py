"""What a text classifier can read in an answer, by the kind of question that was asked."""

from collections.abc import Mapping
from typing import Final, Literal, get_args

from harness_ext.benchmark.questions import LETTERS
from harness_ext.judges.protocol import Verdict
from harness_ext.metrics.records import NA

Kind = Literal["alignment", "perception"]

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
# In the order of the classes of the authors' two classifiers.
LABELS: Final[Mapping[Kind, tuple[str, ...]]] = {"alignment": VERDICTS, "perception": (*LETTERS, NA)}
