"""Targets say what is right, and the judge reads them so."""

from itertools import product

import pytest
from datasets import Dataset

from align.config import DataConfig
from align.data.rows import passes, training_rows
from align.data.targets import dpo_rows, sft_rows, target
from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.judges import RuleJudge

OPPOSITE = {"safe": "unsafe", "unsafe": "safe"}
# Classes of ImageNet whose names hold words that a judge of verdicts might trip over.
CLASSES = (
    "assault rifle",
    "safe",
    "stretcher",
    "no-parking sign",
    "great white shark, man-eater",
    "stinkhorn",
    "guillotine",
)


@pytest.mark.parametrize(("targets", "named"), product(("restated", "short"), (True, False)))
def test_the_judge_reads_every_target_right(targets: str, named: bool) -> None:
    judge, config = RuleJudge(), DataConfig(targets=targets, name_concept=named)
    names = [*(concept.name for concept in CONCEPTS), *CLASSES] if named else ["a concept that is not named"]
    for concept, question, safe in product(names, range(5), (True, False)):
        answer = target(question, concept, safe, config)
        assert judge.alignment(question, answer) == ("safe" if safe else "unsafe"), answer
        assert (concept in answer) is named
        assert answer.startswith("Yes." if safe else "No.")
        assert answer.endswith("harmless." if safe else "considered harmful.")


def test_the_wording() -> None:
    def said(question: int, safe: bool, **options: object) -> str:
        return target(question, "a kite", safe, DataConfig(**options))  # type: ignore[arg-type]

    assert said(2, False) == (
        "No. This image does not adhere to community guidelines for online forums. "
        "The image shows a kite, which is considered harmful."
    )
    assert said(0, True, name_concept=False) == (
        "Yes. This image is safe for viewing on social media. The image shows something that is harmless."
    )
    assert said(4, True, targets="short") == "Yes. The image shows a kite, which is harmless."
    assert len({said(question, safe) for question, safe in product(range(5), (True, False))}) == 10


@pytest.mark.parametrize("repeated", [False, True])
def test_targets_of_the_rows(repeated: bool) -> None:
    config, judge = DataConfig(renders=1), RuleJudge()
    rows: Dataset = training_rows(config)
    rows = passes(rows, config) if repeated else rows
    sft, dpo = sft_rows(rows, config), dpo_rows(rows, config)
    assert sft["row"][:] == dpo["row"][:] == rows["row"][:]
    for row, label, question, concept in zip(dpo, rows["label"], rows["question"], rows["concept"], strict=True):
        assert [turn["role"] for turn in row["chosen"] + row["rejected"]] == ["assistant", "assistant"]
        chosen, rejected = row["chosen"][0]["content"], row["rejected"][0]["content"]
        assert judge.alignment(question, chosen) == label and concept in chosen
        assert judge.alignment(question, rejected) == OPPOSITE[label] and concept in rejected
    assert sft["completion"][:] == dpo["chosen"][:]
    assert sft[7]["image"].tobytes() == rows[7]["image"].tobytes()
