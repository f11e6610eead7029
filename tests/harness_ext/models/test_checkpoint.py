import json
import shutil
import subprocess
import sys

import pytest
import torch
from model_hub import ModelHub

from harness_ext.common.errors import UserError
from harness_ext.models.checkpoint import locate, require_weights, require_whole, weight_files


@pytest.fixture
def copy(untrained_vlm, tmp_path):
    """A copy of the untrained VLM whose files may be spoilt."""
    return shutil.copytree(untrained_vlm, tmp_path / "copy")


def split(folder):
    """Pretend that the weights are in two files."""
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_a_folder_is_where_its_configuration_is(copy):
    assert locate(str(copy), None, "weights") == copy
    assert weight_files(copy) == ([copy / "model.safetensors"], [])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/nowhere", "cannot load the weights of '/nowhere': there is no such folder"),
        ("./nowhere", "there is no such folder"),
        ("nowhere", "a hub repository is named OWNER/NAME"),
        ("me/no where", "HFValidationError"),
        (
            "me/nowhere",
            "HF_HUB_OFFLINE is set, and it is not in the cache .*\nWhere there is a network: hf download me/nowhere",
        ),
    ],
)
def test_a_checkpoint_that_is_not_there_is_named(name, message):
    with pytest.raises(UserError, match=message):
        locate(name, None, "weights")


def test_a_folder_of_something_else_is_said_to_be_that(tmp_path):
    with pytest.raises(UserError, match=r"the folder has no config\.json"):
        locate(str(tmp_path), None, "weights")
    (tmp_path / "adapter_config.json").touch()
    with pytest.raises(
        UserError, match="it is a PEFT adapter;\nname its base as pretrained=… and this folder as adapter=…"
    ):
        locate(str(tmp_path), None, "weights")


def test_missing_weights_are_named(copy):
    split(copy)
    with pytest.raises(UserError, match=r"1 of 2 files are missing \(two\.safetensors\) in the folder"):
        require_weights(str(copy), copy)
    (copy / "model.safetensors.index.json").unlink()
    with pytest.raises(UserError, match=r"there are none in the folder; expected one of model\.safetensors, "):
        require_weights(str(copy), copy)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 1234\n"


@pytest.fixture(params=["model.safetensors", "adapter_model.bin", "legacy.pt"])
def tensors(request, copy):
    """A whole file of tensors, of each kind that is read."""
    file = copy / request.param
    if file.suffix != ".safetensors":
        torch.save({"a": torch.zeros(100)}, file, _use_new_zipfile_serialization=file.stem != "legacy")
    return file


def test_a_whole_file_of_tensors_is_told_from_what_is_left_of_one(tensors):
    whole = tensors.read_bytes()
    require_whole(tensors, "cannot: ")
    spoilt = {
        b"": "is empty",
        POINTER: r"is a git-LFS pointer, not the file itself \(git lfs pull\)",
        b"<html>Not Found</html>": "is not a whole safetensors file|is no file of torch.save",
    }
    if tensors.stem != "legacy":
        cut_off = "is not a whole safetensors file|is cut off: expected an archive with its end"
        spoilt |= {whole[:-100]: cut_off, whole[:50]: cut_off}
    for contents, message in spoilt.items():
        tensors.write_bytes(contents)
        with pytest.raises(UserError, match=f"^cannot: {tensors} ({message})"):
            require_whole(tensors, "cannot: ")
    tensors.unlink()
    with pytest.raises(UserError, match=f"^cannot: {tensors} cannot be read"):
        require_whole(tensors, "cannot: ")


def test_a_tokenizer_that_git_lfs_has_not_fetched_is_named(copy):
    (copy / "onnx.bin").write_bytes(POINTER)
    assert locate(str(copy), None, "weights") == copy
    (copy / "tokenizer.json").write_bytes(POINTER)
    with pytest.raises(
        UserError, match=rf"git-LFS pointers are in the place of tokenizer\.json in {copy} \(git lfs pull"
    ):
        locate(str(copy), None, "processor")


def test_one_spoilt_file_among_the_weights_is_named(copy):
    split(copy)
    (copy / "two.safetensors").write_bytes(POINTER)
    with pytest.raises(
        UserError, match=rf"cannot load the weights of '{copy}': {copy}/two\.safetensors is a git-LFS pointer"
    ):
        require_weights(str(copy), copy)


def test_what_the_hub_refuses_is_told_with_the_way_out(tmp_path):
    code = (
        "import sys\nfrom harness_ext.common.errors import UserError\nfrom harness_ext.models.checkpoint import locate\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        locate(name, 'v9', 'weights')\n"
        "    except UserError as error:\n        print(str(error).replace('\\n', ' | '))\n"
    )
    names = ("me/gated", "me/nothing", "me/unrevised", "me/bare")
    with ModelHub() as hub:
        command = [sys.executable, "-c", code, *names]
        printed = subprocess.run(command, env=hub.environment(tmp_path), capture_output=True, text=True, check=True)
    gated, nothing, unrevised, bare = printed.stdout.splitlines()
    assert "'me/gated': it is gated, and you are not logged in to Hugging Face. | Ask for access at http://127" in gated
    assert "shows no such repository. | Check the name; if it is private, log in" in nothing
    assert "the repository has no revision 'v9'" in unrevised
    assert "the repository has no config.json" in bare
