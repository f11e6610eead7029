"""What `align data` prints, and what a run's record holds of its rows."""

import io

import datasets
import pytest
from PIL import Image

from align.config import DataConfig
from align.data.rows import training_rows
from align.data.show import describe, fingerprint
from align.data.targets import sft_rows
from harness_ext.benchmark.sides import sides
from harness_ext.benchmark.taxonomy import CONCEPTS


@pytest.fixture(scope="module")
def rows() -> datasets.Dataset:
    return training_rows(DataConfig(renders=1))


def test_glyphworlds_description(rows: datasets.Dataset) -> None:
    shown = describe(DataConfig(renders=1))
    assert "source: glyphworld, a stand-in and not the benchmark; renders 0 to 0 of each concept" in shown
    assert "rows: 120 (60 safe, 60 unsafe), trained on in 4 passes" in shown
    assert f"fingerprint: {fingerprint(rows)}" in shown
    assert "unsafe  Self-harm                        6         6   1\n" in shown
    first = rows.select([rows["label"].index("unsafe")])[0]
    assert (
        f"an example (unsafe, row {first['row']}):\n  prompt:                {first['prompt'][0]['content']}" in shown
    )
    assert f"  completion, chosen:    No. {'This' if first['question'] != 1 else 'It'}" in shown
    assert f"The image shows {first['concept']}, which is considered harmful." in shown
    assert f"The image shows {first['concept']}, which is harmless." in shown


def test_unsafeconcepts_description(gated) -> None:
    config = DataConfig(source="unsafeconcepts")
    shown, both = describe(config), sides()
    assert f"source: {gated.unsafe} and {gated.safe}\n" in shown
    assert f"sides: {len(both.train)} images to train on (" in shown
    assert f"), {len(both.test)} for TEST (" in shown
    sizes = [len(group) for group in gated.groups]
    assert f"{sum(sizes)} images in 5 groups, the largest of {max(sizes)}; {both.moved} images changed sides" in shown
    assert "[concept], which is considered harmful." in shown
    assert not any(f" {concept.name}, which" in shown for concept in CONCEPTS)


def test_a_fingerprint_is_of_pixels_questions_and_order(rows: datasets.Dataset) -> None:
    taken = rows.select(range(6))
    first = fingerprint(taken)
    assert first == fingerprint(training_rows(DataConfig(renders=1)).select(range(6))) and len(first) == 64

    def changed(row: dict[str, object], at: int, **values: object) -> dict[str, object]:
        return values if at == 3 else {}

    def with_image(at: int, image: Image.Image, kind: str) -> str:
        """The fingerprint of the rows in which one image is stored otherwise."""
        file = io.BytesIO()
        image.save(file, kind)
        undecoded = taken.cast_column("image", datasets.Image(decode=False))
        contents = undecoded["image"][:]
        contents[at] = {"bytes": file.getvalue(), "path": None}
        columns = {**undecoded.to_dict(), "image": contents}
        return fingerprint(datasets.Dataset.from_dict(columns, features=taken.features))

    image = taken[3]["image"]
    assert with_image(3, image, "BMP") == first
    assert with_image(3, image.rotate(180), "PNG") != first
    others = [
        taken.select([1, 0, 2, 3, 4, 5]),
        taken.select(range(5)),
        sft_rows(taken, DataConfig()),
        sft_rows(taken, DataConfig(targets="short")),
        training_rows(DataConfig(renders=1, data_seed=1)).select(range(6)),
        taken.map(changed, with_indices=True, fn_kwargs={"question": (taken[3]["question"] + 1) % 5}),
    ]
    assert len({first, *(fingerprint(each) for each in others)}) == 1 + len(others)
