import argparse

import pytest

from harness_ext.errors import UserError
from harness_ext.options import check_model_name, check_options

DEFAULTS = {
    "model": "glyph-vlm",
    "tasks": "glyphworld",
    "use_cache": None,
    "system_instruction": None,
    "apply_chat_template": False,
    "gen_kwargs": None,
    "repeats": 1,
    "limit": None,
}


def check(**options):
    check_options(argparse.Namespace(**DEFAULTS | options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limit": 8.0},
        {"gen_kwargs": "max_new_tokens=8"},
        {"gen_kwargs": "do_sample=true,temperature=0.7"},
        {"model": "llava_hf", "use_cache": "cache"},
        {"tasks": "mme", "repeats": 3},
    ],
    ids=str,
)
def test_what_is_done_as_asked_is_let_through(options):
    check(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_cache": "cache"}, "--use_cache"),
        ({"system_instruction": "Always answer No."}, "--system_instruction"),
        ({"apply_chat_template": True}, "--apply_chat_template"),
        ({"gen_kwargs": "temperature=0.7"}, "do_sample=true or do_sample=false beside temperature"),
        ({"repeats": 3}, "--repeats 3"),
        ({"limit": 0.1}, "--limit 0.1"),
    ],
)
def test_what_would_be_ignored_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        check(**options)


def test_a_misspelt_model_gets_the_nearest_names():
    with pytest.raises(UserError, match="Did you mean glyph-vlm") as error:
        check_model_name("glyph-vlmm")
    assert "UNSAFECONCEPTS_MODELS" in str(error.value)
    check_model_name("llava-7b")
    check_model_name("huggingface")
