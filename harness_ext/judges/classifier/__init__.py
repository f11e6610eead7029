"""Judges that are text classifiers: the paper's own, and those that ``unsafeconcepts train-judge`` makes.

``text_classifier`` loads a checkpoint and reads its labels; ``judge`` turns them into verdicts. ``paper`` converts the
authors' pickles into such checkpoints. For ``train-judge``, ``examples`` divides labelled responses and ``train`` trains on
them; ``measures`` says how well the result reads.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from harness_ext.benchmark.questions import LETTERS
from harness_ext.records import NA, Verdict

# The kind of question; a classifier reads answers to one of them.
Kind = Literal["alignment", "perception"]

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
# In the order of the classes of the authors' two classifiers.
LABELS: Final[Mapping[Kind, tuple[str, ...]]] = {"alignment": VERDICTS, "perception": (*LETTERS, NA)}


def named_labels(kind: Kind) -> dict[str, Any]:
    """The labels of ``kind`` as a configuration of transformers has them."""
    labels = dict(enumerate(LABELS[kind]))
    return {"id2label": labels, "label2id": {label: at for at, label in labels.items()}}
