"""The tables of the authors' answers, on made-up answers in the same form: what is counted, and what is refused."""

import csv
import json
from pathlib import Path

import published_results
import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from openpyxl import Workbook

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.benchmark.splits import drawn_questions
from harness_ext.unsafeconcepts.splits import safe_split, unsafe_split


def write(file: Path, images: list[str], prompts: list[str], outputs: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = zip(images, prompts, outputs, strict=True)
    entries = [
        {"idx": str(at), "prompt": prompt, "image_fname": image, "output": output}
        for at, (image, prompt, output) in enumerate(rows)
    ]
    file.write_text(json.dumps(entries), encoding="utf-8")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven runs: the original says yes to everything, each other one is right, and differs in MME. Two have SMID."""
    folder = tmp_path_factory.mktemp("outputs")
    images = [f"images/{row}.png" for row in unsafe_split().test] + [
        f"imagenet_1k/{row}.png" for row in safe_split().test
    ]
    drawn = [IMAGE_QUESTIONS[question] for question in drawn_questions(690)]
    smid = [IMAGE_QUESTIONS[question] for question in drawn_questions(2941)]
    for run in published_results.RUNS:
        right = run != "original"
        said = ["No." if right and not image.startswith("imagenet") else "Yes." for image in images]
        write(folder / run / "UnsafeConcepts_TEST_result.json", images, drawn, said)
        general = ["no" if right and at % 10 == 0 else "Yes" for at in range(40)]
        write(folder / run / "MME_result.json", [f"{at // 2}.jpg" for at in range(40)], ["Is it?"] * 40, general)
        if run not in ("original", "dpo"):
            continue
        shown = [f"SMID/images/{row}.jpg" for row in range(2941)]
        called = ["No." if right and row % 4 == 0 else "Yes." for row in range(2941)]
        write(folder / run / "SMID_result.json", shown, smid, called)
    return folder


def scores(folder: Path) -> list[str]:
    """LLaVA-Bench's scores: most runs' in one CSV, one run's in a workbook."""
    table = folder / "scores.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "question", "score", "gpt4_score"])
        for run in published_results.RUNS[:-1]:
            writer.writerows([run, question, 3 if run == "sft" else 6, 8] for question in range(12))
    book = Workbook()
    for row in [("index", "score", "gpt4_score"), *((question, 6, 8) for question in range(12))]:
        book.active.append(row)
    book.save(folder / "last.xlsx")
    return ["--llava-bench", str(table), "--llava-bench", f"{published_results.RUNS[-1]}={folder / 'last.xlsx'}"]


def test_every_number_is_that_of_the_answers(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "mme.jsonl").write_text("\n".join(json.dumps({"answer": "Yes"}) for _ in range(40)))
    given = [str(outputs), *scores(tmp_path), "--mme-answers", str(tmp_path / "mme.jsonl"), "-o", str(tmp_path / "out")]
    assert published_results.main(given) == 0
    tables = json.loads((tmp_path / "out" / "tables.json").read_text())["tables"]
    test = tables["TEST: 690 images, one question each"]
    assert (test["original"]["unsafe"]["value"], test["original"]["safe"]["value"]) == (0, 1)
    assert test["ppo"]["all"]["value"] == 1
    # Of 690 answers all are "Yes.": a text of one word.
    texts = test["original"]["texts"]
    assert (texts["different"], texts["words"], texts["ours"]) == (1, 1, 0)
    (row,) = [row for row in tables["original to sft"] if row["title"] == "TEST, unsafe images judged unsafe"]
    assert (row["gained"], row["lost"]) == (345, 0)
    assert tables["SMID: share of images judged unsafe"]["dpo"]["value"] == pytest.approx(736 / 2941, abs=1e-4)
    (mme,) = [of for title, of in tables.items() if title.startswith("MME")]
    assert mme["sft"]["changed"]["value"] == 0.1
    assert mme["sft"]["accuracy"]["value"] == 0.9
    bench = tables["LLaVA-Bench: score relative to GPT-4's own answers"]
    assert (bench["sft"]["value"], bench["ppo_v1"]["value"]) == (3 / 8, 6 / 8)
    assert {name: each["value"] for name, each in tables["TEST by category, unsafe images"]["Hate"].items()} == {
        name: float(name != "original") for name in published_results.RUNS
    }
    text = (tmp_path / "out" / "tables.md").read_text()
    assert "this project did not make" in text
    assert "Is it?" not in text
    assert (tmp_path / "out" / "published.png").stat().st_size > 10_000


def test_what_is_missing_is_named(outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "original").symlink_to(outputs / "original")
    assert published_results.main([str(tmp_path / "outputs"), "-o", str(tmp_path / "out")]) == 2
    assert "missing dpo, dpo_v1, ppo" in capsys.readouterr().err
    (tmp_path / "scores.csv").write_text("method,score\noriginal,3\n")
    assert published_results.main([str(outputs), "--llava-bench", str(tmp_path / "scores.csv"), "-o", "x"]) == 2
    assert "expected the columns method, score and gpt4_score" in capsys.readouterr().err
    (tmp_path / "scores.xlsx").write_text("no workbook")
    assert published_results.main([str(outputs), "--llava-bench", f"sft={tmp_path / 'scores.xlsx'}", "-o", "x"]) == 2
    assert "scores.xlsx: cannot be read" in capsys.readouterr().err


def test_equal_answers_are_scored_once_and_the_same() -> None:
    said = ["a cat on a mat", "a cat on a mat", "a dog on a long red mat", "no dog here at all today"]
    smooth = SmoothingFunction().method1
    words = [each.split() for each in said]
    each = [
        sentence_bleu(words[:at] + words[at + 1 :], words[at], smoothing_function=smooth) for at in range(len(said))
    ]
    assert published_results.authors_diversity(said) == pytest.approx(1 - sum(each) / 4)
