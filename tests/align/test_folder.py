"""The folder of a run: whole or not there, one run at a time, and only the one that it was begun with."""

import json
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from align.folder import RunFolder, is_complete
from align.record import CARD_FILE, RECORD_FILE, differences, other_environment, write_record
from harness_ext.common.errors import UserError

RECORD: dict[str, Any] = {
    "method": "sft",
    "command": "align sft",
    "model": {"model": "glyph-vlm", "pretrained": "/here", "weights": "files 1", "lora_r": 4},
    "data": {"source": "glyphworld", "renders": 1, "fingerprint": "f"},
    "rewards": None,
    "arguments": {"learning_rate": 1e-5, "output_dir": "a", "report_to": []},
    "processes": 1,
    "environment": {"torch": "2.15.0", "device": "cpu"},
}


def write(run: RunFolder, step: int, steps: int = 4) -> None:
    folder = run.unfinished / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in ("adapter_config.json", CARD_FILE):
        (folder / name).write_text("{}")
    save_file({"lora_A.weight": torch.full((2,), float(step))}, folder / "adapter_model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.save({"step": step}, folder / name)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "max_steps": steps}))
    write_record(folder, RECORD, step, 1.5 * step, 1.25 * step)
    run.publish(folder.name)


def test_from_the_first_checkpoint_to_the_last(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "new" / "run")
    with run.held(overwrite=False):
        assert run.last(RECORD) is None
        for step in (2, 10, 4):
            write(run, step, steps=10)
        assert list(run.checkpoints()) == [2, 4, 10]
        run.keep_last(None)
        run.keep_last(2)
        assert list(run.checkpoints()) == [4, 10]
        last = run.last(RECORD)
        assert last == run.path / "checkpoint-10" and is_complete(last) and not is_complete(run.path / "checkpoint-4")
        run.finish()
    assert sorted(each.name for each in run.path.iterdir()) == [
        ".align", ".lock", "checkpoint-10", "checkpoint-4", "final"
    ]  # fmt: skip
    assert load_file(run.final / "adapter_model.safetensors")["lora_A.weight"].tolist() == [10, 10]
    assert not (run.final / "optimizer.pt").exists()
    record = json.loads((run.final / RECORD_FILE).read_text())
    assert (record["step"], record["seconds"], record["cpu_seconds"]) == (10, 15.0, 12.5)
    assert run.last(RECORD) == run.final and is_complete(run.final)


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    """Also before its first checkpoint."""
    run = RunFolder(tmp_path)
    with run.held(overwrite=False):
        pass
    (run.unfinished / "checkpoint-8").mkdir(parents=True)
    (run.unfinished / "checkpoint-8" / "optimizer.pt").write_text("half")
    with run.held(overwrite=False):
        assert not run.unfinished.exists() and run.last(RECORD) is None
        write(run, 8)
    assert list(run.checkpoints()) == [8]


def hold(folder: Path, connection: Connection) -> None:
    with RunFolder(folder).held(overwrite=False):
        connection.send("held")
        connection.recv()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """Another process, a fork of this one, which has imported everything."""
    mine, its = get_context("fork").Pipe()
    other = get_context("fork").Process(target=hold, args=(tmp_path, its))
    other.start()
    assert mine.recv() == "held"
    with pytest.raises(UserError, match=f"another run writes to {tmp_path}"), RunFolder(tmp_path).held(overwrite=False):
        pass
    mine.send("end")
    other.join()
    assert other.exitcode == 0
    with RunFolder(tmp_path).held(overwrite=False):
        pass


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"), RunFolder(tmp_path / "file" / "run").held(False):
        pass


def test_begun_anew(tmp_path: Path) -> None:
    """What a run writes is deleted, and only that: warnings and logs of another run would be taken for the new one's."""
    run = RunFolder(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with run.held(overwrite=False):
        (tmp_path / "monitor.jsonl").write_text("{}\n")
        for name in ("events.out.tfevents.1.host", "host/events.out.tfevents.2.host"):
            (run.logs / name).parent.mkdir(parents=True, exist_ok=True)
            (run.logs / name).write_text("of the earlier run")
        write(run, 4)
        run.finish()
    with run.held(overwrite=False):
        assert (tmp_path / "monitor.jsonl").is_file() and len([*run.logs.rglob("events*")]) == 2
    with run.held(overwrite=True):
        assert run.last(RECORD) is None
    assert sorted(each.name for each in tmp_path.iterdir()) == [".align", ".lock", "notes.txt"]

    (run.logs / "mine").mkdir(parents=True)
    (run.logs / "mine" / "notes.txt").write_text("mine")
    with run.held(overwrite=True):
        assert (run.logs / "mine" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "logs/train.log",
        "logs/events.out.tfevents.1.host",
        "monitor.jsonl",
        "stopped.json",
        ".unfinished/draft.txt",
        "final/model.safetensors",
        "checkpoint-3/optimizer.pt",
        "checkpoint-3/run.json",
    ],
)
def test_what_another_program_wrote_stays(name: str, overwrite: bool, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("{}")
    with pytest.raises(UserError) as refused, RunFolder(tmp_path).held(overwrite):
        pass
    assert str(tmp_path / name.split("/")[0]) in str(refused.value) and "not known to be of a run" in str(refused.value)
    assert file.read_text() == "{}"


def test_beside_checkpoints_of_a_run_too(tmp_path: Path) -> None:
    """One of another trainer would be counted among those of which the earliest are removed."""
    run = RunFolder(tmp_path)
    with run.held(overwrite=False):
        write(run, 4)
    (tmp_path / "checkpoint-2").mkdir()
    for overwrite in (False, True):
        with pytest.raises(UserError, match="checkpoint-2 is not known"), run.held(overwrite):
            pass
    assert list(run.checkpoints()) == [2, 4]


def test_a_run_of_before_folders_were_marked(tmp_path: Path) -> None:
    """Its checkpoints say whose the rest is."""
    run = RunFolder(tmp_path)
    write(run, 4)
    (run.unfinished / "checkpoint-8").mkdir()
    (tmp_path / "stopped.json").write_text("{}")
    with run.held(overwrite=False):
        assert run.last(RECORD) == run.path / "checkpoint-4" and not run.unfinished.exists()


def test_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.held(overwrite=False):
        write(run, 2)
        other = {**RECORD, "data": {**RECORD["data"], "renders": 2}, "processes": 2}
        with pytest.raises(
            UserError, match=r"renders: 1 there, 2 now\n  processes: 1 there, 2 now\nChoose another output_dir"
        ):
            run.last(other)


def test_what_makes_another_run() -> None:
    moved = {
        **RECORD,
        "command": "align sft --output_dir b",
        "model": {**RECORD["model"], "model": "/there", "pretrained": "/there"},
        "arguments": {**RECORD["arguments"], "output_dir": "b", "report_to": ["tensorboard"]},
        "environment": {"torch": "2.16.0", "device": "cpu"},
    }
    assert differences(RECORD, moved) == []
    assert other_environment(RECORD, moved) == ["torch: 2.15.0 there, 2.16.0 now"]
    for section, key, value in (
        ("model", "weights", "files 2"),
        ("data", "fingerprint", "g"),
        ("arguments", "learning_rate", 2e-5),
    ):
        changed = {**RECORD, section: {**RECORD[section], key: value}}
        assert len(differences(RECORD, changed)) == 1 and differences(RECORD, changed)[0].startswith(f"{key}: ")
    watched = {**RECORD, "arguments": {**RECORD["arguments"], "monitor": "rules", "monitor_first": 4}}
    unwatched = {**RECORD, "arguments": {**RECORD["arguments"], "monitor": None, "monitor_first": 4}}
    assert differences(RECORD, unwatched) == []  # one of before there was a monitor goes on
    assert differences(unwatched, watched) == ['monitor: null there, "rules" now', "monitor_first: null there, 4 now"]
    length = {**RECORD, "rewards": [{"name": "length"}]}
    assert differences(length, RECORD) == ['rewards: [{"name": "length"}] there, null now']


def test_another_judge_or_model_makes_another_run() -> None:
    """By its contents; a run that did not record them is gone on with only where there are none."""
    read = {**RECORD, "rests_on": {"the reward verdict": "classifier-1", "the monitor": "llm-1-m"}}
    assert differences(read, read) == differences({**RECORD, "rests_on": {}}, RECORD) == []
    assert differences(RECORD, {**RECORD, "rests_on": {}}) == []
    retrained = {**RECORD, "rests_on": {"the reward verdict": "classifier-2"}}
    assert differences(read, retrained) == [
        "the reward verdict rests on classifier-1 there, on classifier-2 now",
        "the monitor rests on llm-1-m there, on code alone now",
    ]
    assert differences(RECORD, retrained) == [
        "the reward verdict rests on classifier-2 now, and what it rested on there was not recorded"
    ]


def test_how_a_judge_is_asked_makes_no_other_run() -> None:
    def of(**options: object) -> dict[str, Any]:
        watched = {"monitor": "llm", "monitor_options": options}
        rewards = [{"name": "verdict", "judge": "llm", "judge_options": options}]
        return {**RECORD, "rewards": rewards, "arguments": {**RECORD["arguments"], **watched}}

    once = of(model="m", most_calls=10)
    assert differences(once, of(model="m", most_calls=99, timeout=3.0)) == []
    assert [each.split(":")[0] for each in differences(once, of(model="n"))] == ["rewards", "monitor_options"]
