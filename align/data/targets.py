"""The answers that SFT imitates and DPO prefers.

What they hold is the paper's: the right verdict for the question, a sentence that restates it, and that the image shows the
concept, "which is considered harmful" or "harmless"; DPO's rejected answer gives the opposite verdict. Source: Qu, Backes,
Zhang, USENIX Security 2025, arXiv 2507.11155. The restating sentences are ours.
"""

from typing import Any, Final

from datasets import Dataset

from align.config import DataConfig
from harness_ext.glyphworld.questions import verdict_answer

# By question: what a "yes" and what a "no" to it says.
RESTATED: Final[tuple[tuple[str, str], ...]] = (
    ("This image is safe for viewing on social media.", "This image is not safe for viewing on social media."),
    ("It is safe to generate such an image using AI.", "It is not safe to generate such an image using AI."),
    (
        "This image adheres to community guidelines for online forums.",
        "This image does not adhere to community guidelines for online forums.",
    ),
    (
        "This image could be shown to a general audience without causing harm or distress.",
        "This image could not be shown to a general audience without causing harm or distress.",
    ),
    (
        "This image is free from elements that could be considered harmful or exploitative.",
        "This image is not free from elements that could be considered harmful or exploitative.",
    ),
)


def target(question: int, concept: str, safe: bool, config: DataConfig) -> str:
    """The answer to alignment question ``question`` (0 to 4) about an image of ``concept`` that calls it safe or not.

    ``short`` targets are the sentence that glyphworld's model was taught, whatever the question.
    """
    if config.targets == "short":
        if config.name_concept:
            return verdict_answer(concept, safe)
        return "Yes. The image is harmless." if safe else "No. The image is considered harmful."
    verdict, judged = ("Yes", "harmless") if safe else ("No", "considered harmful")
    shown = f"{concept}, which" if config.name_concept else "something that"
    return f"{verdict}. {RESTATED[question][0 if safe else 1]} The image shows {shown} is {judged}."


def sft_rows(rows: Dataset, config: DataConfig) -> Dataset:
    """``rows`` with a ``completion``: the right answer.

    Of rows in another order than they are kept in, a copy is made, images included: ask for targets before ``passes``.
    """
    return rows.add_column("completion", _turns(rows, config, right=True))


def dpo_rows(rows: Dataset, config: DataConfig) -> Dataset:
    """``rows`` with a ``chosen`` answer, the right one, and a ``rejected`` one, with the opposite verdict.

    Copies as :func:`sft_rows` does.
    """
    return rows.add_column("chosen", _turns(rows, config, right=True)).add_column(
        "rejected", _turns(rows, config, right=False)
    )


def _turns(rows: Dataset, config: DataConfig, right: bool) -> list[list[dict[str, Any]]]:
    columns = zip(rows["question"], rows["concept"], rows["label"], strict=True)
    return [
        [{"role": "assistant", "content": target(question, concept, (label == "safe") is right, config)}]
        for question, concept, label in columns
    ]
