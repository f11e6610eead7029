import importlib

import pytest

from harness_ext.common.errors import UserError
from harness_ext.common.provenance import provenance
from harness_ext.models.catalogue import model_attribute
from harness_ext.models.hf import HuggingFaceVLM


@pytest.fixture(autouse=True)
def no_files_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    monkeypatch.delenv("UNSAFECONCEPTS_MODELS", raising=False)


@pytest.fixture
def names():
    return importlib.import_module("harness_ext.models.names")


@pytest.fixture
def entries(tmp_path, monkeypatch):
    """Write a models file, and have it read."""

    def write(text):
        (tmp_path / "mine.yaml").write_text(text)
        monkeypatch.setenv("UNSAFECONCEPTS_MODELS", str(tmp_path / "mine.yaml"))

    return write


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("llava-7b", "HuggingFaceVLM"),
        ("gpt-4v", "OpenAICompatible"),
        ("cogvlm", "CogVLM"),
        ("internlm-xcomposer2", "XComposer2"),
        ("minicpm-v-2.6", "MiniCPMV"),
    ],
)
def test_a_name_becomes_a_class_of_its_backend(names, name, backend):
    model = getattr(names, model_attribute(name))
    assert model.__name__ == name
    assert model.__base__.__name__ == backend
    assert model.is_simple is False


def test_an_unknown_name_is_no_attribute(names):
    with pytest.raises(AttributeError):
        _ = names.nothing


def test_an_unknown_option_is_refused_with_the_allowed_ones(names):
    with pytest.raises(UserError, match="unknown model_args: adapterr; allowed are adapter, adapter_base, answers"):
        getattr(names, "llava-7b")(adapterr="x")


def test_what_must_be_given_is_asked_for(names):
    with pytest.raises(UserError, match="'hf-vlm' needs its weights named: --model_args pretrained="):
        getattr(names, "hf-vlm")()
    with pytest.raises(UserError, match=r"'gpt-4v' needs .*model=NAME\ngpt-4-vision-preview is retired"):
        getattr(names, "gpt-4v")()


def test_what_an_entry_says_is_what_its_backend_is_given(names, entries, untrained_vlm):
    entries(f"mine.v2:\n  weights: {untrained_vlm}\n  generation: {{max_new_tokens: 7}}\n")
    model = getattr(names, model_attribute("mine.v2"))(device="cpu")
    assert isinstance(model, HuggingFaceVLM)
    recorded = provenance()
    assert recorded["weights"] == str(untrained_vlm)
    assert recorded["generation_defaults"] == '{"max_new_tokens": 7}'
    assert recorded["prompt"] == "the model's own"


def test_weights_of_another_family_are_refused_before_they_are_loaded(names, entries, untrained_vlm):
    entries(f"mine: {{weights: {untrained_vlm}, family: qwen2_vl}}\n")
    message = (
        r"expected model_type 'qwen2_vl' in config.json, found 'llava'\.\n.*--model hf-vlm takes weights of any family"
    )
    with pytest.raises(UserError, match=message):
        names.mine(device="cpu")
    with pytest.raises(UserError, match=r"cannot load the weights of .*expected model_type 'qwen2_vl'"):
        getattr(names, "qwen2-vl")(pretrained=str(untrained_vlm))


def test_the_users_weights_are_not_of_the_entrys_revision(names, entries):
    entries("mine: {weights: me/mine, revision: abc, generation: {max_new_tokens: 7}}\n")
    entry = importlib.import_module("harness_ext.models.catalogue").load_catalogue()["mine"]
    allowed = {"pretrained", "revision", "generation"}

    def resolve(**options):
        return names._resolve("mine", entry, options, allowed)

    generation = {"max_new_tokens": 7}
    assert resolve() == {"pretrained": "me/mine", "revision": "abc", "generation": generation}
    assert resolve(revision="def")["revision"] == "def"
    assert resolve(pretrained="/other") == {"pretrained": "/other", "generation": generation}


def test_what_a_backend_does_not_take_is_refused(names, entries):
    entries("mine: {backend: api, weights: me/mine}\n")
    with pytest.raises(UserError, match="model 'mine': its entry sets pretrained, which backend api does not take"):
        names.mine(model="x")


def test_missing_packages_are_named_with_the_command(names, entries):
    entries("mine: {weights: me/mine, needs: {packages: [torch, no_such_package]}}\n")
    with pytest.raises(UserError, match=r"needs packages that are not installed:\npip install no_such_package$"):
        names.mine()


def test_code_of_a_repository_runs_at_the_users_word_only(names, entries):
    entries("mine: {weights: me/mine, revision: abc, needs: {remote_code: true}}\n")
    with pytest.raises(
        UserError, match=r"runs code from the repository me/mine \(revision abc\)(.|\n)*trust_remote_code=True"
    ):
        names.mine(trust_remote_code=False)


def test_only_a_whole_number_is_a_seed_of_the_embedded_model(names):
    with pytest.raises(UserError, match="glyphworld:SEED with a whole number"):
        getattr(names, "hf-vlm")(pretrained="glyphworld:one")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trust_remote_code": "no"}, "trust_remote_code must be True or False, found 'no'"),
        ({"share_prefix": "off"}, "share_prefix must be True or False, found 'off'"),
        ({"load_in_4bit": "no"}, "load_in_4bit must be True or False, found 'no'"),
        ({"seed": "abc"}, "seed must be a whole number, found 'abc'"),
    ],
)
def test_a_text_is_not_taken_for_yes(options, message):
    with pytest.raises(UserError, match=message):
        getattr(importlib.import_module("harness_ext.models.names"), "llava-7b")(**options)
