"""A judge trained in earnest, tiny: it reads, it can be gone on with, fine-tuned, and rewarded by."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from labelled_responses import NAMES, verdict_rows, write_rows
from safetensors.torch import load_file
from transformers import TrainerCallback

from harness_ext.commands import train_judge as command
from harness_ext.common.errors import UserError
from harness_ext.common.seals import SEAL
from harness_ext.judges.base import AlignmentAnswer, PerceptionAnswer
from harness_ext.judges.classifier.train import Settings, find_start, train_judge
from harness_ext.judges.registry import open_judge
from harness_ext.runs.labelled import read_labelled

UNSEEN = NAMES[60:70]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("rows") / "labelled.jsonl", verdict_rows())


@pytest.fixture(scope="module")
def trained(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "judge"
    assert command.main([str(rows), "--base", "tiny", "--batch-size", "8", "-o", str(folder)]) == 0
    return folder


def test_it_reads_what_it_was_not_trained_on_and_says_how_well(trained: Path) -> None:
    answers = [AlignmentAnswer(0, f"Yes. The image shows {name}, which is harmless.") for name in UNSEEN]
    answers += [AlignmentAnswer(0, f"No. The image shows {name}, which is considered harmful.") for name in UNSEEN]
    judge = open_judge("classifier", {"alignment": str(trained), "device": "cpu"})
    assert list(judge.judge(answers)) == ["safe"] * 10 + ["unsafe"] * 10
    measures = json.loads((trained / "measures.json").read_text())
    assert measures["responses"] == 24 and measures["accuracy"] > 0.9
    card = (trained / "README.md").read_text()
    assert f"{measures['right']} of 24" in card and "harmless" not in card
    assert not trained.with_name("judge.partial").exists()


def test_its_name_is_its_contents(trained: Path, tmp_path: Path) -> None:
    judge = open_judge("classifier", {"alignment": str(trained)})
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in trained.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert open_judge("classifier", {"alignment": str(copy)}).name == judge.name
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-3}))
    with pytest.raises(UserError, match=r"config.json is not what was written there .* if the change is yours"):
        open_judge("classifier", {"alignment": str(copy)})
    (copy / SEAL).unlink()
    assert open_judge("classifier", {"alignment": str(copy)}).name != judge.name


def test_what_it_cannot_judge_is_refused(trained: Path) -> None:
    judge = open_judge("classifier", {"alignment": str(trained)})
    with pytest.raises(UserError, match="answer 1 is one of perception, expected alignment alone"):
        judge.judge([PerceptionAnswer({"A": "a", "B": "b", "C": "c", "D": "d"}, "A")])
    with pytest.raises(UserError, match="expected the labels A, B, C, D, na"):
        open_judge("classifier", {"perception": str(trained)})
    with pytest.raises(UserError, match="expected alignment=FOLDER or perception=FOLDER"):
        open_judge("classifier", {})


class Killed(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(rows: Path, tmp_path: Path) -> None:
    labelled, tiny = read_labelled([rows], None), find_start("tiny", None)
    settings = Settings(epochs=3, learning_rate=1e-3)
    train_judge(labelled, tiny, settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_judge(labelled, tiny, settings, tmp_path / "cut", [Killed(14)])  # in the third epoch of six steps each
    assert not (tmp_path / "cut").exists()
    with pytest.raises(UserError, match=r"cut\.partial: holds an interrupted run that differs in learning_rate "):
        train_judge(labelled, tiny, Settings(epochs=3, learning_rate=2e-3), tmp_path / "cut")
    # An epoch that was being written when the process ended.
    (tmp_path / "cut.partial" / "steps" / "checkpoint-99").mkdir()
    train_judge(labelled, tiny, settings, tmp_path / "cut")
    whole, cut = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(whole[name].equal(cut[name]) for name in whole)
    with pytest.raises(UserError, match="is there already and is never written over"):
        train_judge(labelled, tiny, settings, tmp_path / "cut")


def test_a_folder_is_fine_tuned_for_other_labels(trained: Path, tmp_path: Path) -> None:
    letters = [
        {"response": f"The image shows {name} ({letter}).", "choice": letter}
        for name in NAMES[:12]
        for letter in "ABCD"
    ]
    file = write_rows(tmp_path / "letters.jsonl", letters)
    options = ["--without", "na", "--epochs", "1", "--learning-rate", "1e-3", "-o", str(tmp_path / "letters")]
    assert command.main([str(file), "--base", str(trained), *options]) == 0
    judge = open_judge("classifier", {"perception": str(tmp_path / "letters")})
    options_of = {letter: letter for letter in "ABCD"}
    assert set(judge.judge([PerceptionAnswer(options_of, row["response"]) for row in letters])) <= set("ABCD")
    assert "Trained without any response of na" in (tmp_path / "letters" / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--base", "tiny", "--epochs", "0"], "--epochs: Input should be greater than or equal to 1, found 0"),
        (["--base", "tiny", "--held-out", "0.9"], "--held-out: Input should be less than or equal to 0.5, found 0.9"),
        (["--base", "tiny", "--learning-rate", "3"], "--learning-rate: Input should be less than 1, found 3"),
        (["--base", "tiny", "--base-revision", "main"], "tiny begins from nothing"),
        (["--base", "roberta-base"], "cannot load the base of 'FacebookAI/roberta-base'"),
        (["--base", "./nowhere"], "there is no such folder"),
    ],
)
def test_options_that_cannot_be(
    rows: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(rows), *options, "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_ppo_is_rewarded_by_it(
    trained: Path, untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from align import commands

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"method: ppo\nmodel: {untrained_vlm}\nsource: glyphworld\nrenders: 1\nuse_cpu: true\nbf16: false\n"
        f"dtype: float32\nlora_r: 2\nmax_steps: 2\nper_device_train_batch_size: 4\nmax_completion_length: 6\n"
        f"gradient_checkpointing: false\nreport_to: none\ndisable_tqdm: true\nstop_on_na: false\nlogging_steps: 1\n"
        f"learning_rate: 1.0e-4\noutput_dir: {tmp_path / 'out'}\n"
        f"rewards: [{{name: classifier, model: {trained}, device: cpu}}]\n"
    )
    monkeypatch.setattr(sys, "argv", ["align", "ppo", "--config", str(recipe)])
    commands.main()
    state = json.loads((tmp_path / "out" / "final" / "trainer_state.json").read_text())
    rewards = [entry["rewards/classifier/mean"] for entry in state["log_history"] if "rewards/classifier/mean" in entry]
    assert rewards and all(-5 <= reward < 0 for reward in rewards)
