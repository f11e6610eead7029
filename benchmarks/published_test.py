"""Whether our TEST, SMID, NSFW and contexts ask what the authors asked: our pairs of image and question beside theirs.

    python benchmarks/published_test.py OUTPUTS

``OUTPUTS`` is the folder ``outputs`` of github.com/TrustAIRLab/SaferVLM at commit 4246835 (``git clone``, ``git checkout
4246835``). Needs no images. The context questions are fetched, or read from what ``UNSAFECONCEPTS_CONTEXT_QUESTIONS``
names. The published names of safe images skip a few numbers, so the k-th of the 1,800 rows has a number up to 6 higher; of
them the order is compared. Exits with 1 where something differs.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.benchmark.splits import drawn_questions, safe_split, unsafe_split
from harness_ext.benchmark.taxonomy import CONCEPTS
from harness_ext.common.errors import UserError, exit_status
from harness_ext.sources.published import published_contexts

_MOST_SKIPPED = 6
_SOME = 500
Pairs = list[tuple[int, str]]


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each published file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", type=Path, help="the authors' folder outputs at commit 4246835")
    outputs: Path = parser.parse_args(argv).outputs
    return exit_status("published_test", lambda: _run(outputs))


def _run(outputs: Path) -> None:
    lines = [line for pattern, check in CHECKS.items() for line in _checked(outputs, pattern, check)]
    if not lines:
        raise UserError(f"{outputs}: expected METHOD/UnsafeConcepts_TEST_result.json and others, found none")
    print("\n".join(text for text, _ in lines))
    if wrong := sum(not same for _, same in lines):
        raise UserError(f"{wrong} of {len(lines)} published files ask about other pairs")


def _checked(outputs: Path, pattern: str, check: Callable[[Pairs], Iterator[bool]]) -> Iterator[tuple[str, bool]]:
    for path in sorted(outputs.glob(pattern)):
        found = list(check(_pairs(path)))
        yield f"{path.relative_to(outputs)}: {sum(found)} of {len(found)} pairs are ours", all(found)


def _pairs(path: Path) -> Pairs:
    """The number in an image's name and the question, in the file's order."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [(int(re.findall(r"(\d+)\.\w+$", row["image_fname"])[0]), row["prompt"]) for row in rows]


def _test(pairs: Pairs) -> Iterator[bool]:
    unsafe, safe = unsafe_split().test, safe_split().test
    numbers = [number for number, _ in pairs]
    # By rank: what the numbers skip does not change the order.
    rank, published_rank = (sorted(each).index for each in (safe, numbers[len(unsafe) :]))
    same = [row == number for row, number in zip(unsafe, numbers, strict=False)]
    for row, number in zip(safe, numbers[len(unsafe) :], strict=True):
        same.append(rank(row) == published_rank(number) and 0 <= number - row <= _MOST_SKIPPED)
    for of_image, (_, prompt), question in zip(same, pairs, drawn_questions(len(same)), strict=True):
        yield of_image and prompt == IMAGE_QUESTIONS[question]


def _other(pairs: Pairs) -> Iterator[bool]:
    # Two methods were asked about 500 images in an order of their own: there only the questions, drawn by place, compare.
    whole = len(pairs) != _SOME
    for at, ((number, prompt), question) in enumerate(zip(pairs, drawn_questions(len(pairs)), strict=True)):
        yield prompt == IMAGE_QUESTIONS[question] and (number == at or not whole)


def _context(context: str) -> Callable[[Pairs], Iterator[bool]]:
    def check(pairs: Pairs) -> Iterator[bool]:
        concepts = [concept.name for concept in CONCEPTS for _ in range(concept.images)]
        asked = published_contexts()
        for row, (number, prompt) in zip(sorted(unsafe_split().test), pairs, strict=True):
            yield number == row and prompt == getattr(asked[concepts[row]], context)

    return check


CHECKS = {
    "*/UnsafeConcepts_TEST_result.json": _test,
    "*/SMID_result.json": _other,
    "*/NSFW_result.json": _other,
    "*_contexts/context_safe_result.json": _context("safe"),
    "*_contexts/context_unsafe_result.json": _context("unsafe"),
}


if __name__ == "__main__":
    sys.exit(main())
