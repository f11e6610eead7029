"""UnsafeConcepts and the safe images on their two sides: near-duplicates were planted across them."""

import re

import datasets
import numpy as np
import pytest

from harness_ext.common.errors import SourceError
from harness_ext.sources.duplicates import DUPLICATE_BITS
from harness_ext.unsafeconcepts.sides import sides, training_side


def test_the_sides_are_the_papers_and_test_never_moves(gated):
    both = sides()
    assert (both.train, both.test) == tuple(map(list, gated.split))
    assert both.source == f"{gated.unsafe} and {gated.safe}"
    assert both.images["row"][:] == list(range(1567 + 1800))
    assert both.images["label"][:] == ["unsafe"] * 1567 + ["safe"] * 1800
    assert training_side().images["row"][:] == both.images["row"][:]
    assert sides().test == both.test and len(both.test) == 690


def test_what_is_near_to_an_image_of_test_is_left_out_of_training(gated):
    side = training_side()
    listed = "\n".join(side.described)
    left_out = [tuple(map(int, each)) for each in re.findall(r"row (\d+): (\d+) bits from row (\d+) of TEST", listed)]
    assert {row: test for row, _, test in left_out} == gated.near
    assert all(0 <= bits <= DUPLICATE_BITS for _, bits, _ in left_out)
    assert side.chosen == [row for row in gated.split.train if row not in gated.near]
    hashes = np.array([int(each, 16) for each in side.images["hash"]], np.uint64)
    apart = np.bitwise_count(hashes[side.chosen][:, None] ^ hashes[list(gated.split.test)][None])
    assert apart.min() > DUPLICATE_BITS


@pytest.mark.parametrize("rows", [1799, 1801, 1700])
def test_another_number_of_safe_images(gated, tmp_path, monkeypatch, rows):
    whole = datasets.Dataset.from_parquet(str(gated.safe), cache_dir=str(tmp_path))
    whole.select([row % 1800 for row in range(rows)]).to_parquet(tmp_path / "other.parquet")
    monkeypatch.setenv("UNSAFECONCEPTS_SAFE_PATH", str(tmp_path / "other.parquet"))
    with pytest.raises(SourceError, match=f"expected the 1800 rows of yiting/imagenet_1k_unique_class, found {rows}"):
        sides()


@pytest.mark.parametrize("variable", ["UNSAFECONCEPTS_PATH", "UNSAFECONCEPTS_SAFE_PATH"])
def test_both_sources_are_asked_for_before_either_is_read(gated, monkeypatch, variable):
    monkeypatch.setenv(variable, "/nowhere")
    monkeypatch.setattr("harness_ext.unsafeconcepts.sides.load_set", None)
    with pytest.raises(SourceError, match=f"^{variable} names /nowhere, which does not exist"):
        sides()
