"""The gated benchmark through the whole path: refused in time without access, evaluated with it, from hub or local copy."""

import io
import json
import os
from pathlib import Path

import pytest
import skimage.data
from hub_stub import GRANTED, UNGRANTED, HubStub
from PIL import Image

from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

OPTIONS = Path(__file__).parents[3] / "shared" / "data" / "unsafeconcepts_perception_metadata.jsonl"


@pytest.fixture(scope="module")
def evaluate(run_warm, untrained_vlm, tmp_path_factory):
    def evaluate(tasks, environment, *options, run=run_warm):
        out = tmp_path_factory.mktemp("out")
        finished = run(
            "lmms_eval", "--model", "hf-vlm", "--model_args", f"pretrained={untrained_vlm},device=cpu", "--tasks", tasks,
            "--limit", "6", "--gen_kwargs", "max_new_tokens=4", "--log_samples", "--output_path", out, *options,
            env=environment,
        )  # fmt: skip
        rows = {}
        for file in out.rglob("*_samples_*.jsonl"):
            rows[file.stem.split("_samples_")[1]] = [json.loads(line) for line in file.read_text().splitlines()]
        return finished, rows

    return evaluate


@pytest.fixture(scope="module")
def hub():
    with HubStub() as hub:
        yield hub


@pytest.mark.parametrize(("token", "reason"), [(None, "not logged in"), (UNGRANTED, "not been granted")])
def test_without_access_two_lines_within_seconds(run, hub, tmp_path, token, reason):
    finished = run(
        "lmms_eval", "--model", "llava-7b", "--tasks", "unsafeconcepts_image", env=hub.environment(tmp_path, token)
    )  # fmt: skip
    lines = finished.stderr.strip().splitlines()
    assert finished.returncode == 2
    assert len(lines) == 2
    assert reason in lines[0]
    assert "https://huggingface.co/datasets/yiting/UnsafeConcepts" in lines[0]
    assert "hf auth login" in lines[0]
    assert "--tasks glyphworld" in lines[1]


def test_with_access_the_hubs_rows_are_asked_about(evaluate, run, hub, tmp_path):
    finished, rows = evaluate("unsafeconcepts_gap", hub.environment(tmp_path, GRANTED), run=run)
    assert finished.returncode == 0, finished.stderr
    assert {task: len(lines) for task, lines in rows.items()} == {"unsafeconcepts_image": 6, "unsafeconcepts_text": 6}
    judged = [row["judgement"] for row in rows["unsafeconcepts_image"]]
    assert [(j["row"], j["question"], j["concept"]) for j in judged] == [
        (0, question, "Swastika") for question in range(5)
    ] + [(1, 0, "Swastika")]
    assert all(j["source"] == "unsafeconcepts" and j["expected"] == "unsafe" for j in judged)
    assert GRANTED not in json.dumps(rows) + finished.stdout + finished.stderr


def test_plain_lmms_eval_is_stopped_before_the_model_too(run, hub, tmp_path):
    finished = run(
        "lmms-eval", "--model", "hf-vlm", "--model_args", "pretrained=/nowhere", "--tasks", "unsafeconcepts_image",
        env=hub.environment(tmp_path),
    )  # fmt: skip
    assert "is gated, and you are not logged in" in finished.stdout + finished.stderr
    assert "/nowhere" not in finished.stderr.split("Traceback")[-1]


def photographs(folder):
    """A local copy whose images are real photographs: those that scikit-image ships, of several modes and formats."""
    shipped = Path(skimage.data.__file__).parent
    names = [
        name
        for name in ("astronaut.png", "chelsea.png", "coffee.png", "camera.png", "color.png")
        if (shipped / name).is_file()
    ]
    assert len(names) >= 3
    for index, name in enumerate(names):
        photograph = Image.open(shipped / name)
        photograph.thumbnail((256, 256))
        (folder / f"{index}.png").write_bytes(_encoded(photograph, "PNG"))
    rotated = Image.open(shipped / names[0]).convert("RGB").resize((200, 100))
    exif = rotated.getexif()
    exif[0x0112] = 6
    rotated.save(folder / "rotated.jpg", exif=exif)
    rotated.convert("CMYK").save(folder / "cmyk.jpg")
    rotated.convert("P").save(folder / "palette.gif")
    files = ["rotated.jpg", "cmyk.jpg", "palette.gif", *(f"{index}.png" for index in range(len(names)))]
    rows = [concept for concept in CONCEPTS for _ in range(concept.images)]
    lines = [
        {"file_name": files[row % len(files)], "category": concept.category, "unsafe_concept": concept.name}
        for row, concept in enumerate(rows)
    ]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return files


def _encoded(image, form):
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def test_photographs_from_a_local_copy_go_through_the_whole_path(evaluate, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    photographs(folder)
    environment = {**os.environ, "UNSAFECONCEPTS_PATH": str(folder), "UNSAFECONCEPTS_CACHE": str(tmp_path / "cache")}
    tasks = "unsafeconcepts_image,unsafeconcepts_text_blank"
    finished, rows = evaluate(tasks, environment, "--limit", "40")
    assert finished.returncode == 0, finished.stderr
    assert {task: len(lines) for task, lines in rows.items()} == dict.fromkeys(tasks.split(","), 40)
    assert all(row["judgement"]["verdict"] != "failed" for lines in rows.values() for row in lines)
    # No image, nor the path of one, in what is kept.
    assert str(folder) not in json.dumps(rows)

    damaged = folder / "cmyk.jpg"
    damaged.write_bytes(damaged.read_bytes()[:-400])
    refused, _ = evaluate("unsafeconcepts_image", environment)
    assert refused.returncode == 2
    assert "rows 1, 9, 17" in refused.stderr
    assert "cannot be read" in refused.stderr


def test_the_published_options_are_asked_about_photographs(evaluate, tmp_path):
    if not OPTIONS.is_file():
        pytest.skip(f"the authors' options are not in {OPTIONS.parent}")
    folder = tmp_path / "copy"
    folder.mkdir()
    photographs(folder)
    environment = {
        **os.environ,
        "UNSAFECONCEPTS_PATH": str(folder),
        "UNSAFECONCEPTS_CACHE": str(tmp_path / "cache"),
        "UNSAFECONCEPTS_PERCEPTION_OPTIONS": str(OPTIONS),
    }
    finished, rows = evaluate("unsafeconcepts_perception", environment)
    assert finished.returncode == 0, finished.stderr
    published = [json.loads(line)["correct_option"] for line in OPTIONS.read_text().splitlines()[:6]]
    assert [row["judgement"]["expected"] for row in rows["unsafeconcepts_perception"]] == published
