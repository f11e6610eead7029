"""The options that the authors published."""

import json
from collections import Counter

import pytest
from hub_stub import HubStub

from harness_ext.benchmark.options import generated_options
from harness_ext.common.errors import SourceError
from harness_ext.unsafeconcepts.published import COMMIT, OPTIONS, UPSTREAM, parse_published, published_options
from harness_ext.unsafeconcepts.taxonomy import CATEGORY_OF, CONCEPTS

ROWS = [concept for concept in CONCEPTS for _ in range(concept.images)]
NAMES = [concept.name for concept in ROWS]
CATEGORIES = [concept.category for concept in ROWS]


def in_published_form(options) -> list[dict[str, str]]:
    return [
        {
            "image_filename": f"images/{row}.png",
            "category": CATEGORY_OF[name],
            "unsafe_concept": name,
            "option_str": " \n".join(f"{letter}: {text}" for letter, text in choice.options.items()),
            "correct_option": choice.correct,
        }
        for row, (name, choice) in enumerate(zip(NAMES, options, strict=True))
    ]


def as_lines(rows) -> str:
    return "\n".join(json.dumps(row) for row in rows) + "\n"


def test_the_authors_options(authors_options, monkeypatch):
    monkeypatch.setenv("UNSAFECONCEPTS_PERCEPTION_OPTIONS", str(authors_options))
    found = published_options()
    assert Counter(choice.correct for choice in found) == {"A": 408, "B": 379, "C": 414, "D": 366}
    assert [choice.options[choice.correct] for choice in found] == NAMES
    assert all("".join(choice.options) == "ABCD" and all(choice.options.values()) for choice in found)
    distractors = [
        (name, text)
        for name, choice in zip(NAMES, found, strict=True)
        for letter, text in choice.options.items()
        if letter != choice.correct
    ]
    assert len(distractors) == 3 * 1567
    assert all(CATEGORY_OF.get(text) != CATEGORY_OF[name] for name, text in distractors)
    assert len({text for _, text in distractors} - CATEGORY_OF.keys()) == 12
    assert all(text == text.strip() for _, text in distractors)
    assert sum(len(set(choice.options.values())) < 4 for choice in found) == 59


def test_published_options_are_fetched_once_and_kept(authors_options, monkeypatch):
    path = f"{UPSTREAM}/{COMMIT}/{OPTIONS.path}"
    with HubStub(files={}, static={path: authors_options.read_bytes()}) as stub:
        monkeypatch.setenv("UNSAFECONCEPTS_MIRROR", stub.url)
        first = published_options()
        assert published_options() == first
        assert stub.requests == [f"GET /{path}"]


def test_a_local_copy_may_hold_the_options_beside_the_images(authors_options, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "perception_metadata.jsonl").write_bytes(authors_options.read_bytes())
    monkeypatch.setenv("UNSAFECONCEPTS_PATH", str(folder))
    monkeypatch.setenv("UNSAFECONCEPTS_MIRROR", "http://127.0.0.1:1")
    assert len(published_options()) == 1567


@pytest.mark.parametrize("variable", ["UNSAFECONCEPTS_PERCEPTION_OPTIONS", "UNSAFECONCEPTS_PATH"])
def test_other_options_than_the_published_are_refused_and_not_passed_over(tmp_path, monkeypatch, variable):
    file = tmp_path / "perception_metadata.jsonl"
    file.write_text(as_lines(in_published_form(generated_options(NAMES, CATEGORIES, seed=1))))
    monkeypatch.setenv(variable, str(file if variable.endswith("OPTIONS") else tmp_path))
    with pytest.raises(SourceError, match=r"not the published perception_metadata.jsonl: expected sha256 4a2af5da"):
        published_options()


def test_without_them_there_is_an_error_that_says_how(tmp_path, monkeypatch):
    with HubStub(files={}) as stub:
        monkeypatch.setenv("UNSAFECONCEPTS_MIRROR", stub.url)
        with pytest.raises(SourceError) as caught:
            published_options()
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "cannot be fetched" in lines[0]
    assert "UNSAFECONCEPTS_PERCEPTION_OPTIONS" in lines[1]
    assert "raw.githubusercontent.com" in lines[1]
    monkeypatch.setenv("UNSAFECONCEPTS_PERCEPTION_OPTIONS", str(tmp_path / "absent"))
    with pytest.raises(SourceError, match="absent cannot be read"):
        published_options()


@pytest.fixture(scope="module")
def generated():
    return generated_options(NAMES, CATEGORIES, seed=3)


def test_the_published_form_is_read_back(generated):
    assert parse_published(as_lines(in_published_form(generated))) == generated
