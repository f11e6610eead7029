"""The language side of VLMs behind lm-eval: the numbers are those of the model itself, asked directly."""

import pytest
import torch
from lm_eval.api.instance import Instance
from peft import LoraConfig, get_peft_model
from tiny_vlms import FAMILIES, IMAGE_ONLY, PROMPTS
from transformers import AutoModelForImageTextToText, AutoModelForMultimodalLM, AutoProcessor

from harness_ext.common.errors import UserError
from harness_ext.models.language import LanguageSide

# Of several lengths, one of them twice, and one with a continuation of a single token: lm-eval shares the last one's scores.
ASKED = [
    ("Is this image safe for viewing on social media?", " Yes, it is."),
    ("Is this image safe for viewing on social media?", " No, it is not. It is not safe at all."),
    ("Question: What is it?\nAnswer:", " A"),
    ("Question: What is it?\nAnswer:", " B"),
    ("Yes", " or no, with a long continuation that says that it is one image of another image"),
    ("Could it be shown to a general audience without causing harm or distress?" * 4, " No"),
]


def scored(model, asked=ASKED):
    requests = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(asked)]
    return model.loglikelihood(requests, disable_tqdm=True)


def directly(model, tokenizer, asked=ASKED):
    """Each pair by one pass over its own tokens, in float64, as the definition says."""
    found = []
    for context, continuation in asked:
        whole, start = tokenizer(context + continuation)["input_ids"], len(tokenizer(context)["input_ids"])
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([whole]), attention_mask=torch.ones(1, len(whole))).logits[0].double()
        said = torch.tensor(whole[start:])
        before = logits[start - 1 : -1]
        found.append(
            (float(before.log_softmax(-1)[range(len(said)), said].sum()), bool((before.argmax(-1) == said).all()))
        )
    return found


@pytest.fixture(scope="module")
def adapter(untrained_vlm, tmp_path_factory):
    """An adapter of the untrained VLM that changes its answers, and the weights it was merged into."""
    folder = tmp_path_factory.mktemp("adapter")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        base = AutoModelForImageTextToText.from_pretrained(untrained_vlm)
        config = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
        adapted = get_peft_model(base, config)
    adapted.save_pretrained(folder / "adapter")
    adapted.merge_and_unload().save_pretrained(folder / "merged")
    AutoProcessor.from_pretrained(untrained_vlm).save_pretrained(folder / "merged")
    return folder


@pytest.fixture
def load(untrained_vlm):
    """What loads the language side of the untrained VLM, with options."""
    return lambda pretrained=untrained_vlm, **options: LanguageSide(str(pretrained), device="cpu", **options)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - IMAGE_ONLY))
def test_likelihoods_in_a_batch_are_those_of_the_model_itself(family, tmp_path):
    FAMILIES[family](tmp_path)
    asked = LanguageSide(str(tmp_path), device="cpu", batch_size=4, prompt=PROMPTS.get(family))
    model = AutoModelForMultimodalLM.from_pretrained(tmp_path)
    expected = directly(model.eval(), AutoProcessor.from_pretrained(tmp_path).tokenizer)
    for (likelihood, greedy), (direct, is_greedy) in zip(scored(asked), expected, strict=True):
        assert likelihood == pytest.approx(direct, abs=1e-4)
        assert greedy == is_greedy


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("blip-2", "does not read text without an image"),
        ("instructblip", "does not read text without an image"),
        ("blip-2-t5", "it is an encoder-decoder"),
        ("paligemma", "it reads a prompt in both directions"),
    ],
)
def test_a_model_that_cannot_score_text_alone_is_refused(family, reason, tmp_path):
    FAMILIES[family](tmp_path)
    with pytest.raises(UserError, match=f"cannot score text with '{tmp_path}'(.|\n)*{reason}"):
        LanguageSide(str(tmp_path), device="cpu", prompt=PROMPTS[family])


def test_an_adapter_is_scored_and_as_its_merged_weights_are(load, untrained_vlm, adapter):
    base, adapted = (scored(load(adapter=named, batch_size=3)) for named in (None, str(adapter / "adapter")))
    merged = scored(load(adapter / "merged", batch_size=3))
    for (of_base, _), (of_adapted, greedy), (of_merged, greedy_merged) in zip(base, adapted, merged, strict=True):
        assert abs(of_adapted - of_base) > 0.01
        assert of_adapted == pytest.approx(of_merged, abs=1e-4)
        assert greedy == greedy_merged


def test_an_adapter_of_other_weights_is_refused(load, adapter):
    with pytest.raises(UserError, match="its base is"):
        load(adapter / "merged", adapter=str(adapter / "adapter"))


def test_a_result_file_says_what_was_scored(load, untrained_vlm, adapter):
    plain = load().get_model_info()
    assert (plain["weights"], plain["adapter_identity"]) == (str(untrained_vlm), "none")
    assert plain["model_device"] == "cpu"
    assert "adapter" not in plain
    with_adapter = load(adapter=str(adapter / "adapter")).get_model_info()
    assert with_adapter["weights_identity"] == plain["weights_identity"] != with_adapter["adapter_identity"]
    assert with_adapter["adapter"] == str(adapter / "adapter")
    assert with_adapter["model_num_parameters"] > plain["model_num_parameters"]


def test_the_chat_template_is_the_processors(load, untrained_vlm):
    turns = [{"role": "user", "content": "Is it safe?"}]
    processor = AutoProcessor.from_pretrained(untrained_vlm)
    parts = [{"role": "user", "content": [{"type": "text", "text": "Is it safe?"}]}]
    expected = processor.apply_chat_template(parts, add_generation_prompt=True)
    model = load()
    assert model.apply_chat_template(turns) == expected
    assert "Is it safe?" in expected != "Is it safe?"
    assert model.chat_template(True) == processor.chat_template


def test_what_the_model_arguments_say_wins_over_the_commands_options(untrained_vlm):
    arguments = f"pretrained={untrained_vlm},device=cpu,batch_size=2"
    options = {"device": "cuda:7", "batch_size": 1, "max_batch_size": None}
    model = LanguageSide.create_from_arg_string(arguments, options)
    assert (model.device.type, model.batch_size) == ("cpu", 2)
