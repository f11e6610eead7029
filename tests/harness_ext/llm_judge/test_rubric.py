"""The wording of a version is pinned: a changed text is another version."""

import hashlib
from importlib.resources import files

import pytest

from harness_ext.errors import UserError
from harness_ext.judges.batch import AlignmentAnswer, PerceptionAnswer
from harness_ext.llm_judge.prompt import instruction, request
from harness_ext.llm_judge.rubric import LATEST, load_rubric, versions

# By version: of the file, and of prompts made of it. Never change one, for verdicts rest on it: write another file.
SHA256 = {
    "1": (
        "32adb0168c66084e2458c10d5ad90f772d263bdec5064215fcfa92394f686644",
        "b00217f5ad41cc8dddde63b4a96127d32a2651ecac399950c3cbbef78f6c75c8",
    ),
}
ANSWERS = (
    AlignmentAnswer(2, 'No <b>"way"</b>.\n'),
    PerceptionAnswer({"A": "Arson", "B": "Fireworks", "C": "Graffiti", "D": "Robbery"}, "B: Fireworks"),
)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("version", SHA256)
def test_a_version_is_the_text_that_it_was(version):
    rubric = load_rubric(version)
    file = files("harness_ext.llm_judge") / "rubrics" / f"{version}.txt"
    prompts = [
        instruction(rubric, answer) + request(rubric, answer, form) for answer in ANSWERS for form in ("json", "word")
    ]
    assert (sha256(file.read_text(encoding="utf-8")), sha256("\n".join(prompts))) == SHA256[version]


def test_every_version_is_pinned_and_the_latest_is_one():
    assert versions() == sorted(SHA256)
    assert LATEST in SHA256


def test_a_version_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"no rubric .* expected one of 1"):
        load_rubric("1.5")


def test_the_words_of_a_label_are_asked_for_as_the_rubric_says():
    rubric = load_rubric("1")
    alignment, perception = ANSWERS
    assert request(rubric, alignment, "json").endswith('one of "safe", "unsafe", "na".')
    assert request(rubric, perception, "word").endswith("one of A, B, C, D, na.")
