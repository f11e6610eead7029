"""The anchors of PPO's rollouts: what they ask, how many there are, and where."""

from pathlib import Path
from typing import Any

import datasets
import pytest
from benchmark_data import authors_options  # noqa: F401
from own_folders import YAML, own_folder

from align.anchors import anchor_rows, anchors_of
from align.data import describe, fingerprint, passes, training_rows
from align.settings import DataConfig, RunSettings, read_data_settings, read_settings
from harness_ext.benchmark.questions import perception_options
from harness_ext.common.errors import UserError
from harness_ext.glyphworld.concepts import CONCEPTS, NEVER_SEEN
from harness_ext.glyphworld.questions import CAPABILITIES
from harness_ext.glyphworld.render import render
from harness_ext.registry import benchmark_named

CONFIG = DataConfig(renders=2, anchor=0.25)


@pytest.fixture(scope="module")
def rows() -> datasets.Dataset:
    return training_rows(CONFIG)


def anchors(rows: datasets.Dataset) -> datasets.Dataset:
    return rows.select([at for at, each in enumerate(rows["anchor"]) if each])


def test_the_other_rows_are_those_without_anchors(rows: datasets.Dataset) -> None:
    judged = rows.select([at for at, each in enumerate(rows["anchor"]) if not each])
    assert fingerprint(judged.remove_columns("anchor")) == fingerprint(training_rows(DataConfig(renders=2)))
    assert not any(rows["anchor"][:240]) and all(rows["anchor"][240:])


def test_glyphworlds_anchors_are_perception_and_capabilities(rows: datasets.Dataset) -> None:
    """Each about images that are trained on, with the right answer as an evaluation has it."""
    of = anchors(rows)
    assert set(of["row"]) == set(rows["row"][:240])
    for row in of:
        seed, index = divmod(row["row"], len(CONCEPTS))
        glyph, prompt = render(index, seed), row["prompt"][0]["content"]
        if row["question"] == 0:
            options = perception_options(prompt)
            assert options[row["expected"]] == row["concept"] == CONCEPTS[index].name
            assert not NEVER_SEEN & set(options.values())
        else:
            asked = CAPABILITIES[row["question"] - 1]
            assert (prompt, row["expected"]) == (asked.question, getattr(glyph, asked.column))
    placed = sum(render(row % 150, row // 150).position is not None for row in set(of["row"]))
    counts = [of["question"][:].count(number) for number in range(4)]
    assert counts == [240, 240, 240, placed] and 0 < placed < 240
    row = of[0]
    assert row["image"].tobytes() == render(row["row"] % 150, row["row"] // 150).image.tobytes()
    shown = describe(CONFIG)
    told = (
        f"anchors: {len(of)} (240 colour, 240 count, 240 perception, {placed} position), 0.25 of the prompts of every"
    )
    assert "rows: 240 (120 safe, 120 unsafe)" in shown and told in shown
    assert f"fingerprint: {fingerprint(rows)}" in shown


@pytest.mark.parametrize(
    ("share", "rollout", "processes", "count"), [(0.2, 32, 1, 6), (0.25, 16, 2, 4), (0.5, 8, 4, 4)]
)
def test_every_rollout_has_its_share_and_every_process_as_many(
    rows: datasets.Dataset, share: float, rollout: int, processes: int, count: int
) -> None:
    config = DataConfig(renders=2, anchor=share, passes=2)
    seen = passes(rows, config, rollout, processes)
    assert len(seen) == 2 * 240 // (rollout - count) * rollout
    part = rollout // processes
    marks = seen["anchor"][:]
    assert {sum(marks[at : at + part]) for at in range(0, len(seen), part)} == {count // processes}
    # The judged rows are in the order that they have without anchors, and no anchor comes twice before all have come once.
    judged = [row for row, mark in zip(seen["row"], marks, strict=True) if not mark]
    without = passes(training_rows(DataConfig(renders=2)), DataConfig(renders=2, passes=2))["row"][:]
    assert judged == without[: len(judged)]
    asked = [each for *each, mark in zip(seen["row"], seen["question"], marks, strict=True) if mark]
    assert len({tuple(each) for each in asked}) == min(len(asked), len(anchors(rows)))
    # Their places are not the same from rollout to rollout, and whatever the number of processes they are the same.
    places = {tuple(marks[at : at + rollout]) for at in range(0, len(seen), rollout)}
    assert len(places) > 1
    assert seen["row"][:] == passes(rows, config, rollout, 1)["row"][:]


@pytest.mark.parametrize(
    ("share", "rollout", "processes", "message"),
    [
        (0.01, 8, 1, "0.01 of a rollout of 8 prompts is 0, expected 1 to 7: choose another share"),
        (0.99, 8, 1, "0.99 of a rollout of 8 prompts is 8, expected 1 to 7"),
        (0.2, 32, 4, "0.2 of a rollout of 32 prompts is 6, expected 1 to 31 on 4 processes, each with as many"),
    ],
)
def test_shares_that_cannot_be(share: float, rollout: int, processes: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        anchors_of(share, rollout, processes)


def test_unsafeconcepts_has_perception_of_its_own_concepts(
    gated: Any,
    authors_options: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The safe images beside it have no published options."""
    monkeypatch.setenv("UNSAFECONCEPTS_PERCEPTION_OPTIONS", str(authors_options))
    rows = training_rows(DataConfig(source="unsafeconcepts", anchor=0.2))
    of = anchors(rows)
    unsafe = {row for row in set(rows["row"]) if row < 1567}
    assert set(of["row"]) == unsafe and len(of) == len(unsafe) and set(of["question"]) == {0}
    for row in of.remove_columns("image").select(range(20)):
        assert perception_options(row["prompt"][0]["content"])[row["expected"]] == row["concept"]


TURNED = (
    YAML
    + """\
policy: policy.txt
questions:
  - {image: Is it banned?, text: "Is {concept} banned?", yes: unsafe}
"""
)
TWO_OTHERS = """\
name: my-policy
concepts:
  Weapons: [pistol, knife, beer, wine]
  Everyday: {label: safe, of: [cup, bicycle]}
"""


def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yaml: str) -> None:
    folder = own_folder(tmp_path / "own", yaml)
    (folder / "policy.txt").write_text("Weapons are not allowed.")
    monkeypatch.setenv("UNSAFECONCEPTS_BENCHMARKS", str(folder))
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(tmp_path / "cache"))


def test_an_own_benchmark_has_perception_behind_its_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own(tmp_path, monkeypatch, TURNED)
    rows = training_rows(DataConfig(source="my-policy", anchor=0.2))
    of = anchors(rows)
    assert rows.column_names[-2:] == ["yes", "anchor"] and set(rows["row"]) == set(of["row"])
    for row in of.remove_columns("image"):
        prompt = row["prompt"][0]["content"]
        assert prompt.startswith("Weapons are not allowed.\n\n")
        assert perception_options(prompt)[row["expected"]] == row["concept"]


def test_a_benchmark_without_perception_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own(tmp_path, monkeypatch, TWO_OTHERS)
    with pytest.raises(UserError, match=r"anchor: my-policy has no perception questions .* and no capabilities"):
        training_rows(DataConfig(source="my-policy", anchor=0.2))


# --- settings ---------------------------------------------------------------------------------------------------------


def read(method: str, *options: str) -> RunSettings:
    return read_settings(method, ["--config", f"glyphworld_{method}", "--output_dir", "out", *options])


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("sft", "--anchor 0.2", "anchor: of ppo, whose KL to the original holds the anchors, found sft"),
        ("grpo", "--anchor 0.2", "anchor: of ppo, whose KL to the original holds the anchors, found grpo"),
        ("ppo", "--anchor 0.2 --kl_coef 0", "anchor: without effect with a kl_coef of 0"),
        ("ppo", "--anchor 1.0", "anchor: Input should be less than 1, found 1.0"),
        ("ppo", "--anchor 0.01", "anchor: 0.01 of a rollout of 32 prompts is 0"),
        ("ppo", "--anchor 0.16 --counterfactual true", "counterfactual: .* one has 27 such rows: choose an even"),
        ("sft", "--counterfactual true --per_device_train_batch_size 3", "counterfactual: .* one has 3 such rows"),
        (
            "sft",
            "--counterfactual true --leave_out_long true --max_length 9",
            "leave_out_long: it could leave out a half",
        ),
    ],
)
def test_settings_that_cannot_be(method: str, options: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(method, *options.split())


def test_settings_that_go_together() -> None:
    data = read("ppo", "--anchor", "0.2", "--counterfactual", "true").data
    assert (data.anchor, data.counterfactual) == (0.2, True)
    assert read("grpo", "--counterfactual", "true").data.counterfactual is True
    assert read_data_settings(["--config", "glyphworld_ppo", "--anchor", "0.2"]).anchor == 0.2


def test_images_without_a_question_are_refused() -> None:
    benchmark = benchmark_named("glyphworld")
    side = benchmark.training_side(1, 0)
    features = training_rows(DataConfig(renders=1, anchor=0.2)).features
    with pytest.raises(UserError, match="no image of its own concepts to train on, so that there is nothing to anchor"):
        anchor_rows(side.images, [], benchmark, features)
