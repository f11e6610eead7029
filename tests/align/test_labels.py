"""Labels that a guard gave: of an evaluation as the harness writes it, in the place of those of the concepts."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_stub import MODEL, ApiStub, Asked, moderated
from own_folders import listed, own_folder, png

from align import commands
from align.data import describe, training_rows, with_targets
from align.settings import DataConfig
from harness_ext.common.errors import UserError

RunWarm = Callable[..., Any]


def flags(pixels: bytes) -> bool:
    """The guard's rule, which has nothing to do with the concept: more red than blue."""
    return sum(pixels[::3]) > sum(pixels[2::3])


def result(asked: Asked) -> dict[str, Any]:
    (image,) = asked.images
    return {**moderated(asked), "flagged": flags(image.convert("RGB").tobytes())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_folder(tmp_path_factory.mktemp("own") / "my-policy")


@pytest.fixture(scope="module")
def runs(run_warm: RunWarm, folder: Path) -> Path:
    """A guard's answers about all images, and about a part of them."""
    with ApiStub(result=result) as stub:
        for name, limit in (("all", ()), ("part", ("--limit", "100"))):
            ended = run_warm(
                "lmms_eval", "--benchmark", folder, "--model", "openai-moderation", "--tasks", "my-policy_image", *limit,
                "--model_args", f"model={MODEL},base_url={stub.url},answers=none", "--log_samples",
                "--output_path", folder.parent / name,
            )  # fmt: skip
            assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder.parent


@pytest.fixture
def own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", str(folder))
    return "my-policy"


def test_a_guards_verdicts_are_the_labels(runs: Path, own: str) -> None:
    config = DataConfig(source=own, labels_from=str(runs / "all"))
    rows, plain = training_rows(config), training_rows(DataConfig(source=own))
    assert rows.column_names == plain.column_names
    same = [name for name in rows.column_names if name not in ("image", "label", "expected")]
    assert rows.select_columns(same).to_list() == plain.select_columns(same).to_list()
    given = [flags(image.tobytes()) for image in rows["image"]]
    assert rows["label"][:] == rows["expected"][:] == ["unsafe" if each else "safe" for each in given]
    changed = sum(one != other for one, other in zip(rows["label"], plain["label"], strict=True))
    assert changed and f"; {changed} of {len(rows)} are not their concept's, and 0 images" in describe(config)
    completions = with_targets(rows, config, "sft")["completion"]
    assert [turn["content"].startswith("No.") for (turn,) in completions] == given


def test_a_run_and_its_card_say_whose_labels_they_are(
    runs: Path, own: str, untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [
        "sft", "--source", own, "--labels_from", str(runs / "all"), "--model", str(untrained_vlm), "--passes", "1",
        "--per_device_train_batch_size", "4", "--max_steps", "1", "--lora_r", "2", "--report_to", "none",
        "--gradient_checkpointing", "false", "--output_dir", str(tmp_path / "out"),
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["align", *given])
    commands.main()
    record = json.loads((tmp_path / "out" / "final" / "run.json").read_text())
    labels = record["data"]["labels"]
    assert labels["by"].startswith("openai-moderation (") and labels["judge"] == "guard-openai-moderation-1"
    assert labels["images"] == len(listed())
    card = (tmp_path / "out" / "final" / "README.md").read_text()
    assert f"| labels | what {labels['by']} judged of each image, read by guard-openai-moderation-1" in card
    assert "as those of `my-policy` are labelled" in card and "yiting" not in card


def test_an_image_has_the_verdict_of_most_answers_or_is_left_out(runs: Path, own: str, tmp_path: Path) -> None:
    shutil.copytree(runs / "all", tmp_path / "run")
    (samples,) = (tmp_path / "run").rglob("*_samples_my-policy_image.jsonl")
    first, second = training_rows(DataConfig(source=own))["row"][:2]
    says: dict[int, Iterator[str]] = {
        first: iter(["na", "safe", "unsafe", "na", "na"]),
        second: iter(["na", "safe", "safe", "unsafe", "na"]),
    }
    answers = [json.loads(line) for line in samples.read_text().splitlines()]
    for answer in answers:
        if answer["judgement"]["row"] in says:
            answer["judgement"]["verdict"] = next(says[answer["judgement"]["row"]])
    samples.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    config = DataConfig(source=own, labels_from=str(tmp_path / "run"))
    label_of = dict(zip((rows := training_rows(config))["row"], rows["label"], strict=True))
    assert len(label_of) == 23 and first not in label_of and label_of[second] == "safe"
    assert "of 23 are not their concept's, and 1 images without a verdict are left out" in describe(config)


def test_a_run_about_a_part_or_about_other_images_is_refused(
    runs: Path, own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"it was not asked about \d+ of 24 images .* my-policy_image without --limit"):
        training_rows(DataConfig(source=own, labels_from=str(runs / "part")))
    other = own_folder(tmp_path / "my-policy")
    (other / "images" / listed()[3]["file_name"]).write_bytes(png(99))
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", str(other))
    with pytest.raises(UserError, match=r"about other images than my-policy has now .* evaluate them again"):
        training_rows(DataConfig(source=own, labels_from=str(runs / "all")))


def test_what_has_no_such_labels_is_refused(runs: Path, own: str) -> None:
    with pytest.raises(UserError, match="no task asks about the images of glyphworld that are trained on"):
        DataConfig(labels_from=str(runs / "all"))
    with pytest.raises(UserError, match="its labels are of images, and modality is text"):
        DataConfig(source=own, labels_from=str(runs / "all"), modality="text")
