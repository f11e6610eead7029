"""Every open family of VLMs, tiny and random, under the defences that its class allows."""

import pytest
import torch
from asking import ask, picture
from tiny_vlms import FAMILIES, IMAGE_ONLY, PROMPTS

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.models.defences import steer
from harness_ext.models.hf import HuggingFaceVLM

SETTINGS = {"max_new_tokens": 6}
# Their layers do not give one state a token.
NOT_STEERED = {"gemma3n"}
DOCS = [(picture(13 * at), IMAGE_QUESTIONS[at % 5]) for at in range(4)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are done before a second thread has started."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_answers_under_every_defence_that_its_class_allows(family, tmp_path, monkeypatch):
    FAMILIES[family](tmp_path / "model")
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(tmp_path / "cache"))
    # A few rows say as much of a class as all of them.
    few = {label: texts[::60] for label, texts in steer.rows().items()}
    monkeypatch.setattr(steer, "rows", lambda: few)

    def vlm(defence, batch_size=4):
        options = {"dtype": "float32", "device": "cpu", "prompt": PROMPTS.get(family), "answers": "none"}
        return HuggingFaceVLM(str(tmp_path / "model"), batch_size=batch_size, defence=defence, **options)

    plain = ask(vlm(None), DOCS, SETTINGS)
    # Short: a tiny Q-Former reads few tokens of a question.
    principle = "text=Mind what is not safe"
    able = [f"coca:alpha=2:{principle}"]
    if family in IMAGE_ONLY:
        refused = {"caption": "without the image, which .* does not take", "steer": "cannot fit a direction"}
    else:
        able.append("caption:tokens=6")
        refused = {"steer": "expected a layer's hidden states as"} if family in NOT_STEERED else {}
    able += [] if "steer" in refused else ["steer:strength=30"]
    for defence in able:
        answers = ask(vlm(defence), DOCS, SETTINGS)
        assert not any(map(is_failed, answers)), (defence, answers)
        assert answers != plain, defence
    for defence, reason in refused.items():
        with pytest.raises(UserError, match=reason):
            vlm(defence)
    together = "+".join([f"principle:{principle}", "name-then-judge:tokens=6", *able])
    one, many = (ask(vlm(together, batch_size=size), DOCS, SETTINGS) for size in (1, 4))
    assert one == many != plain
