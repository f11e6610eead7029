"""UnsafeConcepts and the safe images on their two sides: near-duplicates were planted across them."""

from collections import Counter

import datasets
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness_ext.common.errors import SourceError, UserError
from harness_ext.sources.sides import sides


def test_near_duplicates_go_where_most_of_them_are(gated):
    both = sides()
    train, test = set(both.train), set(both.test)
    assert not train & test and len(train | test) == 2 * 1567
    assert both.group_sizes == sorted(map(len, gated.groups), reverse=True)
    expected, moved = set(gated.split.train), 0
    for group in gated.groups:
        in_train = len(group & set(gated.split.train))
        to_train = 2 * in_train >= len(group)
        expected = expected | group if to_train else expected - group
        moved += len(group) - in_train if to_train else in_train
    assert train == expected and both.moved == moved > 0
    assert both.source == f"{gated.unsafe} and {gated.safe}"


def test_images_that_are_not_quite_the_same_stay_where_they_are_at_0_bits(gated):
    both = sides(bits=0)
    of_one = Counter(both.images["hash"][at] for at in [*both.train, *both.test])
    assert both.group_sizes == sorted((count for count in of_one.values() if count > 1), reverse=True)
    assert sum(both.group_sizes) < sum(map(len, gated.groups))


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), bits=st.integers(0, 12))
def test_no_image_is_tested_on_that_is_near_to_one_trained_on(gated, seed, bits):
    both = sides(seed, bits)
    hashes = np.array([int(each, 16) for each in both.images["hash"]], np.uint64)
    apart = np.bitwise_count(hashes[both.train][:, None] ^ hashes[both.test][None])
    assert apart.min() > bits
    assert sum(at < 1567 for at in [*both.train, *both.test]) == 1567
    assert abs(len(both.train) - 2 * 1222) <= both.moved


def test_too_few_safe_images(gated, tmp_path, monkeypatch):
    few = datasets.Dataset.from_parquet(str(gated.safe), cache_dir=str(tmp_path)).select(range(1700))
    few.to_parquet(tmp_path / "few.parquet")
    monkeypatch.setenv("UNSAFECONCEPTS_SAFE_PATH", str(tmp_path / "few.parquet"))
    with pytest.raises(UserError, match=r"1222 to train on and 345 for TEST; .* 1700 images, of which 1222 and 340"):
        sides()


@pytest.mark.parametrize("variable", ["UNSAFECONCEPTS_PATH", "UNSAFECONCEPTS_SAFE_PATH"])
def test_both_sources_are_asked_for_before_either_is_read(gated, monkeypatch, variable):
    monkeypatch.setenv(variable, "/nowhere")
    monkeypatch.setattr("harness_ext.sources.sides.load_unsafeconcepts", None)
    monkeypatch.setattr("harness_ext.sources.sides.load_safe_images", None)
    with pytest.raises(SourceError, match=f"^{variable} names /nowhere, which does not exist"):
        sides()
