import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from harness_ext.common.errors import UserError
from harness_ext.models.generation import request_seed, seeded_sampling
from harness_ext.models.settings import GenerationSettings


def test_settings_of_lmms_evals_own_tasks_are_read():
    mme = {"max_new_tokens": 16, "temperature": 0, "top_p": 1.0, "num_beams": 1, "do_sample": False, "until": ["\n\n"]}
    settings = GenerationSettings.from_task(mme)
    assert (settings.max_new_tokens, settings.do_sample, settings.until) == (16, False, ())


def test_zero_temperature_is_greedy_even_where_sampling_is_asked_for():
    assert not GenerationSettings.from_task({"do_sample": True, "temperature": 0.0}).do_sample


def test_an_unknown_setting_is_refused_by_name():
    with pytest.raises(UserError, match="best_of"):
        GenerationSettings.from_task({"best_of": 3})


@pytest.mark.parametrize("setting", [{"temperature": "abc"}, {"max_new_tokens": "many"}, {"do_sample": "yes"}])
def test_a_value_of_the_wrong_kind_is_refused_by_name(setting):
    with pytest.raises(UserError, match=next(iter(setting))):
        GenerationSettings.from_task(setting)


def test_a_temperature_without_sampling_is_greedy_as_in_lmms_evals_own_tasks():
    assert not GenerationSettings.from_task({"do_sample": False, "temperature": 0.2}).do_sample


def test_an_answer_ends_before_the_first_stop_string():
    settings = GenerationSettings.from_task({"until": ["ASSISTANT:", "\n\n\n"]})
    assert settings.cut("Yes.\n\nMore.ASSISTANT: no\n\n\n") == "Yes.\n\nMore."


def test_sampling_follows_the_softmax_of_the_warped_scores():
    settings = GenerationSettings(do_sample=True, temperature=0.7, top_p=0.9)
    logits = torch.tensor([2.0, 1.5, 1.0, 0.0, -3.0])
    draws = 20_000
    rows = logits.repeat(draws, 1)
    processors = seeded_sampling(settings, [request_seed(0, row) for row in range(draws)])
    counts = torch.bincount(processors(torch.zeros(draws, 1, dtype=torch.long), rows).argmax(-1), minlength=5)

    # The oracle: temperature, then the smallest set of tokens whose probability reaches top-p.
    probability = (logits / 0.7).softmax(0)
    kept = (probability.cumsum(0) - probability) < 0.9
    expected = torch.where(kept, probability, 0.0)
    expected = expected / expected.sum() * draws
    assert counts[~kept].sum() == 0
    assert chisquare(counts[kept].numpy(), expected[kept].double().numpy(), sum_check=False).pvalue > 1e-3


@given(st.integers(0, 2**40), st.integers(1, 6), st.randoms())
def test_a_rows_noise_does_not_depend_on_its_neighbours(seed, count, random):
    settings = GenerationSettings(do_sample=True)
    seeds = [request_seed(seed, row) for row in range(count)]
    scores = torch.zeros(count, 7)
    ids = torch.zeros(count, 1, dtype=torch.long)
    together = seeded_sampling(settings, seeds)(ids, scores)
    order = random.sample(range(count), count)
    shuffled = seeded_sampling(settings, [seeds[at] for at in order])(ids, scores)
    assert torch.equal(together[order], shuffled)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens: Input should be greater than or equal to 1"),
        ({"max_new_tokens": 1.5}, "max_new_tokens: Input should be a valid integer"),
        ({"do_sample": True, "temperature": -1}, "temperature: Input should be greater than or equal to 0"),
        ({"temperature": float("nan")}, "temperature: Input should be a finite number"),
        ({"top_p": 2}, "top_p: Input should be less than or equal to 1"),
        ({"num_beams": 0}, "num_beams: Input should be greater than or equal to 1"),
        ({"do_sample": True, "num_beams": 2}, "sampling with beams"),
        ({"until": [""]}, "empty text"),
    ],
)
def test_a_value_out_of_range_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        GenerationSettings.from_task(settings)
