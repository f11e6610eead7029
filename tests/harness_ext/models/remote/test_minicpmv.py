import pytest
import remote_repos
import torch
from asking import GREEDY, ask, picture
from remote_repos.prompts import PROMPTS, SAMPLED
from remote_repos.putting import put
from transformers import AutoTokenizer

from harness_ext.common.errors import UserError
from harness_ext.models.remote.families import MiniCPMV


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("minicpmv")
    remote_repos.minicpmv(folder)
    return folder


@pytest.fixture(scope="module")
def vlm(folder):
    return make(folder)


def make(folder, **options):
    return MiniCPMV(str(folder), device="cpu", trust_remote_code=True, **options)


def chat(folder, image, text, **settings):
    """What the plainly made model's ``chat`` says."""
    content = [*([image().convert("RGB")] if image else []), text]
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    model = remote_repos.plainly_made(folder)
    given = {"msgs": [{"role": "user", "content": content}], "tokenizer": tokenizer, "processor": tokenizer}
    return model.chat(image=None, max_new_tokens=GREEDY["max_new_tokens"], **given, **settings)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 4}, {"repetition_penalty": 1.0}], ids=str)
def test_greedy_is_one_beam_and_what_the_task_names_is_handed_on(folder, vlm, settings):
    answers = ask(vlm, PROMPTS, GREEDY | settings)
    assert answers == [chat(folder, *prompt, sampling=False, **{"num_beams": 1, **settings}) for prompt in PROMPTS]
    assert len(set(answers)) == len(PROMPTS)


def test_left_to_itself_it_would_search_with_beams(folder, vlm):
    assert ask(vlm, PROMPTS) != [chat(folder, *prompt, sampling=False) for prompt in PROMPTS]


def test_a_sample_depends_on_the_seed_and_on_the_request_alone(folder):
    prompts = [PROMPTS[0]] * 3
    before = torch.get_rng_state()
    one, again, other = (ask(make(folder, seed=seed), prompts, SAMPLED) for seed in (1, 1, 2))
    assert one == again != other
    assert len(set(one)) == len(prompts)
    assert ask(make(folder, seed=1), prompts[:2], SAMPLED) == one[:2]
    assert torch.equal(before, torch.get_rng_state())


def test_temperature_reaches_the_model(folder):
    cold = ask(make(folder, seed=1), [PROMPTS[0]] * 3, SAMPLED | {"temperature": 1e-4, "repetition_penalty": 1.2})
    assert set(cold) == {chat(folder, *PROMPTS[0], sampling=False, num_beams=1)}


def test_sampling_with_beams_is_refused(vlm):
    with pytest.raises(UserError, match="sampling with beams is not supported"):
        ask(vlm, PROMPTS, SAMPLED | {"num_beams": 2})


def test_several_images_are_heard_in_their_order(vlm):
    one, two = put(vlm, picture(0), picture(40), "Which?"), put(vlm, picture(40), picture(0), "Which?")
    assert len({one, two, put(vlm, picture(0), "Which?")}) == 3
