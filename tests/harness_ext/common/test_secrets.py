import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_ext.common.secrets import hide

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=64)


@given(KEYS, st.sampled_from(["{}", "Bearer {}", "{}, {}", "key={}&x", "a{}b", "\u2026{}\u2026"]), st.integers(0, 8))
def test_a_secret_is_hidden_whole_and_where_a_part_of_it_is_missing(key, shown, missing):
    for part in (key[: len(key) - missing], key[missing:]):
        for write in (str, quote, lambda text: json.dumps(text)[1:-1]):
            hidden = hide(shown.replace("{}", write(part)), key)
            assert "[hidden]" in hidden and write(part) not in hidden


def test_what_a_server_has_masked_and_what_only_looks_like_a_short_key_stays():
    key = "sk-abcdefghijklmnopqrstuvwxyz"
    assert (
        hide(f"Incorrect API key provided: {key[:6]}***{key[-3:]}", key) == "Incorrect API key provided: sk-abc***xyz"
    )
    assert hide("a name, and: a", "a") == "[hidden] name, and: [hidden]"
    assert hide("nothing", "") == "nothing"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token=hf_0123456789abcdefghij,", "token=[hidden],"),
        ("align sft --hub_token anything", "align sft --hub_token [hidden]"),
        ("--hub-token=anything --seed 1", "--hub-token=[hidden] --seed 1"),
        ("hf_xet, hf-vlm and token=k", "hf_xet, hf-vlm and token=k"),
    ],
)
def test_a_token_of_the_hub_is_known_by_its_look_and_by_its_option(text, shown):
    assert hide(text) == shown


def test_the_environments_token_is_hidden_whatever_it_looks_like(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "of-our-own-hub")
    assert hide("sent of-our-own-hub") == "sent [hidden]"
