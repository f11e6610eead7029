"""Which images are alike, and where they go."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance

from harness_ext.sources.prepared import perceptual_hash
from harness_ext.sources.sides import groups, keep_together


def picture(number: int, size: int = 200) -> Image.Image:
    coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file)


def watermarked(image: Image.Image) -> Image.Image:
    ImageDraw.Draw(image).text((10, 180), "watermark", fill="white")
    return image


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((90, 300)),
        recompressed,
        lambda image: ImageEnhance.Contrast(image).enhance(0.7),
        watermarked,
    ],
    ids=["scaled", "recompressed", "pale", "watermarked"],
)
def test_a_hash_outlives_small_changes(change) -> None:
    for number in range(20):
        original = perceptual_hash(picture(number))
        assert (original ^ perceptual_hash(change(picture(number)))).bit_count() <= 4


def test_a_hash_tells_pictures_apart() -> None:
    hashes = [perceptual_hash(picture(number)) for number in range(40)]
    assert min((a ^ b).bit_count() for at, a in enumerate(hashes) for b in hashes[:at]) > 10
    assert all(0 <= each < 2**64 for each in hashes)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_flat_images_are_alike(colour: tuple[int, int, int]) -> None:
    assert perceptual_hash(Image.new("RGB", (50, 50), colour)) in (0, 1 << 63)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12), st.integers(0, 64), st.randoms())
def test_groups_are_the_chains_of_near_hashes(hashes: list[int], bits: int, rng) -> None:
    hashes += [each ^ (1 << rng.randrange(64)) for each in hashes]
    found = groups(hashes, bits).tolist()
    reached = [{at} for at in range(len(hashes))]
    for _ in hashes:  # everything near to what was reached, as often as a chain can be long
        reached = [
            {at for at, one in enumerate(hashes) if any((one ^ hashes[other]).bit_count() <= bits for other in chain)}
            for chain in reached
        ]
    for at, number in enumerate(found):
        assert reached[at] == {other for other, of in enumerate(found) if of == number}


def test_no_images_no_groups() -> None:
    assert groups([], 4).tolist() == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4))))
def test_groups_go_where_most_of_them_are(images: list[tuple[bool, int]]) -> None:
    sides = keep_together([train for train, _ in images], [number for _, number in images])
    for number in {number for _, number in images}:
        votes = [train for train, of in images if of == number]
        found = {side for side, (_, of) in zip(sides, images, strict=True) if of == number}
        assert found == {2 * sum(votes) >= len(votes)}
