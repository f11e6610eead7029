import json

import pytest
import remote_repos

from harness_ext.common.errors import UserError
from harness_ext.models.remote.decoding import decode_as_transformers_4
from harness_ext.models.remote.families import CogVLM


def test_a_model_that_knows_the_new_generate_keeps_it(tmp_path):
    remote_repos.minicpmv(tmp_path)
    native = remote_repos.plainly_made(tmp_path).llm
    decode_as_transformers_4(native)
    assert "generate" not in vars(native)


def test_generation_settings_that_it_cannot_honour_are_refused(tmp_path):
    remote_repos.cogvlm(tmp_path)
    file = tmp_path / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"no_repeat_ngram_size": 3, "temperature": 0.2}))
    with pytest.raises(
        UserError, match=r"does not decode with no_repeat_ngram_size, which generation_config\.json names"
    ):
        CogVLM(str(tmp_path), device="cpu", trust_remote_code=True)
