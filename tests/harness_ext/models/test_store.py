import json
import subprocess
import sys

import pytest

from harness_ext.common.errors import UserError
from harness_ext.models.settings import Generated
from harness_ext.models.store import AnswerStore, answer_key, answers_folder

ABOUT = {"task": "task", "row": 3}


def stored(folder, identity=None):
    return AnswerStore(folder, identity or {"weights": "a"})


def test_what_was_added_is_there_for_the_next_run(tmp_path):
    with stored(tmp_path) as store:
        store.add([("k1", "Yes.\nNo\u2028", ABOUT), ("k2", "", ABOUT)])
    with stored(tmp_path) as again:
        assert (again.get("k1"), again.get("k2"), again.get("k3")) == ("Yes.\nNo\u2028", "", None)


def test_an_answer_is_on_disk_before_the_store_is_closed(tmp_path):
    store = stored(tmp_path)
    store.add([("k1", "Yes", ABOUT)])
    assert stored(tmp_path).get("k1") == "Yes"


def test_how_an_answer_ended_is_kept_where_it_is_known(tmp_path):
    with stored(tmp_path) as store:
        store.add([("k1", Generated("Yes", True), ABOUT), ("k2", Generated("No", False), ABOUT), ("k3", "Yes", ABOUT)])
    with stored(tmp_path) as again:
        assert (again.get("k1").cut_short, again.get("k2").cut_short) == (True, False)
        assert type(again.get("k3")) is str


def test_other_weights_have_other_answers(tmp_path):
    with stored(tmp_path, {"weights": "a", "adapter": "x"}) as store:
        store.add([("k1", "Yes", ABOUT)])
    assert stored(tmp_path, {"weights": "a", "adapter": "y"}).get("k1") is None


@pytest.mark.parametrize("cut", [1, 2, 9, 40])
def test_a_line_cut_off_in_writing_is_no_answer_and_harms_no_other(tmp_path, cut):
    store = stored(tmp_path)
    store.add([("k1", "Ja", ABOUT)])
    store.add([("k0", "Yes", ABOUT), ("k2", "N\u00f6", ABOUT)])
    file = next(store.folder.glob("*.jsonl"))
    file.write_bytes(file.read_bytes()[:-cut])
    with stored(tmp_path) as resumed:
        assert [resumed.get(key) for key in ("k1", "k0", "k2")] == ["Ja", None, None]
        resumed.add([("k2", "Nein", ABOUT)])
    assert stored(tmp_path).get("k2") == "Nein"


def test_two_processes_add_to_one_folder(tmp_path):
    one, other = stored(tmp_path), stored(tmp_path)
    one.add([("k1", "a", ABOUT)])
    other.add([("k2", "b", ABOUT)])
    both = stored(tmp_path)
    assert [both.get(key) for key in ("k1", "k2")] == ["a", "b"]


def test_a_damaged_line_is_named(tmp_path):
    store = stored(tmp_path)
    store.add([("k1", "Yes", ABOUT)])
    file = next(store.folder.glob("*.jsonl"))
    file.write_text('[{"key": "k0"}]\n' + file.read_text())
    with pytest.raises(UserError, match=r"\.jsonl, line 1: not a kept answer.*delete the file"):
        stored(tmp_path)


def changed(store, change):
    (file,) = store.folder.glob("*.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    change([row for line in rows for row in line])
    file.write_text("".join(f"{json.dumps(line)}\n" for line in rows))


@pytest.mark.parametrize("name", ["key", "answer", "task", "cut_short", "digest"])
def test_a_changed_answer_is_refused(tmp_path, name):
    store = stored(tmp_path)
    store.add([("k1", Generated("Yes", True), ABOUT), ("k2", "No", ABOUT)])
    changed(store, lambda rows: rows[0].update({name: False if name == "cut_short" else "other"}))
    with pytest.raises(UserError, match=r"\.jsonl, line 1: .*not what was written.*delete the file to ask"):
        stored(tmp_path)


def test_any_flipped_bit_of_a_file_is_refused_or_loses_an_unfinished_line(tmp_path):
    store = stored(tmp_path)
    store.add([("k1", "Yes", ABOUT)])
    store.add([("k2", "No", ABOUT)])
    (file,) = store.folder.glob("*.jsonl")
    whole = file.read_bytes()
    for at in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        file.write_bytes(flipped)
        try:
            again = stored(tmp_path)
        except UserError:
            continue
        assert (again.get("k1"), again.get("k2")) in (("Yes", None), ("Yes", "No")), f"bit {at}"


def test_an_answer_that_lost_its_digest_is_refused_and_a_file_of_an_earlier_version_is_read(tmp_path):
    store = stored(tmp_path)
    store.add([("k1", "Yes", ABOUT), ("k2", "No", ABOUT)])
    changed(store, lambda rows: rows[1].pop("digest"))
    with pytest.raises(UserError, match="not what was written"):
        stored(tmp_path)
    changed(store, lambda rows: rows[0].pop("digest"))
    assert stored(tmp_path).get("k2") == "No"


def test_answers_moved_from_another_models_folder_are_refused(tmp_path):
    one, other = stored(tmp_path), stored(tmp_path, {"weights": "b"})
    one.add([("k1", "Yes", ABOUT)])
    (file,) = one.folder.glob("*.jsonl")
    file.rename(other.folder / file.name)
    with pytest.raises(UserError, match="not what was written"):
        stored(tmp_path, {"weights": "b"})


def test_the_folder_says_whose_answers_it_holds(tmp_path):
    store = stored(tmp_path, {"weights": "files 12", "dtype": "float32"})
    identity = store.folder / "identity.json"
    assert json.loads(identity.read_text()) == {"weights": "files 12", "dtype": "float32"}
    identity.write_text("{")
    stored(tmp_path, {"weights": "files 12", "dtype": "float32"})
    assert json.loads(identity.read_text()) == {"weights": "files 12", "dtype": "float32"}


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot keep answers in .*UNSAFECONCEPTS_ANSWERS"):
        stored(tmp_path / "file")


def test_none_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("UNSAFECONCEPTS_ANSWERS", str(tmp_path))
    assert answers_folder(None) == tmp_path
    assert answers_folder("none") is None
    with stored(answers_folder("none")) as store:
        store.add([("k1", "Yes", ABOUT)])
        assert store.get("k1") == "Yes"
    assert not list(tmp_path.iterdir())


def test_a_digest_tells_every_part_apart():
    parts = [("a", "b"), ("ab",), ("a", ["b"]), (["a", "b"],), ("a", "b", None)]
    assert len({answer_key(*of_one) for of_one in parts}) == len(parts)


def test_a_full_disk_is_an_error_that_says_how_to_go_on(tmp_path):
    script = (
        "import resource, signal, sys, pathlib; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from harness_ext.models.store import AnswerStore\n"
        "store = AnswerStore(pathlib.Path(sys.argv[1]), {'weights': 'a'})\n"
        "store.add([('k1', 'Yes', {})])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "store.add([('k2', 'x' * 400, {})])"
    )
    ended = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True)
    assert "UserError: cannot write answers into" in ended.stderr
    again = stored(tmp_path)
    assert (again.get("k1"), again.get("k2")) == ("Yes", None)
