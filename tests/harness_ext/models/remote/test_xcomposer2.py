import pytest
import remote_repos
import torch
from asking import GREEDY, ask, picture
from remote_repos.prompts import PROMPTS, SAMPLED
from remote_repos.putting import put
from transformers import AutoTokenizer

from harness_ext.common.failures import is_failed
from harness_ext.models.remote.families import XComposer2

# Its own penalty is off where answers are compared to ones that know none.
PLAIN = GREEDY | {"repetition_penalty": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("xcomposer2")
    remote_repos.xcomposer2(folder)
    return folder


@pytest.fixture(scope="module")
def vlm(folder):
    return make(folder)


def make(folder, **options):
    return XComposer2(str(folder), device="cpu", trust_remote_code=True, max_failed=1.0, **options)


@torch.no_grad()
def step_by_step(folder, images, text, steps=GREEDY["max_new_tokens"]):
    """A greedy answer without a cache, without ``generate``, and without a loader."""
    model, tokenizer = remote_repos.plainly_made(folder), AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    query = "<ImageHere>" * len(images) + text
    seen = [model.vis_processor(image().convert("RGB")) for image in images]
    if seen:
        given = (model.encode_img(torch.stack(seen)), [], "You are a tiny model.")
        embedded = model.interleav_wrap_chat(tokenizer, query, *given)["inputs_embeds"]
    else:
        prompt = model.prompt(query, [], "You are a tiny model.")
        embedded = model.tok_embeddings(tokenizer(prompt, return_tensors="pt").input_ids)
    said = []
    for _ in range(steps):
        logits = model(inputs_embeds=embedded).logits[0, -1]
        logits[remote_repos.silent(folder)] = -torch.inf
        said.append(int(logits.argmax()))
        embedded = torch.cat([embedded, model.tok_embeddings(torch.tensor([[said[-1]]]))], 1)
    return tokenizer.decode(said)


def test_an_answer_is_what_the_model_says_step_by_step(folder, vlm):
    answers = ask(vlm, PROMPTS, PLAIN)
    assert answers == [step_by_step(folder, [image] if image else [], text) for image, text in PROMPTS]
    assert len(set(answers)) == len(PROMPTS)


def test_its_own_penalty_stays_where_the_task_names_none(vlm):
    settings = {"max_new_tokens": 60}
    of_its_own, named, none = (
        ask(vlm, PROMPTS, settings | more) for more in ({}, {"repetition_penalty": 1.005}, {"repetition_penalty": 3.0})
    )
    assert of_its_own == named != none


def test_a_sample_depends_on_the_seed_and_on_the_request_alone(folder):
    prompts = [PROMPTS[0]] * 3
    one, again, other = (ask(make(folder, seed=seed), prompts, PLAIN | SAMPLED) for seed in (1, 1, 2))
    assert one == again != other
    assert len(set(one)) == len(prompts)
    assert ask(make(folder, seed=1), prompts[:2], PLAIN | SAMPLED) == one[:2]


def test_several_images_are_where_the_question_has_them(folder, vlm):
    first, second = picture(0), picture(40)
    both = put(vlm, first, second, "Which?", settings=PLAIN)
    assert both == step_by_step(folder, [first, second], "Which?")
    assert both != put(vlm, second, first, "Which?", settings=PLAIN)
    assert put(vlm, "This.", first, "Safe?") != put(vlm, first, "This.", "Safe?")


def test_the_mark_of_an_image_in_a_text_fails_alone(vlm):
    assert is_failed(put(vlm, picture(0), "What does <ImageHere> mean?"))
