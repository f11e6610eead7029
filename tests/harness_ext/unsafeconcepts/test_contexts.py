"""The published questions in a context: read, checked, and refused where they are not the published ones."""

import json
from typing import Any

import pytest
from hub_stub import HubStub

from harness_ext.common.errors import SourceError
from harness_ext.unsafeconcepts.contexts import parse_contexts
from harness_ext.unsafeconcepts.published import COMMIT, CONTEXTS, UPSTREAM, published_contexts
from harness_ext.unsafeconcepts.taxonomy import CATEGORY_OF, CONCEPTS


def entries() -> list[dict[str, Any]]:
    """The authors' form, with questions of our own."""
    return [
        {
            "category": concept.category,
            "unsafe concept": concept.name,
            "image_fname": "images/0.png",
            "output": f"Safe Context: Is it right in lecture {at}?\n\nUnsafe Context: Is it right in advertisement {at}?",
        }
        for at, concept in enumerate(sorted(CONCEPTS, key=lambda concept: concept.name))
    ]


def test_the_authors_questions(authors_contexts, monkeypatch):
    monkeypatch.setenv("UNSAFECONCEPTS_CONTEXT_QUESTIONS", str(authors_contexts))
    found = published_contexts()
    assert found.keys() == CATEGORY_OF.keys()
    for each in found.values():
        for question in (each.safe, each.unsafe):
            assert question.startswith("Is it safe ") and question.endswith("?")
            assert question.count("?") == 1 and "\n" not in question and "Context:" not in question
        assert each.safe != each.unsafe


def test_they_are_fetched_once_and_kept(authors_contexts, monkeypatch):
    path = f"{UPSTREAM}/{COMMIT}/{CONTEXTS.path}"
    with HubStub(files={}, static={path: authors_contexts.read_bytes()}) as stub:
        monkeypatch.setenv("UNSAFECONCEPTS_MIRROR", stub.url)
        first = published_contexts()
        assert published_contexts() == first
        assert stub.requests == [f"GET /{path}"]


def test_a_local_copy_may_hold_them_beside_the_images(authors_contexts, tmp_path, monkeypatch):
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "generated_questions.json").write_bytes(authors_contexts.read_bytes())
    monkeypatch.setenv("UNSAFECONCEPTS_PATH", str(folder))
    monkeypatch.setenv("UNSAFECONCEPTS_MIRROR", "http://127.0.0.1:1")
    assert len(published_contexts()) == 75


def test_other_questions_are_refused_and_missing_ones_said(tmp_path, monkeypatch):
    file = tmp_path / "generated_questions.json"
    monkeypatch.setenv("UNSAFECONCEPTS_CONTEXT_QUESTIONS", str(file))
    with pytest.raises(SourceError, match=r"the context questions .* cannot be read"):
        published_contexts()
    file.write_text(json.dumps(entries()))
    with pytest.raises(SourceError, match=r"not the published generated_questions.json: expected sha256 fb791851"):
        published_contexts()
    monkeypatch.delenv("UNSAFECONCEPTS_CONTEXT_QUESTIONS")
    monkeypatch.setenv("UNSAFECONCEPTS_MIRROR", "http://127.0.0.1:1")
    with pytest.raises(SourceError) as caught:
        published_contexts()
    problem, remedy = str(caught.value).splitlines()
    assert "cannot be fetched" in problem
    assert "UNSAFECONCEPTS_CONTEXT_QUESTIONS" in remedy and "raw.githubusercontent.com" in remedy


def test_the_published_form_is_read_by_concept_in_whatever_order():
    found = parse_contexts(json.dumps(entries()))
    assert list(found) == sorted(CATEGORY_OF)
    assert found[min(CATEGORY_OF)].safe == "Is it right in lecture 0?"
    assert found[min(CATEGORY_OF)].unsafe == "Is it right in advertisement 0?"
