"""A run that is rewarded by a classifier goes on with what is in its folder, not with what is called so."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from align import commands

QUICK = {
    "renders": 1,
    "passes": 1,
    "max_steps": 2,
    "save_steps": 1,
    "per_device_train_batch_size": 2,
    "steps_per_generation": 1,
    "num_iterations": 1,
    "max_completion_length": 4,
    "lora_r": 2,
    "gradient_checkpointing": "false",
    "stop_on_na": "false",
    "report_to": "none",
    "disable_tqdm": "true",
}


def test_a_retrained_judge_is_another_one(
    untrained_vlm: Path,
    text_classifier: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judge, watching = (Path(shutil.copytree(text_classifier, tmp_path / name)) for name in ("judge", "watching"))
    rewards = f"[{{name: verdict, judge: classifier, judge_options: {{alignment: {judge}}}}}, {{name: length, cap: 4}}]"
    given = {**QUICK, "model": untrained_vlm, "output_dir": tmp_path / "out", "rewards": rewards}
    given |= {"monitor": "classifier", "monitor_options": f"{{alignment: {watching}}}"}
    command = ["align", "ppo", *(word for key, value in given.items() for word in (f"--{key}", str(value)))]
    monkeypatch.setattr(sys, "argv", command)

    commands.main()
    assert "finished" in capsys.readouterr().out
    file = tmp_path / "out" / "final" / "run.json"
    record = json.loads(file.read_text())
    assert record["rests_on"].keys() == {"the reward verdict", "the monitor"}
    card = (file.parent / "README.md").read_text()
    assert f"the monitor rests on {record['rests_on']['the monitor']} |" in card
    commands.main()
    assert "there is nothing to do" in capsys.readouterr().out

    retrain(judge)
    (line,) = refused(capsys)
    assert line.startswith(
        f"the reward verdict rests on {record['rests_on']['the reward verdict']} there, on classifier-"
    )
    retrain(watching)
    assert [line.split(" rests on")[0] for line in refused(capsys)] == ["the reward verdict", "the monitor"]
    del record["rests_on"]
    file.write_text(json.dumps(record))
    assert all("and what it rested on there was not recorded" in line for line in refused(capsys))


def retrain(folder: Path) -> None:
    """Another model in the same place."""
    weights = load_file(folder / "model.safetensors")
    save_file({name: 1.5 * each for name, each in weights.items()}, folder / "model.safetensors", {"format": "pt"})


def refused(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Why the same command does not go on, a line for each difference."""
    with pytest.raises(SystemExit) as ended:
        commands.main()
    _, head, said = capsys.readouterr().err.partition("holds a run of other settings, data or judges:\n")
    *lines, tail = said.splitlines()
    assert ended.value.code == 2 and head and "--overwrite" in tail
    return [line.strip() for line in lines]
