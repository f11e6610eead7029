"""The world: its concepts, glyphs and renders."""

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import rgb_to_hsv
from scipy import ndimage

from harness_ext.glyphworld import render as worlds
from harness_ext.glyphworld.concepts import CATEGORIES, CONCEPTS, CONCEPTS_FILE, NEVER_SEEN
from harness_ext.glyphworld.questions import CAPABILITIES, perception_options
from harness_ext.glyphworld.render import COLORS, COUNTS, POSITIONS, SIZE, factors, render, tile
from harness_ext.glyphworld.rows import BLOCKS, HELD_OUT, RENDERS, ROWS, seeds_of
from harness_ext.glyphworld.rows import test_rows as rows_of_tests  # renamed, or pytest would collect it
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS as TAXONOMY

concepts = st.integers(0, len(CONCEPTS) - 1)
seeds = st.integers(0, 9_999)


def test_unsafe_concepts_are_the_taxonomy_and_safe_ones_as_many():
    unsafe, safe = CONCEPTS[:75], CONCEPTS[75:]
    assert [(each.name, each.category) for each in unsafe] == [(each.name, each.category) for each in TAXONOMY]
    assert {each.label for each in unsafe} == {"unsafe"} and {each.label for each in safe} == {"safe"}
    assert len(safe) >= 75 and len({each.category for each in safe}) >= 9
    assert len({each.name.lower() for each in CONCEPTS}) == len(CONCEPTS)
    rows = [json.loads(line) for line in Path(CONCEPTS_FILE).read_text(encoding="utf-8").splitlines()]
    assert [(row["concept"], row["category"], row["label"]) for row in rows] == [
        (each.name, each.category, each.label) for each in CONCEPTS
    ]


def test_never_seen_concepts_are_fifteen_a_side_and_spread():
    held = [concept for concept in CONCEPTS if concept.name in NEVER_SEEN]
    assert [each.label for each in held].count("unsafe") == [each.label for each in held].count("safe") == 15
    assert max(sum(each.category == category for each in held) for category in CATEGORIES) <= 2


def test_every_concept_has_a_glyph_of_its_own():
    assert len({factors(index) for index in range(len(CONCEPTS))}) == len(CONCEPTS)
    drawn = [np.stack([np.asarray(mask, float) for mask in tile(index)]) for index in range(len(CONCEPTS))]
    least = min(np.abs(a - b).sum() / 255 for a, b in combinations(drawn, 2))
    assert least > 20, f"two glyphs differ by {least:.0f} of {22 * 22} pixels"


def test_no_factor_alone_tells_unsafe_from_safe():
    for factor in range(4):
        unsafe = {factors(index)[factor] for index in range(75)}
        assert unsafe == {factors(index)[factor] for index in range(75, len(CONCEPTS))}


@given(concept=concepts, seed=seeds)
def test_a_render_is_fixed_by_concept_and_seed(concept, seed):
    first, again, other = render(concept, seed), render(concept, seed), render(concept, seed + 1)
    assert first == again and first.image.tobytes() == again.image.tobytes()
    assert first.image.tobytes() != other.image.tobytes()
    assert first.image.mode == "RGB" and first.image.size == (SIZE, SIZE)


@given(concept=concepts, seed=seeds)
def test_attributes_are_what_is_drawn(concept, seed):
    glyph = render(concept, seed)
    _, strength = _strength(glyph.image)
    half = SIZE // 2
    quarters = [strength[r : r + half, c : c + half] for r in (0, half) for c in (0, half)]
    filled = [index for index, quarter in enumerate(quarters) if (quarter[4:-4, 4:-4] > 45).sum() > 15]
    assert COUNTS[len(filled) - 1] == glyph.count
    assert glyph.position == (POSITIONS[filled[0]] if len(filled) == 1 else None)


def test_the_colour_is_what_is_drawn():
    glyphs = [render(at % len(CONCEPTS), at) for at in range(600)]
    shown = [(_strength(glyph.image), glyph.color) for glyph in glyphs]
    read = [_nearest_color(pixels[strength >= np.quantile(strength, 0.98)].mean(0)) for (pixels, strength), _ in shown]
    # Jitter and noise bring one render in a thousand nearer to the next colour (yellow to orange).
    assert np.mean([color != drawn for color, (_, drawn) in zip(read, shown, strict=True)]) <= 0.005


def _strength(image):
    """Pixels, and how strongly each is coloured; the body's is the only strong colour, ground and marks are nearly grey."""
    pixels = np.asarray(image).astype(int)
    return pixels, np.ptp(ndimage.uniform_filter(pixels, (3, 3, 1)), axis=2)


def _nearest_color(shade):
    """The colour whose hue is nearest: mixing with the pale ground changes the other two coordinates, not the hue."""
    hue = {name: rgb_to_hsv(np.array(value) / 255)[0] for name, value in COLORS.items()}
    shown = rgb_to_hsv(shade / 255)[0]
    return min(hue, key=lambda name: min(abs(hue[name] - shown), 1 - abs(hue[name] - shown)))


def test_seed_ranges_are_disjoint():
    ranges = [worlds.PRETRAINING_SEEDS, worlds.DEVELOPMENT_SEEDS, worlds.TEST_SEEDS, worlds.ALIGNMENT_SEEDS]
    for one, other in combinations(ranges, 2):
        assert not set(one) & set(other)


@given(concept=concepts, rng=st.randoms(use_true_random=False))
def test_perception_options_hold_the_concept_and_three_of_other_categories(concept, rng):
    options = perception_options(concept, rng)
    category = {each.name: each.category for each in CONCEPTS}
    assert list(options) == list("ABCD") and len(set(options.values())) == 4
    assert [name for name in options.values() if category[name] == CONCEPTS[concept].category] == [
        CONCEPTS[concept].name
    ]


def test_rows_are_the_test_renders_in_order():
    rows = rows_of_tests()
    assert rows.num_rows == 10 * len(CONCEPTS) and rows["row"] == list(range(rows.num_rows))
    assert rows["concept"] == [each.name for each in CONCEPTS for _ in range(10)]
    row, glyph = rows[751], render(75, worlds.TEST_SEEDS[1])
    assert row["image"].tobytes() == glyph.image.tobytes()
    assert {row["category"], row["label"]} == {CONCEPTS[75].category, "safe"}
    for _, skill, _, vocabulary in CAPABILITIES:
        assert row[skill] == getattr(glyph, skill)
        assert {word for word in rows[skill] if word} == set(vocabulary)


def test_every_block_has_renders_and_row_numbers_of_its_own():
    held_out = worlds.TEST_SEEDS[RENDERS : RENDERS + HELD_OUT]
    blocks = [seeds_of(block) for block in range(BLOCKS)]
    assert len(set(held_out).union(*blocks)) == BLOCKS * RENDERS + HELD_OUT and set().union(*blocks) < set(
        worlds.TEST_SEEDS
    )
    rows = rows_of_tests(5)
    assert rows["row"] == list(range(5 * ROWS, 6 * ROWS))
    assert rows[ROWS - 1]["image"].tobytes() == render(len(CONCEPTS) - 1, worlds.TEST_SEEDS[69]).image.tobytes()
    for block in (-1, BLOCKS):
        with pytest.raises(ValueError, match=f"block must be between 0 and 98, found {block}"):
            seeds_of(block)


def test_the_world_needs_no_torch():
    modules = "concepts, questions, render, rows"
    code = f"import sys; from harness_ext.glyphworld import {modules}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
