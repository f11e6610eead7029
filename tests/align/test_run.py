"""A run from its settings to its final adapter: what counts as its end."""

import json
from pathlib import Path
from typing import Any

import pytest

from align.run import SFT, run
from align.settings import read_settings
from align.stopped import TrainingStopped

QUICK = [
    "--renders", "1",
    "--passes", "1",
    "--max_steps", "3",
    "--per_device_train_batch_size", "2",
    "--lora_r", "2",
    "--save_steps", "1",
    "--gradient_checkpointing", "false",
    "--report_to", "none",
    "--disable_tqdm", "true",
]  # fmt: skip


def test_what_ended_early_is_not_finished(untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any callback can end training, in transformers one for SIGTERM; ``final`` would be of half a run."""
    options = ["--model", str(untrained_vlm), "--output_dir", str(tmp_path), *QUICK]
    step = SFT.training_step

    def ending(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.control.should_training_stop = self.state.global_step == 1
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(SFT, "training_step", ending)
        with pytest.raises(TrainingStopped, match="stopped at step 2: training ended before its last step, 3"):
            run(read_settings("sft", options), "align sft")
    assert json.loads((tmp_path / "stopped.json").read_text())["step"] == 2
    assert (tmp_path / "checkpoint-2").is_dir() and not (tmp_path / "final").exists()

    run(read_settings("sft", options), "align sft")
    assert json.loads((tmp_path / "final" / "run.json").read_text())["step"] == 3
    assert not (tmp_path / "stopped.json").exists()
