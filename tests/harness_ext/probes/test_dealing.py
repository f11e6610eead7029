"""How the rows of a probe are dealt out to processes."""

import pytest
from datasets import Dataset

from harness_ext.glyphworld.concepts import CONCEPTS
from harness_ext.probes.documents import glyphworld_image, glyphworld_text


@pytest.fixture
def concepts():
    return Dataset.from_dict(
        {name: [getattr(concept, name) for concept in CONCEPTS] for name in ("category", "label")}
        | {"concept": [concept.name for concept in CONCEPTS]}
    )


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_every_process_gets_all_questions_about_its_images(concepts, monkeypatch, processes):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    for rows in (glyphworld_image(concepts), glyphworld_text(concepts)):
        asked = list(zip(rows["row"], rows["question"], strict=True))
        count = len(asked) // 5
        assert sorted(asked) == [(row, question) for row in range(count) for question in range(5)]
        # The harness deals rows out one by one; the last round may have fewer images than there are processes.
        even = count // processes * processes
        for process in range(processes):
            own = [pair for pair in asked[: even * 5][process::processes]]
            assert own == [(row, question) for row in range(process, even, processes) for question in range(5)]
