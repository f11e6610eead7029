import json
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from harness_ext.common.errors import UserError
from harness_ext.models.loading import check_adapter, put_adapter


@pytest.fixture
def adapter(untrained_vlm, tmp_path):
    """An adapter of the untrained VLM that changes its answers."""
    base = AutoModelForImageTextToText.from_pretrained(untrained_vlm)
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def put(adapter, untrained_vlm):
    return put_adapter(AutoModelForImageTextToText.from_pretrained(untrained_vlm), str(adapter), str(untrained_vlm))


def rebase(adapter, base):
    """Have the adapter name another base."""
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": base}))


def rewrite(adapter, change):
    """Change the adapter's tensors."""
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file(change(tensors), adapter / "adapter_model.safetensors")


def test_an_adapter_of_these_weights_is_put_on_them(untrained_vlm, adapter):
    check_adapter(str(adapter), str(untrained_vlm))
    adapted = put(adapter, untrained_vlm)
    saved = load_file(adapter / "adapter_model.safetensors")
    held = {name.replace(".default", ""): tensor for name, tensor in adapted.state_dict().items() if "lora_" in name}
    assert held.keys() == saved.keys()
    assert all(torch.equal(held[name], saved[name]) for name in saved)


def test_the_same_weights_have_many_names(untrained_vlm, adapter, tmp_path):
    copy = shutil.copytree(untrained_vlm, tmp_path / "copy")
    link = tmp_path / "link"
    link.symlink_to(untrained_vlm)
    for name in (f"{untrained_vlm}/", str(copy), str(link)):
        check_adapter(str(adapter), name)
    rebase(adapter, "me/base")
    check_adapter(str(adapter), "Me/base")
    check_adapter(str(adapter), "/cache/hub/models--me--base/snapshots/0123")


def test_other_weights_are_refused_with_both_names(untrained_vlm, adapter, tmp_path):
    other = shutil.copytree(untrained_vlm, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"image_token_id": 3}))
    for name in (str(other), "me/other"):
        with pytest.raises(UserError, match=f"on '{name}': its base is '{untrained_vlm}'(.|\n)*adapter_base=any"):
            check_adapter(str(adapter), name)
        check_adapter(str(adapter), name, "any")
    rebase(adapter, None)
    with pytest.raises(UserError, match="it does not name its base"):
        check_adapter(str(adapter), str(untrained_vlm))
    with pytest.raises(UserError, match="adapter_base must be 'any' or left out, found 'all'"):
        check_adapter(str(adapter), str(untrained_vlm), "all")


def test_weights_of_one_shape_are_told_apart_by_what_is_in_them(untrained_vlm, adapter, tmp_path):
    other = shutil.copytree(untrained_vlm, tmp_path / "other")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    with pytest.raises(UserError, match="its base is"):
        check_adapter(str(adapter), str(other))
    rebase(adapter, "x" * 100_000)
    with pytest.raises(UserError, match=r"its base is 'x+\.\.\.'"):
        check_adapter(str(adapter), str(other))


def test_what_is_no_adapter_is_said_to_be_none(untrained_vlm, adapter, tmp_path):
    weights = str(untrained_vlm)
    with pytest.raises(UserError, match=r"cannot put the adapter '/nowhere' on .*: there is no such folder"):
        check_adapter("/nowhere", weights)
    with pytest.raises(UserError, match="there is no such folder, HF_HUB_OFFLINE is set"):
        check_adapter("me/nowhere", weights)
    with pytest.raises(UserError, match=r"the folder has no adapter_config\.json"):
        check_adapter(weights, weights)
    file = adapter / "adapter_config.json"
    file.write_text(file.read_text().replace('"LORA"', '"LURA"'))
    with pytest.raises(UserError, match="names no known peft_type, found 'LURA'"):
        check_adapter(str(adapter), weights)
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"the folder has no adapter_model\.safetensors"):
        check_adapter(str(adapter), weights)


def test_an_adapter_that_lacks_tensors_is_refused(untrained_vlm, adapter):
    rewrite(adapter, lambda tensors: dict(list(tensors.items())[1:]))
    with pytest.raises(UserError, match=r"it lacks 1 tensors, such as .*lora_A"):
        put(adapter, untrained_vlm)


def test_an_adapter_with_tensors_that_have_no_place_is_refused(untrained_vlm, adapter):
    rewrite(adapter, lambda tensors: tensors | {"base_model.model.nothing.lora_A.weight": torch.zeros(2, 2)})
    with pytest.raises(UserError, match=r"it has, without a place in the model, 1 tensors, such as .*nothing"):
        put(adapter, untrained_vlm)


def test_an_adapter_of_another_size_is_refused(untrained_vlm, adapter):
    rewrite(adapter, lambda tensors: {name: torch.zeros(3, 5) for name in tensors})
    with pytest.raises(UserError, match=r"cannot put the adapter .* size mismatch"):
        put(adapter, untrained_vlm)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_an_adapter_whose_file_is_not_whole_is_refused(untrained_vlm, adapter, suffix):
    file = adapter / f"adapter_model.{suffix}"
    if suffix == "bin":
        torch.save(load_file(adapter / "adapter_model.safetensors"), file)
        (adapter / "adapter_model.safetensors").unlink()
    whole = file.read_bytes()
    check_adapter(str(adapter), str(untrained_vlm))
    spoilt = {
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n": r"is a git-LFS pointer.*\(git lfs pull\)",
        whole[:-20]: "is not a whole safetensors file|is cut off: expected an archive",
        b"": "is empty",
        b"\x80\x02 is not what follows": "is not a whole safetensors file|its tensors cannot be read: UnpicklingError",
    }
    for contents, message in spoilt.items():
        file.write_bytes(contents)
        with pytest.raises(UserError, match=f"cannot put the adapter '{adapter}' on '{untrained_vlm}': .*({message})"):
            check_adapter(str(adapter), str(untrained_vlm))
    if suffix == "bin":
        torch.save(["no", "tensors"], file)
        with pytest.raises(UserError, match="expected tensors by name in "):
            check_adapter(str(adapter), str(untrained_vlm))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_adapter_that_is_not_finite_is_refused_naming_file_and_tensor(untrained_vlm, adapter, value):
    last = list(load_file(adapter / "adapter_model.safetensors"))[-1]

    def spoil(tensors):
        tensors[last].view(-1)[-1] = value
        return tensors

    rewrite(adapter, spoil)
    file = adapter / "adapter_model.safetensors"
    with pytest.raises(
        UserError, match=rf"1 of \d+ tensors in {file} hold values that are not finite .*, {last} the first"
    ):
        check_adapter(str(adapter), str(untrained_vlm))
