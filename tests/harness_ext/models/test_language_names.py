import pytest

from harness_ext.common.errors import UserError
from harness_ext.models import language_names


@pytest.mark.parametrize("name", ["gpt-4v", "cogvlm"])
def test_a_model_without_a_language_side_is_refused_when_it_is_asked_for(name):
    with pytest.raises(UserError, match=f"model '{name}' .* has no language side for lm-eval"):
        getattr(language_names, name)


def test_a_guard_is_asked_by_its_own_prompt_alone():
    with pytest.raises(UserError, match=r"model 'llama-guard-4' is a guard: .* evaluate it by lmms_eval"):
        getattr(language_names, "llama-guard-4")


def test_options_are_checked_as_for_lmms_eval():
    with pytest.raises(UserError, match=r"unknown model_args: peft; allowed are .*adapter"):
        getattr(language_names, "hf-vlm")(pretrained="me/model", peft="me/adapter")


def test_an_entrys_defaults_of_generation_are_no_obstacle(untrained_vlm, tmp_path, monkeypatch):
    file = tmp_path / "models.yaml"
    file.write_text(f"mine: {{weights: {untrained_vlm}, generation: {{max_new_tokens: 4}}}}\n")
    monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(file))
    assert language_names.mine(device="cpu").get_model_info()["weights"] == str(untrained_vlm)
