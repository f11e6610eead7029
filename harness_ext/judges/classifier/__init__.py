"""Judges that are text classifiers: the paper's own, and those that ``unsafeconcepts train-judge`` makes.

``text_classifier`` loads a checkpoint and reads its labels; ``judge`` turns them into verdicts. ``paper`` keeps the authors'
checkpoints, which are pickles that ``pickled`` reads, as safetensors, and is the judge of them. For ``train-judge``,
``examples`` reads labelled responses, ``start`` loads what is trained, ``train`` trains it and writes the folder, and
``measures`` says how good it is.
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

from harness_ext.benchmark.questions import LETTERS
from harness_ext.records import NA, Verdict

# The kind of question; a classifier reads answers to one of them.
Kind = Literal["alignment", "perception"]

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
# In the order of the classes of the authors' two classifiers.
LABELS: Final[Mapping[Kind, tuple[str, ...]]] = {"alignment": VERDICTS, "perception": (*LETTERS, NA)}
