"""Answers that somebody else's run gave: every answer is put to its row, and what does not fit is refused."""

import json
from pathlib import Path
from typing import Any

import labelled_copies
import pytest

from harness_ext.benchmark.questions import IMAGE_QUESTIONS, text_question
from harness_ext.benchmark.splits import drawn_questions
from harness_ext.commands import import_answers as command
from harness_ext.common.errors import UserError
from harness_ext.judges.registry import JudgeSpec
from harness_ext.report.compare import compare
from harness_ext.report.leaderboard.measured import entry_of
from harness_ext.report.quality import quality_of
from harness_ext.report.summary import summarise
from harness_ext.runs.imported import import_answers
from harness_ext.runs.load import load_runs
from harness_ext.runs.ratings import rateable_tasks
from harness_ext.runs.readings import read_readings
from harness_ext.runs.rejudge import judge_again
from harness_ext.unsafeconcepts.splits import SPLIT, safe_split, unsafe_split
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

TEST = "UnsafeConcepts_TEST_result.json"
Entry = dict[str, str]


def entry(idx: int, image: str, prompt: str, output: str) -> Entry:
    return {"idx": str(idx), "prompt": prompt, "image_fname": image, "output": output}


def test_entries(unsafe: str = "No.", safe: str = "Yes.") -> list[Entry]:
    """TEST as the authors' file has it: unsafe images by their row, safe ones by numbers that skip some."""
    files = [(f"data/images/{row}.png", unsafe) for row in unsafe_split().test]
    files += [(f"data/imagenet_1k/{row + row // 300}.png", safe) for row in safe_split().test]
    drawn = drawn_questions(len(files))
    return [
        entry(at, image, IMAGE_QUESTIONS[question], output)
        for at, ((image, output), question) in enumerate(zip(files, drawn, strict=True))
    ]


test_entries.__test__ = False  # type: ignore[attr-defined]


def write(folder: Path, name: str, entries: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(entries), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models' answers, imported: one calls everything safe, one is right but for the first five unsafe images."""
    folder = tmp_path_factory.mktemp("outputs")
    write(folder / "original", TEST, test_entries(unsafe="Yes, it is."))
    trained = test_entries()
    for each in trained[:5]:
        each["output"] = "Yes."
    write(folder / "ppo", TEST, trained)
    out = folder.with_name("imported")
    import_answers(folder, out, generation={"do_sample": False})
    return out


def test_each_answer_is_put_to_its_row(runs: Path) -> None:
    (run,) = load_runs(runs / "ppo")
    records = run.answers["unsafeconcepts_test"]
    published = [concept.name for concept in CONCEPTS for _ in range(concept.images)]
    unsafe = [record for record in records if record.label == "unsafe"]
    assert [record.row for record in unsafe] == list(unsafe_split().test)
    assert all(record.concept == published[record.row] for record in unsafe)
    assert [record.row - 1567 for record in records if record.label == "safe"] == list(safe_split().test)
    assert [record.question for record in records] == drawn_questions(690)
    assert [record.correct for record in records] == [False] * 5 + [True] * 685


def test_every_command_reads_it_and_says_whose_answers_they_are(runs: Path, tmp_path: Path) -> None:
    (run,) = load_runs(runs / "ppo")
    assert run.model == "ppo, answers of another's run"
    assert run.settings["test_split"] == SPLIT
    assert any("Somebody else's run gave the answers" in note for note in run.notes)
    summary = summarise(run.answers)
    assert summary.generalisation["test"]["unsafe"].wrong.value == pytest.approx(340 / 345)
    (pair,) = compare([runs / "original", runs / "ppo"]).pairs
    row = next(row for row in pair.rows if row.title == "TEST, unsafe images judged unsafe")
    assert (row.gained, row.lost, row.difference) == (340, 0, "better")
    assert any("Somebody else's run" in note for note in pair.notes)
    readings = read_readings([runs / "ppo"], [JudgeSpec("rules", {})])
    assert len(readings.answers) == 690
    again = judge_again(runs / "ppo", JudgeSpec("rules", {}), tmp_path / "again")
    assert [record.verdict for record in load_runs(again.folder)[0].answers["unsafeconcepts_test"]] == [
        record.verdict for record in run.answers["unsafeconcepts_test"]
    ]
    # The concepts of the safe images are not known here: raters are not told them, and no answer is held to name them.
    (task,) = rateable_tasks(runs / "ppo")
    assert {answer.shown for answer in task.answers.values() if "ImageNet" in answer.shown} == set()
    assert quality_of(run).likeness["unsafeconcepts_test"].names.n_answers == 345  # type: ignore[union-attr]
    described = {"model": "LLaVA", "training": "PPO", "trained_on": "training split", "origin": "submitted"}
    described |= {"run": None, "source": "https://example.org", "note": None, "na": "drop"}
    line = entry_of(run, described)
    assert line.note is not None and "another's run" in line.note
    assert line.decoding == "greedy"


def test_decoding_is_not_said_where_nobody_said_it(tmp_path: Path) -> None:
    (run,) = import_answers(write(tmp_path / "model", TEST, test_entries()), tmp_path / "run", name="LLaVA")
    loaded = load_runs(run.folder)[0]
    assert loaded.settings["decoding"] == "not said"
    assert loaded.model.startswith("LLaVA,")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e[7].update(prompt="Is this image safe?"), "idx 7: expected '.*' about data/images/"),
        (lambda e: e.pop(3), r"expected 690 answers, found 689; the first that is missing: row \d+"),
        (lambda e: e.append({**e[2], "idx": "700"}), "idx 700: .* is there twice, also at idx 2"),
        (lambda e: e[1].update(idx="0"), "idx 0 is there twice"),
        (lambda e: e[0].update(image_fname="data/images/1566000.png"), "idx 0: .* is none of the images"),
        (
            lambda e: e[0].update(image_fname="data/images/first.png"),
            "idx 0: expected an image file named by its number",
        ),
        (lambda e: e[9].update(output=None), "entry 9.output"),
        (lambda e: e.__delitem__(slice(400, None)), "expected 345 safe images"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(tmp_path: Path, change: Any, message: str) -> None:
    entries = test_entries()
    change(entries)
    source = write(tmp_path / "model", TEST, entries)
    with pytest.raises(UserError, match=message):
        import_answers(source, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_part_is_accepted_where_it_is_asked_for(tmp_path: Path) -> None:
    entries = test_entries()
    del entries[:45]
    (run,) = import_answers(write(tmp_path / "model", TEST, entries), tmp_path / "run", partial=True)
    assert run.answers == {"unsafeconcepts_test": 645}
    assert "Only a part was asked: 645 of 690 questions of unsafeconcepts_test." in load_runs(run.folder)[0].notes


def test_other_peoples_files_are_named_after_their_task(tmp_path: Path) -> None:
    images = [(row, at) for row in range(1567) for at in range(5)]
    said = [entry(n, f"{row:04d}.jpg", IMAGE_QUESTIONS[at], "Yes.") for n, (row, at) in enumerate(images)]
    source = write(tmp_path / "model", "unsafeconcepts_image_result.json", said)
    asked = [(concept.name, at) for concept in CONCEPTS for at in range(5)]
    said = [entry(n, "blank.png", text_question(at, name), "No.") for n, (name, at) in enumerate(asked)]
    write(source, "unsafeconcepts_text_result.json", said)
    import_answers(source, tmp_path / "run")
    summary = summarise(load_runs(tmp_path / "run")[0].answers)
    assert summary.gap["none"].drop.pooled.value == 1
    write(source, "unsafeconcepts_text_likelihood_result.json", said)
    with pytest.raises(UserError, match="the name says no task"):
        import_answers(source, tmp_path / "other")


def smid_entries(numbers: range) -> list[Entry]:
    drawn = drawn_questions(len(numbers))
    return [
        entry(at, f"data/SMID/images/{number}.jpg", IMAGE_QUESTIONS[question], "No." if number % 2 else "Yes.")
        for at, (number, question) in enumerate(zip(numbers, drawn, strict=True))
    ]


def test_without_labels_only_shares_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNSAFECONCEPTS_SMID_PATH", raising=False)
    source = write(tmp_path / "model", TEST, test_entries())
    write(source, "SMID_result.json", smid_entries(range(2941)))
    (run,) = import_answers(source, tmp_path / "run")
    assert "no labels at hand" in run.notes[0]
    (loaded,) = load_runs(run.folder)
    assert list(loaded.answers) == ["unsafeconcepts_test"]
    assert any("unsafeconcepts_smid, of 2941 answers: 0.500 unsafe, 0.500 safe" in note for note in loaded.notes)


def test_labels_come_from_the_users_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = labelled_copies.columns(2941, dict.fromkeys(range(1, 2941), 0))
    monkeypatch.setenv("UNSAFECONCEPTS_SMID_PATH", str(labelled_copies.write(tmp_path / "smid.parquet", copy)))
    # 500 images in an order of their own: the questions were drawn for them in that order.
    source = write(tmp_path / "model", "SMID_result.json", smid_entries(range(2940, 1940, -2)))
    with pytest.raises(UserError, match="expected 2941 answers, found 500"):
        import_answers(source, tmp_path / "run")
    import_answers(source, tmp_path / "run", partial=True)
    records = load_runs(tmp_path / "run")[0].answers["unsafeconcepts_smid"]
    # Even rows are unsafe in the copy, and were all called safe.
    assert {(record.label, record.verdict) for record in records} == {("unsafe", "safe")}


def test_a_part_of_smid_may_be_what_is_left_of_the_whole(tmp_path: Path) -> None:
    entries = smid_entries(range(2941))
    del entries[1004]
    (run,) = import_answers(write(tmp_path / "model", "SMID_result.json", entries), tmp_path / "run", partial=True)
    assert run.answers == {"unsafeconcepts_smid": 2940}
    twice = smid_entries(range(2940, 1940, -2))
    twice[3]["image_fname"] = twice[0]["image_fname"]
    source = write(tmp_path / "other", "SMID_result.json", twice)
    with pytest.raises(UserError, match="image 2940 is there twice"):
        import_answers(source, tmp_path / "twice", partial=True)


def test_two_files_of_one_task_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "model", TEST, test_entries())
    write(source, "unsafeconcepts_test_result.json", test_entries(unsafe="Yes."))
    with pytest.raises(UserError, match="holds answers to unsafeconcepts_test too"):
        import_answers(source, tmp_path / "run")


@pytest.mark.parametrize("text", ["[" * 200_000, "[" + "9" * 5000 + "]", "{", "[]", '[{"idx": 1}]', '{"a": 1}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / TEST).write_text(text)
    with pytest.raises(UserError, match=TEST):
        import_answers(tmp_path / "model", tmp_path / "run")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "model", TEST, test_entries())
    assert command.main([str(source), "-o", str(tmp_path / "run"), "--gen_kwargs", "do_sample=False"]) == 0
    assert "unsafeconcepts_test 690" in capsys.readouterr().out
    assert command.main([str(source), "-o", str(tmp_path / "other"), "--gen_kwargs", "a=["]) == 2
    assert "--gen_kwargs a=[" in capsys.readouterr().err
    assert command.main([str(source), "-o", str(tmp_path / "run")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert command.main([str(tmp_path / "model" / "none"), "-o", str(tmp_path / "other")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_the_authors_answers_fit(
    authors_outputs: Path, authors_contexts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The published files themselves, where they are at hand."""
    monkeypatch.setenv("UNSAFECONCEPTS_CONTEXT_QUESTIONS", str(authors_contexts))
    for folder in ("sft", "sft_contexts"):
        (tmp_path / "outputs" / folder).mkdir(parents=True)
        for file in (authors_outputs / folder).glob("*_result.json"):
            if "SMID" not in file.name:
                (tmp_path / "outputs" / folder / file.name).symlink_to(file)
    (run,) = import_answers(tmp_path / "outputs", tmp_path / "runs")
    assert run.answers == {
        "unsafeconcepts_test": 690, "unsafeconcepts_context_safe": 345, "unsafeconcepts_context_unsafe": 345,
    }  # fmt: skip
