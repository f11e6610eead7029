import os

import pytest

from harness_ext.common.errors import UserError
from harness_ext.models.checkpoint import adapter_identity, fingerprint, weights_identity


def checkpoint(folder, weights=b"1234"):
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text("{}")
    return folder


def test_retrained_weights_of_the_same_name_size_and_time_are_others(tmp_path):
    folder = checkpoint(tmp_path / "adapter")
    before = adapter_identity(str(folder))
    times = (folder / "model.safetensors").stat()
    (folder / "model.safetensors").write_bytes(b"1235")
    os.utime(folder / "model.safetensors", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert adapter_identity(str(folder)) != before


def test_a_copy_of_the_weights_is_the_same_wherever_it_lies(tmp_path):
    assert fingerprint(checkpoint(tmp_path / "a")) == fingerprint(checkpoint(tmp_path / "b"))


def test_what_a_trainer_leaves_beside_them_does_not_count(tmp_path):
    folder = checkpoint(tmp_path / "a")
    before = fingerprint(folder)
    (folder / "events.out.tfevents").write_text("log")
    (folder / "checkpoint-1").mkdir()
    (folder / "checkpoint-1" / "trainer_state.json").write_text("{}")
    assert fingerprint(folder) == before


def test_a_second_tokenizer_counts(tmp_path):
    folder = checkpoint(tmp_path / "a")
    before = fingerprint(folder)
    (folder / "qformer_tokenizer").mkdir()
    (folder / "qformer_tokenizer" / "tokenizer.json").write_text("{}")
    assert fingerprint(folder) != before


def test_checkpoints_of_one_training_run_are_told_apart(tmp_path):
    one, other = checkpoint(tmp_path / "checkpoint-100"), checkpoint(tmp_path / "checkpoint-200", b"5678")
    assert fingerprint(one) != fingerprint(other)


def test_a_folder_without_a_checkpoint_is_an_error(tmp_path):
    with pytest.raises(UserError, match="expected the files of a checkpoint"):
        fingerprint(tmp_path)


def test_files_cannot_be_taken_for_one_another(tmp_path):
    one, other = checkpoint(tmp_path / "a"), checkpoint(tmp_path / "b")
    (one / "x.json").write_text("1")
    (other / "y.json").write_text("1")
    assert fingerprint(one) != fingerprint(other)


def test_a_repository_is_its_name_and_its_commit():
    assert weights_identity("me/mine", "abc") == "me/mine@abc"
    assert weights_identity("me/mine", None) != weights_identity("me/mine", "abc")
