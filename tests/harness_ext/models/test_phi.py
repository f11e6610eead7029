"""What Phi-4-multimodal needs beyond other families: it would answer without, and wrongly."""

import json

import pytest
from asking import ask, picture
from tiny_vlms import FAMILIES, PROMPTS

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.models.hf import HuggingFaceVLM

PROMPT = [(picture(0), question) for question in IMAGE_QUESTIONS[:3]]


@pytest.fixture
def folder(tmp_path):
    FAMILIES["phi4_multimodal"](tmp_path)
    return tmp_path


def answers(folder, **options):
    options = {"dtype": "float32", "device": "cpu", "prompt": PROMPTS["phi4_multimodal"], **options}
    return ask(HuggingFaceVLM(str(folder), **({"share_prefix": True} | options)), PROMPT)


def test_its_vision_tower_sees_the_whole_image(folder):
    """Eager attention has no flag that could make it causal."""
    assert answers(folder) == answers(folder, attn_implementation="eager")


def test_answers_across_the_change_of_its_rotary_positions_are_those_of_asking_alone(folder):
    file = folder / "config.json"
    config = json.loads(file.read_text())
    # One prompt is longer, and the answers to the others go beyond it.
    config["rope_parameters"]["original_max_position_embeddings"] = 570
    file.write_text(json.dumps(config | {"original_max_position_embeddings": 570}))
    assert answers(folder) == answers(folder, share_prefix=False)
