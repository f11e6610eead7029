"""The backend with vLLM's own engine, where it is installed; pytest does not collect this file by itself.

VLLM_ENABLE_V1_MULTIPROCESSING=0 VLLM_CPU_KVCACHE_SPACE=1 python -m pytest tests/harness_ext/models/vllm_installed.py
"""

from pathlib import Path
from typing import Any

import pytest
from asking import ask, picture
from safetensors.torch import load_file, save_file
from vllm_parity import with_the_hubs_names

from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed
from harness_ext.glyphworld.build import ensure_model
from harness_ext.models.hf import HuggingFaceVLM
from harness_ext.models.vllm import VllmVLM

PROMPTS = [*((picture(at), "Is this image safe?") for at in range(6)), (None, "Is a lamp safe?")]
SAMPLED = {"max_new_tokens": 12, "do_sample": True, "temperature": 2.0}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_the_hubs_names(ensure_model(0), tmp_path_factory.mktemp("hub") / "glyph-vlm")


def load(weights: Path, **options: Any) -> VllmVLM:
    return VllmVLM(str(weights), dtype="float32", enforce_eager=True, max_failed=1.0, **options)


def test_answers_are_those_of_transformers_and_are_kept(weights: Path, tmp_path: Path) -> None:
    vlm = load(weights, answers=str(tmp_path))
    begun = []
    begin = vlm._begin
    vlm._begin = lambda question: (begun.append(question.index), begin(question))[1]
    expected = ask(HuggingFaceVLM(str(weights), dtype="float32", device="cpu", answers="none"), PROMPTS)
    assert ask(vlm, PROMPTS) == expected
    assert sorted(begun) == list(range(len(PROMPTS)))
    *answers, too_long = ask(vlm, [*PROMPTS, (None, "long " * 2000)])
    assert answers == expected
    assert is_failed(too_long)
    assert "maximum context length" in too_long
    assert begun[len(PROMPTS) :] == [len(PROMPTS)]
    vlm._answers_folder = None
    assert ask(vlm, PROMPTS, SAMPLED) == ask(vlm, PROMPTS, SAMPLED) != expected
    vlm.clean()


def test_scores_that_are_no_numbers_fail(weights: Path, tmp_path: Path) -> None:
    broken = with_the_hubs_names(weights, tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    tensors["language_model.model.norm.weight"][:] = float("nan")
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    vlm = load(broken, answers="none")
    assert all(is_failed(answer) and "no distribution" in answer for answer in ask(vlm, PROMPTS))
    vlm.clean()


def test_weights_that_vllm_does_not_serve_are_named(weights: Path) -> None:
    with pytest.raises(UserError, match=r"cannot serve .*no module or parameter named"):
        load(ensure_model(0))
