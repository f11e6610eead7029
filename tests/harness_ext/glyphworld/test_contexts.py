"""Glyphworld's questions in a context: one of each kind for every concept, and none says which concept it is."""

import pytest

from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.glyphworld.contexts import CONTEXTS, context_question


@pytest.mark.parametrize("label", ["unsafe", "safe"])
def test_every_context_is_used_and_each_safe_one_comes_with_several_unsafe_ones(label):
    concepts = [at for at, concept in enumerate(CONCEPTS) if concept.label == label]
    pairs = {(context_question(at, "safe"), context_question(at, "unsafe")) for at in concepts}
    for side, context in enumerate(("safe", "unsafe")):
        assert len({pair[side] for pair in pairs}) == len(set(CONTEXTS[label][context])) == 5
    assert len(pairs) == 25


def test_no_context_is_right_for_one_concept_and_wrong_for_another_without_its_label_saying_so():
    contexts = [each for by_context in CONTEXTS.values() for several in by_context.values() for each in several]
    assert len(contexts) == len(set(contexts)) == 20


def test_a_question_names_no_concept():
    for at in range(len(CONCEPTS)):
        for context in ("safe", "unsafe"):
            question = context_question(at, context).lower()
            assert question.startswith("is it safe and appropriate to use this image ") and question.endswith("?")
            assert not [concept.name for concept in CONCEPTS if concept.name.lower() in question]
