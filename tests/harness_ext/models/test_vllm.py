"""What is decided before vLLM is needed; its answers are compared by ``benchmarks/vllm_parity.py``, where it is installed."""

import importlib.util
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForImageTextToText, AutoProcessor

from harness_ext.common.errors import UserError
from harness_ext.models import vllm
from harness_ext.models.answering import Question
from harness_ext.models.decoding import Prompts
from harness_ext.models.likelihood import Candidates
from harness_ext.models.loading import load_processor
from harness_ext.models.settings import GenerationSettings
from harness_ext.models.vllm import VllmVLM

PARITY = Path(__file__).parents[3] / "results" / "vllm_parity.json"


def test_without_vllm_one_line_says_what_to_install(untrained_vlm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("vllm"):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs vLLM, which is not installed: pip install vllm") as raised:
        VllmVLM(str(untrained_vlm))
    assert "\n" not in str(raised.value)


def test_several_processes_are_told_to_be_one(untrained_vlm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="tensor_parallel_size=GPUS"):
        VllmVLM(str(untrained_vlm))


@pytest.mark.parametrize(("layers", "problem"), [
    ("multi_modal_projector.*linear_1", "not on the language side, base_model.model.model.multi_modal_projector"),
    (".*language_model.*q_proj", "its rank is 1024, and 512 is the most"),
])  # fmt: skip
def test_an_adapter_that_vllm_would_put_on_in_part_is_refused(
    untrained_vlm: Path, tmp_path: Path, layers: str, problem: str
) -> None:
    model = AutoModelForImageTextToText.from_pretrained(untrained_vlm)
    get_peft_model(model, LoraConfig(r=1024, target_modules=f".*{layers}")).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=problem):
        vllm._lora(str(tmp_path))


def test_generation_settings_that_vllm_would_not_follow_are_refused(untrained_vlm: Path, tmp_path: Path) -> None:
    for file in untrained_vlm.iterdir():
        (tmp_path / file.name).symlink_to(file)
    settings = tmp_path / "generation_config.json"
    values = json.loads(settings.read_text())
    settings.unlink()
    settings.write_text(json.dumps(values | {"repetition_penalty": 1.2}))
    assert vllm._generation_config(str(tmp_path), None).repetition_penalty == 1.2
    settings.write_text(json.dumps(values | {"no_repeat_ngram_size": 3}))
    with pytest.raises(UserError, match="hold no_repeat_ngram_size, which are not carried over to vLLM"):
        vllm._generation_config(str(tmp_path), None)


def test_its_chat_template_is_given_further_options(untrained_vlm: Path) -> None:
    # Without the engine, which vLLM would have to be there for.
    vlm = object.__new__(VllmVLM)
    processor = AutoProcessor.from_pretrained(untrained_vlm)
    processor.chat_template = "{{ categories }}"
    vlm._prompts, vlm._identity = Prompts(processor, None), {"backend": "vllm"}
    turns = [{"role": "user", "content": [{"type": "text", "text": "Is it safe?"}]}]
    vlm.put_template_options({"categories": "No drinks."})
    assert vlm.render(turns) == "No drinks."
    assert "No drinks." in vlm.identity()["template_options"]
    vlm.put_template_options({})
    assert vlm.render(turns) == ""


def test_a_score_from_beginnings_is_that_from_whole_distributions(untrained_vlm: Path) -> None:
    tokenizer = AutoProcessor.from_pretrained(untrained_vlm).tokenizer
    candidates = Candidates.tokenise({"Yes": ["Yes", "Yesterday"], "No": ["No", "None of it"]}, tokenizer)
    forced = candidates.forced()
    assert any(len(tokens) > 2 for tokens in forced)
    generator, after = torch.Generator().manual_seed(0), dict[tuple[int, ...], torch.Tensor]()
    for begun in candidates.beginnings():
        after[begun] = torch.randn(len(tokenizer), generator=generator)
    logits = [
        torch.stack([after.get(tokens[:step], after[()]) for tokens in forced]) for step in range(max(map(len, forced)))
    ]
    found = {
        begun: {token: float(torch.log_softmax(after[begun].double(), -1)[token]) for token in following}
        for begun, following in candidates.beginnings().items()
    }
    assert json.loads(candidates.score_beginnings(found)) == pytest.approx(json.loads(candidates.score(forced, logits)))
    found[()] = dict.fromkeys(found[()], math.nan)
    with pytest.raises(ValueError, match="no distribution"):
        candidates.score_beginnings(found)


def test_the_prompts_of_every_pass_of_a_defence_are_compared(
    untrained_vlm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads the prompts is the engine, which is not installed; what they are held to is transformers."""
    vlm: Any = VllmVLM.__new__(VllmVLM)
    vlm._prompts, vlm._compared = Prompts(load_processor(str(untrained_vlm), None, False, None), None), set()
    monkeypatch.setattr(vllm, "version_of_vllm", lambda: "0")
    turns: Any = [{"role": "user", "content": [{"type": "text", "text": "Is this image safe?"}]}]
    tokens = vlm._prompts.inputs([turns])["input_ids"][0].tolist()

    def compare(read: list[int], *earlier: str) -> None:
        instance: Any = None
        question = Question(0, instance, "task", 0, GenerationSettings(), {}, images=("an image",), earlier=earlier)
        output: Any = SimpleNamespace(prompt_token_ids=read)
        vlm._compare(vllm._Asked(question, turns, outputs={(): output}))

    compare(tokens)
    with pytest.raises(UserError, match="reads a prompt of task as"):
        compare(tokens[1:], "It shows a lamp.")


def test_the_recorded_comparison_shows_the_answers_of_transformers() -> None:
    figures = json.loads(PARITY.read_text())
    for adapter in ("without an adapter", "with an adapter"):
        of_one = figures[adapter]
        assert of_one["greedy"]["share"] >= 0.99
        assert of_one["likelihood"]["share"] == 1
        assert of_one["likelihood"]["largest difference of a probability"] < 1e-4
    assert figures["log-probabilities that the adapter changed"] == figures["with an adapter"]["likelihood"]["verdicts"]
