import json

import pytest
import remote_repos
import torch
from asking import ask
from remote_repos.prompts import PROMPTS

from harness_ext.common.errors import UserError
from harness_ext.models.remote.decoding import decode_as_transformers_4
from harness_ext.models.remote.families import CogVLM


def test_a_model_that_knows_the_new_generate_keeps_it(tmp_path):
    remote_repos.minicpmv(tmp_path)
    native = remote_repos.plainly_made(tmp_path).llm
    decode_as_transformers_4(native)
    assert "generate" not in vars(native)


def with_settings(folder, **settings):
    remote_repos.cogvlm(folder)
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    return CogVLM(str(folder), device="cpu", trust_remote_code=True)


def test_the_models_own_generation_settings_are_honoured(tmp_path):
    def generated(vlm):
        prompt = torch.tensor([[5, 6, 7]])
        return vlm._model.generate(input_ids=prompt, token_type_ids=prompt * 0, max_new_tokens=40)[0, 3:].tolist()

    plain = generated(with_settings(tmp_path / "plain"))
    varied = generated(with_settings(tmp_path / "varied", no_repeat_ngram_size=1))
    assert len(plain) == len(varied) == 40
    assert len(set(plain)) < len(plain)
    assert len(set(varied)) == len(varied)


def test_another_way_to_decode_is_refused(tmp_path):
    vlm = with_settings(tmp_path, prompt_lookup_num_tokens=3)
    with pytest.raises(UserError, match=r"does not decode by assisted_generation, which generation_config\.json asks"):
        ask(vlm, PROMPTS[:1])
