"""A run resumes from a checkpoint that holds all it had, and from no other: it would end elsewhere."""

import json
import shutil
import sys
from pathlib import Path

import killed_runs
import pytest

from align import commands
from align import run as runs
from align.folder import RunFolder
from align.record import Record, read_record
from harness_ext.common.errors import UserError
from harness_ext.common.seals import seal
from harness_ext.models.loading import check_adapter

STATES = ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"]
ADAPTER = ["adapter_config.json", "adapter_model.safetensors"]
OF_PPO = ["value_head.safetensors", "critic_state.pt", "ppo_state.pt", "drawn.json", "monitor.json"]
LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


def command(checkpoint: Path, out: Path) -> list[str]:
    given = killed_runs.SETTINGS | killed_runs.OF["ppo"] | {"max_steps": 4, "model": checkpoint, "output_dir": out}
    return ["align", "ppo", *(word for key, value in given.items() for word in (f"--{key}", str(value)))]


@pytest.fixture(scope="module")
def trained(untrained_vlm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of PPO with a judge that watches, through: checkpoints 2 and 4, and ``final``."""
    out = tmp_path_factory.mktemp("trained") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", command(untrained_vlm, out))
        commands.main()
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> tuple[Path, Record]:
    """A copy of it, without ``final``."""
    out = Path(shutil.copytree(trained, tmp_path / "out"))
    shutil.rmtree(out / "final")
    return out, read_record(out / "checkpoint-4")


def refused(out: Path, record: Record) -> str:
    with pytest.raises(UserError) as error:
        RunFolder(out).last(record)
    return str(error.value)


@pytest.mark.parametrize("damage", ["missing", "cut off"])
@pytest.mark.parametrize("name", [*STATES, *ADAPTER, *OF_PPO])
def test_a_file_that_is_missing_or_cut_off(name: str, damage: str, run: tuple[Path, Record]) -> None:
    """It is named, and so is the checkpoint that is left."""
    out, record = run
    file = out / "checkpoint-4" / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    said = refused(out, record)
    assert str(file) in said
    assert "Or remove checkpoint-4: the same command then resumes from checkpoint-2" in said
    shutil.rmtree(out / "checkpoint-4")
    assert RunFolder(out).last(record) == out / "checkpoint-2"


@pytest.mark.parametrize("name", [*STATES, *ADAPTER, *OF_PPO, "run.json", "digests.json"])
def test_a_flipped_bit(name: str, run: tuple[Path, Record]) -> None:
    """The last byte but one: in a number, a checksum or the end of a text."""
    out, record = run
    flip(out / "checkpoint-4" / name)
    said = refused(out, record)
    assert str(out / "checkpoint-4" / name) in said or name == "digests.json"
    assert "Or remove checkpoint-4: the same command then resumes from checkpoint-2" in said or name == "run.json"


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


def test_a_checkpoint_under_the_name_of_another(run: tuple[Path, Record]) -> None:
    out, record = run
    shutil.rmtree(out / "checkpoint-4")
    (out / "checkpoint-2").rename(out / "checkpoint-4")
    said = refused(out, record)
    assert "was written after step 2: its name is another checkpoint's; give it its own back" in said


def test_files_of_another_checkpoint(run: tuple[Path, Record]) -> None:
    """Whole by themselves, as a copy that was broken off leaves them."""
    out, record = run
    shutil.copyfile(out / "checkpoint-2" / "optimizer.pt", out / "checkpoint-4" / "optimizer.pt")
    said = refused(out, record)
    assert "optimizer.pt is not what was written there" in said


def test_a_seal_that_is_gone_and_a_checkpoint_from_before_there_were_seals(
    run: tuple[Path, Record], capsys: pytest.CaptureFixture[str]
) -> None:
    out, record = run
    folder = out / "checkpoint-4"
    (folder / "digests.json").unlink()
    said = refused(out, record)
    assert "digests.json" in said and "restore it from a copy" in said
    before = json.loads((folder / "run.json").read_text())
    assert before.pop("sealed") is True
    (folder / "run.json").write_text(json.dumps(before))
    assert RunFolder(out).last(record) == folder
    assert f"{folder} was written before checkpoints had a digests.json" in capsys.readouterr().err


def test_a_damaged_adapter_is_not_evaluated_and_an_edited_card_harms_nothing(trained: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained / "final", tmp_path / "adapter"))
    (folder / "README.md").write_text("my card")
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    check_adapter(str(folder), base)
    config = folder / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": ', '"lora_alpha": 1'))
    with pytest.raises(UserError, match=r"adapter_config.json is not what was written there .* if the change is yours"):
        check_adapter(str(folder), base)


def test_no_other_checkpoint_is_whole(run: tuple[Path, Record]) -> None:
    out, record = run
    (out / "checkpoint-4" / "optimizer.pt").unlink()
    (out / "checkpoint-2" / "value_head.safetensors").write_text(LFS_POINTER)
    said = refused(out, record)
    assert str(out / "checkpoint-4" / "optimizer.pt") in said
    assert "Or remove checkpoint-4, checkpoint-2: the same command then begins anew" in said


def test_each_process_has_its_random_state(run: tuple[Path, Record]) -> None:
    out, record = run
    for number in (2, 4):
        folder = out / f"checkpoint-{number}"
        (folder / "rng_state.pth").rename(folder / "rng_state_0.pth")
        text = (folder / "run.json").read_text()
        (folder / "run.json").write_text(text.replace('"processes": 1', '"processes": 2'))
        if number == 2:
            shutil.copyfile(folder / "rng_state_0.pth", folder / "rng_state_1.pth")
        seal(folder)
    said = refused(out, record | {"processes": 2})
    assert "rng_state_1.pth cannot be read (No such file or directory)" in said and "resumes from checkpoint-2" in said


def test_it_is_found_before_the_model_is_loaded(
    untrained_vlm: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of a finished run too, whose adapter would be taken for whole."""
    out = Path(shutil.copytree(trained, tmp_path / "out"))
    monkeypatch.setattr(runs, "load", lambda *_: pytest.fail("the model was loaded"))
    monkeypatch.setattr(sys, "argv", command(untrained_vlm, out))
    (out / "final" / "adapter_model.safetensors").write_text(LFS_POINTER)
    with pytest.raises(SystemExit) as ended:
        commands.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "final/adapter_model.safetensors is a git-LFS pointer" in said
    assert "Or remove final: the same command then resumes from checkpoint-4" in said
    shutil.rmtree(out / "final")
    commands.main()
    assert (out / "final" / "value_head.safetensors").is_file()
