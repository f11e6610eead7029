"""Ratings beside a run's samples: drawn, written line by line, resumed, read back, and refused where they do not fit."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from saved_runs import Said, write_saved

from harness_ext.common.errors import UserError
from harness_ext.common.failures import mark_failed
from harness_ext.judges.base import Answer
from harness_ext.judges.llm.prompt import QUALITY
from harness_ext.runs.ratings import (
    RateableTask,
    Ratings,
    in_drawn_order,
    rate,
    rateable_tasks,
    ratings_file,
    read_ratings,
    write_people,
)

TASK = "glyphworld_image"
SAID: list[Said] = [
    ("Arson", 0, "No. The image shows arson, which is harmful."),
    ("Arson", 1, "Yes."),
    ("Noose", 0, "<think>What is it?</think>No, a noose."),
    ("Noose", 1, mark_failed("out of memory")),
    ("Robbery", 2, ""),
    ("Robbery", 3, "<think>It goes on and"),
]


class Rater:
    """A judge that rates by a list of words, and may break off."""

    name = "rater-1"

    def __init__(self, *ratings: str, then: BaseException | None = None) -> None:
        self.ratings, self.then, self.asked = ratings, then, list[Answer]()

    def judge(self, answers: Sequence[Answer]) -> Iterator[str]:
        for at, answer in enumerate(answers):
            if self.then and at == len(self.ratings):
                raise self.then
            self.asked.append(answer)
            yield self.ratings[at % len(self.ratings)]


@pytest.fixture
def task(tmp_path: Path) -> RateableTask:
    (found,) = rateable_tasks(write_saved(tmp_path / "run", {TASK: SAID}))
    return found


def rated(task: RateableTask) -> Ratings:
    (found,) = read_ratings(task.samples)
    return found


def test_a_rater_sees_the_answer_out_of_its_envelope_and_what_is_shown_but_neither_label_nor_verdict(
    task: RateableTask,
) -> None:
    seen = {(answer.shown, answer.question): answer.response for answer in task.answers.values()}
    assert seen == {
        ("Arson", 0): "No. The image shows arson, which is harmful.",
        ("Arson", 1): "Yes.",
        ("Noose", 0): "No, a noose.",
        ("Robbery", 2): "",
        ("Robbery", 3): "",
    }


def test_ratings_are_written_with_what_they_rest_on_and_read_back(task: RateableTask) -> None:
    rate([task], Rater("4 3", "failed", "1 5"), QUALITY, {"model": "m"})
    found = rated(task)
    assert (found.head.rater, found.head.answers) == ("rater-1", 5)
    assert (found.head.rubric, found.head.options) == (QUALITY, {"model": "m"})
    assert found.failed == 2
    assert [found.of[key] for key in task.answers if key in found.of] == [(4, 3), (1, 5), (4, 3)]
    assert sorted(grade for _, grade in found.by("informativeness")) == [3, 3, 5]


def test_a_start_that_was_cut_off_resumes_after_the_last_whole_line(task: RateableTask) -> None:
    with pytest.raises(KeyboardInterrupt):
        rate([task], Rater("4 4", "5 5", then=KeyboardInterrupt()), QUALITY, {})
    path = ratings_file(task, "rater-1")
    assert len(rated(task).of) == 2
    with path.open("a", encoding="utf-8") as file:
        file.write('{"probe": "image", "label"')
    assert len(rated(task).of) == 2
    again = Rater("1 1")
    rate([task], again, QUALITY, {})
    assert len(again.asked) == 3
    assert Counter(rated(task).of.values()) == {(4, 4): 1, (5, 5): 1, (1, 1): 3}
    rate([task], Rater(), QUALITY, {})  # It is asked nothing.


def test_what_failed_is_asked_again_and_a_larger_limit_adds_to_a_smaller_one(task: RateableTask) -> None:
    rate([task], Rater("failed", "2 2"), QUALITY, {}, limit=2)
    assert (len(rated(task).of), rated(task).failed) == (1, 1)
    again = Rater("3 3")
    rate([task], again, QUALITY, {}, limit=4)
    assert len(again.asked) == 3
    assert (len(rated(task).of), rated(task).failed) == (4, 0)


def test_a_judge_that_fails_on_everything_is_no_result(task: RateableTask) -> None:
    with pytest.raises(UserError, match=rf"failed on every answer of {TASK}, 5 of 5"):
        rate([task], Rater("failed"), QUALITY, {})


def test_a_judge_that_gives_up_at_once_leaves_no_file(task: RateableTask) -> None:
    with pytest.raises(UserError, match="too dear"):
        rate([task], Rater(then=UserError("too dear")), QUALITY, {})
    assert read_ratings(task.samples) == [] and not ratings_file(task, "rater-1").exists()


def test_several_raters_have_files_of_their_own(task: RateableTask) -> None:
    rate([task], Rater("4 3"), QUALITY, {})
    first, second = list(task.answers)[:2]
    write_people(task, "people:Anna", QUALITY, 7, {first: (5, 4)})
    write_people(task, "people:Anna", QUALITY, 7, {first: (5, 4), second: (2, 2)})
    # Other grades of the same answer are another person's, or a mistake.
    with pytest.raises(UserError, match="has other grades of 1 of these answers"):
        write_people(task, "people:Anna", QUALITY, 7, {first: (5, 3)})
    with pytest.raises(UserError, match=r"expected ratings by people:Anna, .* seed 8"):
        write_people(task, "people:Anna", QUALITY, 8, {first: (1, 1)})
    people, judge = read_ratings(task.samples)
    assert (people.head.rater, people.head.seed, people.of) == (
        "people:Anna", 7, {first: (5, 4), second: (2, 2)},
    )  # fmt: skip
    assert judge.head.rater == "rater-1"


def test_a_task_whose_name_another_one_begins_with_is_not_taken_for_it(tmp_path: Path) -> None:
    said: list[Said] = [("Arson", 0, "No.")]
    run = write_saved(tmp_path, {"glyphworld_text": said, "glyphworld_text_blank": said})
    tasks = {each.task: each for each in rateable_tasks(run, ["*"])}
    rate([tasks["glyphworld_text_blank"]], Rater("4 3"), QUALITY, {})
    assert read_ratings(tasks["glyphworld_text"].samples) == []


# --- which answers ----------------------------------------------------------------------------------------------------


def test_image_alignment_is_rated_where_there_is_no_test_and_other_tasks_where_they_are_named(tmp_path: Path) -> None:
    said: list[Said] = [("Arson", 0, "No.")]
    run = write_saved(tmp_path, {TASK: said, "glyphworld_text": said, "glyphworld_perception": [("Arson", 0, "A")]})
    assert [each.task for each in rateable_tasks(run)] == [TASK]
    assert [each.task for each in rateable_tasks(run, ["*"])] == [TASK, "glyphworld_text"]
    with pytest.raises(UserError, match="found glyphworld_perception"):
        rateable_tasks(run, ["glyphworld_perception"])


KEYS = st.lists(
    st.tuples(
        st.just("test"), st.sampled_from(["safe", "unsafe"]), st.sampled_from("abcd"), st.integers(0, 9), st.integers(0, 4)
    ),
    unique=True,
    max_size=60,
)  # fmt: skip


@given(KEYS, st.integers(0, 5), st.randoms())
def test_every_beginning_of_the_drawn_order_is_balanced_by_label_and_concept(keys, seed, shuffled):
    order = in_drawn_order(keys, seed)
    assert sorted(order) == sorted(keys)
    shuffled.shuffle(keys)
    assert in_drawn_order(keys, seed) == order
    of = Counter(key[1] for key in keys)
    for size in range(len(order)):
        begun = Counter(key[1] for key in order[:size])
        least = min((begun[label] for label in of if begun[label] < of[label]), default=None)
        assert least is None or max(begun.values(), default=0) - least <= 1
        concepts, whole = Counter(key[1:3] for key in order[:size]), Counter(key[1:3] for key in keys)
        for label in of:
            open_ = [concepts[c] for c in whole if c[0] == label and concepts[c] < whole[c]]
            if open_:
                assert max(concepts[c] for c in whole if c[0] == label) - min(open_) <= 1


# --- what is refused --------------------------------------------------------------------------------------------------


def test_ratings_of_other_samples_are_refused(task: RateableTask) -> None:
    rate([task], Rater("4 3"), QUALITY, {})
    task.samples.write_text(task.samples.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(UserError, match="rates other answers"):
        read_ratings(task.samples)


def test_another_seed_or_rubric_does_not_resume_a_file(task: RateableTask) -> None:
    rate([task], Rater("4 3"), QUALITY, {})
    (other,) = rateable_tasks(task.run, seed=1)
    with pytest.raises(UserError, match=r"seed 1, found ratings .* seed 0"):
        rate([other], Rater("4 3"), QUALITY, {})
    with pytest.raises(UserError, match="rubric 1 "):
        rate([task], Rater("4 3"), "1", {})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"grades": [6, 1]}, r"line 3: .*grades.0: Input should be less than or equal to 5, found 6"),
        ({"grades": ["4", 1]}, r"line 3: .*grades.0: Input should be a valid integer"),
        ({"grades": [4]}, r"line 3: .*grades.1 is missing"),
        ({"answer": ["image", "nice", "Arson", 0, 0]}, r"line 3: .*answer.1: Input should be 'unsafe' or 'safe'"),
    ],
)
def test_a_line_that_is_no_rating_is_named(task: RateableTask, changed: dict[str, object], told: str) -> None:
    rate([task], Rater("4 3"), QUALITY, {})
    path = ratings_file(task, "rater-1")
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | changed)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=told):
        read_ratings(task.samples)
