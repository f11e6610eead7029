import json
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_vlms import FAMILIES
from transformers import AutoModelForImageTextToText

from harness_ext.common.errors import UserError
from harness_ext.models.loading import load_model, load_processor

IMAGE = Image.new("RGB", (40, 30), "olive")
OPTIONS = {
    "revision": None,
    "adapter": None,
    "dtype": "float32",
    "device": "cpu",
    "device_map": None,
    "attn_implementation": None,
    "trust_remote_code": False,
}


def turns(text):
    return [{"role": "user", "content": [{"type": "image", "image": IMAGE}, {"type": "text", "text": text}]}]


@pytest.fixture
def untemplated(tmp_path):
    """Build a family's tiny model, and take its chat template away."""

    def build(family):
        FAMILIES[family](tmp_path / "model")
        (tmp_path / "model" / "chat_template.jinja").unlink(missing_ok=True)
        return tmp_path / "model"

    return build


def load(folder, **options):
    return load_model(str(folder), **OPTIONS | options)


@pytest.mark.parametrize(("family", "prompt", "text"), [
    ("instructblip", "instructblip", "What is it?"),
    ("blip-2", "blip-2", "Question: What is it? Answer:"),
    ("paligemma", "paligemma", "<image>answer en What is it?"),
    ("phi4_multimodal", "phi-4-multimodal", "<|user|><|image|>What is it?<|end|><|assistant|>"),
    ("llava", "USER: {% for part in messages[0].content %}{{ part.text or '<image>' }}{% endfor %}",
     "USER: <image>What is it?"),
])  # fmt: skip
def test_a_named_prompt_serves_a_processor_that_has_none(untemplated, family, prompt, text):
    folder = untemplated(family)
    with pytest.raises(UserError, match=r"no chat template of its own(.|\n)*prompt: …"):
        load_processor(str(folder), None, False)
    processor = load_processor(str(folder), None, False, prompt)
    assert processor.apply_chat_template(turns("What is it?"), add_generation_prompt=True) == text
    inputs = processor.apply_chat_template(
        turns("What is it?"), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    with torch.inference_mode():
        load(folder).generate(**inputs, max_new_tokens=1)


def test_a_named_prompt_is_used_instead_of_the_processors_own(untrained_vlm):
    own = load_processor(str(untrained_vlm), None, False)
    named = load_processor(str(untrained_vlm), None, False, own.chat_template + "{{ 'Well,' }}")
    question = {"conversation": turns("Is it safe?"), "add_generation_prompt": True}
    assert named.apply_chat_template(**question) == own.apply_chat_template(**question) + "Well,"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, None),
        (
            "{% for m in messages %}USER: {{ m['content'] }}{% endfor %}",
            "does not format a prompt with an image: it makes",
        ),
        (
            "{% for m in messages %}{{ 'USER: ' + m['content'] }}{% endfor %}",
            "does not format a prompt with an image: TypeError: can",
        ),
    ],
    ids=["for images", "shows a list", "for text"],
)
def test_a_tokenizers_template_serves_if_it_takes_images(untrained_vlm, tmp_path, template, message):
    folder = shutil.copytree(untrained_vlm, tmp_path / "model")
    own = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": template or own}))
    if message:
        with pytest.raises(UserError, match=f"it has no chat template, and its tokenizer's {message}"):
            load_processor(str(folder), None, False)
    else:
        assert load_processor(str(folder), None, False).chat_template == own


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("vicuna", "a prompt is a Jinja chat template, or one of blip-2, .*, phi-4-multimodal; found 'vicuna'"),
        (
            "{% for m in messages %}",
            "the prompt that was named does not format a prompt with an image: TemplateSyntaxError: ",
        ),
        ("USER: {{ messages | length }}", "does not format a prompt with an image: it makes 'USER: 1' of one"),
    ],
)
def test_a_prompt_that_formats_nothing_is_refused(untrained_vlm, prompt, message):
    with pytest.raises(UserError, match=message):
        load_processor(str(untrained_vlm), None, False, prompt)


PROCESSOR = ["processor_config.json", "tokenizer_config.json", "tokenizer.json", "chat_template.jinja"]


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        (PROCESSOR, "preprocessor_config.json, tokenizer_config.json, tokenizer.json, chat_template.jinja"),
        (["processor_config.json", "chat_template.jinja"], "preprocessor_config.json, chat_template.jinja"),
        (["tokenizer_config.json"], "tokenizer_config.json"),
        (["tokenizer.json"], "tokenizer.json"),
    ],
    ids=["merged", "tokenizer alone", "no tokenizer configuration", "no words"],
)
def test_a_merged_model_without_files_of_its_processor_is_told_which_to_copy(tmp_path, lost, named):
    FAMILIES["qwen2_vl"](tmp_path)
    # As the hub's checkpoints have it; transformers makes an empty tokenizer of this class where its words are missing.
    for file, more in (
        ("tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer"}),
        ("config.json", {"_name_or_path": "me/base"}),
    ):
        path = tmp_path / file
        path.write_text(json.dumps(json.loads(path.read_text()) | more))
    load_processor(str(tmp_path), None, False)
    for file in lost:
        (tmp_path / file).unlink()
    with pytest.raises(UserError, match=f"the folder has no {named}\\.\n.*copy these files from 'me/base'"):
        load_processor(str(tmp_path), None, False)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("tokenizer.json", {"model": None}),
        ("tokenizer_config.json", {"eos_token": 2}),
        ("processor_config.json", {"image_processor": "zebra"}),
    ],
)
def test_what_a_library_cannot_read_of_a_processor_is_one_line(untrained_vlm, tmp_path, file, change):
    folder = shutil.copytree(untrained_vlm, tmp_path / "model")
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
    with pytest.raises(UserError, match=f"cannot load the processor of '{folder}': ") as error:
        load_processor(str(folder), None, False)
    assert "\n" not in str(error.value)


def test_faults_are_found_before_the_weights_are_read(untrained_vlm, tmp_path):
    """The weights here are such that reading them would fail, and in another way."""
    folder = shutil.copytree(untrained_vlm, tmp_path / "model")
    adapter = tmp_path / "adapter"
    base = AutoModelForImageTextToText.from_pretrained(untrained_vlm)
    get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(adapter)
    (folder / "model.safetensors").write_bytes(b"not weights")
    for options, message in [
        ({"dtype": "float8"}, "dtype must be one of"),
        ({"device_map": "auto"}, "either device or device_map"),
        ({"device": "gpu"}, "cannot put the model on device 'gpu'"),
        ({"device": "cuda:99"}, "cannot put the model on device 'cuda:99'"),
        ({"adapter": "/nowhere"}, "cannot put the adapter '/nowhere'"),
        ({"adapter": str(adapter)}, f"its base is '{untrained_vlm}'"),
        ({"adapter_base": "any"}, "adapter_base is given, but no adapter"),
        ({}, "is not a whole safetensors file"),
    ]:
        with pytest.raises(UserError, match=message):
            load(folder, **options)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"cannot load the weights of .*: there are none in the folder"):
        load(folder)


def test_an_old_pickle_that_was_cut_off_is_an_error_of_the_weights(untrained_vlm, tmp_path):
    """It does not say how long it should be, so that only reading it tells."""
    folder = shutil.copytree(untrained_vlm, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    file = folder / "pytorch_model.bin"
    torch.save(tensors, file, _use_new_zipfile_serialization=False)
    whole = file.read_bytes()
    for left in (len(whole) - 100, 20):
        file.write_bytes(whole[:left])
        with pytest.raises(UserError, match=f"cannot load the weights of '{folder}': .*EOF"):
            load(folder)


def test_an_adapter_is_loaded_with_its_weights(untrained_vlm, tmp_path):
    base = AutoModelForImageTextToText.from_pretrained(untrained_vlm)
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(tmp_path)
    copy = shutil.copytree(untrained_vlm, tmp_path / "copy")
    (copy / "config.json").write_text((copy / "config.json").read_text() + "\n")
    for folder, options in [(untrained_vlm, {}), (copy, {"adapter_base": "any"})]:
        model = load(folder, adapter=str(tmp_path), **options)
        assert not model.training
        assert any(value.abs().sum() > 0 for name, value in model.state_dict().items() if "lora_B" in name)


def test_weights_that_lack_tensors_are_refused_not_filled_at_random(untrained_vlm, tmp_path):
    folder = shutil.copytree(untrained_vlm, tmp_path / "half")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "vision" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lack \d+ tensors that the model has, .*vision"):
        load_model(str(folder), **OPTIONS)
