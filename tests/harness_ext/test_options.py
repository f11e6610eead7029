import argparse

import pytest
from own_folders import YAML, own_folder

from harness_ext.common.errors import UserError
from harness_ext.options import check_model_name, check_options

DEFAULTS = {
    "model_args": "",
    "output_path": None,
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
        {"output_path": "./2026"},
        {"output_path": "runs of 2026/a=b"},
        {"gen_kwargs": "max_new_tokens=8"},
        {"gen_kwargs": "do_sample=true,temperature=0.7"},
        {"model": "llava_hf", "use_cache": "cache"},
        {"tasks": "mme", "repeats": 3},
    ],
    ids=str,
)
def test_what_is_done_as_asked_is_let_through(options):
    check(**options)


def test_a_policy_beside_a_benchmarks_own_is_refused(tmp_path, monkeypatch):
    folder = own_folder(tmp_path / "my-policy", YAML + "policy: policy.txt\n")
    (folder / "policy.txt").write_text("No drinks at all.")
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", str(folder))
    options = {"model": "llavaguard-7b", "model_args": "dtype=float32,guard_policy=mine.txt"}
    check(**options, tasks="glyphworld_image")
    with pytest.raises(UserError, match="guard_policy: my-policy has a policy of its own; leave guard_policy out"):
        check(**options, tasks="glyphworld_image,my-policy_image")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_cache": "cache"}, "--use_cache"),
        ({"system_instruction": "Always answer No."}, "--system_instruction"),
        ({"apply_chat_template": True}, "--apply_chat_template"),
        ({"gen_kwargs": "temperature=0.7"}, "do_sample=true or do_sample=false beside temperature"),
        ({"repeats": 3}, "--repeats 3"),
        ({"limit": 0.1}, "--limit 0.1"),
        ({"output_path": "2026"}, "--output_path 2026: lmms-eval .* would write to another place"),
        ({"output_path": "a,b"}, "--output_path a,b"),
        ({"output_path": "o'brien"}, "--output_path o'brien"),
        ({"output_path": "/proc/out"}, "/proc/out: cannot be written"),
        ({"model_args": "base_url=https://me:mine@example.org/v1"}, "a password in an address would be written"),
    ],
)
def test_what_would_be_ignored_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        check(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"tasks": "glyphworld_gap_likelihood", "model": "llava_hf"},
            "scored by this project's backends for weights only",
        ),
        (
            {"tasks": "glyphworld_image_likelihood", "model": "gpt-4v"},
            "scored by this project's backends for weights only",
        ),
        ({"tasks": "glyphworld_likelihood", "gen_kwargs": "max_new_tokens=8"}, "nothing is generated"),
    ],
)
def test_what_cannot_be_scored_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        check(**options)


def test_a_limit_must_cut_off_the_same_questions_in_several_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    check(limit=40.0)
    with pytest.raises(UserError, match="no multiple of 20"):
        check(limit=30.0)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("glyph-vlmm", "Did you mean glyph-vlm"),
        ("LLaVA_7b", "Did you mean llava-7b"),
        ("qwen25-vl-7b", "Did you mean qwen2.5-vl-7b"),
        ("llava-hf/llava-1.5-13b-hf", r"Did you mean llava-13b\?\n"),
        ("me/mine", "For weights: --model hf-vlm --model_args pretrained=me/mine\n"),
        (
            "xyzzy",
            r"named 'xyzzy'\.\n`lmms_eval models` lists all names; --models-file and UNSAFECONCEPTS_MODELS add yours$",
        ),
    ],
)
def test_an_unknown_model_gets_the_nearest_names(name, hint):
    with pytest.raises(UserError, match=hint):
        check_model_name(name)


def test_a_known_model_is_let_through():
    check_model_name("llava-7b")
    check_model_name("huggingface")
