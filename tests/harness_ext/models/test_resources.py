import json
import shutil
import subprocess
import sys

import pytest
import torch
from model_hub import ModelHub
from safetensors.torch import load_file

from harness_ext.common.errors import UserError
from harness_ext.models.resources import bytes_needed, cgroup_limits, elements_in, free_bytes, require_memory


@pytest.fixture
def copy(untrained_vlm, tmp_path):
    """A copy of the untrained VLM whose files may be changed."""
    return shutil.copytree(untrained_vlm, tmp_path / "copy")


def parameters(folder):
    return sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values())


def require(folder, available, dtype="auto", **more):
    options = {"revision": None, "device": "cpu", "device_map": None, **more}
    require_memory(str(folder), folder, dtype=dtype, available=available, **options)


@pytest.mark.parametrize(("dtype", "width"), [("float32", 4), ("auto", 4), ("bfloat16", 2), ("float16", 2)])
def test_weights_fit_to_the_byte(untrained_vlm, dtype, width):
    needed = width * parameters(untrained_vlm)
    require(untrained_vlm, needed, dtype)
    with pytest.raises(UserError, match=f"in {'float32' if dtype == 'auto' else dtype}, and"):
        require(untrained_vlm, needed - 1, dtype)


def test_too_little_memory_is_told_in_figures(copy):
    # A file of one tensor that takes no room on the disk.
    elements = 3 * 2**28
    header = json.dumps({"w": {"dtype": "F32", "shape": [3, 2**28], "data_offsets": [0, 4 * elements]}}).encode()
    with (copy / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 4 * elements)
    with pytest.raises(
        UserError, match=r"need 1\.50 GiB in bfloat16, and 1\.25 GiB are free on cpu\.\nTake a smaller model"
    ):
        require(copy, 5 * 2**28, "bfloat16")
    with pytest.raises(UserError, match=r"need 3\.00 GiB in float32, and 1\.25 GiB are free"):
        require(copy, 5 * 2**28, "float32")


def test_auto_is_the_precision_that_the_configuration_names(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    require(copy, 2 * parameters(copy))
    (copy / "config.json").write_text(json.dumps({key: value for key, value in config.items() if key != "dtype"}))
    with pytest.raises(UserError, match="in the precision they are stored in"):
        require(copy, 2 * parameters(copy))


def test_the_remedies_are_those_that_help(untrained_vlm):
    for dtype, options, expected in [
        ("float32", {}, "Add to --model_args dtype=bfloat16, or take a smaller model"),
        ("bfloat16", {}, "Take a smaller model"),
        ("float32", {"device": "cuda:0"}, "dtype=bfloat16 or device_map=auto, which takes all GPUs"),
        ("bfloat16", {"device_map": "auto"}, r"on all devices \(device_map=auto\)\.\nTake a smaller model"),
    ]:
        with pytest.raises(UserError, match=expected):
            require(untrained_vlm, 1, dtype, **options)


def test_weights_that_were_pickled_are_counted_once_each(copy):
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    name, tensor = next(iter(tensors.items()))
    torch.save(
        tensors | {f"{name}.tied": tensor, "steps": torch.zeros(3, dtype=torch.int64)}, copy / "pytorch_model.bin"
    )
    elements = elements_in([copy / "pytorch_model.bin"])
    assert elements == {torch.float32: sum(value.numel() for value in tensors.values()), torch.int64: 3}
    assert bytes_needed(elements, "bfloat16") == 2 * elements[torch.float32] + 24


def test_a_download_that_broke_off_is_told(copy):
    file = copy / "model.safetensors"
    whole = file.read_bytes()
    for length in (len(whole) - 100, 50):
        file.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"is not a whole safetensors file .*; fetch it again"):
            require(copy, None)


def test_what_is_not_known_is_not_guessed(copy):
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x02: not a pickle that can be looked into")
    require(copy, 1)


def test_of_weights_on_the_hub_only_the_header_is_fetched(untrained_vlm, tmp_path):
    code = (
        "import sys\nfrom harness_ext.common.errors import UserError\nfrom harness_ext.models.checkpoint import locate\n"
        "from harness_ext.models.resources import require_memory\n"
        "folder = locate('me/model', None, 'weights')\n"
        "for available in map(int, sys.argv[1:]):\n"
        "    try:\n        require_memory('me/model', folder, revision=None, dtype='bfloat16', device='cpu',"
        " device_map=None, available=available)\n        print('fits')\n"
        "    except UserError as error:\n        print(error)\n"
    )
    needed = 2 * parameters(untrained_vlm)
    with ModelHub(untrained_vlm) as hub:
        command = [sys.executable, "-c", code, str(needed), str(needed - 1)]
        printed = subprocess.run(command, env=hub.environment(tmp_path), capture_output=True, text=True, check=True)
    fits, refused, *_ = printed.stdout.splitlines()
    assert fits == "fits"
    assert refused.startswith("the weights of 'me/model' need")
    assert 0 < hub.sent["model.safetensors"] < needed


def test_this_computer_has_some_memory():
    assert 2**26 < free_bytes(torch.device("cpu")) < 2**50
    assert free_bytes(torch.device("meta")) is None


def test_the_narrowest_control_group_counts(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/user/run\n")
    for path, most, current, kept in [("", "max", 900, 0), ("user", "1000", 400, 100), ("user/run", "max", 300, 0)]:
        folder = tmp_path / "v2" / path
        folder.mkdir(exist_ok=True, parents=True)
        (folder / "memory.max").write_text(most + "\n")
        (folder / "memory.current").write_text(f"{current}\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {kept}\nactive_file 10\n")
    assert cgroup_limits(tmp_path / "v2", own) == [1000 - 400 + 100 + 10]

    own.write_text("12:cpu,cpuacct:/x\n5:memory:/of/the/host\n")
    folder = tmp_path / "v1" / "memory"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("500\n")
    (folder / "memory.usage_in_bytes").write_text("600\n")
    (folder / "memory.stat").write_text("inactive_file 7\ntotal_inactive_file 50\n")
    assert cgroup_limits(tmp_path / "v1", own) == [0]
    assert cgroup_limits(tmp_path, tmp_path / "nothing") == []
