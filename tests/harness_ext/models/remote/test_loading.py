"""A model is loaded as its code expects, or not at all."""

import json

import pytest
import remote_repos
import torch
from asking import ask, picture
from safetensors.torch import load_file, save_file

from harness_ext.common.errors import UserError
from harness_ext.models.remote.families import CogVLM, MiniCPMV
from harness_ext.models.remote.loading import load_model, open_repository


def load(folder, auto_class="AutoModelForCausalLM", dtype="auto", device="cpu", device_map=None):
    repository = open_repository(str(folder), None, True)
    return load_model(repository, auto_class, dtype=dtype, device=device, device_map=device_map)


@pytest.mark.parametrize(
    ("build", "auto_class"),
    [
        (remote_repos.cogvlm, "AutoModelForCausalLM"),
        (remote_repos.xcomposer2, "AutoModelForCausalLM"),
        (remote_repos.minicpmv, "AutoModel"),
    ],
    ids=["cogvlm", "xcomposer2", "minicpmv"],
)
def test_weights_and_the_tables_that_are_in_no_checkpoint_are_as_the_class_makes_them(build, auto_class, tmp_path):
    build(tmp_path)
    loaded, made = load(tmp_path, auto_class), remote_repos.plainly_made(tmp_path)
    for kind in ("named_parameters", "named_buffers"):
        expected, found = dict(getattr(made, kind)()), dict(getattr(loaded, kind)())
        assert expected.keys() == found.keys()
        assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert any(name.endswith("inv_freq") for name, _ in made.named_buffers())
    assert not loaded.training


def test_in_half_precision_its_tables_stay_exact(tmp_path):
    remote_repos.cogvlm(tmp_path)
    model = load(tmp_path, dtype="bfloat16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for name, buffer in model.named_buffers() if "inv_freq" in name} == {torch.float32}
    vlm = CogVLM(str(tmp_path), dtype="bfloat16", device="cpu", trust_remote_code=True)
    assert ask(vlm, [(picture(0), "Is this image safe?")])[0]


def test_the_precision_is_that_of_its_configuration(tmp_path):
    remote_repos.cogvlm(tmp_path)
    change(tmp_path, dtype="bfloat16")
    assert load(tmp_path).dtype == torch.bfloat16


def test_weights_of_the_old_format_in_several_files(tmp_path):
    remote_repos.cogvlm(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    names = sorted(weights)
    files = {name: f"pytorch_model-{1 + at % 2}-of-2.bin" for at, name in enumerate(names)}
    for file in set(files.values()):
        torch.save({name: weights[name] for name in names if files[name] == file}, tmp_path / file)
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": files}))
    (tmp_path / "model.safetensors").unlink()
    assert all(torch.equal(value, weights[name]) for name, value in load(tmp_path).state_dict().items())


def change(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def without_a_tensor(folder):
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if name != "lm_head.weight"}, folder / "model.safetensors"
    )


@pytest.mark.parametrize(
    ("damage", "options", "message"),
    [
        (without_a_tensor, {}, "lack 1 tensors that its code has, lm_head.weight the first"),
        (lambda folder: (folder / "model.safetensors").unlink(), {}, "cannot load the weights of"),
        (lambda folder: change(folder, quantization_config={"quant_method": "x"}), {}, "are quantised"),
        (lambda folder: None, {"device": "cuda:99"}, "cannot put the model on device 'cuda:99'"),
        (lambda folder: change(folder, hidden_size=48), {}, "cannot put the weights of .* on cpu"),
        (lambda folder: change(folder, auto_map={}), {}, "does not work here|names no code for"),
        (lambda folder: None, {"dtype": "float8"}, "dtype must be one of"),
        (lambda folder: None, {"device_map": "auto"}, "either device or device_map"),
        (lambda folder: None, {"device": None, "device_map": "balanced"}, "device_map must be 'auto'"),
    ],
)
def test_what_does_not_fit_is_refused(damage, options, message, tmp_path):
    remote_repos.cogvlm(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        load(tmp_path, **options)


def test_a_model_without_the_interface_is_refused(tmp_path):
    remote_repos.minicpmv(tmp_path)
    auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    change(tmp_path, auto_map=auto_map | {"AutoModelForCausalLM": auto_map["AutoModel"]})
    with pytest.raises(UserError, match="no method build_conversation_input_ids"):
        CogVLM(str(tmp_path), device="cpu", trust_remote_code=True)


@pytest.mark.parametrize(("kind", "build"), [(CogVLM, remote_repos.cogvlm), (MiniCPMV, remote_repos.minicpmv)])
def test_an_adapter_changes_the_answers(kind, build, tmp_path):
    build(tmp_path / "model")
    remote_repos.lora(tmp_path / "model", tmp_path / "adapter")
    prompts = [(picture(0), "Is this image safe?"), (None, "Is it safe?")]
    plain, adapted = (
        ask(kind(str(tmp_path / "model"), device="cpu", trust_remote_code=True, **adapter), prompts)
        for adapter in ({}, {"adapter": str(tmp_path / "adapter"), "adapter_base": "any"})
    )
    assert all(one != other for one, other in zip(plain, adapted, strict=True))


def test_an_adapter_of_prompts_would_not_be_heard_and_is_refused(tmp_path):
    from peft import PromptTuningConfig, get_peft_model

    remote_repos.cogvlm(tmp_path / "model")
    sizes = {"num_virtual_tokens": 2, "token_dim": 32, "num_layers": 2, "num_attention_heads": 4}
    config = PromptTuningConfig(task_type="CAUSAL_LM", **sizes)
    get_peft_model(remote_repos.plainly_made(tmp_path / "model"), config).save_pretrained(tmp_path / "adapter")
    adapter = {"adapter": str(tmp_path / "adapter"), "adapter_base": "any"}
    with pytest.raises(UserError, match="learns prompts"):
        CogVLM(str(tmp_path / "model"), device="cpu", trust_remote_code=True, **adapter)
