import json
import shutil

import pytest
import remote_repos
import torch
from asking import GREEDY, ask, picture
from remote_repos.prompts import PROMPTS, SAMPLED
from remote_repos.putting import put
from transformers import AutoTokenizer

from harness_ext.common.failures import is_failed
from harness_ext.models.remote.families import VICUNA, CogVLM


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The model, and its tokenizer in a repository of its own."""
    model, tokenizer = tmp_path_factory.mktemp("cogvlm"), tmp_path_factory.mktemp("vicuna")
    remote_repos.cogvlm(model, tokenizer)
    return model, tokenizer


@pytest.fixture(scope="module")
def vlm(folders):
    return make(folders)


def make(folders, **options):
    model, tokenizer = map(str, folders)
    return CogVLM(model, tokenizer=tokenizer, device="cpu", trust_remote_code=True, max_failed=1.0, **options)


@torch.no_grad()
def step_by_step(folders, image, text, steps=GREEDY["max_new_tokens"]):
    """A greedy answer without a cache, without ``generate``, and without a loader."""
    model, tokenizer = remote_repos.plainly_made(folders[0]), AutoTokenizer.from_pretrained(folders[1])
    built = model.build_conversation_input_ids(
        tokenizer,
        query=text if image else VICUNA.format(text),
        images=[image().convert("RGB")] if image else None,
        template_version="chat" if image else "base",
    )
    tokens, types = built["input_ids"][None], built["token_type_ids"][None]
    for _ in range(steps):
        logits = model(tokens, images=[built["images"]] if image else None, token_type_ids=types).logits[0, -1]
        logits[remote_repos.silent(folders[0])] = -torch.inf
        tokens = torch.cat([tokens, logits.argmax()[None, None]], -1)
        types = torch.cat([types, torch.zeros_like(types[:, :1])], -1)
    return tokenizer.decode(tokens[0, len(built["input_ids"]) :], skip_special_tokens=True)


def test_an_answer_is_what_the_model_says_step_by_step(folders, vlm):
    answers = ask(vlm, PROMPTS)
    assert answers == [step_by_step(folders, *prompt) for prompt in PROMPTS]
    assert len(set(answers)) == len(PROMPTS)


def test_a_sample_depends_on_the_seed_and_on_the_request_alone(folders):
    prompts = [PROMPTS[0]] * 3 + [PROMPTS[2]] * 3
    one, again, other = (ask(make(folders, seed=seed), prompts, SAMPLED) for seed in (1, 1, 2))
    assert one == again != other
    assert len(set(one)) == len(prompts)
    assert ask(make(folders, seed=1), prompts[:2], SAMPLED) == one[:2]


def test_settings_of_the_task_are_honoured(vlm):
    plain, short, penalised = (
        ask(vlm, PROMPTS[:1], GREEDY | more)[0]
        for more in ({}, {"max_new_tokens": 3}, {"repetition_penalty": 5.0, "max_new_tokens": 30})
    )
    assert plain.startswith(short)
    assert len(short) < len(plain)
    assert not penalised.startswith(plain)
    assert ask(vlm, PROMPTS[:1], GREEDY | {"until": plain[4]}) == [plain[: plain.index(plain[4])]]


def test_the_answer_ends_where_the_model_ends_it(folders, tmp_path):
    model, tokenizer = tmp_path / "model", AutoTokenizer.from_pretrained(folders[1])
    shutil.copytree(folders[0], model)
    whole = step_by_step(folders, *PROMPTS[0])
    end = tokenizer.encode(whole, add_special_tokens=False)[-1]
    file = model / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": end}))
    (ended,) = ask(make((model, folders[1])), PROMPTS[:1], {"max_new_tokens": 30})
    assert whole.startswith(ended)
    assert ended.endswith(tokenizer.decode([end]))


def test_what_its_interface_cannot_be_asked_fails_alone(vlm):
    two = put(vlm, picture(0), picture(1), "Which?")
    assert is_failed(two)
    assert "one image at most, found 2" in two
    assert "before the text" in put(vlm, "What is this?", picture(0))
