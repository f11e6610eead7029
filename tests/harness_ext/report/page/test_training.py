"""Training runs as `align`'s own writers leave them: their curves are drawn, and half of one is named."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerState

from align.record import write_record
from harness_ext.commands.report import main
from harness_ext.common.errors import UserError
from harness_ext.report.page.training import read_trainings
from harness_ext.report.page.training_figures import draw_monitor, draw_training, is_watched, panels, smoothed

RECORD: dict[str, Any] = {
    "method": "ppo",
    "command": "align ppo --config glyphworld_ppo",
    "model": {"model": "glyph-vlm", "weights": "files abc", "lora_r": 128, "lora_alpha": 256},
    "data": {"source": "glyphworld", "rows": 3840, "passes": 1},
    "rewards": [{"name": "verdict"}],
    "arguments": {"learning_rate": 1e-4, "lr_scheduler_type": "linear", "seed": 7},
    "processes": 1,
    "environment": {"python": "3.11", "torch": "2.14"},
}
REWARDS = (0.1, 0.5, math.nan, 0.9)


def write_training(folder: Path, step: int = 8, record: dict[str, Any] = RECORD) -> Path:
    """A checkpoint, or the final folder, of a run that logged every second step."""
    folder.mkdir(parents=True)
    log = [{"step": 2 * at, "epoch": 0.1, "reward": value, "ppo/kl": 0.0} for at, value in enumerate(REWARDS, start=1)]
    log.append({"step": step, "train_runtime": 60.0})
    TrainerState(global_step=step, log_history=log).save_to_json(str(folder / "trainer_state.json"))
    write_record(folder, record, step, 61.23, 60.0)
    return folder


def test_the_final_folder_is_read_with_its_settings_and_curves(tmp_path: Path) -> None:
    write_training(tmp_path / "ppo" / "checkpoint-4", step=4)
    write_training(tmp_path / "ppo" / "final")
    (training,) = read_trainings(tmp_path)
    assert (training.name, training.source, training.notes) == ("ppo", "glyphworld", ())
    assert training.settings["method"] == "PPO"
    assert (training.settings["optimiser steps"], training.settings["seconds"]) == ("8", "61")
    assert training.settings["learning rate"] == "0.0001, linear"
    assert set(training.curves) == {"reward", "ppo/kl"}
    steps, values = zip(*training.curves["reward"], strict=True)
    assert steps == (2, 4, 6, 8)
    assert values[:2] == (0.1, 0.5) and math.isnan(values[2]) and values[3] == 0.9


def test_the_last_checkpoint_of_an_unfinished_run_is_said_to_be_one(tmp_path: Path) -> None:
    write_training(tmp_path / "ppo" / "checkpoint-4", step=4)
    write_training(tmp_path / "ppo" / "checkpoint-12", step=12)
    (tmp_path / "ppo" / "stopped.json").write_text(
        '{"step": 13, "reason": "stopped at step 13: the KL exploded", "samples": []}'
    )
    (training,) = read_trainings(tmp_path)
    assert training.settings["optimiser steps"] == "12"
    assert training.notes == (
        "ppo has not finished: the curves are those of checkpoint-12.",
        "ppo had to stop: stopped at step 13: the KL exploded",
    )


def test_the_figure_shows_every_logged_point(tmp_path: Path) -> None:
    write_training(tmp_path / "ppo" / "final")
    (training,) = read_trainings(tmp_path)
    assert list(panels(training)) == ["reward", "KL to the start policy"]
    axes = draw_training(training).axes[0]
    raw, mean = (list(line.get_ydata()) for line in axes.lines)
    assert raw == pytest.approx(REWARDS, nan_ok=True)
    # By hand, the weighted sum over the sum of weights; the value that is no number leaves both as they are.
    assert mean == pytest.approx([0.1, 0.059 / 0.19, 0.059 / 0.19, 0.1431 / 0.271])
    assert smoothed([]) == []


def test_a_folder_of_training_alone_is_a_page(tmp_path: Path) -> None:
    write_training(tmp_path / "ppo" / "final")
    assert main([str(tmp_path / "ppo"), "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "glyphworld-figure-training-1" in page and "stand-in, not the benchmark" in page
    assert 'id="responses"' not in page and "align ppo --config glyphworld_ppo" in page


@pytest.mark.parametrize("given", ["--hub_token hf_SECRET", "--hub-token=hf_SECRET"])
def test_a_token_that_an_earlier_version_kept_is_not_shown(given: str, tmp_path: Path) -> None:
    write_training(tmp_path / "ppo" / "final", record=RECORD | {"command": f"align ppo {given} --seed 7"})
    (training,) = read_trainings(tmp_path)
    assert training.settings["command"] == f"align ppo {given.replace('hf_SECRET', '[hidden]')} --seed 7"


WATCHED = {**RECORD, "arguments": {**RECORD["arguments"], "monitor": "rules", "monitor_warn": 0.1}}


def write_watched(folder: Path) -> Path:
    """A run in which reward and judge part, as :class:`align.monitor.Monitor` logs it."""
    folder.mkdir(parents=True)
    log: list[dict[str, Any]] = [
        {"step": 4 * at, "monitor/right": 0.7 - 0.02 * at, "reward": 0.5} for at in range(1, 11)
    ]
    for at, entry in enumerate(log):
        entry |= {"monitor/reward": 0.7 + 0.02 * at} if at >= 2 else {}
        entry |= {"monitor/drift": 0.04 * at, "monitor/drift_error": 0.03} if at >= 4 else {}
        entry |= {"monitor/warnings": float(at in (5, 9))} if at >= 4 else {}
    TrainerState(global_step=40, log_history=log).save_to_json(str(folder / "trainer_state.json"))
    write_record(folder, WATCHED, 40, 61.23, 60.0)
    return folder


def test_a_watched_run_is_drawn_with_its_warnings(tmp_path: Path) -> None:
    write_watched(tmp_path / "ppo" / "final")
    (training,) = read_trainings(tmp_path)
    assert (training.warnings, training.warns_beyond, training.settings["watched by"]) == ((24, 40), 0.1, "rules")
    (note,) = training.notes
    assert "warnings at the steps 24, 40; the responses are in monitor.jsonl" in note
    shares, drift = draw_monitor(training).axes
    assert [text.get_text() for text in shares.get_legend().get_texts()] == [
        "the reward calls right", "the watching judge calls right", "warning"
    ]  # fmt: skip
    for axes in (shares, drift):
        dashed = [line for line in axes.lines if line.get_linestyle() == "--" and len(line.get_xdata())]
        assert [list(line.get_xdata()) for line in dashed] == [[24, 24], [40, 40]]
    band = drift.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.16 - 0.06, 0.36 + 0.06))


def test_a_watched_run_is_on_the_page(tmp_path: Path) -> None:
    write_watched(tmp_path / "ppo" / "final")
    write_training(tmp_path / "other" / "final")
    assert main([str(tmp_path), "-o", str(tmp_path / "page.html"), "--assets", str(tmp_path / "assets")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "ppo: what its reward and the judge that watched it call right" in page
    assert sorted(each.name for each in (tmp_path / "assets").glob("*monitor*")) == [
        "glyphworld-monitor-2.png", "glyphworld-monitor-2.svg"
    ]  # fmt: skip


def test_without_a_judge_there_is_nothing_to_draw(tmp_path: Path) -> None:
    write_training(tmp_path / "ppo" / "final")
    (training,) = read_trainings(tmp_path)
    assert (training.warnings, training.warns_beyond, training.settings["watched by"]) == ((), None, "none")
    assert not is_watched(training)


def test_runs_of_one_name_are_both_shown(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_training(tmp_path / folder / "ppo" / "final")
    assert main([str(tmp_path / "one"), str(tmp_path / "two"), "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "glyphworld-figure-training-2" in page
    assert f"{tmp_path}/one/ppo: what was logged" in page and f"{tmp_path}/two/ppo: what was logged" in page


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda final: (final / "run.json").write_text('{"method": "p'), r"run\.json, line 1: not JSON"),
        (lambda final: (final / "run.json").write_text('{"method": "ppo"}'), r"KeyError: 'data'.*Train again"),
        (lambda final: (final / "run.json").write_text("[]"), "expected a JSON object, found list"),
        (lambda final: (final / "trainer_state.json").write_text("{}"), "KeyError: 'log_history'"),
    ],
)
def test_half_a_training_is_named(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(write_training(tmp_path / "ppo" / "final"))
    with pytest.raises(UserError, match=message) as error:
        read_trainings(tmp_path)
    assert str(tmp_path / "ppo" / "final") in str(error.value)


def test_data_of_no_source_are_refused(tmp_path: Path) -> None:
    write_training(tmp_path / "ppo" / "final", record={**RECORD, "data": {"source": "mine", "rows": 1, "passes": 1}})
    with pytest.raises(UserError, match=r"expected data of unsafeconcepts or glyphworld.*, found 'mine'"):
        read_trainings(tmp_path)
